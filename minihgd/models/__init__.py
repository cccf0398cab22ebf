"""The networks: ResNet encoders, EfficientFCN with its holistically-guided decoder, and what that is compared with.

Explained in docs/01-what-the-network-computes.md.
"""

from .. import nn
from ..errors import SettingError
from .baselines import FCNHead, UNet
from .efficientfcn import EfficientFCN, Segmenter
from .hgd import FORMS
from .resnet import BLOCKS, ResNet, resnet

ENCODER_OPTIONS = ("stem", "dilated", "stride_in", "shortcut", "inputs", "channels", "width")
HGD_OPTIONS = ("codebook_scales", "guidance_scales", "transfer", "compressed", "codeword_channels")
BASELINES = {"fcn32s": FCNHead, "dilatedfcn8s": FCNHead, "unet_bilinear": UNet, "unet_deconv": UNet}
NAMES = ("efficientfcn", *BASELINES)

__all__ = ["NAMES", "EfficientFCN", "Segmenter", "build", "resnet"]


def build(name, backbone="resnet101", num_classes=60, codewords=256, form="paper", seed=0, recompute=False,
          **options):
    """A segmentation model that maps images N×H×W×3 to logits N×H×W×num_classes, its weights drawn from `seed`.

    name: "efficientfcn", or of Table 1 "fcn32s", "dilatedfcn8s", "unet_bilinear", "unet_deconv". backbone: "resnet18",
    34, 50, 101 or 152. codewords and form are EfficientFCN's: "paper" (the text) or "released" (the authors' code).
    options of the backbone (see ResNet): stem, dilated, stride_in, shortcut, inputs, channels, width; of EfficientFCN's
    decoder: codebook_scales, guidance_scales, transfer, compressed, codeword_channels, and dropout in the released
    form; of the other decoders: compressed, dropout.
    recompute: compute the maps inside residual blocks and the decoder again in the backward pass of training in place
    of keeping them; less memory, a third to a half more time, and the same gradients to the bit.
    Raises SettingError naming the setting. docs/01-what-the-network-computes.md.
    """
    check_choice("model", name, NAMES)
    check_choice("form", form, FORMS)
    allowed = ("compressed", "dropout") if name in BASELINES else HGD_OPTIONS + ("dropout",) * (form == "released")
    unknown = set(options) - {*ENCODER_OPTIONS, *allowed}
    if unknown:
        raise SettingError(f"model: unknown options {', '.join(sorted(unknown))}; "
                           f"expected some of {', '.join(ENCODER_OPTIONS + allowed)}")
    sizes = {"num_classes": num_classes, "codewords": codewords, **options}
    for setting in ("num_classes", "codewords", "compressed", "codeword_channels"):
        if setting in sizes and not sizes[setting] >= 1:
            raise SettingError(f"{setting}: expected at least 1, found {sizes[setting]}")
    dropout = options.get("dropout", 0.1)
    if not 0 <= dropout < 1:
        raise SettingError(f"dropout: expected at least 0 and less than 1, found {dropout}")
    encoder = {key: value for key, value in options.items() if key in ENCODER_OPTIONS}
    decoder = {key: value for key, value in options.items() if key in allowed}
    if name == "dilatedfcn8s":
        encoder["dilated"] = True
    encoder = ResNet(depth_of(backbone), **encoder)
    if name == "efficientfcn":
        decoder = FORMS[form](encoder.channels[1:], num_classes, codewords, **decoder)
        return nn.initialise(EfficientFCN(encoder, decoder, recompute), seed)
    if name == "unet_deconv":
        decoder["deconv"] = True
    decoder = BASELINES[name](encoder.channels[1:], num_classes, **decoder)
    return nn.initialise(Segmenter(encoder, decoder, recompute), seed)


def check_choice(setting, found, choices):
    """Raise SettingError unless a setting is one of its choices."""
    if found not in choices:
        raise SettingError(f"{setting}: found {found!r}, expected one of {', '.join(choices)}")


def depth_of(backbone):
    """The depth in a backbone's name: "resnet101" -> 101. Raises SettingError for an unknown name."""
    names = {f"resnet{depth}": depth for depth in BLOCKS}
    check_choice("backbone", backbone, names)
    return names[backbone]
