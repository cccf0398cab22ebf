"""The layers: one file each, forward beside backward; and the functions that record them on the tape.

Each file's docstring names the page that derives it. How an op is recorded is told in docs/02-the-tape.md.
"""

from ..autograd import Tensor
from .assembly import assemble
from .bilinear import resize_bilinear
from .convolution import conv2d, conv_transpose2d
from .dropout import dropout2d
from .elementwise import add, divide, exp, log, multiply, relu, subtract
from .loss import cross_entropy
from .normalisation import batch_norm
from .pooling import avg_pool2d, max_pool2d
from .shapes import concatenate, cut, matmul, mean, reshape, transpose
from .shapes import sum_over as sum
from .softmax_pooling import softmax_pool
from .upsampled_loss import upsampled_cross_entropy

__all__ = [
    "add", "assemble", "avg_pool2d", "batch_norm", "concatenate", "conv2d", "conv_transpose2d", "cross_entropy",
    "cut", "divide", "dropout2d", "exp", "log", "matmul", "max_pool2d", "mean", "multiply", "relu", "reshape",
    "resize_bilinear", "softmax_pool", "subtract", "sum", "transpose", "upsampled_cross_entropy",
]

# Arithmetic on tensors is these ops; the tape itself knows none of them.
Tensor.__add__ = Tensor.__radd__ = add
Tensor.__sub__ = subtract
Tensor.__rsub__ = lambda self, other: subtract(other, self)
Tensor.__mul__ = Tensor.__rmul__ = multiply
Tensor.__truediv__ = divide
Tensor.__rtruediv__ = lambda self, other: divide(other, self)
Tensor.__neg__ = lambda self: multiply(self, -1)
Tensor.__matmul__ = matmul
Tensor.__rmatmul__ = lambda self, other: matmul(other, self)
Tensor.sum, Tensor.mean = sum, mean
Tensor.reshape, Tensor.transpose = reshape, transpose
