"""Batch normalisation: every channel centred and scaled over all pixels of the batch, then γ x̂ + β.

Training, over the M = N·H·W rows of a column:   x̂ = (x - μ) / √(σ² + ε)      y = γ x̂ + β

μ and σ² depend on every x, so the gradient has three terms. With r = 1/√(σ² + ε),

    dβ = Σ dy        dγ = Σ dy x̂        dx = γ r (dy - dβ/M - x̂ dγ/M)

The last two take out of dy what the normalisation would undo: a shift and a stretch of the column. In evaluation
μ and σ² are the running statistics, constants, and only the first term is left.
"""

import numpy as np

from .. import backend
from ..autograd import Op
from ..errors import ShapeError


class BatchNorm(Op):
    """x ...×C, γ C, β C -> y ...×C. Running statistics are arrays of C; training updates them in place."""

    def __init__(self, running_mean, running_var, training, momentum=0.1, eps=1e-5):
        self.running_mean, self.running_var = running_mean, running_var
        self.training, self.momentum, self.eps = training, momentum, eps

    def shape(self, x, gamma, beta):
        expected = (x[-1],)
        if not gamma == beta == self.running_mean.shape == self.running_var.shape == expected:
            raise ShapeError(f"batch_norm: x {x} needs gamma, beta and running statistics of shape {expected}, found "
                             f"{gamma}, {beta}, {self.running_mean.shape} and {self.running_var.shape}")
        return x

    def forward(self, x, gamma, beta):
        self.shape(x.shape, gamma.shape, beta.shape)
        rows = x.reshape(-1, x.shape[-1])  # M×C
        mean, var = self._statistics(rows)
        r = 1 / backend.of(x).xp.sqrt(var + x.dtype.type(self.eps))
        self.save(x=x, gamma=gamma, mean=mean, r=r)
        y = backend.of(x).scale_shift(rows, gamma * r, beta - gamma * r * mean)  # M×C
        return y.reshape(x.shape)

    def _statistics(self, rows):
        if not self.training:
            # Copies: the running statistics may move on before the backward pass.
            return self.running_mean.astype(rows.dtype), self.running_var.astype(rows.dtype)
        mean, var = backend.of(rows).column_moments(rows)
        m = self.momentum
        self.running_mean += m * (mean - self.running_mean)
        if len(rows) > 1:  # a single row has no unbiased variance
            self.running_var += m * (var * (len(rows) / (len(rows) - 1)) - self.running_var)
        return mean, var

    def backward(self, dy):
        x, gamma, mean, r = self.saved("x", "gamma", "mean", "r")
        primitives = backend.of(dy)
        dy = dy.reshape(-1, dy.shape[-1])  # M×C
        x_hat = primitives.scale_shift(x.reshape(dy.shape), r, -mean * r)  # M×C
        d_beta = primitives.column_sums(dy)
        d_gamma = primitives.column_dots(dy, x_hat)
        if self.training:
            dx = gamma * r * (dy - d_beta / len(dy) - x_hat * (d_gamma / len(dy)))  # M×C
        else:
            dx = gamma * r * dy
        return dx.reshape(x.shape), d_gamma, d_beta


def plain_batch_norm(x, gamma, beta, eps=1e-5):
    """`batch_norm` in training on a NumPy array, one channel at a time."""
    y = np.empty_like(x)
    for c in range(x.shape[-1]):
        column = x[..., c]
        y[..., c] = gamma[c] * (column - column.mean()) / np.sqrt(column.var() + eps) + beta[c]
    return y


def batch_norm(x, gamma, beta, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    """x ...×C -> ...×C, each channel normalised over all other axes, times gamma C, plus beta C.

    In training the batch's statistics are used and the running ones (arrays of C) move towards them in place by
    `momentum`, with the unbiased variance, as in PyTorch. In evaluation the running ones are used. Raises ShapeError.
    """
    return BatchNorm(running_mean, running_var, training, momentum, eps)(x, gamma, beta)
