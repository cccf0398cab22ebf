"""Batch normalisation: every channel centred and scaled over all pixels of the batch, then γ x̂ + β.

Training, over the M = N·H·W rows of a column:   x̂ = (x - μ) / √(σ² + ε)      y = γ x̂ + β

μ and σ² depend on every x, so the gradient has three terms. With r = 1/√(σ² + ε),

    dβ = Σ dy        dγ = Σ dy x̂        dx = γ r (dy - dβ/M - x̂ dγ/M)

The last two take out of dy what the normalisation would undo: a shift and a stretch of the column. In evaluation
μ and σ² are the running statistics, constants, and only the first term is left.

What stands behind a normalisation in a ResNet, a shortcut added and a ReLU, can be had in the same op: these maps are
large and the arithmetic is little, so most of the time goes into reading and writing them.

    y = max(γ x̂ + β + residual, 0)        g = dy where y > 0, else 0        dresidual = g, and g in place of dy above

Where several processes have a share of the batch each, μ, σ² and M are those of the whole batch. A share of n rows
with mean m and squares M₂ = Σ (x - m)² is all that the others need of it (Chan et al. 1979):

    M = Σ n        μ = Σ n m / M        M σ² = Σ M₂ + Σ n (m - μ)²        each Σ over the shares

In the gradient every x of the batch moves μ and σ², so dβ and dγ in dx are sums over all shares, too. What is handed on
as dβ and dγ are the share's own: they are added up with all other gradients (see training/sgd.py). Derived in
docs/05-batch-normalisation.md.
"""

import numpy as np

from .. import backend
from ..autograd import Op
from ..errors import ShapeError
from ..processes import Alone


class BatchNorm(Op):
    """x ...×C, γ C, β C, residual ...×C or None -> y ...×C. Training updates the running statistics (C) in place.

    group: of the processes that have a share of the batch each; by default there is one, which has it whole.
    """

    def __init__(self, running_mean, running_var, training, momentum=0.1, eps=1e-5, relu=False, group=None):
        self.running_mean, self.running_var = running_mean, running_var
        self.training, self.momentum, self.eps, self.relu = training, momentum, eps, relu
        self.group = group or Alone()

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
        M, mean, var = self._statistics(rows)
        r, scale, shift = backend.of(x).normaliser(mean, var, gamma, beta, self.eps)  # rows of C
        y = backend.of(x).scale_shift(rows, scale, shift, residual_rows, self.relu)  # M×C
        self.save(x=rows, M=M, gamma=gamma, mean=mean, r=r, y=y if self.relu else None)
        return y.reshape(x.shape)

    def _statistics(self, rows):
        """How many rows there are in all shares, their mean C and variance C."""
        if not self.training:
            # Copies: the running statistics may move on before the backward pass.
            wide = backend.wide(rows.dtype)
            return len(rows), self.running_mean.astype(wide), self.running_var.astype(wide)
        M, (mean, var) = len(rows), backend.of(rows).column_moments(rows)
        if self.group.size > 1:
            M, mean, var = merged(self.group, M, mean, var)
        backend.of(rows).follow(self.running_mean, self.running_var, mean, var, self.momentum, M)
        return M, mean, var

    def backward(self, dy):
        x, M, gamma, mean, r, y = self.saved("x", "M", "gamma", "mean", "r", "y")
        primitives, shape = backend.of(dy), dy.shape
        g, d_beta, centred = primitives.normalise_backward(dy.reshape(x.shape), x, mean, y)  # M×C, C, C
        d_gamma = centred * r
        if self.training:  # γ r (g - dβ/M - x̂ dγ/M), as one combination a g + b x + c
            sums = self._over_shares(d_beta, d_gamma)
            dx = primitives.combine(g, x, *primitives.normaliser_backward(*sums, gamma, mean, r, M))  # M×C
        else:
            dx = primitives.scale_shift(g, gamma * r, 0 * mean)
        return dx.reshape(shape), d_gamma, d_beta, g.reshape(shape)

    def _over_shares(self, d_beta, d_gamma):
        """Both C, summed over all shares of the batch."""
        if self.group.size == 1:
            return d_beta, d_gamma
        both = self.group.all_reduce_sum(backend.of(d_beta).xp.concatenate([d_beta, d_gamma]))
        return both[: len(d_beta)], both[len(d_beta) :]


def merged(group, rows, mean, var):
    """From the rows, mean C and variance C of every share those of the whole batch, the number as an array of no axes.

    The same arithmetic on every rank, so that the same bits come out.
    """
    xp = backend.of(mean).xp
    own = xp.concatenate([xp.full(1, rows, mean.dtype), mean, rows * var])  # 1 + C + C
    shares = group.all_gather(own)  # one a row
    n, means, M2 = shares[:, :1], shares[:, 1 : 1 + len(mean)], shares[:, 1 + len(mean) :]
    M = n.sum()
    mean = (n * means).sum(axis=0) / M
    return M, mean, (M2.sum(axis=0) + (n * xp.square(means - mean)).sum(axis=0)) / M


def plain_batch_norm(x, gamma, beta, eps=1e-5):
    """`batch_norm` in training on a NumPy array, one channel at a time."""
    y = np.empty_like(x)
    for c in range(x.shape[-1]):
        column = x[..., c]
        y[..., c] = gamma[c] * (column - column.mean()) / np.sqrt(column.var() + eps) + beta[c]
    return y


def batch_norm(x, gamma, beta, running_mean, running_var, training, momentum=0.1, eps=1e-5, relu=False,
               residual=None, group=None):
    """x ...×C -> ...×C, each channel normalised over all other axes, times gamma C, plus beta C.

    residual: an array of x's shape that is added; relu: negative values of the result become zero; group: see
    BatchNorm. eps: added to the variance under the root.

    In training the batch's statistics are used and running_mean and running_var (arrays of C) move towards them in
    place by `momentum`, with the unbiased variance, as in PyTorch. In evaluation (not `training`) the running ones are
    used. Raises ShapeError where a row is not of C or residual not of x's shape. docs/05-batch-normalisation.md.
    """
    return BatchNorm(running_mean, running_var, training, momentum, eps, relu, group)(x, gamma, beta, residual)
