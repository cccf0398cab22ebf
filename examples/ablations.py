"""The paper's ablations at a small scale: a table's variants trained with several seeds, beside the printed numbers.

    python examples/ablations.py --table 1
    python examples/ablations.py --table 3 --dataset voc --data ROOT --split trainaug --weights FILE --crop 256

Tables 1 (other decoders), 2 (scales in the codebook), 3 (scales in the guidance), 4 (number of codewords, an eighth of
the paper's), "transfer" (the paragraph on codeword information), and "decoders": the cheap ones of Table 1 beside both
forms of EfficientFCN. By default on the built-in sample scenes, in some minutes a table. Each variant and seed has its
own folder: Ctrl-C stops, and the same command goes on. What comes out is printed as it is: where the order that the
paper found does not show, the table says so, and a variant of which a seed diverged has no numbers.
"""

import argparse
import csv
import os
from itertools import pairwise, product

import numpy as np
from script_common import DATASETS, device_flags, open_dataset, run
from train_common import check_labelled, say

from minihgd import data, evaluation, models, training, weights
from minihgd.errors import DivergedError, SettingError
from minihgd.report.tables import aligned

ALL = (8, 16, 32)
TABLES = {  # table -> variant: (pixAcc and mIoU as printed, options of models.build)
    "1": {"FCN-32s": ("", 43.3, dict(name="fcn32s")), "dilatedFCN-8s": ("", 47.2, dict(name="dilatedfcn8s")),
          "UNet-Deconv": ("", 49.1, dict(name="unet_deconv")), "UNet-Bilinear": ("", 49.3, dict(name="unet_bilinear")),
          "EfficientFCN": ("", 55.3, {})},
    "2": {"{32}": (80.0, 54.8, dict(codebook_scales=(32,))), "{16, 32}": (80.1, 55.1, dict(codebook_scales=(16, 32))),
          "{8, 16, 32}": (80.3, 55.3, dict(codebook_scales=ALL))},
    "3": {"{8}": (78.9, 47.9, dict(guidance_scales=(8,))), "{8, 16}": (80.0, 52.1, dict(guidance_scales=(8, 16))),
          "{8, 16, 32}": (80.3, 55.3, dict(guidance_scales=ALL))},
    "4": {str(n): (accuracy, iou, dict(codewords=n)) for n, accuracy, iou in (  # an eighth of the paper's n
        (4, 79.9, 54.5), (8, 80.1, 54.9), (16, 80.1, 55.0), (32, 80.3, 55.3), (64, 80.3, 55.5), (128, 80.1, 55.1))},
    "transfer": {"without": ("", 54.2, dict(transfer=False)), "with": ("", 55.3, dict(transfer=True))},
    "decoders": {"FCN-32s": ("", 43.3, dict(name="fcn32s")), "UNet-Bilinear": ("", 49.3, dict(name="unet_bilinear")),
                 "EfficientFCN, paper": ("", 55.3, dict(form="paper")),
                 "EfficientFCN, released": ("", 55.3, dict(form="released"))},
}


def main(args):
    if args.seeds < 1:
        raise SettingError(f"--seeds: expected at least 1, found {args.seeds}")
    train, val = datasets(args)
    check_labelled(train, val)
    rows, variants = {}, TABLES[args.table]
    for variant, (_, _, options) in variants.items():
        for seed in range(args.seeds):
            folder = os.path.join(args.out, f"table-{args.table}", f"{folder_name(variant)}-{seed}")
            try:
                score = cell(args, train, val, dict(name="efficientfcn") | options, seed, folder)
            except DivergedError as error:  # which is a result, too
                say(f"{variant}, seed {seed}: {error}")
                rows[variant] = None
                break
            if score is None:
                say("the same command goes on")
                return 130
            say(f"{variant}, seed {seed}: pixAcc {score[0]:.1f}, mIoU {score[1]:.1f}")
            rows.setdefault(variant, []).append(score)
    say("\n".join(["", *table(args.table, rows), "", *order(args.table, rows)]))
    return 0


def datasets(args):
    """What to train on and what to score."""
    if args.data:
        names = [argparse.Namespace(**vars(args) | dict(split=split)) for split in (args.split, args.val_split)]
        return tuple(data.Cached(open_dataset(one, {})) for one in names)
    return tuple(data.Cached(data.SampleScenes(os.path.join(args.cache, "scenes-0"), split, 0))
                 for split in ("train", "val"))


def cell(args, train, val, options, seed, folder):
    """(pixAcc, mIoU, seconds a step) of one variant and seed: read, gone on with, or trained. None where stopped.

    The scores in percent.
    """
    settings = training.Settings(epochs=args.epochs, batch=args.batch, crop=args.crop, lr=args.lr, seed=seed,
                                 decoder_factor=args.decoder_factor, scales=tuple(args.scales), clip=args.clip)
    if options["name"] == "efficientfcn":
        options = dict(form=args.form, codewords=args.codewords, codeword_channels=2 * args.compressed) | options
    network = dict(backbone=args.backbone, channels=args.channels, compressed=args.compressed) | options
    model = models.build(num_classes=len(train.classes), seed=seed, **network)
    views, about = evaluation.Views(least=args.crop), dict(network=plain(network), classes=list(train.classes))
    about["weights"] = os.path.basename(args.weights or "")
    loaded = weights.load(model, args.weights, strict=False) if args.weights else None
    one = training.Run(model.to(args.device), train, settings, folder, about,
                       lambda m: evaluation.evaluate(m, val, views), args.epochs, args.workers)
    if os.path.exists(one.path):
        one.resume()
    elif loaded and loaded.folded:
        for _, images, _ in one.batches.from_step(0, 1):
            weights.unfold(model.backbone, data.as_input(model, images))
    if (one.done < one.steps or not finished(folder, one.steps)) and not one.train():
        return None
    return *finished(folder, one.steps), args.batch / rate(folder)


