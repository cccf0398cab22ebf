"""Pixel accuracy and mean intersection over union, from a confusion matrix over a whole split.

    IoU_k = TP_k / (TP_k + FP_k + FN_k)        mIoU: its mean over the classes that occur

Explained in docs/14-evaluation.md.
"""

import numpy as np

from ..errors import ShapeError


class Score:
    """Counts of (true class, predicted class) over all labelled pixels seen so far; shares from 0 to 1 made of them.

    num_classes: K. void: the number in a label that says a pixel is not labelled. confusion: counts to begin with, K×K,
    true classes down and predictions across; None for zeros. `update` raises ShapeError for arrays of two shapes, and
    for classes outside 0..K-1. Section 4.1 of the paper; see docs/14-evaluation.md.
    """

    def __init__(self, num_classes, void=255, confusion=None):
        self.num_classes, self.void, self.ignored = num_classes, void, ()
        self.confusion = np.zeros((num_classes, num_classes), np.int64)  # [truth, prediction]
        if confusion is not None:
            self.confusion += confusion

    def ignoring(self, *classes):
        """The Score without the pixels whose true class is among `classes`, which the means leave out, too.

        What was predicted as one of those is wrong for its own class still. PASCAL Context scored on 59 classes is its
        score on 60 without the background.
        """
        rest = Score(self.num_classes, self.void, self.confusion)
        rest.confusion[list(classes)] = 0
        rest.ignored = classes
        return rest

    def update(self, prediction, label):
        """Count an image: prediction and label are integer arrays of one shape; void pixels of the label are left out.

        Raises ShapeError for different shapes or a class outside 0..K-1.
        """
        if prediction.shape != label.shape:
            raise ShapeError(f"score: the prediction has shape {prediction.shape}, the label {label.shape}")
        labelled = label != self.void
        truth, guess = label[labelled].astype(np.int64), prediction[labelled].astype(np.int64)
        for name, values in (("label", truth), ("prediction", guess)):
            if values.size and not 0 <= values.min() <= values.max() < self.num_classes:
                raise ShapeError(f"score: classes lie between 0 and {self.num_classes - 1}, the {name} has "
                                 f"{values.min()} to {values.max()}")
        pairs = np.bincount(truth * self.num_classes + guess, minlength=self.num_classes**2)
        self.confusion += pairs.reshape(self.num_classes, self.num_classes)

    @property
    def pixel_accuracy(self):
        """The share of labelled pixels predicted right, NaN before any was seen."""
        total = self.confusion.sum()
        return float(np.trace(self.confusion) / total) if total else float("nan")

    @property
    def class_iou(self):
        """IoU of each class, K floats; NaN for a class neither in a label nor in a prediction, or ignored."""
        right = np.diag(self.confusion)
        union = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - right
        iou = np.where(union > 0, right / np.maximum(union, 1), np.nan)
        iou[list(self.ignored)] = np.nan
        return iou

    @property
    def mean_iou(self):
        """The mean of `class_iou` over the classes that occur in a label or a prediction; NaN if none does."""
        known = self.class_iou[~np.isnan(self.class_iou)]
        return float(known.mean()) if known.size else float("nan")
