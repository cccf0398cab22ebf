"""Codeword assembly: every pixel a linear combination of the codewords. Equation (3).

    f̃_8(x, y) = Σ_i W_i(x, y) c_i            so f̃_8 = W C, with pixels as rows

Backward: dW = df̃ Cᵀ at every pixel, dC = Wᵀ df̃ summed over the pixels. Derived in docs/09-codeword-assembly.md.
"""

import math

import numpy as np

from .. import backend
from ..autograd import Op
from ..errors import ShapeError


class Assemble(Op):
    """coefficients N×H×W×n, codebook N×n×D -> N×H×W×D."""

    def shape(self, coefficients, codebook):
        if len(coefficients) != 4 or len(codebook) != 3 or coefficients[::3] != codebook[:2]:
            raise ShapeError(f"assemble: expected N×H×W×n and N×n×D, found {coefficients} and {codebook}")
        return coefficients[:3] + codebook[2:]

    def macs(self, coefficients, codebook):
        return math.prod(coefficients) * codebook[2]

    def forward(self, coefficients, codebook):
        shape = self.shape(coefficients.shape, codebook.shape)
        self.map_shape = coefficients.shape
        W = coefficients.reshape(len(codebook), -1, codebook.shape[1])  # N×HW×n
        self.save(W=W, C=codebook)
        return backend.of(W).matmul(W, codebook).reshape(shape)  # N×H×W×D

    def backward(self, df):
        W, C = self.saved("W", "C")
        matmul = backend.of(df).matmul
        df = df.reshape(len(C), -1, C.shape[2])  # N×HW×D
        dW = matmul(df, C, transpose_b=True).reshape(self.map_shape) if self.needs[0] else None  # N×H×W×n
        dC = matmul(W, df, transpose_a=True) if self.needs[1] else None  # N×n×D
        return dW, dC


def plain_assemble(coefficients, codebook):
    """`assemble` on NumPy arrays: equation (3), one pixel at a time."""
    f = np.zeros(coefficients.shape[:3] + codebook.shape[2:], codebook.dtype)
    for n, y, x in np.ndindex(f.shape[:3]):
        for i in range(codebook.shape[1]):
            f[n, y, x] += coefficients[n, y, x, i] * codebook[n, i]
    return f


def assemble(coefficients, codebook):
    """coefficients W N×H×W×n, codebook C N×n×D -> f̃ N×H×W×D: equation (3) of the paper.

    Raises ShapeError where N or n differ, or there are not four and three axes. docs/09-codeword-assembly.md.
    """
    return Assemble()(coefficients, codebook)
