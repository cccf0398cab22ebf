"""The count of pixels against scikit-learn's confusion matrix."""

import numpy as np
import pytest

from minihgd import evaluation

metrics = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn: pip install -e '.[oracle]'")


@pytest.mark.parametrize("classes, labels, void", [
    (21, (31, 40), 0.2), (3, (1, 1), 0), (60, (9, 9), 0.9), (4, (6, 6), 0), (1, (5, 5), 0.5), (150, (64, 80), 0.1)])
def test_confusion_and_iou(classes, labels, void):
    rng = np.random.default_rng(classes)
    truth = rng.integers(0, max(1, classes - 1), labels)  # the last class is in predictions only
    guess = np.where(rng.random(labels) < 0.4, truth, rng.integers(0, classes, labels))
    truth[rng.random(labels) < void] = 255
    score = evaluation.Score(classes)
    score.update(guess, truth)
    seen = truth != 255
    expected = metrics.confusion_matrix(truth[seen], guess[seen], labels=range(classes))
    assert np.array_equal(score.confusion, expected)
    known = ~np.isnan(score.class_iou)
    iou = metrics.jaccard_score(truth[seen], guess[seen], labels=np.flatnonzero(known), average=None)
    assert np.allclose(score.class_iou[known], iou, rtol=0, atol=1e-15)
    assert abs(score.pixel_accuracy - metrics.accuracy_score(truth[seen], guess[seen])) < 1e-15
