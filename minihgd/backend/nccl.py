"""Sums and copies of CuPy arrays over processes with a GPU each, through NCCL.

Explained in docs/17-on-the-gpu-and-on-several.md.
"""

import cupy as cp
from cupyx.distributed import NCCLBackend

from ..errors import SettingError


def gpus():
    """How many GPUs this process sees. Raises SettingError where there is none."""
    count = cp.cuda.runtime.getDeviceCount() if cp.is_available() else 0
    if count == 0:
        raise SettingError("device: cuda was asked for, 0 CUDA devices were found")
    return count


class Nccl:
    """The group of processes as CuPy arrays see it: see `processes.Alone`.

    rank, size: number of this process, and how many there are. number: of its GPU. Calls are queued on the GPU behind
    what was asked of it before, and the host does not wait for them. Raises SettingError where NCCL cannot join the
    GPUs.
    """

    def __init__(self, rank, size, number):
        self.size = size
        cp.cuda.Device(number).use()
        try:
            self.backend = NCCLBackend(size, rank, use_mpi=True)  # MPI only tells the ranks where to meet
        except Exception as error:
            raise SettingError(f"device: {size} processes could not be joined through NCCL ({error}); it needs a GPU "
                               "for each") from error

    def all_reduce_sum(self, array):
        """Put the sum over the ranks in the place of each one's array; returns it."""
        self.backend.all_reduce(array, array)
        return array

    def all_gather(self, vector):
        """The vectors n of all ranks as rows, size×n."""
        rows = cp.empty((self.size, *vector.shape), vector.dtype)
        self.backend.all_gather(vector, rows, vector.size)
        return rows

    def broadcast(self, array):
        """Put rank 0's array in the place of each one's; returns it."""
        self.backend.broadcast(array)
        return array
