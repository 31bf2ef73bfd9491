"""The historic name of `zc.async_.job.partial`."""

import sys

from zc.async_.job import partial
from zc.async_.job.partial import *  # noqa: F403

sys.modules[__name__] = partial
