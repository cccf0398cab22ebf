"""Parameters, multiply-accumulates and activation memory of a model, counted from shapes alone: nothing is computed.

The paper's Table 1 counts otherwise: a convolution's bias and batch normalisation (two for every element) are among its
multiply-accumulates, a transposed convolution goes by its output's size, products of matrices count nothing, and the
1000-way classification layer that the pretrained backbone came with is among the parameters. Both counts are here, and
explained in docs/01-what-the-network-computes.md.
"""

import contextlib
import math
from dataclasses import dataclass, field

import numpy as np

from ..autograd import Tensor, run_instead
from ..ops.convolution import Conv2d, ConvTranspose2d
from ..ops.normalisation import BatchNorm
from ..ops.shapes import Cut, Reshape, Transpose
from ..ops.softmax_pooling import SoftmaxPool

NUMBER = 4  # bytes of a float32


@dataclass
class Row:
    """One step of a model: its name, the kind of op, its output's shape, such as (N, H, W, C), and what it costs.

    params: numbers in its weights. macs: multiply-accumulates. paper_macs: those by the paper's count. memory: bytes
    that a training step keeps of it. See docs/01-what-the-network-computes.md.
    """

    name: str
    kind: str
    shape: tuple
    params: int
    macs: int
    paper_macs: int
    memory: int


@dataclass
class Cost:
    """A model's cost for one image.

    params: all parameters; paper_params: with the classification layer. conv_macs: of convolutions; matmul_macs: of
    codebook, assembly and linear layers; paper_macs: by the paper's count. memory: bytes of activations that are kept
    for the backward pass. rows: a `Row` for each step, in order. See docs/01-what-the-network-computes.md.
    """

    params: int = 0
    paper_params: int = 0
    conv_macs: int = 0
    matmul_macs: int = 0
    paper_macs: int = 0
    memory: int = 0
    rows: list = field(default_factory=list)

    def add(self, row):
        """Append a row and count it."""
        self.rows.append(row)
        if row.kind in ("Conv2d", "ConvTranspose2d"):
            self.conv_macs += row.macs
        else:
            self.matmul_macs += row.macs
        self.paper_macs += row.paper_macs
        self.memory += row.memory

    def by_kind(self):
        """kind of op -> (params, macs, memory), summed over the rows."""
        totals = {}
        for row in self.rows:
            before = totals.get(row.kind, (0, 0, 0))
            totals[row.kind] = tuple(map(sum, zip(before, (row.params, row.macs, row.memory), strict=True)))
        return totals


def cost(model, height, width):
    """The `Cost` of a model for one image of height×width pixels, its decoder in the order in which the paper has it.

    Multiply-accumulates are those of convolutions without their bias, and of matrix products; nothing for
    normalisation, activations, pooling and resizing. Raises ShapeError where the model does not take the size. See
    docs/01-what-the-network-computes.md.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    params = sum(parameter.data.size for parameter in model.parameters())
    result = Cost(params, params + classification_layer(model))

    def count(op, tensors):
        shapes = [None if t is None else t.shape for t in tensors]
        shape, macs = op.shape(*shapes), op.macs(*shapes)
        own = [t for t in tensors if t is not None and id(t) in names]
        name = names[id(own[0])].removesuffix(".weight") if own else type(op).__name__
        params = sum(t.data.size for t in own)
        result.add(Row(name, type(op).__name__, shape, params, macs, paper_macs(op, shapes, shape, macs),
                       kept(op, shapes, shape)))
        return empty(shape)

    with run_instead(count), as_printed(model):
        model(empty((1, height, width, 3)))
    return result


def paper_macs(op, shapes, shape, macs):
    """Multiply-accumulates of an op as the paper's Table 1 counts them."""
    if isinstance(op, BatchNorm):
        return 2 * math.prod(shape)
    bias = math.prod(shape) if len(shapes) > 2 and shapes[2] else 0
    if isinstance(op, ConvTranspose2d):
        return math.prod(shape) * math.prod(shapes[1][:3]) + bias
    return macs + bias if isinstance(op, Conv2d) else 0


def kept(op, shapes, shape):
    """Bytes that the tape holds on to for an op: its output, unless that is a view of its input, and what it saves."""
    output = 0 if isinstance(op, (Reshape, Transpose, Cut)) or shape == shapes[0] == () else math.prod(shape)
    weights = math.prod(shapes[0]) if isinstance(op, SoftmaxPool) else 0  # Ã
    return NUMBER * (output + weights)


def classification_layer(model):
    """Parameters of the layer that takes a backbone's last map to ImageNet's 1000 classes; 0 without a backbone."""
    backbone = getattr(model, "backbone", None)
    return 1000 * (backbone.channels[-1] + 1) if backbone else 0


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
