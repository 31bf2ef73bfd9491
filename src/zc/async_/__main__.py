"""`python -m zc.async_`, or `python -m zc.async`: the command `zc-async`."""

import sys

from zc.async_.cli import main

if __name__ == "__main__":
    sys.exit(main())
