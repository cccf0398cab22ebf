"""Softmax cross-entropy per pixel: the mean of -log softmax(z)[label] over the labelled pixels.

    L = 1/V Σ (log Σ_k exp z_k - z_label)            dz = (softmax(z) - onehot(label)) / V

over the V pixels, of M, whose label is not void; the others get no gradient. Where every pixel is void L is 0. Derived
in docs/11-cross-entropy.md.
"""

import numpy as np

from .. import backend
from ..autograd import Op
from ..backend.hosted import Hosted
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
        target, _ = targets(self.labels, classes, self.void, xp)  # N×H×W
        target = target.reshape(-1)  # M
        labelled = xp.nonzero(target >= 0)[0]
        target = target[labelled]
        z = backend.widened(logits).reshape(-1, classes)  # M×K
        log_sums = xp.empty(len(z), z.dtype)
        p = backend.of(z).softmax(z, log_sums)  # M×K
        self.z_shape, self.dtype = logits.shape, logits.dtype
        self.save(p=p, labelled=labelled, target=target)
        if len(target) == 0:
            return xp.zeros((), z.dtype)
        return (log_sums[labelled] - z[labelled, target]).mean()

    def backward(self, dy):
        p, labelled, target = self.saved("p", "labelled", "target")
        xp = backend.of(p).xp
        share = dy / max(1, len(target))
        weight = xp.zeros((len(p), 1), p.dtype)  # M×1: zero for void pixels
        weight[labelled] = share
        dz = p * weight
        dz[labelled, target] -= share  # each pixel appears once
        return dz.reshape(self.z_shape).astype(self.dtype, copy=False)


def targets(labels, classes, void, xp):
    """Labels as class numbers, an array of xp's, -1 where void; and how many are not.

    What is asked of labels is asked where they are: a GPU is not waited for while they are on the host. Raises
    ShapeError for a label that is no class.
    """
    there, labels = (labels.there, labels.host) if isinstance(labels, Hosted) else (labels, labels)
    own = backend.of(labels).xp
    labelled = labels != void
    found = own.where(labelled, labels, 0)
    if found.size and not 0 <= int(found.min()) <= int(found.max()) < classes:
        raise ShapeError(f"cross_entropy: labels lie between 0 and {classes - 1} or are {void} (void); "
                         f"found {int(found.min())} to {int(found.max())}")
    there = xp.asarray(there)  # a quarter of the bytes that int32 would be
    return xp.where(there == void, -1, there.astype(xp.int32)), int(labelled.sum())


def plain_cross_entropy(logits, labels, void=255):
    """`cross_entropy` on NumPy arrays, one pixel at a time."""
    losses = []
    for i in np.ndindex(labels.shape):
        if labels[i] != void:
            losses.append(np.log(np.exp(logits[i]).sum()) - logits[i][labels[i]])
    return sum(losses) / max(1, len(losses))


def cross_entropy(logits, labels, void=255):
    """The mean cross-entropy of logits N×H×W×K over the pixels whose label is not `void`: a scalar.

    labels: an array N×H×W of integers. 0, with zero gradients, where all are void. Raises ShapeError for shapes that
    differ and labels that are no integers or outside 0..K-1. docs/11-cross-entropy.md.
    """
    return CrossEntropy(labels, void)(logits)
