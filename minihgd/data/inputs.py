"""From uint8 images to what a backbone takes: the pixels as they were when its weights were trained.

Black from a padding is among the pixels that are normalised here, whatever the backbone takes.
"""

import numpy as np

from .. import backend
from ..autograd import Tensor
from ..errors import SettingError

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's RGB in [0, 1], which most pretrained backbones were trained on
STD = (0.229, 0.224, 0.225)
BGR_MEAN = (103.939, 116.779, 123.68)  # of ImageNet's BGR in 0..255, for backbones from Caffe


def as_input(model, images):
    """Images N×H×W×3 uint8 as the tensor N×H×W×3 a model takes: normalised, on its device, in its dtype.

    `model.inputs` says how they are normalised; for a model that does not say, they are "rgb".
    """
    like = model.parameters()[0].data
    xp = backend.of(like).xp
    x = normalise(xp.asarray(images), xp, getattr(model, "inputs", "rgb"))
    return Tensor(x.astype(like.dtype, copy=False))


def normalise(images, xp=np, inputs="rgb"):
    """uint8 RGB ...×3 in 0..255 to the float32 ...×3 that a backbone takes; `xp` is NumPy or CuPy.

    inputs: "rgb" for RGB with ImageNet's mean 0 and deviation 1; "bgr" for BGR with the mean 0, on the scale of 0..255.
    Raises SettingError for others.
    """
    if inputs not in ("rgb", "bgr"):
        raise SettingError(f'inputs: found {inputs!r}, expected "rgb" or "bgr"')
    x = xp.asarray(images).astype(xp.float32)  # cast after the copy to the device: a quarter of the bytes to move
    if inputs == "bgr":
        return x[..., ::-1] - xp.asarray(BGR_MEAN, dtype=xp.float32)
    mean, std = xp.asarray(MEAN, dtype=xp.float32), xp.asarray(STD, dtype=xp.float32)
    x *= 1 / (255 * std)
    x -= mean / std
    return x
