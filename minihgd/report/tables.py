"""Tables in plain text: of scores as docs/14-evaluation.md has them, and as the paper's Table 6."""

import numpy as np

TABLE_6 = ("aero", "bike", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "table", "dog", "horse",
           "mbike", "person", "plant", "sheep", "sofa", "train", "tv")  # the paper's names for VOC's classes


def class_table(score, classes):
    """The score of each class that occurs, as lines of text: name, IoU, share of the labelled pixels.

    The last line has the mean IoU. score: an `evaluation.Score`. classes: the names of its K classes. See
    docs/01-what-the-network-computes.md.
    """
    total = max(1, score.confusion.sum())
    rows = [("class", "IoU", "pixels")]
    for name, iou, count in zip(classes, score.class_iou, score.confusion.sum(axis=1), strict=True):
        if not np.isnan(iou):
            rows.append((name, f"{iou:.3f}", f"{100 * count / total:.1f}%"))
    rows.append((f"mean of {len(rows) - 1}", f"{score.mean_iou:.3f}", ""))
    return "\n".join(aligned(rows))


def table_6(score, name):
    """A VOC score as a row of the paper's Table 6, under its header: IoU of the classes and their mean, in percent.

    score: an `evaluation.Score` of VOC's 21 classes. name: of the method, for the first column. The background is in
    the mean, as on VOC's server, and has no column. See docs/01-what-the-network-computes.md.
    """
    iou = ["–" if np.isnan(value) else f"{100 * value:.1f}" for value in score.class_iou[1:]]
    return "\n".join(aligned([("Method", *TABLE_6, "mIoU%"), (name, *iou, f"{100 * score.mean_iou:.1f}")]))


def aligned(rows, left=(0,)):
    """Rows of texts as lines: the columns whose numbers are in `left` to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(w) if i in left else text.rjust(w)
                      for i, (text, w) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows]
