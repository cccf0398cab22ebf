"""Segmentation models: a ResNet, a decoder on its last three maps, bilinear upsampling. EfficientFCN is one of them.

Explained in docs/01-what-the-network-computes.md.
"""

from .. import nn, ops


class Segmenter(nn.Module):
    """Images N×H×W×3 -> logits N×H×W×classes.

    backbone: a ResNet. decoder: a module that takes [c8, c16, c32], the last three of its maps, to logits of any size.
    recompute: whether the maps inside a residual block or the decoder are forgotten in training, and computed again
    in the backward pass. docs/01-what-the-network-computes.md.
    """

    def __init__(self, backbone, decoder, recompute=False):
        self.backbone, self.decoder = backbone, decoder
        for part in (decoder, *(block for stage in backbone.stages for block in stage)):
            part.recompute = recompute

    @property
    def inputs(self):
        """What the backbone takes, "rgb" or "bgr": see `data.normalise`."""
        return self.backbone.inputs

    def coarse(self, images):
        """Images N×H×W×3 -> the decoder's logits, of EfficientFCN at output stride 8: N×H/8×W/8×classes."""
        return self.decoder(self.backbone(images)[1:])

    def forward(self, images):
        """Images N×H×W×3 -> logits N×H×W×classes: the decoder's, enlarged bilinearly."""
        return ops.resize_bilinear(self.coarse(images), images.shape[1:3])  # N×H×W×classes

    def loss(self, images, labels):
        """The mean cross-entropy of the logits N×H×W×classes and labels N×H×W, without forming the former whole.

        Labels of 255 do not count. Raises ShapeError for labels that do not fit: see `ops.upsampled_cross_entropy`.
        """
        return ops.upsampled_cross_entropy(self.coarse(images), labels)


class EfficientFCN(Segmenter):
    """A ResNet and the holistically-guided decoder, one of hgd.FORMS: the network of the paper's section 3.

    backbone, decoder, recompute: see Segmenter. `models.build` makes one. docs/01-what-the-network-computes.md.
    """

    def holistic(self, images):
        """The codewords of images N×H×W×3, where they are collected and where they are used: `hgd.Holistic`."""
        return self.decoder.holistic(self.backbone(images)[1:])
