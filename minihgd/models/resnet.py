"""ResNet (He et al. 2015), the encoder: maps of output stride 4, 8, 16 and 32 from an image.

Names are torchvision's, so that its checkpoints fit. Two stems are in use: the 7×7 convolution of the paper's text,
and the three 3×3 convolutions (32, 32, 64 channels) of the released code, which comes with shortcuts that average
before they project. In a dilated backbone the last two stages keep stride 8 and spread their kernels instead.
"""

from .. import nn, ops
from ..errors import SettingError

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def conv_bn(cin, cout, size, stride=1, dilation=1):
    """A convolution that keeps the size (up to its stride), and batch normalisation in place of its bias."""
    conv = nn.Conv2d(cin, cout, size, stride, dilation * (size // 2), dilation, bias=False)
    return conv, nn.BatchNorm2d(cout)


class BasicBlock(nn.Module):
    """relu(x + F(x)), F two 3×3 convolutions: depths 18 and 34. N×H×W×Cin -> N×H/s×W/s×C."""

    expansion = 1

    def __init__(self, cin, channels, stride, dilation, downsample):
        self.conv1, self.bn1 = conv_bn(cin, channels, 3, stride, dilation)
        self.conv2, self.bn2 = conv_bn(channels, channels, 3, 1, dilation)
        self.downsample = downsample

    def forward(self, x):
        y = self.bn1(self.conv1(x), relu=True)
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.bn2(self.conv2(y), relu=True, residual=shortcut)


class Bottleneck(nn.Module):
    """relu(x + F(x)), F convolutions 1×1, 3×3 (with the stride), 1×1 to 4C: depths 50, 101, 152."""

    expansion = 4

    def __init__(self, cin, channels, stride, dilation, downsample):
        self.conv1, self.bn1 = conv_bn(cin, channels, 1)
        self.conv2, self.bn2 = conv_bn(channels, channels, 3, stride, dilation)
        self.conv3, self.bn3 = conv_bn(channels, 4 * channels, 1)
        self.downsample = downsample

    def forward(self, x):
        y = self.bn1(self.conv1(x), relu=True)
        y = self.bn2(self.conv2(y), relu=True)
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.bn3(self.conv3(y), relu=True, residual=shortcut)


def shortcut_projection(kind, cin, cout, stride):
    """Brings a block's input to its output's shape: a strided 1×1 convolution, or an average and then a 1×1."""
    if kind == "conv":
        return nn.Sequential(*conv_bn(cin, cout, 1, stride))
    return nn.Sequential(nn.AvgPool2d(stride, stride, ceil_mode=True), *conv_bn(cin, cout, 1))


def stem_convolutions(kind, channels):
    """The first convolution, stride 2: N×H×W×3 -> N×H/2×W/2×C."""
    if kind == "7x7":
        return nn.Conv2d(3, channels, 7, 2, 3, bias=False)
    half = channels // 2
    return nn.Sequential(*conv_bn(3, half, 3, 2), nn.ReLU(), *conv_bn(half, half, 3), nn.ReLU(),
                         nn.Conv2d(half, channels, 3, 1, 1, bias=False))


class ResNet(nn.Module):
    """Images N×H×W×3 -> maps [c4, c8, c16, c32] of H/4 to H/32 pixels with `.channels` channels each.

    width: channels of the first stage (64 in the paper; each stage doubles them).
    """

    def __init__(self, depth, stem="7x7", dilated=False, shortcut=None, width=64):
        if depth not in BLOCKS:
            raise SettingError(f"depth: found {depth!r}, expected one of {', '.join(map(str, BLOCKS))}")
        if stem not in ("7x7", "deep32"):
            raise SettingError(f'stem: found {stem!r}, expected "7x7" or "deep32"')
        shortcut = shortcut or ("conv" if stem == "7x7" else "avgpool")
        if shortcut not in ("conv", "avgpool"):
            raise SettingError(f'shortcut: found {shortcut!r}, expected "conv" or "avgpool"')
        block = BasicBlock if depth < 50 else Bottleneck
        self.conv1 = stem_convolutions(stem, width)
        self.bn1 = nn.BatchNorm2d(width)
        cin, dilation, self.channels = width, 1, []
        for i, count in enumerate(BLOCKS[depth]):
            channels, stride, before = width * 2**i, 1 if i == 0 else 2, dilation
            if dilated and i >= 2:
                stride, dilation = 1, dilation * 2  # keep the size, see as far as before
            blocks = []
            for j in range(count):
                cout, s = channels * block.expansion, stride if j == 0 else 1
                projection = shortcut_projection(shortcut, cin, cout, s) if s != 1 or cin != cout else None
                blocks.append(block(cin, channels, s, before if j == 0 else dilation, projection))
                cin = cout
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
            self.channels.append(cin)

    @property
    def stages(self):
        """The four sequences of residual blocks."""
        return self.layer1, self.layer2, self.layer3, self.layer4

    def forward(self, x):
        x = self.bn1(self.conv1(x), relu=True)  # N×H/2×W/2×64
        x = ops.max_pool2d(x, 3, 2, 1)  # N×H/4×W/4×64
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def resnet(depth, stem="7x7", dilated=False, seed=0, **options):
    """A ResNet of depth 18, 34, 50, 101 or 152 that maps N×H×W×3 to its maps of OS 4, 8, 16 and 32.

    stem: "7x7", or "deep32" for the released code's three 3×3. dilated: keep the last two stages at OS 8.
    options: `shortcut` ("conv" or "avgpool", by default the stem's), `width`. Weights are drawn from `seed`.
    Raises SettingError naming the setting.
    """
    return nn.initialise(ResNet(depth, stem, dilated, **options), seed)
