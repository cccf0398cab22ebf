"""Batches on their way to the GPU while it works on the one before: pinned memory, and a stream of their own.

Explained in docs/17-on-the-gpu-and-on-several.md.
"""

import cupy as cp
import numpy as np

from .hosted import Hosted


class Uploads:
    """Copies NumPy arrays of one shape to the GPU, `depth` of them in memory at a time, used in turn.

    What is copied is on its way when the call returns. The GPU's next work after the first use of its `there` waits for
    it; the program itself does not. An array is overwritten `depth` calls later, after the work begun by then.
    """

    def __init__(self, depth=3):
        self.stream, self.slots, self.depth = cp.cuda.Stream(non_blocking=True), [], depth

    def __call__(self, array):
        """A `Hosted` of the array: its copy on the GPU, and itself."""
        slot = self._slot(array)
        slot.copied.synchronize()  # the copy of `depth` calls ago has left the pinned memory: long since
        slot.pinned[...] = array
        self.stream.wait_event(cp.cuda.get_current_stream().record())  # whoever uses what was here has begun
        slot.there.set(slot.pinned, stream=self.stream)
        slot.copied.record(self.stream)
        return Hosted(array, slot.there, lambda: cp.cuda.get_current_stream().wait_event(slot.copied))

    def close(self):
        """Wait for the copies that are on their way: their memory may then go."""
        self.stream.synchronize()

    def _slot(self, array):
        if len(self.slots) == self.depth:
            self.slots.append(self.slots.pop(0))
        else:
            self.slots.append(_Slot(array.shape, array.dtype))
        slot = self.slots[-1]
        if (slot.there.shape, slot.there.dtype) != (array.shape, array.dtype):
            slot.copied.synchronize()  # what a copy is on its way to must not be given to others
            self.slots[-1] = slot = _Slot(array.shape, array.dtype)
        return slot


class _Slot:
    """An array on the GPU, as much pinned memory, and an event: the last copy from here to there is done."""

    def __init__(self, shape, dtype):
        self.there, self.copied = cp.empty(shape, dtype), cp.cuda.Event(disable_timing=True)
        memory = cp.cuda.alloc_pinned_memory(self.there.nbytes)
        self.pinned = np.frombuffer(memory, dtype, self.there.size).reshape(shape)
