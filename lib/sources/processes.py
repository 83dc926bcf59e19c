"""One function for many jobs, in several processes at once."""

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress

import psutil
from joblib import Parallel, delayed

from lib import progress

__all__ = ["run"]


def run(function: Callable, jobs: Sequence, count: int, **bar) -> None:
    """Call a function with each of the jobs, in any order, in `count` processes (1: in this one); bar: options of
    `progress.bar`.

    The first error ends it, as Ctrl-C does: no job is begun any more, and no worker outlives this process, however that
    ends."""
    parallel = Parallel(count, batch_size=1, return_as="generator_unordered", idle_worker_timeout=10,
                        initializer=_watch, initargs=(os.getpid(),))
    with closing(parallel(delayed(function)(job) for job in jobs)) as results:
        for _ in progress.bar(results, **{"total": len(jobs), **bar}):
            pass


def _watch(parent: int) -> None:
    """End this worker with the process that started it: joblib's live on where that was killed."""
    def end() -> None:
        with suppress(psutil.NoSuchProcess):  # it may be gone already
            psutil.Process(parent).wait()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
