"""Channel dropout: whole channels of an image set to zero in training, the others scaled up to keep the mean."""

from .. import backend
from ..autograd import Op
from ..errors import ShapeError


class Dropout2d(Op):
    """x N×H×W×C -> the same shape; each image's channels are zeroed with probability p, or divided by 1 - p."""

    def __init__(self, p, rng):
        if not 0 <= p < 1:
            raise ShapeError(f"dropout2d: p must be at least 0 and below 1, found {p}")
        self.p, self.rng = p, rng

    def forward(self, x):
        # Drawn by NumPy on every device, so that the same seed drops the same channels.
        kept = self.rng.random((len(x), 1, 1, x.shape[3])) >= self.p
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


def dropout2d(x, p, training, rng):
    """x N×H×W×C with channels zeroed with probability p where `training`; x itself otherwise.

    rng: a numpy.random.Generator. Raises ShapeError for p outside [0, 1).
    """
    return Dropout2d(p, rng)(x) if training and p else x
