"""EfficientFCN: a plain ResNet, the holistically-guided decoder on its last three maps, and bilinear upsampling."""

from .. import nn, ops
from ..errors import SettingError
from .hgd import FORMS
from .resnet import ResNet


class EfficientFCN(nn.Module):
    """Images N×H×W×3 -> logits N×H×W×classes. `encoder` and `decoder` options: see ResNet and the decoders.

    recompute: whether the maps inside a residual block or the decoder are forgotten in training, and computed again
    in the backward pass.
    """

    def __init__(self, depth, num_classes, codewords, form, encoder=None, decoder=None, recompute=False):
        if form not in FORMS:
            raise SettingError(f"form: found {form!r}, expected one of {', '.join(FORMS)}")
        self.backbone = ResNet(depth, **(encoder or {}))
        self.decoder = FORMS[form](self.backbone.channels[1:], num_classes, codewords, **(decoder or {}))
        for part in (self.decoder, *(block for stage in self.backbone.stages for block in stage)):
            part.recompute = recompute

    @property
    def inputs(self):
        """What the backbone takes, "rgb" or "bgr": see `data.normalise`."""
        return self.backbone.inputs

    def coarse(self, images):
        """Images N×H×W×3 -> logits at output stride 8, N×H/8×W/8×classes."""
        return self.decoder(self.backbone(images)[1:])

    def forward(self, images):
        return ops.resize_bilinear(self.coarse(images), images.shape[1:3])  # N×H×W×classes

    def loss(self, images, labels):
        """The mean cross-entropy of the logits N×H×W×classes and labels N×H×W, without forming the former whole."""
        return ops.upsampled_cross_entropy(self.coarse(images), labels)

    def weighting_maps(self, images):
        """The softmax weighting maps Ã of images N×H×W×3, an array N×H/32×W/32×n (Fig. 3 of the paper)."""
        return self.decoder.weighting_maps(self.backbone(images)[1:])
