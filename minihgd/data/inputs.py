"""From uint8 images to what a backbone takes: the pixels as they were when its weights were trained.

Black from a padding is among the pixels that are normalised here, whatever the backbone takes.
In use in docs/14-evaluation.md. No weights file tells RGB from BGR: docs/12-resnet-and-its-checkpoints.md.
"""

import numpy as np

from .. import backend
from ..autograd import Tensor
from ..backend import precision
from ..backend.hosted import Hosted
from ..errors import SettingError

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's RGB in [0, 1], which most pretrained backbones were trained on
STD = (0.229, 0.224, 0.225)
BGR_MEAN = (103.939, 116.779, 123.68)  # of ImageNet's BGR in 0..255, for backbones from Caffe


SCALES = {  # kind of input -> scale and shift of the three channels, and whether blue comes first
    "rgb": (1 / (255 * np.float32(STD)), -(np.float32(MEAN) / np.float32(STD)), False),
    "bgr": (np.ones(3, np.float32), -np.float32(BGR_MEAN), True),
}


def as_input(model, images):
    """uint8 `images` N×H×W×3 as the tensor N×H×W×3 that `model` takes: normalised, on its device, of its dtype.

    `model.inputs` says how they are normalised; for a model that does not say, they are "rgb". In bfloat16 where that
    is computed with: docs/17-on-the-gpu-and-on-several.md. Raises SettingError for other inputs than `normalise` has.
    """
    like = model.like
    images = images.there if isinstance(images, Hosted) else backend.of(like).xp.asarray(images)
    return Tensor(normalise(images, getattr(model, "inputs", "rgb"), precision.of_maps(like.dtype)))


def normalise(images, inputs="rgb", dtype=np.float32):
    """uint8 RGB `images` ...×3 in 0..255 to what a backbone takes, ...×3 of `dtype`, on the same device.

    inputs: "rgb" for RGB with ImageNet's mean 0 and deviation 1; "bgr" for BGR with the mean 0, on the scale of 0..255.
    x · scale + shift, a channel at a time, in float32. Raises SettingError for others. In use: docs/14-evaluation.md.
    """
    if inputs not in SCALES:
        raise SettingError(f'inputs: found {inputs!r}, expected "rgb" or "bgr"')
    scale, shift, reverse = SCALES[inputs]
    return backend.of(images).pixels(images, scale, shift, reverse, np.dtype(dtype))
