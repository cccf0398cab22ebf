"""Parameters and multiply-accumulates of the published networks, to the last digit."""

import numpy as np
import pytest

from minihgd import Tensor, models, nn, ops, report
from minihgd.report.cost import as_printed, empty

DEEP = dict(form="released", stem="deep32")


@pytest.mark.parametrize("backbone, classes, codewords, options, params, conv_macs, matmul_macs", [
    ("resnet50", 60, 256, {}, 29_271_164, 31_755_075_584, 1_140_850_688),
    ("resnet101", 60, 256, {}, 48_263_292, 51_149_537_280, 1_140_850_688),
    ("resnet101", 21, 256, {}, 48_183_381, 50_822_381_568, 1_140_850_688),
    ("resnet101", 150, 600, {}, 49_329_030, 53_482_618_880, 2_673_868_800),
    ("resnet50", 60, 256, DEEP, 31_201_180, 40_556_822_528, 1_140_850_688),
    ("resnet101", 60, 256, DEEP, 50_193_308, 59_951_284_224, 1_140_850_688),
])
def test_efficientfcn(backbone, classes, codewords, options, params, conv_macs, matmul_macs):
    cost = report.cost(models.build("efficientfcn", backbone, classes, codewords, **options), 512, 512)
    assert (cost.params, cost.conv_macs, cost.matmul_macs) == (params, conv_macs, matmul_macs)


@pytest.mark.parametrize("depth, params, macs", [
    (50, 23_508_032, 21_353_201_664), (101, 42_500_160, 40_747_663_360)])
def test_backbone(depth, params, macs):
    cost = report.cost(models.resnet(depth), 512, 512)
    assert (cost.params, cost.conv_macs, cost.matmul_macs) == (params, macs, 0)


@pytest.mark.parametrize("form, params, macs", [
    ("paper", 5_763_132, 10_401_873_920), ("released", 7_673_916, 17_951_621_120)])
def test_decoder_alone(form, params, macs):
    model = models.build("efficientfcn", "resnet50", 60, 256, form)
    rows = [row for row in report.cost(model, 512, 512).rows if row.name.startswith("decoder.")]
    assert sum(p.data.size for p in model.decoder.parameters()) == params
    assert sum(row.macs for row in rows) == macs


def test_rows_of_the_paper_decoder():
    rows = {row.name.removeprefix("decoder."): (row.params, row.macs)
            for row in report.cost(models.build("efficientfcn", "resnet50", 60, 256), 512, 512).rows}
    expected = {
        "e8": (262_656, 1_073_741_824), "e16": (524_800, 536_870_912), "e32": (1_049_088, 268_435_456),
        "base": (1_573_888, 402_653_184), "attention": (393_472, 100_663_296), "SoftmaxPool": (0, 67_108_864),
        "guidance": (1_573_888, 6_442_450_944), "coefficients": (262_400, 1_073_741_824),
        "Assemble": (0, 1_073_741_824), "classifier": (122_940, 503_316_480)}
    assert {name: rows[name] for name in expected} == expected


def test_shapes_are_those_of_a_real_run():
    """The shape rules that cost relies on say what a forward pass in the paper's order gives, odd sizes included."""
    for options in (dict(), dict(form="released", stem="deep32"), dict(dilated=True)):
        model = models.build("efficientfcn", "resnet50", 3, 4, channels=4, compressed=4, codeword_channels=4, **options)
        model.decoder.plain = True
        with_shapes = []
        original = ops.convolution.Conv2d.forward

        def forward(self, x, *rest, seen=with_shapes, original=original):
            y = original(self, x, *rest)
            seen.append(y.shape)
            return y

        ops.convolution.Conv2d.forward = forward
        try:
            model(np.zeros((1, 75, 101, 3), np.float32))
        finally:
            ops.convolution.Conv2d.forward = original
        assert [row.shape for row in report.cost(model, 75, 101).rows if row.kind == "Conv2d"] == with_shapes


