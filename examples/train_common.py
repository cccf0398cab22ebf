"""What the training scripts share: the command line, the model, the run, and the pictures at its end.

Under `mpiexec -n P` P processes come here together, and each does the same on its share of the images. Rank 0 does what
is done once: it prints, and writes the folder.
"""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import script_common

from minihgd import backend, data, evaluation, models, processes, report, training, weights
from minihgd.backend import threads
from minihgd.errors import CheckpointError, SettingError, WeightsError

PAPER = dict(backbone="resnet101", form="paper", codewords=256, epochs=120, batch=16, crop=512, lr=0.001,
             decoder_factor=10, scales=[0.5, 2.0], channels=64, compressed=512, codeword_channels=1024)
NETWORK = ("backbone", "stem", "stride_in", "shortcut", "inputs", "channels", "width", "compressed")
HGD = ("form", "codewords", "codeword_channels")  # the flags that say which network it is; these EfficientFCN only
SILENT = dict(name="efficientfcn", inputs="rgb", stride_in="3x3", transfer=True, dilated=False)  # differences that no
# name or shape of a weight shows, as they are where a checkpoint does not say


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
    args = arguments(recipe)

    def together(args):
        status = main(recipe, args, group)
        group.leave()
        return status

    try:
        with processes.joined() as group:
            if group.rank:
                sys.stdout = open(os.devnull, "w")  # rank 0 says it
            script_common.run(together, args, together=True)
    except SettingError as error:  # there is no such group
        sys.exit(f"error: {error}")


def main(recipe, args, group):
    check_flags(args)
    base = f"runs/{recipe.name}"
    folder = args.out or numbered_folder(base, args.resume)
    check_folder(folder, args.resume)
    device = group.device(args.device)
    backend.module(device)  # raises SettingError where there is none
    settings = training.Settings(epochs=args.epochs, batch=args.batch, crop=args.crop, lr=args.lr,
                                 decoder_factor=args.decoder_factor, scales=tuple(args.scales), seed=args.seed,
                                 clip=clip(args))
    train, val = after_rank_0(group, lambda: recipe.datasets(args))
    check_labelled(train, val)
    for note in (*train.notes(), *val.notes()):
        say(f"note: {note}")
    flags = NETWORK + HGD * (args.model == "efficientfcn")
    network = dict(name=args.model, **{name: getattr(args, name) for name in flags})
    model = models.build(num_classes=len(train.classes), seed=args.seed, recompute=args.recompute, **network)
    loaded = start_from(args, model, network)
    model.to(device)
    views = evaluation.Views(least=args.crop)
    about = dict(network=network, data=recipe.name, classes=list(train.classes))
    if "holdout" in args:
        about["holdout"] = args.holdout  # who scores the model must hold out the same images
    own = data.Share(val, group.rank, group.size)
    run = training.Run(model, train, settings, folder, about, lambda m: evaluation.evaluate(m, own, views),
                       args.evaluate_every, args.workers, group=group)
    if args.resume:
        run.resume()
    else:
        for dataset in (data.Share(train, group.rank, group.size), own):
            data.read_all(dataset, args.workers, seconds=20)  # what is broken is named before the first step
        if loaded and loaded.folded:
            for _, images, _ in run.batches.whole().from_step(0, 1):
                weights.unfold(model.backbone, data.as_input(model, images))
        if not args.out and group.rank == 0:
            run.folder = new_folder(base)  # another run may have begun in the meantime
    say(f"{len(train)} training and {len(val)} held-out images, {run.steps} steps from step {run.done}, "
        f"{sum(p.data.size for p in model.parameters()):,} parameters, results in {run.folder}")
    if group.size > 1:
        say(f"{group.size} processes ({', '.join(map(str, group.ids))}), {run.batches.own} images a step and "
            f"{threads.count()} threads for each")
    if not run.train():
        more = ([] if args.out else ["--out", run.folder]) + ([] if args.resume else ["--resume"])
        say(f"go on with: {'' if group.size == 1 else f'mpiexec -n {group.size} '}python {shlex.join(sys.argv + more)}")
        return 130
    score = run.score or run.measure()
    if group.rank == 0:
        say(report.class_table(score, train.classes))
        say(f"pixel accuracy {score.pixel_accuracy:.3f}, mIoU {score.mean_iou:.3f} on {len(val)} held-out images")
        draw(model.eval(), val, views, run.folder)
    return 0


def after_rank_0(group, work):
    """work() on every rank, but first on rank 0, which may leave files that the others only read."""
    if group.rank:
        group.barrier()
    result = work()
    if group.rank == 0:
        group.barrier()
    return result


def clip(args):
    """--clip, or where it is not given what the network needs: see `models.hgd.PaperDecoder`."""
    if args.clip is not None:
        return args.clip
    return 1 if args.model == "efficientfcn" and args.form == "paper" else 0


