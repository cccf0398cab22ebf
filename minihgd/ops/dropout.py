"""Channel dropout: whole channels of an image set to zero in training, the others scaled up to keep the mean.

Its gradient is that of a product with what was drawn: docs/03-pixels-are-rows.md.
"""

from .. import backend
from ..autograd import Op
from ..errors import ShapeError
from ..processes import Alone


class Dropout2d(Op):
    """x N×H×W×C -> the same shape; each image's channels are zeroed with probability p, or divided by 1 - p.

    rng: a numpy.random.Generator, moved on by N·C numbers, N of the whole batch.
    group: of the processes that have N images of the batch each; by default there is one, which has them all.
    """

    def __init__(self, p, rng, group=None):
        if not 0 <= p < 1:
            raise ShapeError(f"dropout2d: p must be at least 0 and below 1, found {p}")
        self.p, self.rng, self.group = p, rng, group or Alone()

    def forward(self, x):
        # Drawn by NumPy on every device, so that the same seed drops the same channels.
        images = len(x) * self.group.size  # of the whole batch: each process takes its own rows of one draw
        kept = self.rng.random((images, 1, 1, x.shape[3]))[self.group.share(images)] >= self.p
        scale = backend.of(x).xp.asarray(kept / (1 - self.p), x.dtype)  # N×1×1×C
        self.save(scale=scale)
        return x * scale

    def backward(self, dy):
        return dy * self.saved("scale")


def plain_dropout2d(x, kept, p):
    """Dropout given the channels kept (N×C booleans), one channel at a time."""
    y = x.copy()
    for n in range(len(x)):
        for c in range(x.shape[3]):
            y[n, :, :, c] *= kept[n, c] / (1 - p)
    return y


def dropout2d(x, p, training, rng, group=None):
    """x N×H×W×C with channels zeroed with probability p where `training`, the others divided by 1 - p; else x itself.

    rng: a numpy.random.Generator. group: the processes that share the batch, see Dropout2d.
    Raises ShapeError in training for p outside [0, 1). docs/03-pixels-are-rows.md.
    """
    return Dropout2d(p, rng, group)(x) if training and p else x
