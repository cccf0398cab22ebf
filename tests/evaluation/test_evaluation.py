"""Scores against a plain count; prediction against a composition by hand."""

import numpy as np
import pytest
from PIL import Image

from minihgd import Tensor, evaluation, models, nn, ops
from minihgd.data import normalise
from minihgd.errors import SettingError, ShapeError
from minihgd.evaluation import prediction
from minihgd.evaluation import views as views_module


def plain_score(predictions, labels, classes, void=255):
    """(pixel accuracy, IoU of each class or NaN) with a loop over pixels."""
    right = total = 0
    both, either = [0] * classes, [0] * classes
    for guess, label in zip(predictions, labels, strict=True):
        for p, t in zip(guess.ravel().tolist(), label.ravel().tolist(), strict=True):
            if t == void:
                continue
            total += 1
            right += p == t
            either[t] += 1
            either[p] += p != t
            both[t] += p == t
    iou = [b / e if e else float("nan") for b, e in zip(both, either, strict=True)]
    return right / total if total else float("nan"), iou


@pytest.mark.parametrize("classes, shapes, void", [
    (4, [(5, 7), (3, 2)], 0.3), (1, [(2, 2)], 0), (60, [(20, 20)], 0.1), (3, [(1, 1)], 0), (3, [(4, 4)], 1)])
def test_score_equals_a_plain_count(classes, shapes, void):
    rng = np.random.default_rng(classes)
    score, predictions, labels = evaluation.Score(classes), [], []
    for shape in shapes:
        prediction, label = rng.integers(0, classes, shape), rng.integers(0, classes, shape).astype(np.uint8)
        label[rng.random(shape) < void] = 255
        score.update(prediction, label)
        predictions.append(prediction)
        labels.append(label)
    accuracy, iou = plain_score(predictions, labels, classes)
    assert np.allclose(score.pixel_accuracy, accuracy, equal_nan=True, atol=1e-15)
    assert np.allclose(score.class_iou, iou, equal_nan=True, atol=1e-15)
    known = [value for value in iou if value == value]
    assert np.allclose(score.mean_iou, np.mean(known) if known else np.nan, equal_nan=True, atol=1e-15)


def test_ignoring_a_class():
    """Its pixels do not count, and what is predicted as it is wrong for the class that it should have been."""
    score = evaluation.Score(3)
    score.update(np.array([[0, 1, 1, 0, 2, 2]]), np.array([[0, 0, 1, 1, 1, 2]]))
    rest = score.ignoring(0)
    assert rest.confusion.tolist() == [[0, 0, 0], [1, 1, 1], [0, 0, 1]]
    assert rest.pixel_accuracy == 0.5 and rest.mean_iou == (1 / 3 + 1 / 2) / 2 and np.isnan(rest.class_iou[0])
    assert score.confusion[0].tolist() == [1, 1, 0] and score.pixel_accuracy == 0.5


def test_by_hand():
    score = evaluation.Score(3)
    score.update(np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 255]]))
    assert score.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert score.pixel_accuracy == 2 / 3 and score.class_iou[:2].tolist() == [0.5, 0.5]
    assert np.isnan(score.class_iou[2]) and score.mean_iou == 0.5


@pytest.mark.parametrize("prediction, label, message", [
    (np.zeros((2, 2), int), np.zeros((2, 3), int), r"\(2, 2\), the label \(2, 3\)"),
    (np.full((1, 1), 3), np.zeros((1, 1), int), "the prediction has 3 to 3"),
    (np.zeros((1, 1), int), np.full((1, 1), 7), "the label has 7 to 7"),
])
def test_what_does_not_fit_is_refused(prediction, label, message):
    score = evaluation.Score(3)
    with pytest.raises(ShapeError, match=message):
        score.update(prediction, label)
    assert score.confusion.sum() == 0


@pytest.fixture(scope="module")
def model():
    return models.build("efficientfcn", "resnet18", 4, 4, "released", channels=4, compressed=4,
                        codeword_channels=4).eval()


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (45, 70, 3), np.uint8)


class Pixelwise(nn.Module):
    """Four classes that follow from a pixel's own colour."""

    def __init__(self):
        self.weight = nn.Parameter(np.random.default_rng(0).standard_normal((1, 1, 3, 4)))

    def forward(self, x):
        return ops.conv2d(x, self.weight)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_one_scale_is_the_softmax_of_the_logits(model, image):
    logits = model(Tensor(normalise(image[None]))).data[0]
    p = evaluation.predict(model, image)
    assert p.shape == (45, 70, 4) and np.abs(p - softmax(logits)).max() < 1e-6


