"""What the jobs of these tests call."""

import datetime
import threading

import zc.async_

#: Holds `wait` back while it is clear.
gate = threading.Event()


def answer():
    return 42


def add(*jobs):
    """The sum of the results of jobs."""
    return sum(job.result for job in jobs)


def fail():
    raise ValueError("it failed")


def wait():
    """Wait until the gate is open."""
    gate.wait(60)
    return "waited"


def annotate():
    """Say that it has begun, and wait for an answer."""
    zc.async_.local.setLiveAnnotation("begun", True)
    return zc.async_.local.getLiveAnnotation("answer", timeout=60, poll=0.05)


def now():
    """The present as application code asks for it."""
    return datetime.datetime.now(datetime.UTC)
