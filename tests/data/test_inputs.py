"""What goes into a backbone, by its values; and that training and prediction ask the model which it takes."""

import numpy as np
import pytest

from minihgd import Tensor, evaluation, models, nn, ops, training
from minihgd.data import Dataset, as_input, augment, normalise
from minihgd.errors import SettingError


def test_rgb():
    images = np.array([0, 255, 51], np.uint8).repeat(3).reshape(1, 1, 3, 3)  # black, white and a fifth of it
    x = normalise(images)
    assert x.dtype == np.float32 and x.shape == (1, 1, 3, 3)
    black = [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]
    white = [0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225]
    np.testing.assert_allclose(x[0, 0, :2], [black, white], rtol=1e-5)
    np.testing.assert_allclose(x[0, 0, 2], np.add(0.8 * np.array(black), 0.2 * np.array(white)), rtol=1e-5)
    assert images.max() == 255  # the images themselves are left alone
    np.testing.assert_array_equal(normalise(images, inputs="rgb"), x)


def test_bgr():
    images = np.array([[0, 0, 0], [255, 255, 255], [200, 100, 50]], np.uint8).reshape(1, 1, 3, 3)
    x = normalise(images, inputs="bgr")
    assert x.dtype == np.float32 and x.flags.c_contiguous
    black, white = [-103.939, -116.779, -123.68], [151.061, 138.221, 131.32]
    np.testing.assert_allclose(x[0, 0], [black, white, [-53.939, -16.779, 76.32]], rtol=1e-5)
    assert images[0, 0, 2].tolist() == [200, 100, 50]


def test_other_inputs_are_named():
    with pytest.raises(SettingError, match="inputs: found 'grey', expected \"rgb\" or \"bgr\""):
        normalise(np.zeros((1, 1, 3), np.uint8), inputs="grey")


class Watching(nn.Module):
    """A model in float64 that keeps what goes into it."""

    def __init__(self):
        self.decoder, self.seen = nn.Conv2d(3, 3, 1), []
        self.to(dtype=np.float64)

    def forward(self, x):
        self.seen.append(x.data)
        return self.decoder(x)

    def loss(self, x, labels):
        return ops.cross_entropy(self(x), labels)


@pytest.mark.parametrize("inputs", [None, "rgb", "bgr"])
def test_a_model_says_what_it_takes(inputs):
    model = Watching()
    if inputs:
        model.inputs = inputs
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    x = as_input(model, images)
    assert isinstance(x, Tensor) and x.dtype == np.float64
    np.testing.assert_array_equal(x.data, normalise(images, inputs=inputs or "rgb"))


def test_training_and_prediction_agree(tmp_path):
    """The same pixels, and the same black around a small image, go into the model in a step and in a prediction."""

    class One(Dataset):
        classes, ids = ("a", "b", "c"), ("0",)

        def __getitem__(self, index):
            return np.random.default_rng(1).integers(0, 256, (4, 5, 3), np.uint8), np.ones((4, 5), np.uint8)

    model = Watching()
    model.inputs = "bgr"
    image, label = One()[0]
    crop, labels = augment(image, label, 8, np.random.default_rng(0), (1, 1), flip=0)
    run = training.Run(model, One(), training.Settings(batch=1, crop=8), tmp_path)
    run.step(0, crop[None], labels[None], 0.0)
    evaluation.predict(model, image, least=8)
    trained, predicted = model.seen
    np.testing.assert_array_equal(trained, predicted)
    np.testing.assert_allclose(trained[0, 7, 7], [-103.939, -116.779, -123.68], rtol=1e-6)
    np.testing.assert_allclose(trained[0, 0, 0], image[0, 0, ::-1] - [103.939, 116.779, 123.68], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("inputs", ["rgb", "bgr"])
def test_every_kind_of_backbone_can_be_fed(inputs):
    model = models.build("efficientfcn", "resnet18", 3, 4, channels=4, compressed=4, codeword_channels=4, inputs=inputs)
    assert model.inputs == model.backbone.inputs == inputs
    images = np.full((1, 2, 2, 3), 9, np.uint8)
    np.testing.assert_array_equal(as_input(model, images).data, normalise(images, inputs=inputs))
