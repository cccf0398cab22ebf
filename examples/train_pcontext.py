"""Train EfficientFCN on PASCAL Context, or, with no arguments, on the built-in sample scenes in a few minutes.

    python examples/train_pcontext.py
    python examples/train_pcontext.py --data ROOT --backbone resnet101 --weights FILE --device cuda

The first runs on any CPU. The second is the paper's setting: batch 16, crop 512, 120 epochs, learning rate 0.001,
n = 256 codewords (section 4.1). The output folder gets checkpoint.npz, steps.csv, evaluation.csv, predictions.png
and codewords.png. Ctrl-C stops after the step and saves; --resume goes on.
"""

import argparse
import os
import shlex
import sys

import numpy as np

from minihgd import data, evaluation, models, report, training, weights
from minihgd.errors import MinihgdError

PAPER = dict(backbone="resnet101", form="paper", codewords=256, epochs=120, batch=16, crop=512, lr=0.001,
             decoder_factor=10, scales=[0.5, 2.0], channels=64, compressed=512, codeword_channels=1024)
SAMPLE = dict(backbone="resnet18", form="released", codewords=32, epochs=22, batch=8, crop=128, lr=0.05,
              decoder_factor=1, scales=[0.9, 1.2], channels=32, compressed=64, codeword_channels=128)
NETWORK = ("backbone", "form", "codewords", "stem", "stride_in", "shortcut", "inputs", "channels", "width",
           "compressed", "codeword_channels")  # the flags that say which network it is


def main():
    args = arguments()
    settings = training.Settings(epochs=args.epochs, batch=args.batch, crop=args.crop, lr=args.lr,
                                 decoder_factor=args.decoder_factor, scales=tuple(args.scales), seed=args.seed)
    train, val = datasets(args)
    network = {name: getattr(args, name) for name in NETWORK}
    model = models.build("efficientfcn", num_classes=len(train.classes), seed=args.seed, recompute=args.recompute,
                         **network)
    loaded = weights.load(model, args.weights, not args.partial) if args.weights and not args.resume else None
    if loaded:
        print(f"{args.weights}: {loaded}")
    model.to(args.device)
    about = dict(model="efficientfcn", **network, classes=list(train.classes))
    run = training.Run(model, train, settings, args.out, about, lambda m: evaluation.evaluate(m, val, least=args.crop),
                       args.evaluate_every, args.workers)
    if args.resume:
        run.resume()
    else:
        for dataset in (train, val):
            data.read_all(dataset, args.workers)  # what is broken is named before the first step
        if loaded and loaded.folded:
            for _, images, _ in run.batches.from_step(0, 1):
                weights.unfold(model.backbone, data.as_input(model, images))
    print(f"{len(train)} training and {len(val)} held-out images, {run.steps} steps from step {run.done}, "
          f"{sum(p.data.size for p in model.parameters()):,} parameters, results in {args.out}")
    if not run.train():
        more = ([] if "--out" in sys.argv else ["--out", args.out]) + ([] if args.resume else ["--resume"])
        print("go on with: python " + shlex.join(sys.argv + more))
        return 130
    score = run.score or evaluation.evaluate(model, val, least=args.crop)
    print(report.class_table(score, train.classes))
    print(f"pixel accuracy {score.pixel_accuracy:.3f}, mIoU {score.mean_iou:.3f} on {len(val)} held-out images")
    draw(model.eval(), val, args.crop, args.out)
    return 0


def datasets(args):
    """The training and the held-out data set: sample scenes, or the PASCAL Context in --data."""
    if not args.data:
        root = os.path.join(args.cache, f"scenes-{args.seed}")
        return tuple(data.Cached(data.SampleScenes(root, split, args.seed)) for split in ("train", "val"))
    options = dict(classes=args.classes, labels=args.labels, png_order=args.png_order)
    return tuple(data.PascalContext(args.data, split, **options) for split in (args.split, args.val_split))


def draw(model, dataset, crop, folder, count=5):
    """predictions.png: inputs, truths, predictions. codewords.png: weighting maps over their images (Fig. 3)."""
    chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
    pairs = [dataset[i] for i in chosen]
    rows = [(image, label, evaluation.predict(model, image, least=crop).argmax(axis=2)) for image, label in pairs]
    report.pictures.save(report.side_by_side(rows, dataset.classes), os.path.join(folder, "predictions.png"))
    maps = [evaluation.weighting_maps(model, image, least=crop) for image, _ in pairs]
    sheet = report.weighting_sheet([image for image, _ in pairs], maps, crop)
    report.pictures.save(sheet, os.path.join(folder, "codewords.png"))
    print(f"pictures: {os.path.join(folder, 'predictions.png')}, {os.path.join(folder, 'codewords.png')}")


