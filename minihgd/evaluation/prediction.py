"""Prediction: an image in, class probabilities out, averaged over scales and the mirrored image.

Explained in docs/14-evaluation.md.
"""

import math
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from PIL import Image

from .. import backend
from ..autograd import no_grad
from ..data import as_input, one_by_one
from ..errors import SettingError, ShapeError
from .score import Score
from .views import View, across, at_least, down

BLOCK = 1 << 16  # pixels of a block of lines
LARGEST = 1 << 28  # pixels of a view; one more is taken for a slip of the keys


@dataclass(frozen=True)
class Views:
    """How an image is looked at, and what is made of it (section 4.1 of the paper, and what the released code does).

    scales: sizes, over the image's own. flip: mirrored as well. multiple: sides of views are rounded to a multiple of
    so many pixels. crop: the side of the windows that views are covered with; None for whole views, up to
    `views.WHOLE` pixels. step: from one window to the next, over their side. average: of what over the views:
    "softmax", of the probabilities, or "exp", of exp(logits), as the released code does. least: sides in pixels that a
    view or window is padded to, right and bottom, black, as training crops are; give the training crop, since the
    statistics of batch normalisation have seen its padding. Raises ShapeError naming the setting. See
    docs/14-evaluation.md.
    """

    scales: tuple = (1.0,)
    flip: bool = False
    multiple: int = 1
    crop: int | None = None
    step: float = 2 / 3
    average: str = "softmax"
    least: int = 0

    def __post_init__(self):
        if not isinstance(self.scales, (tuple, list, np.ndarray)) or not all(isinstance(s, Real) for s in self.scales):
            raise ShapeError(f"predict: scales: expected several numbers such as (0.5, 1.0), found {self.scales!r}")
        if len(self.scales) == 0 or not all(0 < scale < math.inf for scale in self.scales):
            raise ShapeError(f"predict: scales must be positive and finite, found {self.scales!r}")
        for name in ("crop", "multiple", "least"):
            value = getattr(self, name)
            if not isinstance(value, Integral) and not (name == "crop" and value is None):
                raise ShapeError(f"predict: {name}: expected a whole number, found {value!r}")
        if self.average not in ("softmax", "exp"):
            raise ShapeError(f'predict: average: expected "softmax" or "exp", found {self.average!r}')
        if self.crop is not None and self.crop < 1 or self.multiple < 1 or not 0 < self.step <= 1:
            raise ShapeError(f"predict: expected crop and multiple of at least 1 and a step from 0 to 1, found "
                             f"{self.crop}, {self.multiple} and {self.step}")

    def sizes(self, height, width):
        """(height, width) of every scale. Raises ShapeError for a view of more than LARGEST pixels."""
        return [self._size(height, width, scale) for scale in self.scales]

    def _size(self, height, width, scale):
        m, sides = self.multiple, [float(side) * float(scale) for side in (height, width)]
        if max(m, sides[0]) * max(m, sides[1]) > LARGEST:
            raise ShapeError(f"predict: scales: {scale:g} makes a view of {sides[1]:.4g}×{sides[0]:.4g} pixels of an "
                             f"image of {width}×{height} with sides of at least {m}, expected at most {LARGEST:,} "
                             "pixels")
        return tuple(max(m, round(side / m) * m) for side in sides)


def predict(model, image, scales=(1.0,), flip=False, least=0, **more):
    """Class probabilities H×W×K (NumPy, the model's dtype) of an image H×W×3 uint8.

    scales, flip, least and more: see `Views`. The model should be in evaluation mode. For a large image and many
    classes `predict_labels` takes less memory. Raises ShapeError for another kind of image, or naming the setting. See
    docs/14-evaluation.md.
    """
    blocks = [p for _, p in probability_lines(model, image, Views(scales, flip, least=least, **more))]
    return np.concatenate(blocks)


def predict_labels(model, image, views=None):
    """The most probable classes H×W (int64) of an image H×W×3 uint8, a few lines at a time.

    model: in evaluation mode. views: the `Views` that are averaged; None for the image as it is. Raises ShapeError for
    another kind of image, or a view that is too large. See docs/14-evaluation.md.
    """
    check_image(image)
    labels = np.empty(image.shape[:2], np.int64)
    for lines, p in probability_lines(model, image, views or Views()):
        labels[lines] = p.argmax(axis=2)
    return labels


