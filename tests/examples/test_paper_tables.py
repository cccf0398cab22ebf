"""Every number that paper_tables.py prints."""

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "paper_tables.py"
EXPECTED = """\
Table 1        paper: params      G  paper's count: params       G  plain: params       G  kept MiB  remark
FCN-32s                 54.0   44.6                  54.04   44.60          51.99   44.42       756
dilatedFCN-8s           54.0  223.6                  54.14  223.61          52.09  223.11      2009
                                                     54.04  217.77          51.99  217.28      1973
UNet-Bilinear           60.7   87.9                  60.60   87.69          58.55   87.49       866
UNet-Deconv             62.8   93.2                  62.69   93.06          60.65   88.83       866
EfficientFCN            55.8   69.6                  50.31   51.33          48.26   52.29       860
                                                     52.24   60.15          50.19   61.09       976

Table 4: n  paper: G  released form, paper's count  plain  paper form, paper's count  plain
32              67.9                         58.84  58.79                      50.30  50.26
64              68.1                         59.00  59.09                      50.45  50.55
128             68.6                         59.35  59.72                      50.74  51.13
256             69.6                         60.15  61.09                      51.33  52.29
512             72.1                         62.19  64.26                      52.50  54.61
1024            78.9                         67.97  72.32                      54.85  59.24
The printed growth has a term of n²: the released code's two convolutions from n to n channels have it.

Table 5                         paper: G  paper's count   plain
dilatedFCN, the base of others      >223         223.61  223.11
Ours                                  70          51.33   52.29
                                                  60.15   61.09
EncNet                               234
DMNet                                242
APCNet                               245
"""


def test_every_number(capsys):
    """All of the tables, but the remarks on the right of the first."""
    runpy.run_path(str(SCRIPT), run_name="__main__")
    said = capsys.readouterr().out.splitlines()
    width = said[0].index("remark")
    assert [line[:width].rstrip() for line in said] == [line[:width].rstrip() for line in EXPECTED.splitlines()]
