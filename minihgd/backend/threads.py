"""Work spread over the cores by threads: NumPy and BLAS let go of the interpreter's lock while they compute.

The threads are ours and BLAS keeps to the one that calls it (blas.py), for two reasons. Normalisation and activation
are spread in the same way as products, so that nothing waits for one core. And BLAS's own threads, which spin for a
while after each product, would take the cores from the arithmetic that follows. Measured in
docs/16-speed-on-the-cpu.md.
"""

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache

from . import blas

_here = threading.local()  # .busy: whether this thread is inside `each` already


@lru_cache(maxsize=1)
def count():
    """How many threads compute: OPENBLAS_NUM_THREADS or OMP_NUM_THREADS where set, else the cores of this process.

    One, where BLAS cannot be kept from using threads of its own.
    """
    if not blas.ONE_THREAD:
        return 1
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdigit():
            return max(1, int(os.environ[name]))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _pool():
    return ThreadPoolExecutor(max(1, count() - 1), thread_name_prefix="minihgd")


def is_busy():
    """Whether the caller is one of several threads at work already: there is no core left to share with."""
    return getattr(_here, "busy", False)


@contextlib.contextmanager
def alone():
    """A context in which the calling thread does all its work itself."""
    before, _here.busy = is_busy(), True
    try:
        yield
    finally:
        _here.busy = before


def each(work, jobs):
    """[work(job) for job in jobs], the jobs spread over the threads, the caller's among them.

    A job's own calls of `each` run in its thread alone. The first error is raised when all threads have stopped.
    """
    jobs = list(jobs)
    helpers = 0 if is_busy() else min(count(), len(jobs)) - 1
    if helpers < 1:
        return [work(job) for job in jobs]
    results, numbers = [None] * len(jobs), iter(range(len(jobs)))

    def take_jobs():
        with alone():
            for i in numbers:  # whoever is free takes the next
                results[i] = work(jobs[i])

    futures = [_pool().submit(take_jobs) for _ in range(helpers)]
    try:
        take_jobs()
    finally:
        begun = [future for future in futures if not future.cancel()]  # one that never began has nothing left to do
        wait(begun)
    for future in begun:
        future.result()  # raises what its thread raised
    return results
