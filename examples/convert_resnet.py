"""Bring a checkpoint of a ResNet, or of a whole model, to PyTorch's names in a .safetensors or .npz file.

    python examples/convert_resnet.py resnet50-0676ba61.pth resnet50.safetensors
    python examples/convert_resnet.py runs/pcontext-1/checkpoint.npz backbone.safetensors --backbone

IN is a file of torch.save in either of its forms, safetensors or .npz, with the names of torchvision, timm, Hugging
Face, the released EfficientFCN or minihgd; nothing in it is executed. A ResNet gets torchvision's names. The summary is
there to be checked: what the file holds, part by part, what was skipped, what a complete ResNet has beside it.
"""

import argparse
import os

from script_common import run

from minihgd import models, weights
from minihgd.errors import SettingError, WeightsError
from minihgd.report.tables import aligned


def main(args):
    check_output(args.output)
    stored, found = weights.read(args.input), weights.find(args.input)
    found = {name: pair for name, pair in found.items() if pair[1].dtype.kind in "fiub"}  # numbers, not text
    if args.backbone:
        found = backbone_of(found, args.input)
    if not found:
        raise WeightsError(f"{args.input}: expected arrays of numbers, found none among {len(stored)} arrays")
    settings = weights.describe(found)
    print(f"{args.input}: {weights.in_words(found)}")
    if settings and not any(name.startswith("decoder.") for name in found):
        found = compared(found, models.resnet(**settings).state_dict())
    print("\n".join(aligned(table(found, args.all))))
    skipped = sorted(stored.keys() - {name for name, _ in found.values()})
    print(f"skipped: {len(skipped)} of {len(stored)} arrays in the file")
    for name in skipped if args.all else skipped[:5]:
        print(f"  {name} {stored[name].shape}")
    weights.write(args.output, {name: weights.torch_layout(name, array) for name, (_, array) in found.items()})
    print(f"written: {args.output}")


def check_output(path):
    """Raise an error that says why the file could not be written, before the work is done."""
    if not path.endswith((".safetensors", ".npz")):
        raise SettingError(f"{path}: expected a name that ends in .safetensors or .npz")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise SettingError(f"{path}: there is no folder {folder}")


def backbone_of(found, path):
    """What of `found` is the backbone, without that prefix; a ResNet is one itself."""
    parts = {name.removeprefix("backbone."): pair for name, pair in found.items()
             if not name.startswith(("decoder.", "fc."))}
    if not any(name.startswith(("conv1.", "layer")) for name in parts):
        raise WeightsError(f"{path}: expected a model with a backbone, found {weights.in_words(found)}")
    return parts


def compared(found, own):
    """What of `found` a complete ResNet has a place for; prints where the two differ."""
    report, arrays = weights.match(own, found)
    for name in report.missing:
        print(f"missing: {name} {own[name].shape}")
    for name, (shape, expected) in report.conflicts.items():
        print(f"left out: {name} of shape {shape}, expected {expected}")
    for name in report.broken:
        print(f"left out: {name}, not finite or a variance below zero")
    return {name: found[name] for name in found if name.removeprefix("backbone.") in arrays}


def table(found, every):
    """Rows of a table: each part (or every array) with its numbers and their range."""
    rows = [("array" if every else "part", "in the file", "shape" if every else "arrays", "numbers", "type", "least",
             "largest")]
    groups = {}
    for name, pair in found.items():
        groups.setdefault(name if every else part_of(name), []).append(pair)
    for name, pairs in groups.items():
        first, arrays = pairs[0][0], [array for _, array in pairs]
        size = "×".join(map(str, arrays[0].shape)) if every else str(len(arrays))
        rows.append((name, first if len(pairs) == 1 else first + ", …", size, f"{sum(a.size for a in arrays):,}",
                     "/".join(sorted({str(a.dtype) for a in arrays})),
                     *(f"{number:.3g}" for number in extremes(arrays))))
    arrays = [array for _, array in found.values()]
    return [*rows, ("all", "", "" if every else str(len(arrays)), f"{sum(a.size for a in arrays):,}", "", "", "")]


def extremes(arrays):
    """The least and the largest number in arrays; NaN where there are none."""
    arrays = [array for array in arrays if array.size]
    if not arrays:
        return float("nan"), float("nan")
    return float(min(a.min() for a in arrays)), float(max(a.max() for a in arrays))


def part_of(name):
    """backbone.layer1.0.conv1.weight -> backbone.layer1"""
    parts = name.split(".")
    return ".".join(parts[: 2 if parts[0] in ("backbone", "decoder") else 1])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", metavar="IN", help=".pth, .pt, .th, .safetensors, .npz")
    parser.add_argument("output", metavar="OUT", help=".safetensors or .npz")
    parser.add_argument("--backbone", action="store_true", help="the backbone of a segmentation model alone")
    parser.add_argument("--all", action="store_true", help="list every array, not every part")
    return parser.parse_args()


if __name__ == "__main__":
    run(main, arguments())