def finished(folder, steps):
    """(pixAcc, mIoU) in percent after the last step, as a run wrote them; None where it has not come that far."""
    path = os.path.join(folder, "evaluation.csv")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["step"] == str(steps):
                return 100 * float(row["pixel_accuracy"]), 100 * float(row["mean_iou"])
    return None


def rate(folder):
    """The median of the images a second that a run wrote down."""
    with open(os.path.join(folder, "steps.csv"), encoding="utf-8", newline="") as file:
        return np.median([float(row["images_per_second"]) for row in csv.DictReader(file)])


def table(name, rows):
    """The printed numbers beside the mean over the seeds and its range, and the time that a step took."""
    lines = [("variant", "paper: pixAcc", "mIoU", "here: pixAcc", "lowest to highest", "mIoU", "lowest to highest",
              "seconds a step")]
    for variant, scores in rows.items():
        accuracy, iou, _ = TABLES[name][variant]
        if scores is None:
            lines.append((variant, str(accuracy), str(iou), "diverged", "", "", "", ""))
            continue
        means, low, high = np.mean(scores, axis=0), np.min(scores, axis=0), np.max(scores, axis=0)
        lines.append((variant, str(accuracy), str(iou), f"{means[0]:.1f}", f"{low[0]:.1f} to {high[0]:.1f}",
                      f"{means[1]:.1f}", f"{low[1]:.1f} to {high[1]:.1f}", f"{np.median(scores, axis=0)[2]:.2f}"))
    return aligned(lines)


def order(name, rows):
    """For each two neighbours in the paper's order of mIoU, whether they stand so here, too."""
    printed = {variant: TABLES[name][variant][1] for variant in rows if rows[variant]}
    next_better, by_paper = dict(pairwise(sorted(set(printed.values())))), sorted(printed, key=printed.get)
    for worse, better in product(by_paper, by_paper):
        if next_better.get(printed[worse]) != printed[better]:
            continue
        lower, higher = ([iou for _, iou, _ in rows[variant]] for variant in (worse, better))
        low, high, apart = np.mean(lower), np.mean(higher), min(higher) > max(lower)
        said = "as in the paper" if high > low and apart else (
            "as in the paper in the mean, the seeds overlap" if high > low else "does not show here")
        yield f"{worse} below {better}: {said} ({high - low:+.1f})"


def plain(options):
    return {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}


def folder_name(variant):
    """A variant's name without what file systems do not like."""
    return "".join(letter if letter.isalnum() else "-" for letter in variant).strip("-")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def add(flag, text, default=None, **more):
        parser.add_argument(flag, help=text + ("" if default is None else f" (default: {default})"), default=default,
                            **more)

    add("--table", "1, 2, 3, 4, transfer or decoders", required=True, choices=tuple(TABLES))
    add("--seeds", "how often each variant is trained", 3, type=int)
    add("--data", "folder of a data set (default: sample scenes)")
    add("--dataset", "which data set --data is", choices=DATASETS)
    add("--split", "images to train on", "train")
    add("--val-split", "images to score", "val")
    add("--png-order", "class order of ready-made PNGs of PASCAL Context", choices=("59_labels", "sorted"))
    add("--weights", "pretrained backbone, of which is taken what fits (default: random weights)")
    add("--backbone", "resnet18, 34, 50, 101 or 152", "resnet18")
    add("--form", "EfficientFCN's decoder: of the paper's text or of the released code", "released",
        choices=("paper", "released"))
    add("--codewords", "n, where the table does not vary it", 32, type=int)
    add("--channels", "of the backbone's first stage", 32, type=int)
    add("--compressed", "channels of e8, e16, e32, and half of a codeword's", 64, type=int)
    add("--epochs", "passes over the training images", 10, type=float)
    add("--batch", "images a step", 8, type=int)
    add("--crop", "side of the training crops in pixels", 128, type=int)
    add("--lr", "learning rate of the backbone at the first step", 0.05, type=float)
    add("--decoder-factor", "the decoder's learning rate over the backbone's", 1, type=float)
    add("--clip", "gradients that are longer are shortened to this; 0: none (default: 1 where the form paper is "
        "trained, else 0)", type=float)
    parser.add_argument("--scales", help="images are resized by a factor from this range (default: 0.9 1.2)",
                        type=float, nargs=2, default=[0.9, 1.2], metavar=("LOW", "HIGH"))
    device_flags(parser)
    add("--workers", "threads that prepare batches", 2, type=int)
    add("--out", "folder for the runs", "runs/ablations")
    add("--cache", "where the sample scenes are painted", "runs")
    args = parser.parse_args()
    if args.clip is None:  # the paper form needs it, and a table has the same settings for all
        args.clip = float(args.table == "decoders" or args.form == "paper")
    return args


if __name__ == "__main__":
    run(main, arguments())