def test_scales_and_flip_are_an_average_of_parts(model, image):
    parts = []
    for size in ((70, 45), (35, 22)):
        resized = np.asarray(Image.fromarray(image).resize(size, Image.BILINEAR))
        for view in (resized, resized[:, ::-1]):
            logits = ops.resize_bilinear(model(Tensor(normalise(np.ascontiguousarray(view[None])))), (45, 70)).data[0]
            p = softmax(logits)
            parts.append(p if view is resized else p[:, ::-1])
    p = evaluation.predict(model, image, scales=(1.0, 0.5), flip=True)
    assert np.abs(p - np.mean(parts, axis=0)).max() < 1e-6
    assert np.abs(p.sum(axis=2) - 1).max() < 1e-5


def test_small_images_are_padded_as_training_crops_are(model, image):
    padded = np.zeros((64, 70, 3), np.uint8)
    padded[:45] = image
    logits = model(Tensor(normalise(padded[None]))).data[0, :45]
    assert np.abs(evaluation.predict(model, image, least=64) - softmax(logits)).max() < 1e-6


def test_flipping_the_image_flips_a_flip_averaged_prediction(model, image):
    p, q = (evaluation.predict(model, view, flip=True) for view in (image, np.ascontiguousarray(image[:, ::-1])))
    assert np.abs(p - q[:, ::-1]).max() < 1e-6


# --- windows ---------------------------------------------------------------------------------------------------