def arguments():
    """The command line. Where a default depends on --data, both are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def add(flag, text, default=None, both=None, **more):
        if both:
            text += f" (default: {PAPER[both]} with --data, {SAMPLE[both]} without)"
        elif default is not None:
            text += f" (default: {default})"
        parser.add_argument(flag, help=text, default=default, **more)

    add("--data", "folder of PASCAL Context: VOCdevkit/VOC2010 and the labels beside it (default: sample scenes)")
    add("--classes", "59, or 60 with background as a class", 59, type=int, choices=(59, 60))
    add("--labels", "which labels to read (default: the first found)", choices=("mat", "json", "png"))
    add("--png-order", "class order of ready-made PNG labels; needed with them, as two are in use (default: none)",
        choices=("59_labels", "sorted"))
    add("--split", "images to train on", "train")
    add("--val-split", "images to score", "val")
    add("--backbone", "resnet18, 34, 50, 101 or 152", both="backbone")
    add("--stem", "first layers of the backbone: one 7×7 convolution or three 3×3", "7x7", choices=("7x7", "deep32"))
    add("--stride-in", "which convolution of a bottleneck has the stride: 3x3 (torchvision) or 1x1 (Caffe)", "3x3",
        choices=("3x3", "1x1"))
    add("--shortcut", "shortcuts that change the shape: a strided convolution, or an average before it (default: conv, "
        "with the stem deep32 avgpool)", choices=("conv", "avgpool"))
    add("--inputs", "images as the backbone takes them: RGB with mean 0 and deviation 1, or BGR in 0..255 with mean 0 "
        "(Caffe)", "rgb", choices=("rgb", "bgr"))
    add("--form", "the decoder of the paper's text or of the released code", both="form",
        choices=("paper", "released"))
    add("--codewords", "n, the size of the codebook", both="codewords", type=int)
    add("--channels", "channels of the backbone's first stage", both="channels", type=int)
    add("--width", "inner channels of the first stage's bottlenecks (default: the channels)", type=int)
    add("--compressed", "channels of e8, e16, e32", both="compressed", type=int)
    add("--codeword-channels", "channels of a codeword", both="codeword_channels", type=int)
    add("--weights", "pretrained weights: torch.save's .pth, safetensors or .npz (default: random weights)")
    parser.add_argument("--partial", action="store_true", help="take from --weights what fits, and say what does not")
    add("--epochs", "passes over the training images", both="epochs", type=float)
    add("--batch", "images a step", both="batch", type=int)
    add("--crop", "side of the training crops in pixels", both="crop", type=int)
    add("--lr", "learning rate of the backbone at the first step", both="lr", type=float)
    add("--decoder-factor", "the decoder's learning rate over the backbone's", both="decoder_factor", type=float)
    add("--scales", "images are resized by a factor drawn from this range", both="scales", type=float, nargs=2,
        metavar=("LOW", "HIGH"))
    add("--evaluate-every", "epochs between evaluations and checkpoints", 1, type=float)
    add("--seed", "of weights, order, augmentation and the sample scenes", 0, type=int)
    add("--device", "cpu, cuda or cuda:N", "cpu")
    add("--workers", "threads that prepare batches", 2, type=int)
    parser.add_argument("--recompute", action="store_true",
                        help="recompute maps in the backward pass: less memory, a third to a half more time")
    add("--out", "folder for the results; with --resume, the run to go on with (default: the next free of "
        "runs/pcontext-1, -2, …; with --resume the last of them)")
    add("--cache", "where the sample scenes are painted", "runs")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    args = parser.parse_args()
    for name, value in (PAPER if args.data else SAMPLE).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    args.out = args.out or numbered_folder("runs/pcontext", args.resume)
    return args


def numbered_folder(base, existing):
    """The last of base-1, base-2, … that exists, or the first that does not."""
    number = 1
    while os.path.exists(f"{base}-{number}"):
        number += 1
    return f"{base}-{max(1, number - 1) if existing else number}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MinihgdError as error:
        sys.exit(f"error: {error}")
