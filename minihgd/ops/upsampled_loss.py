"""Cross-entropy of coarse logits enlarged to the labels' size, a few lines of the image at a time.

    L = cross_entropy(resize_bilinear(z), labels)

is a composition of two ops that stand in bilinear.py and loss.py. But 512×512 pixels of 60 classes are 63 MB, several
times over in forward and backward, while the coarse logits are 1 MB. So lines are enlarged, turned into their part of
the loss and of dz, and forgotten, while they are in the cache: with Y = R_h X R_wᵀ,

    dL/dX = Σ over blocks of lines of R_hᵀ dY R_w

The gradient of a scalar only waits for its factor dy, so forward computes it whole. Derived in
docs/11-cross-entropy.md.
"""

from .. import backend
from ..autograd import Op
from ..backend import resampling
from ..errors import ShapeError
from .loss import CrossEntropy, targets


class UpsampledCrossEntropy(Op):
    """logits N×h×w×K -> a scalar, given labels N×H×W."""

    def __init__(self, labels, void=255):
        self.labels, self.void = labels, void

    def shape(self, logits):
        if len(logits) != 4 or self.labels.ndim != 3 or len(self.labels) != logits[0]:
            raise ShapeError(f"upsampled_cross_entropy: logits N×h×w×K need labels N×H×W, found {logits} and "
                             f"{self.labels.shape}")
        return CrossEntropy(self.labels, self.void).shape(self.labels.shape + logits[-1:])

    def forward(self, logits):
        self.shape(logits.shape)
        primitives, (_, height, width) = backend.of(logits), self.labels.shape
        target, M = targets(self.labels, logits.shape[-1], self.void, primitives.xp)  # N×H×W, -1 where void
        R_h, R_w = resampling.Resizing(logits.shape[1], height), resampling.Resizing(logits.shape[2], width)
        loss, dz = primitives.losses.upsampled_loss(logits, target, 1 / max(1, M), R_h, R_w, self.keeps)
        self.dtype = logits.dtype
        self.save(dz=dz)
        return primitives.xp.asarray(loss).astype(backend.wide(logits.dtype))

    def backward(self, dy):
        return (self.saved("dz") * dy).astype(self.dtype, copy=False)


def upsampled_cross_entropy(logits, labels, void=255):
    """cross_entropy(resize_bilinear(logits N×h×w×K, (H, W)), labels N×H×W) in little memory: a scalar.

    void: the label of pixels that do not count. Raises ShapeError for shapes that do not belong together and labels
    that are no integers or outside 0..K-1. docs/11-cross-entropy.md.
    """
    return UpsampledCrossEntropy(labels, void)(logits)
