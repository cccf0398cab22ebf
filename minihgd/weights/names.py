"""The names under which ResNets and EfficientFCN are stored, brought to this library's.

    torchvision, timm   layer1.0.conv1.weight      the library's own: a backbone's names are torchvision's
    Hugging Face        resnet.encoder.stages.0.layers.0.layer.0.convolution.weight
    released code       pretrained.layer1.0.conv1.weight, head.hgdmodule0.conv_cat.0.weight
    minihgd             backbone.layer1.0.conv1.weight, decoder.base.0.weight
    its checkpoints     weights/backbone.layer1.0.conv1.weight, beside velocities and a header

PyTorch keeps a convolution's weight as Cout×Cin×kh×kw, a transposed one's as Cin×Cout×kh×kw and a linear layer's as
Cout×Cin; here it is kh×kw×Cin×Cout and Cin×Cout. A checkpoint of this library is in its own layout already.
Which way round is right, with numbers: docs/12-resnet-and-its-checkpoints.md.
"""

import re

from ..errors import WeightsError

TRANSPOSED = re.compile(r"\.up\d+\.weight$")  # transposed convolutions, as in models/baselines.py

# Rules for one name, tried one after the other; each takes the name as the rule before left it.
RULES = [(re.compile(pattern), replacement) for pattern, replacement in [
    (r"^(module|_orig_mod)\.", ""),
    # Hugging Face
    (r"^(resnet\.)?embedder\.embedder\.convolution\.", "conv1."),
    (r"^(resnet\.)?embedder\.embedder\.normalization\.", "bn1."),
    (r"^(resnet\.)?encoder\.stages\.(\d+)\.layers\.", lambda m: f"layer{int(m[2]) + 1}."),
    (r"^(layer\d\.\d+)\.layer\.(\d)\.convolution\.", lambda m: f"{m[1]}.conv{int(m[2]) + 1}."),
    (r"^(layer\d\.\d+)\.layer\.(\d)\.normalization\.", lambda m: f"{m[1]}.bn{int(m[2]) + 1}."),
    (r"^(layer\d\.\d+)\.shortcut\.convolution\.", r"\1.downsample.0."),
    (r"^(layer\d\.\d+)\.shortcut\.normalization\.", r"\1.downsample.1."),
    (r"^classifier\.1\.", "fc."),
    # the released code of EfficientFCN
    (r"^pretrained\.", "backbone."),
    (r"^head\.conv50\.", "decoder.e32."),
    (r"^head\.conv40\.", "decoder.e16."),
    (r"^head\.hgdmodule0\.conv_cat\.", "decoder.base."),
    (r"^head\.hgdmodule0\.conv_center\.", "decoder.attention."),
    (r"^head\.hgdmodule0\.conv_affinity0\.", "decoder.guidance."),
    (r"^head\.hgdmodule0\.conv_affinity1\.", "decoder.coefficients."),
    (r"^head\.hgdmodule0\.conv_up\.", "decoder.fusion."),
    (r"^head\.conv_pred3\.1\.", "decoder.classifier."),
]]


def own_name(name):
    """A stored name -> this library's, for a whole model or for a backbone alone."""
    for pattern, replacement in RULES:
        name = pattern.sub(replacement, name)
    return name


def convert(arrays):
    """name -> array as read -> {own name: (stored name, array in this library's layout)}.

    Counters of batches, and what a checkpoint holds beside its weights, are left out. Raises WeightsError where two
    arrays go by one name.
    """
    if "header" in arrays and any(name.startswith("weights/") for name in arrays):
        return {name.removeprefix("weights/"): (name, array) for name, array in arrays.items()
                if name.startswith("weights/")}
    converted = {}
    for name, array in arrays.items():
        if not name.endswith("num_batches_tracked"):
            own = own_name(name)
            if own in converted:
                raise WeightsError(f"{converted[own][0]} and {name} both stand for {own}")
            converted[own] = name, own_layout(own, array)
    return converted


def own_layout(name, array):
    """Cout×Cin×kh×kw -> kh×kw×Cin×Cout, Cout×Cin -> Cin×Cout; anything else as it is. A view. name: the own one."""
    four = (2, 3, 0, 1) if TRANSPOSED.search(name) else (2, 3, 1, 0)
    return array.transpose({4: four, 2: (1, 0)}.get(array.ndim, range(array.ndim)))


def torch_layout(name, array):
    """The way back: array kh×kw×Cin×Cout -> Cout×Cin×kh×kw, Cin×Cout -> Cout×Cin; others as they are. A view.

    name: the array's own, which tells the transposed convolutions, Cin×Cout×kh×kw there. See
    docs/12-resnet-and-its-checkpoints.md.
    """
    four = (2, 3, 0, 1) if TRANSPOSED.search(name) else (3, 2, 0, 1)
    return array.transpose({4: four, 2: (1, 0)}.get(array.ndim, range(array.ndim)))
