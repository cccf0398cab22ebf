"""Checks of what layers do that see across a shared batch; errors are planted against them (test_planted_errors.py)."""

import numpy as np
from helpers import equal, random
from processes.members import together

from minihgd import Tensor, ops

SHARES = [slice(0, 1), slice(1, 4), slice(4, 6)]  # of six images, not all as large


def normalised(part, group=None):
    """Output, gradients and running statistics of a normalisation with a residual and a ReLU, of some of six images."""
    x, residual, dy = 5 + random(6, 4, 5, 3), random(6, 4, 5, 3, seed=2), random(6, 4, 5, 3, seed=3)
    arrays = x[part], random(3) + 2, random(3, seed=1), residual[part]
    tensors, mean, var = [Tensor(a, requires_grad=True) for a in arrays], np.zeros(3), np.ones(3)
    y = ops.batch_norm(*tensors[:3], mean, var, True, relu=True, residual=tensors[3], group=group)
    y.backward(dy[part])
    return y.data, *(t.grad for t in tensors), mean, var


def shared_batch_norm():
    y, dx, d_gamma, d_beta, d_residual, mean, var = normalised(slice(None))
    parts = together(3, lambda group: normalised(SHARES[group.rank], group))
    for i, whole in ((0, y), (1, dx), (4, d_residual)):
        equal(np.concatenate([part[i] for part in parts]), whole)
    for i, whole in ((2, d_gamma), (3, d_beta)):  # the shares' own, added up with all gradients
        equal(sum(part[i] for part in parts), whole)
    for i, whole in ((5, mean), (6, var)):
        equal(parts[0][i], whole)
        assert all(part[i].tobytes() == parts[0][i].tobytes() for part in parts)


def shared_dropout():
    x = random(6, 2, 2, 50)
    whole = ops.dropout2d(Tensor(x), 0.4, True, np.random.default_rng(3)).data
    parts = together(3, lambda group: ops.dropout2d(Tensor(x[group.share(6)]), 0.4, True, np.random.default_rng(3),
                                                    group).data)
    assert np.concatenate(parts).tobytes() == whole.tobytes()


CHECKS = {"shared_batch_norm": shared_batch_norm, "shared_dropout": shared_dropout}
