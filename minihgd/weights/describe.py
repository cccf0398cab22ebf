"""Which ResNet a file holds, told by its names and shapes: see docs/12-resnet-and-its-checkpoints.md."""

import re

from ..models.resnet import BLOCKS

BLOCK = re.compile(r"layer([1-4])\.(\d+)\.")


def describe(found):
    """The settings of `models.resnet` for what a file holds, or {} if it is no ResNet that is known here.

    found: what `find` returns. Keys: depth, stem, shortcut, channels, width, and classes where it has a classification
    layer. What names and shapes do not tell: where the stride sits, and whether the images are RGB. The variants are
    in docs/12-resnet-and-its-checkpoints.md.
    """
    arrays = {name.removeprefix("backbone."): array for name, (_, array) in found.items()}
    counts = [0, 0, 0, 0]
    for found in filter(None, map(BLOCK.match, arrays)):
        counts[int(found[1]) - 1] = max(counts[int(found[1]) - 1], int(found[2]) + 1)
    bottlenecks = any(name.endswith(".bn3.weight") for name in arrays)
    depths = [depth for depth, blocks in BLOCKS.items() if blocks == tuple(counts) and bottlenecks == (depth >= 50)]
    first, last = arrays.get("layer1.0.bn1.weight"), arrays.get(f"layer1.0.bn{3 if bottlenecks else 2}.weight")
    if not depths or first is None or last is None:
        return {}
    projection = arrays.get("layer2.0.downsample.1.weight")  # behind an average, or a normalisation
    channels, stem = last.size // (4 if bottlenecks else 1), arrays.get("bn1.weight")
    deep = "deep64" if stem is not None and stem.size == 2 * channels else "deep32"
    settings = dict(depth=depths[0], stem="7x7" if "conv1.weight" in arrays else deep,
                    shortcut="avgpool" if projection is not None and projection.ndim == 4 else "conv",
                    channels=channels, width=first.size)
    if "fc.weight" in arrays and arrays["fc.weight"].ndim == 2:
        settings["classes"] = arrays["fc.weight"].shape[1]
    return settings


def in_words(found):
    """The settings that `describe(found)` returns, as a phrase for messages.

    The variants are in docs/12-resnet-and-its-checkpoints.md.
    """
    settings = describe(found)
    if not settings:
        return f"{len(found)} arrays of no network that is known here"
    width = "" if settings["width"] == settings["channels"] else f", width {settings['width']}"
    classes = f", {settings['classes']} classes" if "classes" in settings else ""
    return (f"a ResNet-{settings['depth']}: stem {settings['stem']}, shortcuts {settings['shortcut']}, "
            f"{settings['channels']} channels{width}{classes}")
