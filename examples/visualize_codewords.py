"""Draw what the codewords of a trained EfficientFCN look at, and its predictions beside those of another network.

    python examples/visualize_codewords.py runs/pcontext-1/checkpoint.npz --data runs/scenes-0
    python examples/visualize_codewords.py runs/voc-1/checkpoint.npz photo.jpg --beside runs/voc-2/checkpoint.npz

codewords.png: for each image the weighting maps Ã of some codewords, chosen for being different (Fig. 3 of the paper),
the assembly coefficients W of the same ones, and the nearest codeword of each pixel. predictions.png: the image, the
truth where there is one, what the network of --beside says and what this one says (Fig. 4). decoder-NAME.png: what the
decoder does to one image, from left to right.
"""

import argparse
import os

import numpy as np
from PIL import Image
from script_common import data_flags, open_dataset, open_model, output_names, parser, run, some_of

from minihgd import data, evaluation, report
from minihgd.errors import SettingError

LONGEST = 1024  # pixels of an image's longer side: the network sees it whole


def main(args):
    if args.longest > LONGEST:
        raise SettingError(f"--longest: expected at most {LONGEST}, found {args.longest}")
    model, about, views = open_model(args)
    if not hasattr(model, "holistic"):
        raise SettingError(f"{args.checkpoint}: expected an EfficientFCN, found {about['network']['name']}, which has "
                           "no codewords; it can stand behind --beside")
    other = open_other(args, about["classes"])
    names, images, truths = read(args, about)
    os.makedirs(args.out, exist_ok=True)
    insides = [evaluation.holistic(model, image, views.least) for image in images]
    write(args, "codewords", report.codeword_sheet(images, insides, count=args.codewords))
    columns = {"image": images, "truth": truths} if truths else {"image": images}
    if other:
        beside, its_name, its_views = other
        columns[its_name] = [evaluation.predict_labels(beside, image, its_views) for image in images]
    columns["this network"] = [evaluation.predict_labels(model, image, views) for image in images]
    rows = list(zip(*columns.values(), strict=True))
    write(args, "predictions", report.side_by_side(rows, about["classes"], titles=list(columns)))
    whole = evaluation.Views(least=views.least)  # one look at the whole image, as the codewords are
    for name, image, inside in zip(names, images, insides, strict=True):
        labels = evaluation.predict_labels(model, image, whole)
        write(args, f"decoder-{name}", report.decoder_picture(image, inside, labels, about["classes"]))
    return 0


def open_other(args, classes):
    """The model of --beside, the name of its network and its Views; None where none is given."""
    if not args.beside:
        return None
    beside, about, views = open_model(args, args.beside)
    if about["classes"] != list(classes):
        raise SettingError(f"--beside: expected a network with the same {len(classes)} classes, found "
                           f"{len(about['classes'])} in {args.beside}")
    return beside, about["network"]["name"], views


def read(args, about):
    """Names, images H×W×3 and labels H×W; no labels for photographs that belong to no data set."""
    if not args.data:
        if not args.image:
            raise SettingError("expected photographs, or --data, or both: names of images in it")
        names = output_names(args.image)
        return names, [smaller(data.read_photo(path), args.longest, Image.BICUBIC) for path in args.image], None
    dataset = open_dataset(args, about)
    if list(dataset.classes) != about["classes"]:
        raise SettingError(f"--data: expected a data set with the {len(about['classes'])} classes of the model, found "
                           f"{len(dataset.classes)}")
    chosen = [position(dataset, name) for name in dict.fromkeys(args.image)] or some_of(dataset, args.count)
    pairs = [dataset[i] for i in chosen]
    return ([dataset.ids[i].replace("/", "-") for i in chosen],
            [smaller(image, args.longest, Image.BICUBIC) for image, _ in pairs],
            [smaller(label, args.longest, Image.NEAREST) for _, label in pairs] if dataset.labelled else None)


def position(dataset, name):
    """The number of an image in its data set. Raises SettingError for a name that is not in it."""
    if name not in dataset.ids:
        raise SettingError(f"{name}: expected an image of the split {dataset.split}, such as {dataset.ids[0]}")
    return list(dataset.ids).index(name)


def smaller(array, longest, how):
    """An array H×W or H×W×3 uint8 whose longer side has `longest` pixels or fewer."""
    factor = longest / max(array.shape[:2])
    if factor >= 1:
        return array
    size = (max(1, round(array.shape[1] * factor)), max(1, round(array.shape[0] * factor)))
    return np.asarray(Image.fromarray(array).resize(size, how))


def write(args, name, picture):
    path = os.path.join(args.out, f"{name}.png")
    report.pictures.save(picture, path)
    print(f"picture: {path}", flush=True)


def arguments():
    it = parser(__doc__)
    data_flags(it, required=False)
    it.add_argument("image", nargs="*", help="photographs; with --data, names of images in it (default: some of them)")
    it.add_argument("--count", type=positive, default=4, help="how many images of --data (default: 4)")
    it.add_argument("--codewords", type=positive, default=5, help="how many codewords codewords.png shows (default: 5)")
    it.add_argument("--beside", help="checkpoint of another network with the same classes")
    it.add_argument("--longest", type=positive, default=LONGEST,
                    help=f"larger images are reduced to so many pixels, at most {LONGEST} (default: {LONGEST})")
    it.add_argument("--out", default="codewords", help="folder for the pictures (default: codewords)")
    return it.parse_intermixed_args()  # images may stand after flags


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {number}")
    return number


if __name__ == "__main__":
    run(main, arguments())
