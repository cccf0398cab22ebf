"""Score a trained model on a data set: pixel accuracy, mean IoU, and the IoU of every class.

    python examples/evaluate.py runs/pcontext-1/checkpoint.npz --data ROOT
    python examples/evaluate.py CHECKPOINT --data ROOT --scales 0.75 1 1.25 1.5 1.75 2 --flip

PASCAL Context is scored in both ways in use, which are not comparable: on 59 classes, pixels of the background left
out, and on 60 with the background as a class. A VOC result is printed as a row of the paper's Table 6, too. What has
been counted is kept in a file beside the checkpoint until all is: after Ctrl-C the same command goes on where it
stopped.
"""

import contextlib
import os

from script_common import crc, data_flags, identity, open_dataset, open_model, parser, run

from minihgd import data, evaluation, report
from minihgd.errors import DataError, SettingError
from minihgd.training import Progress


def main(args):
    model, about, views = open_model(args)
    dataset = open_dataset(args, about, classes=60)
    if not dataset.labelled:
        raise SettingError(f"--split {args.split}: its labels are not public, expected a split that can be scored")
    for note in dataset.notes():
        print(f"note: {note}")
    first = first_class(dataset, about)
    count = open_count(args, dataset, views)
    score = counted(model, dataset, views, count, first)
    if score is None:
        return 130
    if not score.confusion.any():
        forget(args, count)
        raise DataError(f"{args.data}: no labelled pixel in the {len(dataset)} images of split {args.split}, "
                        "so there is nothing to score")
    print_score(score, dataset, first, os.path.basename(os.path.dirname(os.path.abspath(args.checkpoint))))
    forget(args, count)
    return 0


def first_class(dataset, about):
    """The number that the model's first class has in the data set: 1 where the model has no background."""
    first = int(list(dataset.classes[1:]) == about["classes"])  # a PASCAL Context model of 59 classes
    if list(dataset.classes[first:]) != about["classes"]:
        raise SettingError(f"the model has {len(about['classes'])} classes, {', '.join(about['classes'][:3])}, …; "
                           f"the data set has {len(dataset.classes)}, {', '.join(dataset.classes[:3])}, …")
    return first


def open_count(args, dataset, views):
    """The Count in the file named, or in one that this very evaluation has for itself."""
    said = identity(args, dataset, views)
    split = args.split.replace(os.sep, "-")
    own = f"{os.path.splitext(args.checkpoint)[0]}-{split}-{crc(said.items())[1]:08x}.json"
    count = evaluation.Count(args.state or own, said, len(dataset.classes))
    if count.error:
        print(f"note: {count.path}: the count cannot be kept ({count.error.strerror}); an interrupted evaluation would "
              "begin anew")
    if count.done:
        print(f"{count.done} of {len(dataset)} images were counted before, in {count.path}")
    return count


def counted(model, dataset, views, count, first):
    """The Score over all images, or None where it was interrupted."""
    progress = None

    def seen(done, score):
        nonlocal progress
        progress = progress or Progress(len(dataset), first=done - 1, what="image")
        progress.report(done, f"mIoU so far {score.mean_iou:.3f}  ")

    try:
        return evaluation.evaluate_resumably(model, dataset, views, count, seen, first)
    except KeyboardInterrupt:
        print("\nstopped; " + (f"the count could not be kept ({count.error.strerror})" if count.error else
                               f"the same command goes on, the count is in {count.path}"))
        return None


def forget(args, count):
    """Delete the file of a finished count, unless the user named it."""
    if not args.state:
        with contextlib.suppress(OSError):
            os.remove(count.path)


def print_score(score, dataset, first, name):
    """The tables; of PASCAL Context both scores, each named."""
    context = dataset.classes[0] == "background" and len(dataset.classes) == 60
    shown = score.ignoring(0) if context and first else score
    print(report.class_table(shown, dataset.classes))
    if dataset.classes == data.VOC_CLASSES:
        print(report.table_6(score, name))
    if context:
        for what, one in (("59 classes, the background left out", score.ignoring(0)),
                          ("60 classes, the background one of them", score)):
            print(f"{what}: pixel accuracy {one.pixel_accuracy:.4f}, mIoU {one.mean_iou:.4f}")
    else:
        print(f"{len(dataset.classes)} classes: pixel accuracy {score.pixel_accuracy:.4f}, mIoU {score.mean_iou:.4f}")


def arguments():
    it = parser(__doc__)
    data_flags(it)
    it.add_argument("--state", help="file for the count, which is kept when all is counted (default: one beside "
                    "the checkpoint, which is not)")
    return it.parse_args()


if __name__ == "__main__":
    run(main, arguments())
