"""The historic name of `zc.async_.process.instanceuuid`. To import it makes the file, as of old."""

import sys

from zc.async_.process import instanceuuid
from zc.async_.process.instanceuuid import *  # noqa: F403
from zc.async_.process.instanceuuid import UUID as UUID

sys.modules[__name__] = instanceuuid
