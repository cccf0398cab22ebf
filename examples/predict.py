"""Label photographs with a trained model: for each an overlay with a legend, and the labels as a palette PNG.

    python examples/predict.py runs/voc-1/checkpoint.npz photo.jpg holiday/*.png --out labelled

photo.jpg gives labelled/photo-overlay.png and labelled/photo-labels.png, both of the photograph's size (the overlay has
the legend below). Photographs may be of any size and mode; they are turned upright as their EXIF data says.
"""

import os
import sys

import numpy as np
from script_common import open_model, output_names, parser, run

from minihgd import data, evaluation, report
from minihgd.errors import DataError


def main(args):
    model, about, views = open_model(args)
    names = output_names(args.image)
    os.makedirs(args.out, exist_ok=True)
    done = failed = 0
    try:
        for path, name in zip(args.image, names, strict=True):
            try:
                label(model, path, os.path.join(args.out, name), about["classes"], views)
                done += 1
            except DataError as error:  # the others can still be labelled
                print(f"error: {error}", file=sys.stderr)
                failed += 1
    except KeyboardInterrupt:
        print(f"\nstopped; {done} of {len(names)} photographs are labelled, in {args.out}")
        return 130
    return 1 if failed else 0


def label(model, path, start, classes, views):
    """Write the two pictures of a photograph, to files whose names begin with `start`."""
    image = data.read_photo(path)
    labels = evaluation.predict_labels(model, image, views)
    overlay, png = f"{start}-overlay.png", f"{start}-labels.png"
    report.pictures.save(report.overlay_with_legend(image, labels, classes), overlay)
    report.pictures.save(report.palette_picture(labels, classes), png)
    shares = np.bincount(labels.ravel(), minlength=len(classes)) / labels.size
    found = ", ".join(f"{classes[k]} {shares[k]:.0%}" for k in np.argsort(-shares)[:5] if shares[k])
    print(f"{path}: {found}; {overlay}, {png}", flush=True)


def arguments():
    it = parser(__doc__)
    it.add_argument("image", nargs="+", help="photographs")
    it.add_argument("--out", default="labelled", help="folder for the results (default: labelled)")
    return it.parse_args()


if __name__ == "__main__":
    run(main, arguments())
