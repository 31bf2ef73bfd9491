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
    conf = sys.argv.pop(1)
    # Who looks is no worker. The file of its identity is made all the same, and belongs there.
    os.environ["ZC_ASYNC_DISPATCHER"] = "off"
    os.environ.setdefault("ZC_ASYNC_UUID", f"{conf}.debug")
    grokcore.startup.interactive_debug_prompt(conf)


if __name__ == "__main__":
    main()
