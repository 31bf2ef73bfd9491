"""A prompt that looks at the database: `mypypi-debug instance1.conf`.

`root` is the root folder. With the path of a script behind the configuration file, that is run.
"""

import os
import sys

import grokcore.startup


def main() -> None:
    """Ask until the input ends."""
    if len(sys.argv) < 2:
        sys.exit("Give the configuration file of an instance: mypypi-debug instance1.conf")
    # Who looks is no worker, and needs no identity.
    os.environ["ZC_ASYNC_DISPATCHER"] = "off"
    grokcore.startup.interactive_debug_prompt(sys.argv.pop(1))


if __name__ == "__main__":
    main()
