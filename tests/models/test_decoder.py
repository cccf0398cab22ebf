"""The decoder's shortcuts give what the paper's order gives, and one by one is as all at once."""

import numpy as np
import pytest
from models.checks import CHECKS

from minihgd import models, no_grad


@pytest.mark.parametrize("name", CHECKS)
def test_check(name):
    CHECKS[name]()


@pytest.mark.parametrize("form", ["paper", "released"])
@pytest.mark.parametrize("options", [dict(), dict(dilated=True), dict(transfer=False)], ids=str)
def test_whole_networks(form, options):
    """The switch is one of the decoder: logits of a whole network, odd sizes, at the initial weights."""
    model = models.build("efficientfcn", "resnet18", 3, 4, form, channels=4, compressed=8, codeword_channels=10,
                         **options)
    images = np.random.default_rng(0).standard_normal((2, 67, 95, 3)).astype(np.float32)
    with no_grad():
        found = model.eval()(images).data
        model.decoder.plain = True
        expected = model(images).data
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
