"""Waits until the threads of a dispatcher have ended."""

import threading
import time
from typing import Any

from zc.async_.dispatcher.pool import Worker


def join_workers(dispatcher: Any, seconds: float) -> list[str]:
    """Wait until the worker threads have ended; return a text for each that has not."""
    problems = []
    end = time.monotonic() + seconds
    for pool in dispatcher.pools():
        for worker in pool.threads:
            worker.join(max(0, end - time.monotonic()))
            task = worker.task
            if worker.is_alive():
                job = "(idle)" if task is None else task.info["call"]
                problems.append(f"Job in pool {pool.agent_name!r} failed to stop:\n  {job}")
    return problems


def is_own_thread(dispatcher: Any) -> bool:
    """Whether the present thread belongs to a dispatcher, so that it cannot wait for its end."""
    current = threading.current_thread()
    if isinstance(current, Worker):
        return current.dispatcher is dispatcher
    return dispatcher.thread is current
