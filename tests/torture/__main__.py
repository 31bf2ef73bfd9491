"""`python -m tests.torture`: see the package."""

import sys

from tests.torture.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
