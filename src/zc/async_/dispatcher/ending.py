"""Waits until the threads of a dispatcher have ended."""

import threading
import time
from typing import Any

from zc.async_.dispatcher.pool import Worker


def join_workers(dispatcher: Any, seconds: float) -> list[str]:
    """Wait until the worker threads have ended; return a text for each that has not."""
    problems = []
    end = time.monotonic() + seconds
    # Not by the pools: these drop a thread while it says that it ends.
    for worker in [one for one in threading.enumerate() if isinstance(one, Worker)]:
        if worker.dispatcher is not dispatcher:
            continue
        worker.join(min(max(0, end - time.monotonic()), threading.TIMEOUT_MAX))
        task = worker.task
        if worker.is_alive():
            job = "(idle)" if task is None else task.info["call"]
            problems.append(f"Job in pool {worker.pool.agent_name!r} failed to stop:\n  {job}")
    return problems


def is_own_thread(dispatcher: Any) -> bool:
    """Whether the present thread belongs to a dispatcher, so that it cannot wait for its end."""
    current = threading.current_thread()
    if isinstance(current, Worker):
        return current.dispatcher is dispatcher
    return dispatcher.thread is current
