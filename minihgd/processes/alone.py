"""A group of one process, and with it what the methods of every group mean.

What training asks of a group: docs/17-on-the-gpu-and-on-several.md.
"""

import numpy as np


class Alone:
    """One process, which has nobody to tell: arrays stay as they are.

    rank: number of this process, from 0. size: how many there are. Among several, every rank calls the same methods in
    the same order, with arrays of one shape and dtype, NumPy's or CuPy's; a call ends when all have made it. What it
    leaves is the same on every rank to the last bit. See docs/17-on-the-gpu-and-on-several.md.
    """

    rank, size = 0, 1

    def all_reduce_sum(self, array):
        """Put the sum over the ranks in the place of each one's array; returns it."""
        return array

    def all_gather(self, vector):
        """The vectors n of all ranks as rows, size×n."""
        return vector[None]

    def broadcast(self, array):
        """Put rank 0's array in the place of each one's; returns it."""
        return array

    def barrier(self):
        """Wait until every rank is here."""

    def leave(self):
        """Wait until every rank is here; from then on each may end by itself."""

    def device(self, name):
        """The device that a rank is to compute on where all were told `name`; among several, its own GPU for "cuda"."""
        return name

    def any(self, *flags):
        """For each of the flags, whether it is up on any rank: a list of bools, the same on every rank."""
        return [count > 0 for count in self.all_reduce_sum(np.array(flags, np.int64)).tolist()]

    def share(self, length):
        """The rank's part of so many things in a row, a slice; `length` is a multiple of the size."""
        part = length // self.size
        return slice(self.rank * part, (self.rank + 1) * part)
