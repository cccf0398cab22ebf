"""The networks: sizes, settings, what the decoder's switches do."""

import numpy as np
import pytest

from minihgd import models, nn, no_grad, ops, report
from minihgd.errors import SettingError
from minihgd.models.resnet import Classifier

SMALL = dict(channels=4, compressed=5, codeword_channels=6)


def image(n=1, height=64, width=96):
    return np.random.default_rng(0).standard_normal((n, height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("depth, expansion", [(18, 1), (34, 1), (50, 4), (101, 4), (152, 4)])
def test_output_strides(depth, expansion):
    maps = models.resnet(depth, channels=4)(image())
    assert [m.shape for m in maps] == [(1, 64 // s, 96 // s, s * expansion) for s in (4, 8, 16, 32)]


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("stem", ["7x7", "deep32", "deep64"])
def test_dilated_keeps_stride_8(depth, stem):
    maps = models.resnet(depth, stem, dilated=True, channels=4)(image())
    assert [m.shape[1:3] for m in maps] == [(16, 24), (8, 12), (8, 12), (8, 12)]


def strides(network):
    """Name -> stride of every convolution whose stride is not 1, but those of shortcuts."""
    return {name: module.stride for name, module in network.modules()
            if getattr(module, "stride", 1) != 1 and "downsample" not in name}


@pytest.mark.parametrize("stride_in, conv", [("3x3", "conv2"), ("1x1", "conv1")])
def test_where_the_stride_is(stride_in, conv):
    network = models.resnet(50, stride_in=stride_in, channels=4)
    assert strides(network) == {"conv1": 2, **{f"layer{i}.0.{conv}": 2 for i in (2, 3, 4)}}
    assert [m.shape[1:] for m in network(image())] == [(64 // s, 96 // s, 4 * s) for s in (4, 8, 16, 32)]
    dilated = models.resnet(50, stride_in=stride_in, channels=4, dilated=True)
    assert strides(dilated) == {"conv1": 2, f"layer2.0.{conv}": 2}
    assert [m.shape[1:3] for m in dilated(image())] == [(16, 24), (8, 12), (8, 12), (8, 12)]


def test_a_stride_in_the_first_convolution_skips_pixels():
    """A block sees only every other pixel of every other line then, and in the 3×3 it sees all."""
    x = image(height=8, width=12)[..., :1].repeat(16, axis=3)  # 1×8×12×16
    for stride_in, skips in (("1x1", True), ("3x3", False)):
        block = list(models.resnet(50, stride_in=stride_in, channels=4).eval().layer2)[0]
        other = x.copy()
        other[:, 1::2], other[:, :, 1::2] = 7, -7
        assert np.array_equal(block(x).data, block(other).data) == skips


@pytest.mark.parametrize("stem, shortcut, averages", [
    ("7x7", None, False), ("7x7", "avgpool", True), ("deep32", None, True), ("deep32", "conv", False)])
def test_shortcuts_project_with_a_stride_or_after_an_average(stem, shortcut, averages):
    first, *_ = list(models.resnet(18, stem, shortcut=shortcut, channels=4).layer2)[0].downsample
    assert isinstance(first, nn.AvgPool2d if averages else nn.Conv2d) and first.stride == 2


def test_dilations_of_a_dilated_backbone():
    """The first block of a stage keeps the dilation of the stage before."""
    network = models.resnet(50, dilated=True, channels=4)
    found = [[block.conv2.dilation for block in stage] for stage in network.stages]
    assert found == [[1] * 3, [1] * 4, [1] + [2] * 5, [2, 4, 4]]


def test_a_wide_backbone_has_the_maps_of_a_plain_one():
    plain, wide = models.resnet(50, channels=4), models.resnet(50, channels=4, width=8)
    assert [m.shape for m in plain(image())] == [m.shape for m in wide(image())]
    for network, width in ((plain, 4), (wide, 8)):
        for i, stage in enumerate(network.stages):
            inner = width * 2**i
            for block in stage:
                assert block.conv1.weight.shape[3] == inner
                assert block.conv2.weight.shape == (3, 3, inner, inner)
                assert block.conv3.weight.shape == (1, 1, inner, 16 * 2**i)


@pytest.mark.parametrize("depth, width, parameters", [
    (18, None, 11_689_512), (34, None, 21_797_672), (50, None, 25_557_032), (101, None, 44_549_160),
    (152, None, 60_192_808), (50, 128, 68_883_240), (101, 128, 126_886_696)])
def test_classifiers_have_the_published_numbers_of_parameters(depth, width, parameters):
    network = Classifier(depth, 1000, width=width)  # no weights are drawn
    assert sum(p.data.size for p in network.parameters()) == parameters


def test_a_classifier_is_a_linear_layer_on_the_mean_of_the_last_map():
    network = models.resnet(18, channels=4, classes=5).eval()
    network.fc.bias.data += np.arange(5, dtype=np.float32)
    x = image(2)
    maps = super(Classifier, network).forward(x)
    logits = network(x)
    W = network.fc.weight.data
    assert logits.shape == (2, 5) and W.shape == (32, 5)
    assert np.abs(logits.data - (maps[3].data.mean(axis=(1, 2)) @ W + np.arange(5))).max() < 1e-5
    same = models.resnet(18, channels=4).state_dict()
    assert all(np.array_equal(network.state_dict()[name], array) for name, array in same.items())
    assert network.state_dict().keys() - same.keys() == {"fc.weight", "fc.bias"}
    ops.sum(network.train()(x) * x[0, :1, :5, 0]).backward()
    assert all(p.grad is not None and np.any(p.grad) for p in network.parameters())


def test_the_cost_of_a_classifier():
    with_fc, without = (report.cost(models.resnet(18, channels=4, classes=n), 64, 96) for n in (5, None))
    assert with_fc.conv_macs == without.conv_macs and with_fc.matmul_macs == 32 * 5
    assert with_fc.params == without.params + 33 * 5
    assert [row.shape for row in with_fc.rows if row.name == "fc"] == [(1, 5)]


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


@pytest.mark.parametrize("form", ["paper", "released"])
@pytest.mark.parametrize("transfer", [True, False])
def test_holistic_is_what_the_decoder_computes(form, transfer, monkeypatch):
    """W and C as the printed order hands them to the assembly; C collected from B with the maps."""
    model = models.build("efficientfcn", "resnet18", 3, 4, form, transfer=transfer, **SMALL).eval()
    model.decoder.plain, seen, assemble = True, [], ops.assemble

    def spy(W, C):
        seen.append((C.data, W.data))
        return assemble(W, C)

    monkeypatch.setattr(ops, "assemble", spy)
    model(image(2))
    inside = model.holistic(image(2))
    for found, expected in zip(inside[1:], seen[0], strict=True):
        assert np.array_equal(found, expected)
    assert inside.maps.shape == (2, 2, 3, 4) and np.allclose(inside.maps.sum(axis=(1, 2)), 1, atol=1e-6)
    _, _, B, _ = model.decoder.collect(model.backbone(image(2))[1:])
    C = np.einsum("nhwi,nhwd->nid", inside.maps, B.data) / (2 if form == "released" else 1)  # √n
    assert np.abs(inside.codebook - C).max() < 1e-5


@pytest.mark.parametrize("call, message", [
    (lambda: models.build("fcn"), "model: found 'fcn', expected one of efficientfcn, fcn32s, "),
    (lambda: models.build("efficientfcn", "resnet19"), "backbone: found 'resnet19', expected one of resnet18, "),
    (lambda: models.build("efficientfcn", form="text"), "form: found 'text', expected one of paper, released"),
    (lambda: models.build("efficientfcn", colour="red"), "unknown options colour"),
    (lambda: models.build("efficientfcn", stem="3x3"), "stem: found '3x3'"),
    (lambda: models.build("efficientfcn", shortcut="pool"), "shortcut: found 'pool'"),
    (lambda: models.build("efficientfcn", codebook_scales=(8, 16)), "codebook_scales: found"),
    (lambda: models.build("efficientfcn", guidance_scales=(8, 4)), "guidance_scales: found"),
    (lambda: models.build("efficientfcn", stride_in="2x2"), "stride_in: found '2x2', expected \"3x3\" or \"1x1\""),
    (lambda: models.resnet(18, stride_in="1x1"), "stride_in: found '1x1', expected '3x3': depth 18 has no bottlenecks"),
    (lambda: models.build("efficientfcn", inputs="grey"), "inputs: found 'grey', expected \"rgb\" or \"bgr\""),
    (lambda: models.resnet(34, width=128), "width: found 128, expected 64: depth 34 has no bottlenecks"),
    (lambda: models.resnet(50, width=0), "width: found 0, expected at least 1"),
    (lambda: models.resnet(50, classes=0), "classes: found 0, expected at least 1"),
    (lambda: models.build("efficientfcn", classes=5), "unknown options classes"),
    (lambda: models.resnet(20), "depth: found 20"),
    (lambda: models.build("efficientfcn", dropout=0.1), "unknown options dropout"),
    (lambda: models.build("efficientfcn", codewords=0), "codewords: expected at least 1, found 0"),
    (lambda: models.build("efficientfcn", form="released", dropout=2), "dropout: expected at least 0 and less than 1"),
    (lambda: models.build("fcn32s", channels=1, stem="deep32"), "channels: found 1, expected at least 2: the stem"),
    (lambda: models.build("efficientfcn", channels=-1), "channels: found -1, expected at least 1"),
])
def test_settings_are_named(call, message):
    with pytest.raises(SettingError, match=message):
        call()
