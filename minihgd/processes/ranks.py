"""The processes that mpiexec has started, as a group: MPI for NumPy arrays, NCCL for CuPy's, and an end for all.

Explained in docs/17-on-the-gpu-and-on-several.md.
"""

import os
import socket
import sys
import time
import traceback

import numpy as np
from mpi4py import MPI

from ..backend import threads
from ..errors import MinihgdError, SettingError
from .alone import Alone
from .watch import ENDING, PASSED_ON, Watch

SPIN = 2e-4  # seconds that a rank asks for an answer again and again; then it sleeps between
LONGEST = 5e-4  # seconds of such a sleep
OTHERS_FIRST = 1.0  # seconds; see `abort`


class Ranks(Alone):
    """One of several processes. What its methods mean stands in Alone."""

    def __init__(self):
        self.comm = MPI.COMM_WORLD
        self.rank, self.size = self.comm.rank, self.comm.size
        self.left, self.gpus = False, None
        hosts = self.comm.allgather(socket.gethostname())
        self.ids = self.comm.allgather(os.getpid())  # as mpiexec names a process that has died
        self.here = hosts[: self.rank].count(hosts[self.rank])  # number among the ranks of this machine
        try:
            self.watch = Watch(self.rank, self.size, self.comm.bcast, one_machine=len(set(hosts)) == 1)
        except OSError as error:  # some have joined already, and wait
            print(f"error: rank {self.rank} on {hosts[self.rank]} cannot be reached, or cannot reach rank 0 on "
                  f"{hosts[0]}: {error}", file=sys.stderr, flush=True)
            time.sleep(PASSED_ON)
            self.comm.Abort(1)
            os._exit(1)  # see `abort`
        self._share_cores()

    def _share_cores(self):
        """Ranks on the same cores have a part of them each, unless the environment says how many threads compute."""
        cores = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        everyone = self.comm.allgather((socket.gethostname(), cores))
        if not {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"} & os.environ.keys():
            threads.count.cache_clear()
            os.environ["OPENBLAS_NUM_THREADS"] = str(max(1, threads.count() // everyone.count(everyone[self.rank])))
        threads.count.cache_clear()

    def all_reduce_sum(self, array):
        if not isinstance(array, np.ndarray):
            return self.gpus.all_reduce_sum(array)
        _wait(self.comm.Iallreduce(MPI.IN_PLACE, array))
        return array

    def all_gather(self, vector):
        if not isinstance(vector, np.ndarray):
            return self.gpus.all_gather(vector)
        rows = np.empty((self.size, *vector.shape), vector.dtype)
        _wait(self.comm.Iallgather(vector, rows))
        return rows

    def broadcast(self, array):
        if not isinstance(array, np.ndarray):
            return self.gpus.broadcast(array)
        _wait(self.comm.Ibcast(array))
        return array

    def barrier(self):
        _wait(self.comm.Ibarrier())

    def leave(self):
        if not self.left:
            self.barrier()
            self.left = True
            self.watch.close()

    def device(self, name):
        """For "cuda" the rank's own GPU, joined with the others' through NCCL, as "cuda:N"; "cpu" stays.

        Raises SettingError where `name` says "cuda:N" itself, without a GPU, and where NCCL cannot join them.
        """
        if not name.startswith("cuda"):
            return name
        if name != "cuda":
            raise SettingError(f'device: found {name} for {self.size} processes, expected "cuda": each has a GPU')
        from ..backend import nccl

        number = self.here % nccl.gpus()
        self.gpus = nccl.Nccl(self.rank, self.size, number)
        return f"cuda:{number}"

    def abort(self, error):
        """End this process because of an exception, which is printed, and with it all others.

        Where every rank has met the same error, such as a folder that is not there, rank 0 is the one to say so: the
        others wait a moment, in which they are ended.
        """
        if self.rank:
            time.sleep(OTHERS_FIRST)
        self.watch.close(ENDING)
        text, status = _last_words(error)
        sys.stdout.flush()
        print(f"rank {self.rank}: {text}" if text and self.rank else text, end="", file=sys.stderr, flush=True)
        time.sleep(PASSED_ON)
        self.comm.Abort(status)
        os._exit(status)  # MPICH's Abort may come back before the end, and the error would be said again


def _last_words(error):
    """(what a process says when it ends because of an exception, its status)"""
    if isinstance(error, SystemExit):
        is_text = isinstance(error.code, str)
        return f"{error.code}\n" if is_text else "", 1 if is_text else error.code or 1
    if isinstance(error, MinihgdError):
        return f"error: {error}\n", 1
    return "".join(traceback.format_exception(error)), 1


def _wait(request):
    """Wait for the others in Python, where a second Ctrl-C is heard, and the threads that read images have the core."""
    asked = time.monotonic()
    while not request.Test():
        if time.monotonic() - asked > SPIN:
            time.sleep(min(LONGEST, (time.monotonic() - asked) / 8))