def check_flags(args):
    """Raise SettingError for flags of which one would be ignored."""
    for flag, other in (("weights", "init"), ("weights", "resume"), ("init", "resume")):
        if getattr(args, flag) and getattr(args, other):
            raise SettingError(f"--{flag}: found --{other} beside it, expected one of the two: each says where the "
                               "weights come from")
    if args.partial and not args.weights:
        raise SettingError("--partial: found no --weights, of which it is to take a part")


def check_folder(folder, resume):
    """Raise CheckpointError where there is nothing to go on with, or where a new run would cover another."""
    path = os.path.join(folder, "checkpoint.npz")
    if resume and not os.path.exists(path):
        raise CheckpointError(f"{path}: there is no checkpoint")
    if not resume and os.path.exists(path):
        raise CheckpointError(f"{path}: the folder already holds a run; resume it with --resume, choose another "
                              "folder, or delete it")


def check_labelled(*datasets):
    """Raise SettingError for a split without labels: all its pixels are void, and the loss would be 0."""
    for dataset in datasets:
        if not dataset.labelled:
            raise SettingError(f"the split {dataset.split} has no labels, expected one with labels to train on and "
                               "one to score")


def say(text):
    """Print. Where nobody reads any more, such as behind `| head -3`, the work goes on without a word."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def start_from(args, model, network):
    """Load --weights or --init; returns the report, or None where neither is given."""
    if args.init:
        check_network(args.init, network)
        loaded = weights.load(model, args.init, strict=False)
        say(f"{args.init}: {loaded}")
        others = [name for name in loaded.left if not name.startswith("decoder.classifier.")]
        if others or loaded.unexpected:
            raise WeightsError(f"{args.init}: only the classifier may differ from this model; found {loaded}")
        if not any(name.startswith("decoder.") for name in loaded.matched):
            raise WeightsError(f"{args.init}: found no decoder, expected a checkpoint of the same network; a backbone "
                               "alone is for --weights")
        return loaded
    if args.weights:
        loaded = weights.load(model, args.weights, strict=not args.partial)
        say(f"{args.weights}: {loaded}")
        return loaded
    return None


def check_network(path, network):
    """Raise WeightsError where a checkpoint of a run says that it is of another network, in what shapes do not show."""
    try:
        there = training.load(path).about.get("network")
    except CheckpointError:
        there = None
    if not isinstance(there, dict):
        return  # a file of weights, which says nothing
    differ = [f"{name} is {there.get(name, usual)!r} there and {network.get(name, usual)!r} here"
              for name, usual in SILENT.items() if there.get(name, usual) != network.get(name, usual)]
    if differ:
        raise WeightsError(f"{path}: a checkpoint of another network: {'; '.join(differ)}")


def draw(model, dataset, views, folder, count=5):
    """predictions.png: inputs, truths, predictions. codewords.png: weighting maps over their images (Fig. 3)."""
    pairs = [dataset[i] for i in script_common.some_of(dataset, count)]
    rows = [(image, label, evaluation.predict_labels(model, image, views)) for image, label in pairs]
    report.pictures.save(report.side_by_side(rows, dataset.classes), os.path.join(folder, "predictions.png"))
    say(f"picture: {os.path.join(folder, 'predictions.png')}")
    if hasattr(model, "holistic"):
        maps = [evaluation.holistic(model, image, views.least).maps for image, _ in pairs]
        sheet = report.weighting_sheet([image for image, _ in pairs], maps)
        report.pictures.save(sheet, os.path.join(folder, "codewords.png"))
        say(f"picture: {os.path.join(folder, 'codewords.png')}")


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
    add("--clip", "gradients that are longer than this are shortened to it; 0: none (default: 1 for the form paper, "
        "else 0)", type=float)
    add("--scales", "images are resized by a factor drawn from this range", type=float, nargs=2,
        metavar=("LOW", "HIGH"))
    add("--evaluate-every", "epochs between evaluations and checkpoints", 1, type=float)
    add("--seed", "of weights, order, augmentation and the sample scenes", 0, type=int)
    script_common.device_flags(parser)
    add("--workers", "threads that prepare batches", 2, type=int)
    parser.add_argument("--recompute", action="store_true",
                        help="recompute maps in the backward pass: less memory, a third to a half more time")
    add("--out", "folder for the results; with --resume, the run to go on with (default: the one after the "
        f"last of runs/{recipe.name}-1, -2, …; with --resume the last of them)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    args = parser.parse_args()
    for name, value in (recipe.sample if recipe.sample and not args.data else recipe.defaults).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


def numbered_folder(base, existing):
    """The last of base-1, base-2, … that exists, or the one after it."""
    parent, name = os.path.split(base)
    beside = os.listdir(parent) if os.path.isdir(parent) else []
    found = [re.fullmatch(rf"{re.escape(name)}-(\d+)", one) for one in beside]
    last = max((int(match[1]) for match in found if match), default=0)
    return f"{base}-{max(1, last) if existing else last + 1}"


def new_folder(base):
    """The folder after the last of base-1, base-2, …, created: no other run gets the same."""
    while True:
        folder = numbered_folder(base, existing=False)
        try:
            os.makedirs(folder)
            return folder
        except FileExistsError:
            pass