def test_the_shortcuts_are_not_counted():
    """The cost is that of the order in which the paper has it, however the model computes; the model stays as it is."""
    model = models.build("efficientfcn", "resnet18", 3, 4, channels=4, compressed=4, codeword_channels=4)
    expected = report.cost(model, 64, 96)
    assert not model.decoder.plain
    model.decoder.plain = True
    assert report.cost(model, 64, 96) == expected and model.decoder.plain


@pytest.mark.parametrize("name, options, params, gmacs", [
    ("fcn32s", dict(stem="deep32"), 54.037, 44.60), ("dilatedfcn8s", dict(stem="deep64"), 54.142, 223.61),
    ("unet_bilinear", dict(stem="deep32"), 60.60, 87.69), ("unet_deconv", dict(stem="deep32"), 62.69, 93.06),
    ("efficientfcn", dict(form="released", stem="deep32"), 52.24, 60.15), ("efficientfcn", {}, 50.31, 51.33)])
def test_the_paper_counts_otherwise(name, options, params, gmacs):
    """Table 1's convention: millions of parameters, 10⁹ multiply-accumulates, as far as the digits go."""
    cost = report.cost(models.build(name, "resnet101", 60, **options), 512, 512)
    digits = len(str(params).split(".")[1])
    assert round(cost.paper_params / 1e6, digits) == params and round(cost.paper_macs / 1e9, 2) == gmacs


def test_totals_are_the_sums_of_the_rows():
    cost = report.cost(models.build("unet_deconv", "resnet18", 3, channels=4, compressed=6), 64, 96)
    kinds = cost.by_kind()
    assert sum(row.params for row in cost.rows) == cost.params == sum(p for p, _, _ in kinds.values())
    assert kinds["Conv2d"][1] + kinds["ConvTranspose2d"][1] == cost.conv_macs and cost.matmul_macs == 0
    assert sum(m for _, _, m in kinds.values()) == cost.memory == sum(row.memory for row in cost.rows)


@pytest.mark.parametrize("name, options", [
    ("efficientfcn", {}), ("efficientfcn", dict(form="released", stem="deep32")), ("unet_deconv", {}), ("fcn32s", {})])
def test_memory_is_what_the_tape_holds(name, options):
    """Every array that a recorded op was given or saved, each piece of memory once."""
    small = dict(channels=8, compressed=24) | (dict(codeword_channels=40) if name == "efficientfcn" else {})
    model = models.build(name, "resnet50", 3, 16, **small, **options).train()
    image = np.random.default_rng(0).standard_normal((1, 256, 320, 3), np.float32)
    with as_printed(model):
        y = model(Tensor(image))
    held, ops_left, seen = {}, [y.op], set()
    weights = {id(p.data) for p in model.parameters()}
    while ops_left:
        op = ops_left.pop()
        if op is None or id(op) in seen:
            continue
        seen.add(id(op))
        arrays = [t.data for t in op.inputs if t is not None] + list(getattr(op, "_saved", {}).values())
        for array in arrays:
            while isinstance(array, np.ndarray) and array.base is not None:
                array = array.base
            if isinstance(array, np.ndarray) and id(array) not in weights:
                held[id(array)] = array.nbytes
        ops_left += [t.op for t in op.inputs if t is not None]
    expected = report.cost(model, 256, 320).memory - 4 * y.data.size + image.nbytes  # y is kept by its owner
    assert abs(sum(held.values()) - expected) < 0.02 * expected


def test_transposed_convolutions_count():
    class Up(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.zeros((2, 2, 3, 5), np.float32))

        def forward(self, x):
            return ops.conv_transpose2d(x, self.weight, None, 2)

    cost = report.cost(Up(), 4, 6)
    assert cost.conv_macs == 4 * 6 * 3 * 2 * 2 * 5 and cost.rows[0].shape == (1, 8, 12, 5)


def test_empty_takes_no_memory():
    assert empty((1000, 1000, 1000, 1000)).data.strides == (0, 0, 0, 0)
