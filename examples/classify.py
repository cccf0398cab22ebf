"""What a ResNet with its classification layer sees in photographs: the five classes it finds most likely.

    python examples/classify.py resnet50-0676ba61.pth photo.jpg
    python examples/classify.py resnet50-caffe.pth photo.jpg --inputs bgr --stride-in 1x1 --names imagenet_classes.txt

A quick look whether a checkpoint was read rightly: on an everyday photograph a good ImageNet model is rarely at a loss.
Depth, stem, shortcuts and widths are told from the file; where the stride sits and which colours come first are not in
it. The photograph is prepared as the models' authors did: short side to 256 pixels, the middle 224×224.
"""

import argparse
import sys

import numpy as np
from PIL import Image
from script_common import run

from minihgd import data, models, no_grad, weights
from minihgd.errors import DataError, SettingError


def main(args):
    if args.size < 1:
        raise SettingError(f"--size: expected at least 1 pixel, found {args.size}")
    names = data.read_lines(args.names) if args.names else None
    model = classifier(args.weights, stride_in=args.stride_in, inputs=args.inputs).to(args.device)
    if names and len(names) != len(model.fc.bias.data):
        raise SettingError(f"{args.names}: found {len(names)} names for {len(model.fc.bias.data)} classes")
    failed = 0
    for path in args.image:
        try:
            p = probabilities(model, middle(data.read_photo(path), args.size))
        except DataError as error:  # the others can still be classified
            print(f"error: {error}", file=sys.stderr)
            failed += 1
            continue
        print(path)
        for k in np.argsort(-p)[:5]:
            print(f"  {p[k]:6.1%}  {k:4d}  {names[k] if names else ''}".rstrip())
    return 1 if failed else 0


def classifier(path, **options):
    """The model that a file holds, in evaluation mode. Raises SettingError where that is no ResNet with classes."""
    found = weights.find(path)
    settings = weights.describe(found)
    if "classes" not in settings:
        raise SettingError(f"{path}: expected a ResNet with its classification layer, found {weights.in_words(found)}")
    model = models.resnet(**settings, **options)
    loaded = weights.load(model, path, strict=False)
    print(f"{path}: {loaded}")
    if loaded.left:
        print(f"note: {len(loaded.left)} arrays of the model were not taken from the file and are random: so are, in "
              "part, these answers")
    return model.eval()


def middle(image, size):
    """The middle of an image H×W×3: the short side resized to 8/7 of `size`, then size×size×3."""
    height, width = image.shape[:2]
    scale = size * 8 / 7 / min(height, width)
    resized = Image.fromarray(image).resize((max(size, round(width * scale)), max(size, round(height * scale))),
                                            Image.Resampling.BILINEAR)
    left, top = (resized.width - size) // 2, (resized.height - size) // 2
    return np.asarray(resized)[top : top + size, left : left + size]


def probabilities(model, image):
    """H×W×3 uint8 -> softmax of the logits, an array of `classes`."""
    with no_grad():
        z = model(data.as_input(model, image[None])).numpy()[0]
    p = np.exp(z - z.max())
    return p / p.sum()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="a checkpoint: .pth, .pt, .th, .safetensors, .npz")
    parser.add_argument("image", nargs="+", help="photographs")
    parser.add_argument("--names", help="a text file with one class name a line (default: numbers only)")
    parser.add_argument("--size", type=int, default=224, help="side of the square that is looked at (default: 224)")
    parser.add_argument("--stride-in", default="3x3", choices=("3x3", "1x1"),
                        help="where bottlenecks have their stride; 1x1 in models from Caffe (default: 3x3)")
    parser.add_argument("--inputs", default="rgb", choices=("rgb", "bgr"),
                        help="what the model takes; bgr in models from Caffe (default: rgb)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    return parser.parse_args()


if __name__ == "__main__":
    run(main, arguments())
