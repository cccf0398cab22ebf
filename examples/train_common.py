"""What the training scripts share: the command line, the model, the run, and the pictures at its end."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from minihgd import data, evaluation, models, report, training, weights
from minihgd.errors import MinihgdError, WeightsError

PAPER = dict(backbone="resnet101", form="paper", codewords=256, epochs=120, batch=16, crop=512, lr=0.001,
             decoder_factor=10, scales=[0.5, 2.0], channels=64, compressed=512, codeword_channels=1024)
NETWORK = ("backbone", "stem", "stride_in", "shortcut", "inputs", "channels", "width", "compressed")
HGD = ("form", "codewords", "codeword_channels")  # the flags that say which network it is; these EfficientFCN only


@dataclass
class Recipe:
    """What a training script adds.

    name: of its data, and of the folders of its runs. datasets(args) gives the training and the held-out data set.
    defaults: of the flags, as in PAPER; `sample` in their place where --data is not given. add_flags(add): more flags.
    """

    name: str
    text: str
    datasets: Callable
    defaults: dict
    sample: dict = field(default_factory=dict)
    add_flags: Callable = lambda add: None


def run(recipe):
    """The script: train, evaluate, draw. Ends the process, with a message in place of a traceback."""
    try:
        sys.exit(main(recipe, arguments(recipe)))
    except MinihgdError as error:
        sys.exit(f"error: {error}")


def main(recipe, args):
    settings = training.Settings(epochs=args.epochs, batch=args.batch, crop=args.crop, lr=args.lr,
                                 decoder_factor=args.decoder_factor, scales=tuple(args.scales), seed=args.seed)
    train, val = recipe.datasets(args)
    for note in (*train.notes(), *val.notes()):
        print(f"note: {note}")
    flags = NETWORK + HGD * (args.model == "efficientfcn")
    network = dict(name=args.model, **{name: getattr(args, name) for name in flags})
    model = models.build(num_classes=len(train.classes), seed=args.seed, recompute=args.recompute, **network)
    loaded = None if args.resume else start_from(args, model)
    model.to(args.device)
    views = evaluation.Views(least=args.crop)
    about = dict(network=network, data=recipe.name, classes=list(train.classes))
    run = training.Run(model, train, settings, args.out, about, lambda m: evaluation.evaluate(m, val, views),
                       args.evaluate_every, args.workers)
    if args.resume:
        run.resume()
    else:
        for dataset in (train, val):
            data.read_all(dataset, args.workers, seconds=20)  # what is broken is named before the first step
        if loaded and loaded.folded:
            for _, images, _ in run.batches.from_step(0, 1):
                weights.unfold(model.backbone, data.as_input(model, images))
    print(f"{len(train)} training and {len(val)} held-out images, {run.steps} steps from step {run.done}, "
          f"{sum(p.data.size for p in model.parameters()):,} parameters, results in {args.out}")
    if not run.train():
        more = ([] if "--out" in sys.argv else ["--out", args.out]) + ([] if args.resume else ["--resume"])
        print("go on with: python " + shlex.join(sys.argv + more))
        return 130
    score = run.score or evaluation.evaluate(model, val, views)
    print(report.class_table(score, train.classes))
    print(f"pixel accuracy {score.pixel_accuracy:.3f}, mIoU {score.mean_iou:.3f} on {len(val)} held-out images")
    draw(model.eval(), val, views, args.out)
    return 0


def start_from(args, model):
    """Load --weights or --init; returns the report, or None where neither is given."""
    if args.init:
        loaded = weights.load(model, args.init, strict=False)
        print(f"{args.init}: {loaded}")
        others = [name for name in loaded.left if not name.startswith("decoder.classifier.")]
        if others or loaded.unexpected:
            raise WeightsError(f"{args.init}: only the classifier may differ from this model; found {loaded}")
        return loaded
    if args.weights:
        loaded = weights.load(model, args.weights, strict=not args.partial)
        print(f"{args.weights}: {loaded}")
        return loaded
    return None


def draw(model, dataset, views, folder, count=5):
    """predictions.png: inputs, truths, predictions. codewords.png: weighting maps over their images (Fig. 3)."""
    chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
    pairs = [dataset[i] for i in chosen]
    rows = [(image, label, evaluation.predict_labels(model, image, views)) for image, label in pairs]
    report.pictures.save(report.side_by_side(rows, dataset.classes), os.path.join(folder, "predictions.png"))
    print(f"picture: {os.path.join(folder, 'predictions.png')}")
    if hasattr(model, "weighting_maps"):
        maps = [evaluation.weighting_maps(model, image, views.least) for image, _ in pairs]
        sheet = report.weighting_sheet([image for image, _ in pairs], maps, views.least)
        report.pictures.save(sheet, os.path.join(folder, "codewords.png"))
        print(f"picture: {os.path.join(folder, 'codewords.png')}")


def arguments(recipe):
    """The command line. Where a default depends on --data, both are named."""
    parser = argparse.ArgumentParser(description=recipe.text, formatter_class=argparse.RawDescriptionHelpFormatter)

    def add(flag, text, default=None, **more):
        name = flag[2:].replace("-", "_")
        if name in recipe.defaults:
            text += f" (default: {recipe.defaults[name]}"
            text += f" with --data, {recipe.sample[name]} without)" if recipe.sample else ")"
        elif default is not None:
            text += f" (default: {default})"
        parser.add_argument(flag, help=text, default=default, **more)

    recipe.add_flags(add)
    add("--model", "which network, one of Table 1's", "efficientfcn", choices=models.NAMES)
    add("--backbone", "resnet18, 34, 50, 101 or 152")
    add("--stem", "first layers of the backbone: one 7×7 convolution or three 3×3", "7x7",
        choices=("7x7", "deep32", "deep64"))
    add("--stride-in", "which convolution of a bottleneck has the stride: 3x3 (torchvision) or 1x1 (Caffe)", "3x3",
        choices=("3x3", "1x1"))
    add("--shortcut", "shortcuts that change the shape: a strided convolution, or an average before it (default: conv, "
        "with the stem deep32 avgpool)", choices=("conv", "avgpool"))
    add("--inputs", "images as the backbone takes them: RGB with mean 0 and deviation 1, or BGR in 0..255 with mean 0 "
        "(Caffe)", "rgb", choices=("rgb", "bgr"))
    add("--form", "the decoder of the paper's text or of the released code", choices=("paper", "released"))
    add("--codewords", "n, the size of the codebook", type=int)
    add("--channels", "channels of the backbone's first stage", type=int)
    add("--width", "inner channels of the first stage's bottlenecks (default: the channels)", type=int)
    add("--compressed", "channels of e8, e16, e32", type=int)
    add("--codeword-channels", "channels of a codeword", type=int)
    add("--weights", "pretrained weights: torch.save's .pth, safetensors or .npz (default: random weights)")
    parser.add_argument("--partial", action="store_true", help="take from --weights what fits, and say what does not")
    add("--init", "a checkpoint of the same network, which may have other classes, to continue from")
    add("--epochs", "passes over the training images", type=float)
    add("--batch", "images a step", type=int)
    add("--crop", "side of the training crops in pixels", type=int)
    add("--lr", "learning rate of the backbone at the first step", type=float)
    add("--decoder-factor", "the decoder's learning rate over the backbone's", type=float)
    add("--scales", "images are resized by a factor drawn from this range", type=float, nargs=2,
        metavar=("LOW", "HIGH"))
    add("--evaluate-every", "epochs between evaluations and checkpoints", 1, type=float)
    add("--seed", "of weights, order, augmentation and the sample scenes", 0, type=int)
    add("--device", "cpu, cuda or cuda:N", "cpu")
    add("--workers", "threads that prepare batches", 2, type=int)
    parser.add_argument("--recompute", action="store_true",
                        help="recompute maps in the backward pass: less memory, a third to a half more time")
    add("--out", "folder for the results; with --resume, the run to go on with (default: the next free of "
        f"runs/{recipe.name}-1, -2, …; with --resume the last of them)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    args = parser.parse_args()
    for name, value in (recipe.sample if recipe.sample and not args.data else recipe.defaults).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    args.out = args.out or numbered_folder(f"runs/{recipe.name}", args.resume)
    return args


def numbered_folder(base, existing):
    """The last of base-1, base-2, … that exists, or the first that does not."""
    number = 1
    while os.path.exists(f"{base}-{number}"):
        number += 1
    return f"{base}-{max(1, number - 1) if existing else number}"
