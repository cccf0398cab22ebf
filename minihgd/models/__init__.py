"""The networks: ResNet encoders, the holistically-guided decoder, EfficientFCN."""

from .. import nn
from ..errors import SettingError
from .efficientfcn import EfficientFCN
from .resnet import BLOCKS, resnet

ENCODER_OPTIONS = ("stem", "dilated", "stride_in", "shortcut", "inputs", "channels", "width")
DECODER_OPTIONS = ("codebook_scales", "guidance_scales", "transfer", "compressed", "codeword_channels")

__all__ = ["EfficientFCN", "build", "resnet"]


def build(name, backbone="resnet101", num_classes=60, codewords=256, form="paper", seed=0, recompute=False,
          **options):
    """A segmentation model that maps images N×H×W×3 to logits N×H×W×classes, its weights drawn from `seed`.

    name: "efficientfcn". backbone: "resnet18", 34, 50, 101 or 152. form: "paper" (the text) or "released" (the
    authors' code). options of the backbone (see ResNet): stem, dilated, stride_in, shortcut, inputs, channels, width;
    of the decoder: codebook_scales, guidance_scales, transfer, compressed, codeword_channels, and dropout in the
    released form.
    recompute: compute the maps inside residual blocks and the decoder again in the backward pass of training in place
    of keeping them; less memory, a third to a half more time, and the same gradients to the bit.
    Raises SettingError naming the setting.
    """
    if name != "efficientfcn":
        raise SettingError(f'model: found {name!r}, expected "efficientfcn"')
    decoder_options = DECODER_OPTIONS + (("dropout",) if form == "released" else ())
    unknown = set(options) - set(ENCODER_OPTIONS) - set(decoder_options)
    if unknown:
        raise SettingError(f"model: unknown options {', '.join(sorted(unknown))}; "
                           f"expected some of {', '.join(ENCODER_OPTIONS + decoder_options)}")
    sizes = {"num_classes": num_classes, "codewords": codewords, **options}
    for setting in ("num_classes", "codewords", "compressed", "codeword_channels"):
        if setting in sizes and not sizes[setting] >= 1:
            raise SettingError(f"{setting}: expected at least 1, found {sizes[setting]}")
    encoder = {key: value for key, value in options.items() if key in ENCODER_OPTIONS}
    decoder = {key: value for key, value in options.items() if key in decoder_options}
    model = EfficientFCN(depth_of(backbone), num_classes, codewords, form, encoder, decoder, recompute)
    return nn.initialise(model, seed)


def depth_of(backbone):
    """The depth in a backbone's name: "resnet101" -> 101. Raises SettingError for an unknown name."""
    names = {f"resnet{depth}": depth for depth in BLOCKS}
    if backbone not in names:
        raise SettingError(f"backbone: found {backbone!r}, expected one of {', '.join(names)}")
    return names[backbone]
