"""What the workers of an example need of their application: put it beside worker.toml."""

import os

import zc.async_.monitor
import zc.monitor


def configure(database):
    """Open a port for operators in each worker: `nc -U state/worker-1.monitor`."""
    zc.monitor.register_basics()
    zc.async_.monitor.register()
    # Each worker has a file with its identity, and a number: ZC_ASYNC_WORKER.
    zc.monitor.start(os.environ["ZC_ASYNC_UUID"].replace(".uuid", ".monitor"))


def is_letter(job):
    """A filter: whether an agent takes a job."""
    return job.callable is send_letter


def send_letter(address):
    """A job."""
    return f"Dear {address}"
