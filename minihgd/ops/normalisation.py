"""Batch normalisation: every channel centred and scaled over all pixels of the batch, then γ x̂ + β.

Training, over the M = N·H·W rows of a column:   x̂ = (x - μ) / √(σ² + ε)      y = γ x̂ + β

μ and σ² depend on every x, so the gradient has three terms. With r = 1/√(σ² + ε),

    dβ = Σ dy        dγ = Σ dy x̂        dx = γ r (dy - dβ/M - x̂ dγ/M)

The last two take out of dy what the normalisation would undo: a shift and a stretch of the column. In evaluation
μ and σ² are the running statistics, constants, and only the first term is left.

What stands behind a normalisation in a ResNet, a shortcut added and a ReLU, can be had in the same op: these maps are
large and the arithmetic is little, so most of the time goes into reading and writing them.

    y = max(γ x̂ + β + residual, 0)        g = dy where y > 0, else 0        dresidual = g, and g in place of dy above
"""

import numpy as np

from .. import backend
from ..autograd import Op
from ..errors import ShapeError


class BatchNorm(Op):
    """x ...×C, γ C, β C, residual ...×C or None -> y ...×C. Training updates the running statistics (C) in place."""

    def __init__(self, running_mean, running_var, training, momentum=0.1, eps=1e-5, relu=False):
        self.running_mean, self.running_var = running_mean, running_var
        self.training, self.momentum, self.eps, self.relu = training, momentum, eps, relu

    def shape(self, x, gamma, beta, residual=None):
        expected = (x[-1],)
        if not gamma == beta == self.running_mean.shape == self.running_var.shape == expected:
            raise ShapeError(f"batch_norm: x {x} needs gamma, beta and running statistics of shape {expected}, found "
                             f"{gamma}, {beta}, {self.running_mean.shape} and {self.running_var.shape}")
        if residual not in (None, x):
            raise ShapeError(f"batch_norm: the residual is of x's shape {x}, found {residual}")
        return x

    def forward(self, x, gamma, beta, residual=None):
        self.shape(x.shape, gamma.shape, beta.shape, None if residual is None else residual.shape)
        rows = x.reshape(-1, x.shape[-1])  # M×C
        residual_rows = None if residual is None else residual.reshape(rows.shape)
        mean, var = self._statistics(rows)
        r = 1 / backend.of(x).xp.sqrt(var + x.dtype.type(self.eps))
        y = backend.of(x).scale_shift(rows, gamma * r, beta - gamma * r * mean, residual_rows, self.relu)  # M×C
        self.save(x=rows, gamma=gamma, mean=mean, r=r, y=y if self.relu else None)
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
        x, gamma, mean, r, y = self.saved("x", "gamma", "mean", "r", "y")
        primitives, shape, M = backend.of(dy), dy.shape, len(x)
        g, d_beta, centred = primitives.normalise_backward(dy.reshape(x.shape), x, mean, y)  # M×C, C, C
        d_gamma = centred * r
        if self.training:  # a (g - dβ/M - x̂ dγ/M), a = γ r, as one combination a g + b x + c
            a, b = gamma * r, -gamma * r * r * d_gamma / M
            dx = primitives.combine(g, x, a, b, -a * d_beta / M - b * mean)  # M×C
        else:
            dx = primitives.scale_shift(g, gamma * r, 0 * mean)
        return dx.reshape(shape), d_gamma, d_beta, g.reshape(shape)


def plain_batch_norm(x, gamma, beta, eps=1e-5):
    """`batch_norm` in training on a NumPy array, one channel at a time."""
    y = np.empty_like(x)
    for c in range(x.shape[-1]):
        column = x[..., c]
        y[..., c] = gamma[c] * (column - column.mean()) / np.sqrt(column.var() + eps) + beta[c]
    return y


def batch_norm(x, gamma, beta, running_mean, running_var, training, momentum=0.1, eps=1e-5, relu=False,
               residual=None):
    """x ...×C -> ...×C, each channel normalised over all other axes, times gamma C, plus beta C.

    residual: an array of x's shape that is added; relu: negative values of the result become zero.

    In training the batch's statistics are used and the running ones (arrays of C) move towards them in place by
    `momentum`, with the unbiased variance, as in PyTorch. In evaluation the running ones are used. Raises ShapeError.
    """
    return BatchNorm(running_mean, running_var, training, momentum, eps, relu)(x, gamma, beta, residual)
