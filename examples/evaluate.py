"""Score a trained model on a data set: pixel accuracy, mean IoU, and the IoU of every class.

    python examples/evaluate.py runs/pcontext-1/checkpoint.npz --data ROOT
    python examples/evaluate.py CHECKPOINT --data ROOT --scales 0.75 1 1.25 1.5 1.75 2 --flip

PASCAL Context is scored in both ways in use, which are not comparable: on 59 classes, pixels of the background left
out, and on 60 with the background as a class. A VOC result is printed as a row of the paper's Table 6, too. What has
been counted is kept in a file beside the checkpoint: after Ctrl-C the same command goes on where it stopped.
"""

import os

from script_common import data_flags, identity, open_dataset, open_model, parser, run

from minihgd import data, evaluation, report
from minihgd.errors import SettingError
from minihgd.training import Progress


def main(args):
    model, about, views = open_model(args)
    dataset = open_dataset(args, about, classes=60)
    for note in dataset.notes():
        print(f"note: {note}")
    first = int(list(dataset.classes[1:]) == about["classes"])  # a PASCAL Context model of 59 classes: no background
    if list(dataset.classes[first:]) != about["classes"]:
        raise SettingError(f"the model has {len(about['classes'])} classes, {', '.join(about['classes'][:3])}, …; "
                           f"the data set has {len(dataset.classes)}, {', '.join(dataset.classes[:3])}, …")
    path = args.state or f"{os.path.splitext(args.checkpoint)[0]}-{args.split}.json"
    said = identity(args, dataset, views)
    progress = None

    def seen(done, score):
        nonlocal progress
        progress = progress or Progress(len(dataset), first=done - 1, what="image")
        progress.report(done, f"mIoU so far {score.mean_iou:.3f}  ")

    try:
        score = evaluation.evaluate_resumably(model, dataset, views, path, said, seen, first)
    except KeyboardInterrupt:
        print(f"\nstopped; the same command goes on, the count is in {path}")
        return 130
    print_score(score, dataset, first, os.path.basename(os.path.dirname(os.path.abspath(args.checkpoint))))
    return 0


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
    it.add_argument("--state", help="file for the count (default: the checkpoint's name with the split's)")
    return it.parse_args()


if __name__ == "__main__":
    run(main, arguments())
