"""Softmax cross-entropy per pixel: the mean of -log softmax(z)[label] over the labelled pixels.

    L = 1/M Σ (log Σ_k exp z_k - z_label)            dz = (softmax(z) - onehot(label)) / M

over the M pixels whose label is not void; the others get no gradient. Where every pixel is void L is 0.
"""

import numpy as np

from .. import backend
from ..autograd import Op
from ..errors import ShapeError


class CrossEntropy(Op):
    """logits N×H×W×K -> a scalar, given labels N×H×W."""

    def __init__(self, labels, void=255):
        self.labels, self.void = labels, void

    def shape(self, logits):
        if self.labels.shape != logits[:-1]:
            raise ShapeError(f"cross_entropy: logits {logits} need labels {logits[:-1]}, found {self.labels.shape}")
        if self.labels.dtype.kind not in "iu":
            raise ShapeError(f"cross_entropy: labels are integers, found {self.labels.dtype}")
        return ()

    def forward(self, logits):
        self.shape(logits.shape)
        xp, classes = backend.of(logits).xp, logits.shape[-1]
        target, labelled, _ = targets(self.labels.reshape(-1), classes, self.void, xp)  # M, M
        labelled = xp.nonzero(labelled)[0]
        target = target[labelled]
        z = logits.reshape(-1, classes)  # M×K
        log_sums = xp.empty(len(z), z.dtype)
        p = backend.of(z).softmax(z, log_sums)  # M×K
        self.z_shape = logits.shape
        self.save(p=p, labelled=labelled, target=target)
        if len(target) == 0:
            return xp.zeros((), logits.dtype)
        return (log_sums[labelled] - z[labelled, target]).mean()

    def backward(self, dy):
        p, labelled, target = self.saved("p", "labelled", "target")
        xp = backend.of(p).xp
        share = dy / max(1, len(target))
        weight = xp.zeros((len(p), 1), p.dtype)  # M×1: zero for void pixels
        weight[labelled] = share
        dz = p * weight
        dz[labelled, target] -= share  # each pixel appears once
        return dz.reshape(self.z_shape)


def targets(labels, classes, void, xp):
    """Labels as (class numbers, 0 where void; whether labelled; how many are), the arrays xp's.

    What is asked of labels is asked where they are: a GPU is not waited for while they are on the host. Raises
    ShapeError for a label that is no class.
    """
    own = backend.of(labels).xp
    labelled = labels != void
    target = own.where(labelled, labels, 0)
    if target.size and not 0 <= int(target.min()) <= int(target.max()) < classes:
        raise ShapeError(f"cross_entropy: labels lie between 0 and {classes - 1} or are {void} (void); "
                         f"found {int(target.min())} to {int(target.max())}")
    return xp.asarray(target).astype(int), xp.asarray(labelled), int(labelled.sum())


def plain_cross_entropy(logits, labels, void=255):
    """`cross_entropy` on NumPy arrays, one pixel at a time."""
    losses = []
    for i in np.ndindex(labels.shape):
        if labels[i] != void:
            losses.append(np.log(np.exp(logits[i]).sum()) - logits[i][labels[i]])
    return sum(losses) / max(1, len(losses))


def cross_entropy(logits, labels, void=255):
    """The mean cross-entropy of logits N×H×W×K over the pixels whose label (N×H×W integers) is not `void`.

    0, with zero gradients, when there are none. Raises ShapeError for shapes that differ or labels outside 0..K-1.
    """
    return CrossEntropy(labels, void)(logits)
