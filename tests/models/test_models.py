"""The networks: sizes, settings, what the decoder's switches do."""

import numpy as np
import pytest

from minihgd import models, no_grad, ops
from minihgd.errors import SettingError

SMALL = dict(width=4, compressed=5, codeword_channels=6)


def image(n=1, height=64, width=96):
    return np.random.default_rng(0).standard_normal((n, height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("depth, expansion", [(18, 1), (34, 1), (50, 4), (101, 4), (152, 4)])
def test_output_strides(depth, expansion):
    maps = models.resnet(depth, width=4)(image())
    assert [m.shape for m in maps] == [(1, 64 // s, 96 // s, s * expansion) for s in (4, 8, 16, 32)]


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("stem", ["7x7", "deep32"])
def test_dilated_keeps_stride_8(depth, stem):
    maps = models.resnet(depth, stem, dilated=True, width=4)(image())
    assert [m.shape[1:3] for m in maps] == [(16, 24), (8, 12), (8, 12), (8, 12)]


@pytest.mark.parametrize("size", [(64, 96), (33, 70), (1, 1), (31, 225)])
@pytest.mark.parametrize("form, stem", [("paper", "7x7"), ("released", "deep32")])
def test_any_image_size(form, stem, size):
    model = models.build("efficientfcn", "resnet18", 3, 4, form, stem=stem, **SMALL).eval()
    with no_grad():
        y = model(image(2, *size))
    assert y.shape == (2, *size, 3) and np.isfinite(y.data).all()


def test_the_decoders_switches():
    def names(**options):
        model = models.build("efficientfcn", "resnet18", 3, 4, **SMALL, **options)
        model(image())
        return {name for name, _ in model.decoder.named_parameters()}, model.decoder

    everything, full = names()
    only32, decoder = names(codebook_scales=(32,), guidance_scales=(8,))
    assert everything - only32 == {"e16.weight", "e16.bias"}
    assert decoder.base.weight.shape[2] == 5 and full.base.weight.shape[2] == 15
    assert names(codebook_scales=(16, 32))[1].base.weight.shape[2] == 10


@pytest.mark.parametrize("plain", [False, True])
def test_transfer_adds_the_mean_of_b(plain, monkeypatch):
    """Raising every codeword base raises what W's convolution sees; without the transfer W stays."""
    assemble, seen = ops.assemble, []
    monkeypatch.setattr(ops, "assemble", lambda W, C: seen.append(W.data) or assemble(W, C))
    for transfer in (True, False):
        model = models.build("efficientfcn", "resnet18", 3, 4, transfer=transfer, **SMALL)
        maps = model.backbone(image())[1:]
        decoder, seen[:] = model.decoder, []
        decoder.plain = plain
        decoder(maps)
        decoder.base.bias.data += 10
        decoder(maps)
        raised = 10 * decoder.coefficients.weight.data[0, 0].sum(axis=0)  # n
        assert np.abs(raised).min() > 0.1
        assert np.abs(seen[1] - seen[0] - (raised if transfer else 0)).max() < 1e-4


def test_weighting_maps_add_up_to_one():
    model = models.build("efficientfcn", "resnet18", 3, 4, **SMALL)
    maps = model.weighting_maps(image(2))
    assert maps.shape == (2, 2, 3, 4) and np.allclose(maps.sum(axis=(1, 2)), 1, atol=1e-6)


@pytest.mark.parametrize("call, message", [
    (lambda: models.build("fcn"), 'model: found \'fcn\', expected "efficientfcn"'),
    (lambda: models.build("efficientfcn", "resnet19"), "backbone: found 'resnet19', expected one of resnet18, "),
    (lambda: models.build("efficientfcn", form="text"), "form: found 'text', expected one of paper, released"),
    (lambda: models.build("efficientfcn", colour="red"), "unknown options colour"),
    (lambda: models.build("efficientfcn", stem="3x3"), "stem: found '3x3'"),
    (lambda: models.build("efficientfcn", shortcut="pool"), "shortcut: found 'pool'"),
    (lambda: models.build("efficientfcn", codebook_scales=(8, 16)), "codebook_scales: found"),
    (lambda: models.build("efficientfcn", guidance_scales=(8, 4)), "guidance_scales: found"),
    (lambda: models.resnet(20), "depth: found 20"),
    (lambda: models.build("efficientfcn", dropout=0.1), "unknown options dropout"),
    (lambda: models.build("efficientfcn", codewords=0), "codewords: expected at least 1, found 0"),
    (lambda: models.build("efficientfcn", width=-1), "width: expected at least 1, found -1"),
])
def test_settings_are_named(call, message):
    with pytest.raises(SettingError, match=message):
        call()
