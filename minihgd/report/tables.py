"""Tables in plain text."""

import numpy as np


def class_table(score, classes):
    """The score of each class that occurs, as lines of text: name, IoU, share of the labelled pixels."""
    total = max(1, score.confusion.sum())
    rows = [("class", "IoU", "pixels")]
    for name, iou, count in zip(classes, score.class_iou, score.confusion.sum(axis=1), strict=True):
        if not np.isnan(iou):
            rows.append((name, f"{iou:.3f}", f"{100 * count / total:.1f}%"))
    rows.append((f"mean of {len(rows) - 1}", f"{score.mean_iou:.3f}", ""))
    return "\n".join(aligned(rows))


def aligned(rows):
    """Rows of texts as lines: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(w) if i == 0 else text.rjust(w)
                      for i, (text, w) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows]
