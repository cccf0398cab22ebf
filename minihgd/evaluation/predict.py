"""Prediction: an image in, class probabilities out, averaged over scales and the mirrored image."""

import numpy as np
from PIL import Image

from .. import backend, ops
from ..autograd import no_grad
from ..data import as_input, one_by_one
from ..errors import ShapeError
from .score import Score


def predict(model, image, scales=(1.0,), flip=False, least=0):
    """Class probabilities H×W×K (NumPy, the model's dtype) of an image H×W×3 uint8.

    Each scale resizes the whole image; its logits are brought back to H×W, and the average of the softmax over scales
    and, with `flip`, over mirror images is returned (section 4.1 of the paper). least: sides in pixels that a view is
    padded to before it goes in, right and bottom, black, as training crops are; give the training crop, since the
    statistics of batch normalisation have seen its padding. The model should be in evaluation mode.
    Raises ShapeError for another kind of image or a scale that is not positive.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ShapeError(f"predict: expected an image H×W×3 uint8, found {image.shape} {image.dtype}")
    if not scales or min(scales) <= 0:
        raise ShapeError(f"predict: scales must be positive, found {scales!r}")
    height, width = image.shape[:2]
    views = [(scale, mirrored) for scale in scales for mirrored in ((False, True) if flip else (False,))]
    total = 0
    for scale, mirrored in views:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        view = np.asarray(Image.fromarray(image).resize(size, Image.BILINEAR)) if scale != 1 else image
        p = _probabilities(model, view[:, ::-1] if mirrored else view, (height, width), least)
        total = total + (p[:, ::-1] if mirrored else p)
    return total / len(views)


def weighting_maps(model, image, least=0):
    """The weighting maps Ã of an image H×W×3 uint8: h×w×n at OS 32, each adding up to one (Fig. 3 of the paper).

    least: see `predict`; the maps cover the padding too.
    """
    with no_grad():
        return backend.to_numpy(model.weighting_maps(as_input(model, at_least(image, least)[None]))[0])


def at_least(image, side):
    """An image H×W×3 padded with black on the right and at the bottom to sides of at least `side` pixels."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, max(0, side - height)), (0, max(0, side - width)), (0, 0)))


def _probabilities(model, view, size, least):
    """Softmax of the model's logits for one image h×w×3, at `size` H×W: H×W×K."""
    with no_grad():
        logits = model(as_input(model, at_least(view, least)[None])).data  # 1×h'×w'×K
        logits = logits[:, : view.shape[0], : view.shape[1]]  # 1×h×w×K
        logits = ops.resize_bilinear(logits, size).data[0]  # H×W×K
    p = backend.of(logits).xp.exp(logits - logits.max(axis=2, keepdims=True))
    return backend.to_numpy(p / p.sum(axis=2, keepdims=True))


def evaluate(model, dataset, scales=(1.0,), flip=False, least=0):
    """The `Score` of a model over a data set, image by image, in evaluation mode; the model's mode is restored.

    scales, flip, least: see `predict`.
    """
    score, before = Score(len(dataset.classes)), model.training
    model.eval()
    try:
        for _, image, label in one_by_one(dataset):
            score.update(predict(model, image, scales, flip, least).argmax(axis=2), label)
    finally:
        model.train(before)
    return score
