"""Softmax pooling: n weighted averages of a map's pixels, the holistic codebook. Equations (1) and (2).

    Ã_i(x, y) = exp(A_i(x, y)) / Σ_pq exp(A_i(p, q))            a softmax over positions, for each map i
    c_i = Σ_pq Ã_i(p, q) B(p, q)                                 so C = Ãᵀ B, with pixels as rows

Backward: C is linear in each of Ã and B, so dB = Ã dC and dÃ = B dCᵀ; through the softmax of a column a,
dA = ã (dã - Σ ã dã), because raising every A_i alike changes nothing. Derived in docs/08-softmax-pooling.md.
"""

import math

import numpy as np

from .. import backend
from ..autograd import Op
from ..errors import ShapeError


def softmax_over_pixels(attention):
    """N×h×w×n -> N×hw×n: equation (1), every column positive and adding up to one."""
    xp = backend.of(attention).xp
    A = backend.widened(attention).reshape(len(attention), -1, attention.shape[-1])  # N×hw×n
    A = xp.exp(A - A.max(axis=1, keepdims=True))  # at most 1: no overflow, and the ratio is the same
    return A / A.sum(axis=1, keepdims=True)


class SoftmaxPool(Op):
    """attention N×h×w×n, base N×h×w×D -> codebook N×n×D."""

    def shape(self, attention, base):
        if len(attention) != 4 or len(base) != 4 or attention[:3] != base[:3]:
            raise ShapeError(f"softmax_pool: expected N×h×w×n and N×h×w×D, found {attention} and {base}")
        return (attention[0], attention[3], base[3])

    def macs(self, attention, base):
        return math.prod(attention) * base[3]

    def forward(self, attention, base):
        self.shape(attention.shape, base.shape)
        self.shapes = attention.shape, base.shape
        A = softmax_over_pixels(attention).astype(base.dtype, copy=False)  # N×hw×n
        B = base.reshape(len(base), -1, base.shape[-1])  # N×hw×D
        self.save(A=A, B=B)
        return backend.of(A).matmul(A, B, transpose_a=True)  # N×n×D

    def backward(self, dC):
        A, B = self.saved("A", "B")
        matmul = backend.of(dC).matmul
        dB = matmul(A, dC).reshape(self.shapes[1]) if self.needs[1] else None  # N×h×w×D
        if not self.needs[0]:
            return None, dB
        dA = matmul(B, dC, transpose_b=True)  # N×hw×n
        A, dA = backend.widened(A), backend.widened(dA)
        dA = A * (dA - (A * dA).sum(axis=1, keepdims=True))  # through the softmax
        return dA.reshape(self.shapes[0]).astype(dC.dtype, copy=False), dB


def plain_softmax_pool(attention, base):
    """`softmax_pool` on NumPy arrays: equations (1) and (2) as they are printed."""
    C = np.zeros((len(base), attention.shape[3], base.shape[3]), base.dtype)
    for n, i in np.ndindex(C.shape[:2]):
        A_i = np.exp(attention[n, :, :, i])
        A_i = A_i / A_i.sum()  # (1)
        for p, q in np.ndindex(A_i.shape):
            C[n, i] += A_i[p, q] * base[n, p, q]  # (2)
    return C


def softmax_pool(attention, base):
    """attention A N×h×w×n, base B N×h×w×D -> codebook C N×n×D: equations (1) and (2) of the paper.

    Raises ShapeError where N, h or w differ, or there are not four axes. docs/08-softmax-pooling.md.
    """
    return SoftmaxPool()(attention, base)
