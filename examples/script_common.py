"""What the scripts about trained models share: the model of a checkpoint, data sets by name, how images are seen."""

import argparse
import os
import signal
import sys
import zlib
from dataclasses import asdict

import numpy as np

from minihgd import data, evaluation, processes, training
from minihgd.backend import precision
from minihgd.errors import MinihgdError, SettingError

DATASETS = ("pcontext", "voc", "ade20k", "coco", "folder")  # the names that training scripts leave in checkpoints


def parser(text):
    """An argparse.ArgumentParser with what every script takes: the checkpoint, and how images are looked at."""
    it = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    it.add_argument("checkpoint", help="checkpoint.npz of a training run")
    it.add_argument("--scales", type=float, nargs="+", default=[1.0], help="sizes to look at, over the image's own, "
                    "such as 0.5 0.75 1 1.25 1.5 1.75 2 (default: 1)")
    it.add_argument("--flip", action="store_true", help="look at the mirrored image as well")
    it.add_argument("--average", choices=("softmax", "exp"), default="softmax",
                    help="average probabilities, or sum exp(logits) as the released code does (default: softmax)")
    it.add_argument("--multiple", type=int, default=1, help="round sides to multiples of so many pixels; 32 in the "
                    "released code (default: 1)")
    it.add_argument("--crop", type=int, help="look through overlapping windows of so many pixels (default: at whole "
                    f"images, at those of more than {evaluation.views.WHOLE:,} pixels through windows of "
                    f"{evaluation.views.WINDOW})")
    device_flags(it)
    return it


def device_flags(it):
    """Add where is computed, and how precisely."""
    it.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    it.add_argument("--precision", default="float32", choices=precision.PRECISIONS,
                    help="of a GPU: float32; tf32, products of factors with 10 bits; bfloat16, maps of 7 bits "
                    "(default: float32)")


def data_flags(it, datasets=DATASETS, split="val", required=True):
    """Add what says which data set is meant."""
    it.add_argument("--data", required=required, help="folder of the data set")
    it.add_argument("--dataset", choices=datasets, help="which it is (default: that of the training)")
    it.add_argument("--split", default=split, help=f"which part of it (default: {split})")
    it.add_argument("--png-order", choices=("59_labels", "sorted"),
                    help="class order of ready-made PNGs of PASCAL Context")


def open_dataset(args, about, classes=None):
    """The data set that the command line, or else the checkpoint, names. classes: 59 or 60, of PASCAL Context."""
    name = args.dataset or about.get("data")
    if name == "pcontext":
        return data.PascalContext(args.data, args.split, classes=classes or 59, png_order=args.png_order)
    if name == "folder":
        return data.Folder(args.data, args.split, holdout=about.get("holdout", 0.2))
    if name in ("voc", "ade20k", "coco"):
        return {"voc": data.PascalVOC, "ade20k": data.ADE20K, "coco": data.CocoAsVOC}[name](args.data, args.split)
    raise SettingError(f"--dataset: the checkpoint does not say which it was trained on; one of {', '.join(DATASETS)}")


def open_model(args, path=None):
    """The model in evaluation mode on its device, its checkpoint's `about`, and the Views of the command line.

    path: of another checkpoint than the command line's first.
    """
    model, about = training.model_of(path or args.checkpoint)
    crop = about.get("settings", {}).get("crop", 0)
    views = evaluation.Views(tuple(args.scales), args.flip, args.multiple, args.crop, average=args.average, least=crop)
    return model.to(args.device), about, views


def output_names(paths):
    """The names of the files without folder and ending. Raises SettingError where two are the same."""
    names = [os.path.splitext(os.path.basename(path))[0] for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingError(f"several images are called {twice[0]}, and would be written to the same file")
    return names


def some_of(dataset, count):
    """The numbers of at most `count` images of a data set, spread over it."""
    return np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)


def identity(args, dataset, views):
    """What results belong to, in JSON values: marks of the checkpoint and of all that is read, and the views."""
    labels = {label_file(dataset.labels, name) for name in dataset.ids} if dataset.labels else ()
    meaning = getattr(dataset.labels, "table", None)  # of the numbers in the files
    status = os.stat(args.checkpoint)
    return {"checkpoint": [status.st_size, status.st_mtime_ns], "views": str(asdict(views)),
            "precision": args.precision,
            "data": [type(dataset).__name__, os.path.abspath(args.data), args.split, args.png_order],
            "classes": crc(dataset.classes), "images": crc(dataset.ids),
            "photographs": mark(map(dataset.image_path, dataset.ids)), "labels": mark(labels),
            "meaning": None if meaning is None else crc(meaning.tolist())}


def label_file(labels, name):
    """The file that the label of an image is read from, of a source of labels (see minihgd/data/sources.py)."""
    if hasattr(labels, "other"):  # VOC's own and SBD's
        labels = labels.labels if name in labels.own else labels.other
    return labels.file(name) if hasattr(labels, "file") else labels.path


def mark(paths):
    """[number of files, checksum of their names, sizes and times]"""
    files = [(path, os.stat(path)) for path in sorted(map(os.path.abspath, paths))]
    return crc((path, status.st_size, status.st_mtime_ns) for path, status in files)


def crc(values):
    """[how many, their checksum]"""
    values = list(map(str, values))
    return [len(values), zlib.crc32("\n".join(values).encode(errors="surrogateescape"))]


def run(main, args, together=False):
    """Call main(args) and end the process with the status it returns.

    together: whether it is for several processes that mpiexec has started; what is not would do its work several times.
    An error becomes one line on stderr. SIGTERM is as good as Ctrl-C: a KeyboardInterrupt, here or where main takes it.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if processes.started() > 1 and not together:
            raise SettingError(f"mpiexec: started {processes.started()} processes; only training is shared by several")
        exactly = getattr(args, "precision", "float32")
        if exactly != "float32":
            precision.check(exactly, args.device)
        with precision.computing(exactly):
            status = main(args)
        sys.stdout.flush()
    except MinihgdError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        status = 130
    except BrokenPipeError:  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141  # as shells say it of SIGPIPE
    except OSError as error:
        sys.exit(f"error: {in_words(error)}")
    sys.exit(status)


def in_words(error):
    """An OSError without its number: the file and what is wrong with it."""
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
