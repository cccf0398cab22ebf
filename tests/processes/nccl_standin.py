"""A stand-in for cupyx.distributed over the stand-in for CuPy: its ranks are threads, as those of members.py.

It refuses what NCCL refuses: arrays that are not contiguous, and dtypes that it does not know.
"""

import contextlib
import sys
import threading
import types

import cupy_standin

here = threading.local()  # .member: the rank that a thread is


class NCCLBackend:
    def __init__(self, n_devices, rank, host="127.0.0.1", port=13333, use_mpi=False):
        assert use_mpi and here.member.rank == rank and here.member.size == n_devices

    def _host(self, array):
        if not isinstance(array, cupy_standin.ndarray):
            raise TypeError(f"found {type(array)}, expected a device array")
        if not array.flags.c_contiguous:
            raise RuntimeError("NCCL requires arrays to be either c- or f-contiguous")
        if array.dtype.char not in "bBiIlLqQefd":
            raise TypeError(f"Unknown dtype {array.dtype} for NCCL")
        return array._host

    def all_reduce(self, in_array, out_array, op="sum", stream=None):
        total = self._host(in_array).copy()
        self._host(out_array)[...] = here.member.all_reduce_sum(total)

    def all_gather(self, in_array, out_array, count, stream=None):
        rows = here.member.all_gather(self._host(in_array).reshape(-1)[:count])
        self._host(out_array).reshape(-1)[...] = rows.ravel()

    def broadcast(self, in_out_array, root=0, stream=None):
        assert root == 0
        here.member.broadcast(self._host(in_out_array))


@contextlib.contextmanager
def installed():
    """While this lasts, "cuda" and its exchanges are stand-ins; gives the list of waits."""
    modules = {"cupyx": types.ModuleType("cupyx"), "cupyx.distributed": types.ModuleType("cupyx.distributed")}
    modules["cupyx.distributed"].NCCLBackend = NCCLBackend
    before = {name: sys.modules.pop(name, None) for name in (*modules, "minihgd.backend.nccl")}
    try:
        with cupy_standin.installed() as waits:
            sys.modules.update(modules)
            yield waits
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def join(member):
    """What Ranks.device does, for a thread."""
    from minihgd.backend import nccl

    here.member = member
    member.gpus = nccl.Nccl(member.rank, member.size, member.rank % nccl.gpus())
