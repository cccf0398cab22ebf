"""Where the time of a step goes: seconds in each kind of op, and the least that its work could take.

An op has to do its multiply-accumulates and to move its arrays, each at least once: its inputs and output forward, and
backward the inputs, the gradient that comes in and those that go out. The roofline is the longer of the two times.
Explained in docs/16-speed-on-the-cpu.md.
"""

import contextlib
import time
from collections import defaultdict
from dataclasses import dataclass

from ..autograd import Op, Recomputed, Tensor
from ..ops.convolution import Conv2d


@dataclass
class Work:
    """What ops of one kind did in one direction: seconds, floating-point operations, bytes moved."""

    seconds: float = 0
    flops: int = 0
    bytes: int = 0

    def roofline(self, flops_per_second, bytes_per_second):
        """The least seconds that the work could have taken."""
        return max(self.flops / flops_per_second, self.bytes / bytes_per_second)


def kind(op, inputs):
    """An op's name in the table: its class, for a convolution with its kernel and stride."""
    if not isinstance(op, Conv2d):
        return type(op).__name__
    kh, kw = inputs[1].shape[:2]
    return f"Conv2d {kh}×{kw}" + (f" stride {op.stride[0]}" if op.stride != (1, 1) else "")


@contextlib.contextmanager
def op_times(synchronise=lambda: None):
    """A context that yields a dict, (kind of op, "forward" or "backward") -> Work, filled by what runs inside.

    What is recomputed counts through the ops inside it. synchronise: called before each reading of the clock; on a
    GPU, the wait for what is under way.
    """
    done = defaultdict(Work)
    call, input_gradients = Op.__call__, Op.input_gradients

    def timed(function, op, *arguments):
        synchronise()
        started = time.perf_counter()
        result = function(op, *arguments)
        synchronise()
        return result, time.perf_counter() - started

    def forward(op, *inputs):
        if isinstance(op, Recomputed):
            return call(op, *inputs)
        output, seconds = timed(call, op, *inputs)
        work, arrays = done[kind(op, inputs), "forward"], [x for x in inputs if hasattr(x, "shape")]
        work.seconds += seconds
        work.flops += 2 * op.macs(*(getattr(x, "shape", None) for x in inputs))
        work.bytes += _bytes(*arrays, output)
        return output

    def backward(op, dy):
        gradients, seconds = timed(input_gradients, op, dy)
        work, arrays = done[kind(op, op.inputs), "backward"], [x for x in op.inputs if x is not None]
        work.seconds += seconds
        products = sum(op.needs[:2])  # as many as there are factors whose gradient is wanted
        work.flops += 2 * products * op.macs(*(None if x is None else x.shape for x in op.inputs))
        work.bytes += _bytes(dy, *arrays, *(g for g in gradients if g is not None))
        return gradients

    Op.__call__, Op.input_gradients = forward, backward
    try:
        yield done
    finally:
        Op.__call__, Op.input_gradients = call, input_gradients


def _bytes(*arrays):
    return sum((a.data if isinstance(a, Tensor) else a).nbytes for a in arrays)