def probability_lines(model, image, views):
    """(lines, probabilities lines×W×K) of an image H×W×3 uint8, block by block from top to bottom.

    Each view's logits are brought to H×W; then the softmax is averaged over the views, or, with average="exp",
    their exp is taken first, brought to H×W and summed, and divided by its sum over the classes.
    """
    check_image(image)
    height, width = image.shape[:2]
    sources = [(View(model, view, views.crop, views.step, views.least), mirrored)
               for view, mirrored in scaled_and_mirrored(image, views)]
    step = max(1, BLOCK // width)
    for start in range(0, height, step):
        lines = slice(start, min(start + step, height))
        total = 0
        for view, mirrored in sources:
            p = scores(view, (height, width), lines, views.average)  # lines×W×K
            total = total + (p[:, ::-1] if mirrored else p)
        yield lines, (total / total.sum(axis=2, keepdims=True)).astype(view.dtype, copy=False)


def check_image(image):
    """Raise ShapeError unless this is an image H×W×3 uint8."""
    if not isinstance(image, np.ndarray):
        raise ShapeError(f"predict: expected an image as an array H×W×3 uint8, found {type(image).__name__}; "
                         "data.read_photo reads one from a file")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape) < 1:
        raise ShapeError(f"predict: expected an image H×W×3 uint8, found {image.shape} {image.dtype}")


def scaled_and_mirrored(image, views):
    """(view h×w×3, whether it is mirrored) for each view of an image H×W×3."""
    for height, width in views.sizes(*image.shape[:2]):
        view = image
        if (height, width) != image.shape[:2]:
            view = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        yield view, False
        if views.flip:
            yield np.ascontiguousarray(view[:, ::-1]), True


def scores(view, size, lines, average):
    """What a view adds to some lines (a slice) of an image of `size` H×W: lines×W×K, positive."""
    columns = slice(0, size[1])
    if average == "exp":  # in float64, which overflows beyond logits of 700
        x = down(lambda part: np.exp(view.lines(part), dtype=np.float64), view.height, size[0], lines)
        return across(x, size[1], columns)
    z = across(down(view.lines, view.height, size[0], lines), size[1], columns)
    p = np.exp(z - z.max(axis=2, keepdims=True))
    return p / p.sum(axis=2, keepdims=True)


def holistic(model, image, least=0):
    """The codewords of an image H×W×3 uint8, where they are collected and where they are used: `models.hgd.Holistic`.

    NumPy arrays. model: an EfficientFCN in evaluation mode. least: see `Views`; of the maps of a padded image the cells
    over the image are given, H/32×W/32 and H/8×W/8, rounded up. What Ã lacks to one lies in the padding. Raises
    ShapeError for another kind of image. See docs/01-what-the-network-computes.md.
    """
    check_image(image)
    with no_grad():
        inside = model.holistic(as_input(model, at_least(image, least)[None]))
    maps, codebook, coefficients = (backend.to_numpy(backend.widened(array))[0] for array in inside)
    (height, width), cells = image.shape[:2], lambda side, stride: slice(0, -(-side // stride))
    return inside._replace(maps=maps[cells(height, 32), cells(width, 32)], codebook=codebook,
                           coefficients=coefficients[cells(height, 8), cells(width, 8)])


def evaluate(model, dataset, views=None, score=None, seen=None, start=0, first=0):
    """The `Score` of a model over a data set, image by image, in evaluation mode; the model's mode is restored.

    dataset: a `data.Dataset`. views: see `Views`. first: the number that the model's first class has there. To go on
    where one stopped: `score` has counted the first `start` images already. seen(done, score) is called after each
    image. Raises SettingError for a start outside the data set, DataError for a broken image, which it names,
    ShapeError for a class that the data set does not have. See docs/14-evaluation.md.
    """
    if not isinstance(start, Integral) or not 0 <= start <= len(dataset):
        raise SettingError(f"evaluate: start: expected a whole number from 0 to {len(dataset)}, found {start!r}")
    score, before = score or Score(len(dataset.classes)), model.training
    model.eval()
    try:
        for done, (_, image, label) in enumerate(one_by_one(dataset, start=start), start + 1):
            score.update(predict_labels(model, image, views) + first, label)
            if seen:
                seen(done, score)
    finally:
        model.train(before)
    return score
