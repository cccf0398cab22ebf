"""Parameters and multiply-accumulates of a model, counted from shapes alone: nothing is computed."""

import contextlib
from dataclasses import dataclass, field

import numpy as np

from ..autograd import Tensor, run_instead
from ..ops.convolution import Conv2d, ConvTranspose2d


@dataclass
class Row:
    """One layer that multiplies: its name, output shape (N, H, W, C), parameters and multiply-accumulates."""

    name: str
    shape: tuple
    params: int
    macs: int


@dataclass
class Cost:
    """A model's cost for one image. `conv_macs`: convolutions; `matmul_macs`: codebook, assembly and linear layers."""

    params: int = 0
    conv_macs: int = 0
    matmul_macs: int = 0
    rows: list = field(default_factory=list)


def cost(model, height, width):
    """The `Cost` of a model for one image of height×width pixels.

    Multiply-accumulates of convolutions without their bias, and of matrix products; nothing for normalisation,
    activations, pooling and resizing. Raises ShapeError where the model does not take the size.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    result = Cost(params=sum(parameter.data.size for parameter in model.parameters()))

    def count(op, tensors):
        shapes = [None if t is None else t.shape for t in tensors]
        shape, macs = op.shape(*shapes), op.macs(*shapes)
        if macs:
            own = [t for t in tensors if t is not None and id(t) in names]
            name = names[id(own[0])].removesuffix(".weight") if own else type(op).__name__
            result.rows.append(Row(name, shape, sum(t.data.size for t in own), macs))
            if isinstance(op, (Conv2d, ConvTranspose2d)):
                result.conv_macs += macs
            else:
                result.matmul_macs += macs
        return empty(shape)

    with run_instead(count), as_printed(model):
        model(empty((1, height, width, 3)))
    return result


@contextlib.contextmanager
def as_printed(model):
    """A context in which the decoder computes as the paper has it, without the shortcuts that its algebra allows."""
    decoders = [module for _, module in model.modules() if hasattr(module, "plain")]
    before = [module.plain for module in decoders]
    try:
        for module in decoders:
            module.plain = True
        yield
    finally:
        for module, plain in zip(decoders, before, strict=True):
            module.plain = plain


def empty(shape):
    """A tensor of that shape that takes no memory: one number, repeated."""
    return Tensor(np.broadcast_to(np.float32(0), shape))