def by_hand(model, image, sizes, crop, average):
    """The same from whole arrays: logits of all windows averaged, resized, and what is to be averaged averaged."""
    total, (height, width) = 0, image.shape[:2]
    for h, w in sizes:
        resized = np.asarray(Image.fromarray(image).resize((w, h), Image.BILINEAR))
        for view in (resized, np.ascontiguousarray(resized[:, ::-1])):
            z, counts = np.zeros((h, w, 4)), np.zeros((h, w, 1))
            for top in {*range(0, max(1, h - crop), 2 * crop // 3), max(0, h - crop)}:
                for left in {*range(0, max(1, w - crop), 2 * crop // 3), max(0, w - crop)}:
                    part = (slice(top, top + crop), slice(left, left + crop))
                    z[part] += model(Tensor(normalise(view[part][None]))).data[0]
                    counts[part] += 1
            z /= counts
            if average == "exp":
                p = ops.resize_bilinear(np.exp(z)[None], (height, width)).data[0]
            else:
                p = softmax(ops.resize_bilinear(z[None], (height, width)).data[0])
            total = total + (p if view is resized else p[:, ::-1])
    return total / total.sum(axis=2, keepdims=True)


@pytest.mark.parametrize("average", ["softmax", "exp"])
@pytest.mark.parametrize("lines", [1000, 3])
def test_windows_scales_and_flip_by_hand(model, average, lines, monkeypatch):
    """Whatever the number of lines and columns that are done at once."""
    image = np.random.default_rng(1).integers(0, 256, (90, 130, 3), np.uint8)
    monkeypatch.setattr(prediction, "BLOCK", 130 * lines)
    monkeypatch.setattr(views_module, "COLUMNS", 9 * lines)
    p = evaluation.predict(model, image, (0.5, 1.3), True, crop=48, average=average, multiple=32)
    assert np.abs(p - by_hand(model, image, [(32, 64), (128, 160)], 48, average)).max() < 1e-6


def test_a_window_larger_than_the_image_sees_the_whole(model, image):
    whole = evaluation.predict(model, image, scales=(1.0, 0.5))
    assert np.array_equal(evaluation.predict(model, image, scales=(1.0, 0.5), crop=70), whole)
    assert np.abs(evaluation.predict(model, image, scales=(1.0, 0.5), crop=69) - whole).max() > 1e-4


def test_large_views_go_through_windows_by_themselves(model, image, monkeypatch):
    expected = evaluation.predict(model, image, crop=32)
    monkeypatch.setattr(views_module, "WHOLE", 45 * 70 - 1)
    monkeypatch.setattr(views_module, "WINDOW", 32)
    assert np.array_equal(evaluation.predict(model, image), expected)


def test_every_pixel_is_seen_and_windows_are_forgotten(model):
    image = np.random.default_rng(1).integers(0, 256, (150, 40, 3), np.uint8)
    view, most = views_module.View(model, image, crop=32), 0
    for line in range(150):
        assert np.isfinite(view.lines(slice(line, line + 1))).all()
        most = max(most, len(view.coarse))
    assert (view.tops, view.lefts) == ([0, 21, 42, 63, 84, 105, 118], [0, 8]) and most <= 6


def test_labels_are_the_most_probable_classes(image):
    views = evaluation.Views((1.0, 0.5), flip=True, crop=40)
    labels = evaluation.predict_labels(Pixelwise(), image, views)
    p = evaluation.predict(Pixelwise(), image, (1.0, 0.5), True, crop=40)
    assert np.array_equal(labels, p.argmax(axis=2)) and len(np.unique(labels)) > 1


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (45, 1), (2, 3)])
def test_any_size(model, size):
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    p = evaluation.predict(model, image, (0.5, 1.0, 2.0), True)
    assert p.shape == (*size, 4) and np.abs(p.sum(axis=2) - 1).max() < 1e-5


def test_a_symmetric_model_gives_a_symmetric_result():
    """Pixel by pixel there is no left and right."""
    image = np.random.default_rng(1).integers(0, 256, (40, 61, 3), np.uint8)
    options = dict(scales=(1.0, 1.5), flip=True, crop=20)
    p = evaluation.predict(Pixelwise(), image, **options)
    q = evaluation.predict(Pixelwise(), np.ascontiguousarray(image[:, ::-1]), **options)
    assert np.abs(p - q[:, ::-1]).max() < 1e-12


@pytest.mark.parametrize("bad, options, message", [
    (np.zeros((4, 4), np.uint8), {}, r"found \(4, 4\) uint8"), (np.zeros((4, 4, 3)), {}, "float64"),
    (np.zeros((4, 4, 3), np.uint8), dict(scales=(1, 0)), r"found \(1, 0\)"),
    (np.zeros((4, 4, 3), np.uint8), dict(scales=()), "positive"),
    (np.zeros((0, 4, 3), np.uint8), {}, r"found \(0, 4, 3\)"),
    (np.zeros((4, 4, 3), np.uint8), dict(average="max"), "found 'max'"),
    (np.zeros((4, 4, 3), np.uint8), dict(crop=0), "found 0, 1"),
    (np.zeros((4, 4, 3), np.uint8), dict(step=1.5), "1.5"),
    (np.zeros((4, 4, 3), np.uint8), dict(scales=1.0), "scales: expected several numbers .* found 1.0"),
    (np.zeros((4, 4, 3), np.uint8), dict(scales=(float("inf"),)), "positive and finite"),
    (np.zeros((4, 4, 3), np.uint8), dict(scales=(1, 1e6)), r"scales: 1e\+06 makes a view of 4e\+06×4e\+06 pixels"),
    (np.zeros((4, 4, 3), np.uint8), dict(scales=(1e308,)), r"scales: 1e\+308 makes a view"),
    (np.zeros((4, 4, 3), np.uint8), dict(multiple=1 << 20), "sides of at least 1048576"),
    (np.zeros((4, 4, 3), np.uint8), dict(crop=40.0), "crop: expected a whole number, found 40.0"),
    (np.zeros((4, 4, 3), np.uint8), dict(multiple=1.5), "multiple: expected a whole number, found 1.5"),
    (Image.new("RGB", (4, 4)), {}, "found Image"), ("photo.jpg", {}, "found str; data.read_photo")])
def test_predict_refuses(model, bad, options, message):
    with pytest.raises(ShapeError, match=message):
        evaluation.predict(model, bad, **options)


def test_evaluate_restores_the_mode_and_counts():
    class Bright(nn.Module):
        """Class 1 where the image is bright."""

        def __init__(self):
            self.weight = nn.Parameter(np.zeros((1, 1, 3, 2), np.float32))
            self.weight.data[0, 0, :, 1] = 1

        def forward(self, x):
            assert not self.training
            return ops.conv2d(x, self.weight)

    class One:
        classes, ids = ("dark", "bright"), ["a", "b"]

        def __len__(self):
            return 2

        def __getitem__(self, i):
            label = np.zeros((4, 6), np.uint8)
            label[:, :3] = 1
            image = np.repeat((label * 200)[:, :, None], 3, axis=2)
            label[0, 0] = 255 if i else 0  # a void pixel, and a wrong one
            return image, label

    model = Bright()
    score = evaluation.evaluate(model, One())
    assert model.training and score.confusion.tolist() == [[24, 1], [0, 22]]


@pytest.mark.parametrize("start", [-3, 3, 0.5])
def test_evaluate_refuses_a_start_outside_the_data_set(start):
    with pytest.raises(SettingError, match=f"start: expected a whole number from 0 to 2, found {start}"):
        evaluation.evaluate(Pixelwise(), ["a", "b"], start=start, score=evaluation.Score(4))


def test_holistic(model, image):
    inside = evaluation.holistic(model, image)
    assert inside.maps.shape == (2, 3, 4) and np.allclose(inside.maps.sum(axis=(0, 1)), 1, atol=1e-6)
    padded = evaluation.holistic(model, image, least=128)
    black = np.pad(image, ((0, 128 - image.shape[0]), (0, 128 - image.shape[1]), (0, 0)))
    whole = evaluation.holistic(model, black)
    assert whole.maps.shape == (4, 4, 4) and np.array_equal(padded.maps, whole.maps[:2, :3])  # the cells over the image
    assert np.array_equal(padded.coefficients, whole.coefficients[: -(-image.shape[0] // 8), : -(-image.shape[1] // 8)])
    assert np.array_equal(padded.codebook, whole.codebook)
    with pytest.raises(ShapeError, match="expected an image"):
        evaluation.holistic(model, "photo.jpg")
