"""The cost columns of the paper's Tables 1, 4 and 5 beside what the models here cost, in two ways of counting.

    python examples/paper_tables.py

The "paper's count" is the convention that agrees with Table 1: bias and batch normalisation (two for every element) are
among the multiply-accumulates, transposed convolutions go by their output's size, products of matrices count nothing,
and ImageNet's classification layer is among the parameters. The "plain" one counts what convolutions and products of
matrices multiply. "kept" is what a training step keeps of an image's activations. 512×512 pixels, ResNet-101, 60
classes.
"""

from minihgd import models, report
from minihgd.report.tables import aligned

DEEP32, DEEP64 = dict(stem="deep32"), dict(stem="deep64")
PAPER, RELEASED = dict(form="paper"), dict(form="released") | DEEP32
TABLE_1 = [  # as printed: name, millions of parameters, 10⁹ multiply-accumulates; what it is here, and why it differs
    ("FCN-32s", "54.0", "44.6", "fcn32s", DEEP32, "equal: a 3×3 convolution to 512 channels and the classifier"),
    ("dilatedFCN-8s", "54.0", "223.6", "dilatedfcn8s", DEEP64, "equal with the wider stem of 64, 64, 128 channels"),
    ("", "", "", "dilatedfcn8s", DEEP32, "the same with the stem of the others"),
    ("UNet-Bilinear", "60.7", "87.9", "unet_bilinear", DEEP32, "the paper does not give its layers: a close reading"),
    ("UNet-Deconv", "62.8", "93.2", "unet_deconv", DEEP32, "the same, enlarged by transposed convolutions"),
    ("EfficientFCN", "55.8", "69.6", "efficientfcn", PAPER, "the text taken literally, less than printed"),
    ("", "", "", "efficientfcn", RELEASED, "the released code, nearer and still less than printed"),
]
TABLE_4 = {32: "67.9", 64: "68.1", 128: "68.6", 256: "69.6", 512: "72.1", 1024: "78.9"}  # n -> 10⁹
TABLE_5 = [("dilatedFCN, the base of others", ">223", "dilatedfcn8s", DEEP64), ("Ours", "70", "efficientfcn", PAPER),
           ("", "", "efficientfcn", RELEASED)]
OTHERS_IN_TABLE_5 = [("EncNet", "234"), ("DMNet", "242"), ("APCNet", "245")]  # networks that are not here


def cost(name, options, codewords=256):
    return report.cost(models.build(name, "resnet101", 60, codewords, **options), 512, 512)


def billions(macs):
    return f"{macs / 1e9:.2f}"


def plain(c):
    return billions(c.conv_macs + c.matmul_macs)


def table_1():
    """Parameters in millions, multiply-accumulates in 10⁹."""
    rows = [("Table 1", "paper: params", "G", "paper's count: params", "G", "plain: params", "G", "kept MiB",
             "remark")]
    for name, params, macs, model, options, remark in TABLE_1:
        c = cost(model, options)
        rows.append((name, params, macs, f"{c.paper_params / 1e6:.2f}", billions(c.paper_macs), f"{c.params / 1e6:.2f}",
                     plain(c), f"{c.memory / 2**20:.0f}", remark))
    return rows


def table_4():
    """10⁹ multiply-accumulates for a growing codebook."""
    rows = [("Table 4: n", "paper: G", "released form, paper's count", "plain", "paper form, paper's count", "plain")]
    for n, macs in TABLE_4.items():
        released, paper = cost("efficientfcn", RELEASED, n), cost("efficientfcn", PAPER, n)
        rows.append((str(n), macs, billions(released.paper_macs), plain(released), billions(paper.paper_macs),
                     plain(paper)))
    return rows


def table_5():
    """10⁹ multiply-accumulates of the networks whose cost Table 5 gives."""
    rows = [("Table 5", "paper: G", "paper's count", "plain")]
    for name, macs, model, options in TABLE_5:
        c = cost(model, options)
        rows.append((name, macs, billions(c.paper_macs), plain(c)))
    return [*rows, *((name, macs, "", "") for name, macs in OTHERS_IN_TABLE_5)]


def main():
    print("\n".join(aligned(table_1(), left=(0, 8))))
    print("\n".join(["", *aligned(table_4())]))
    print("The printed growth has a term of n²: the released code's two convolutions from n to n channels have it.")
    print("\n".join(["", *aligned(table_5())]))


if __name__ == "__main__":
    main()
