"""Cross-entropy of coarse logits enlarged to the labels' size, a few lines of the image at a time.

    L = cross_entropy(resize_bilinear(z), labels)

is a composition of two ops that stand in bilinear.py and loss.py. But 512×512 pixels of 60 classes are 63 MB, several
times over in forward and backward, while the coarse logits are 1 MB. So lines are enlarged, turned into their part of
the loss and of dz, and forgotten, while they are in the cache: with Y = R_h X R_wᵀ,

    dL/dX = Σ over blocks of lines of R_hᵀ dY R_w

The gradient of a scalar only waits for its factor dy, so forward computes it whole.
"""

import numpy as np

from .. import backend
from ..autograd import Op
from ..errors import ShapeError
from .bilinear import ResizeBilinear, bands, support
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
        primitives, (n, h, w, K) = backend.of(logits), logits.shape
        xp, (_, height, width) = primitives.xp, self.labels.shape
        R_h, R_w = ResizeBilinear((height, width)).matrices(logits, h, w)  # H×h, W×w
        target, labelled, M = targets(self.labels, K, self.void, xp)  # N×H×W, N×H×W
        share = 1 / max(1, M)
        # Classes before columns: sums over classes then run along whole rows of memory.
        across = xp.ascontiguousarray(logits.swapaxes(2, 3)).reshape(-1, w)  # N·h·K×w
        across = primitives.matmul(across, R_w, transpose_b=True).reshape(n, h, K, width)

        def block(where):
            image, lines = where
            part = support(height, h, lines)  # the coarse lines that these lines lie between
            R = R_h[lines, part]  # b×a
            z = primitives.matmul(R, across[image, part].reshape(-1, K * width)).reshape(-1, K, width)  # b×K×W
            weight = labelled[image, lines] * logits.dtype.type(share)  # b×W: zero for void pixels
            loss = softmax_loss(z, target[image, lines], weight, xp)  # z has become dz
            if not self.keeps:
                return loss, None
            return loss, primitives.matmul(R, z.reshape(-1, K * width), transpose_a=True)  # a×K·W

        blocks = bands(n, height, K * width, primitives)
        parts = primitives.each(block, blocks)
        if self.keeps:
            across[...] = 0  # from here on its gradient
            for (image, lines), (_, d) in zip(blocks, parts, strict=True):
                across[image, support(height, h, lines)] += d.reshape(-1, K, width)
            dz = primitives.matmul(across.reshape(-1, width), R_w)  # N·h·K×w
            self.save(dz=xp.ascontiguousarray(dz.reshape(n, h, K, w).swapaxes(2, 3)))
        return xp.asarray(sum(loss for loss, _ in parts)).astype(logits.dtype)

    def backward(self, dy):
        return self.saved("dz") * dy


def softmax_loss(z, target, weight, xp):
    """Σ weight · (log Σ_k exp z_k - z_target) of z b×K×W, target b×W, weight b×W; z becomes its gradient."""
    b, K, W = z.shape
    places = (K * xp.arange(b)[:, None] + target) * W + xp.arange(W)  # of z_target, b×W
    flat = z.reshape(-1)
    z -= z.max(axis=1, keepdims=True)  # exp cannot overflow, and the differences stay
    of_target = flat.take(places)  # b×W
    xp.exp(z, out=z)
    total = z.sum(axis=1)  # b×W
    z *= (weight / total)[:, None]
    flat.put(places, flat.take(places) - weight)
    return ((xp.log(total) - of_target) * weight).sum(dtype=np.float64)


def upsampled_cross_entropy(logits, labels, void=255):
    """cross_entropy(resize_bilinear(logits N×h×w×K, (H, W)), labels N×H×W) in little memory, a scalar.

    Raises ShapeError for shapes that do not belong together or labels outside 0..K-1.
    """
    return UpsampledCrossEntropy(labels, void)(logits)
