"""The historic name of `zc.async_.process.instanceuuid`."""

import sys

from zc.async_.process import instanceuuid
from zc.async_.process.instanceuuid import *  # noqa: F403

sys.modules[__name__] = instanceuuid
