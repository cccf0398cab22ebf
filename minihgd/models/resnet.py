"""ResNet (He et al. 2015), the encoder: maps of output stride 4, 8, 16 and 32 from an image; and the whole classifier.

Names are torchvision's, so that its checkpoints fit. Three stems are in use: the 7×7 convolution of the paper's text,
the three 3×3 convolutions (32, 32, 64 channels) of the released code, which come with shortcuts that average before
they project, and wider ones (64, 64, 128) that the dilated networks before it had. In a dilated backbone the last two
stages keep stride 8 and spread their kernels instead.

Checkpoints differ in more than the stem. The first ones, made with Caffe, have a bottleneck's stride in its first 1×1
convolution and take BGR; later ones have it in the 3×3, which skips no pixel, and take RGB. Wide ResNets have the same
maps and more channels inside the bottlenecks. Derived in docs/12-resnet-and-its-checkpoints.md.
"""

import functools

from .. import nn, ops
from ..errors import SettingError

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
CHOICES = {"stem": ("7x7", "deep32", "deep64"), "shortcut": ("conv", "avgpool"), "stride_in": ("3x3", "1x1"),
           "inputs": ("rgb", "bgr")}


def conv_bn(cin, cout, size, stride=1, dilation=1):
    """A convolution that keeps the size (up to its stride), and batch normalisation in place of its bias."""
    conv = nn.Conv2d(cin, cout, size, stride, dilation * (size // 2), dilation, bias=False)
    return conv, nn.BatchNorm2d(cout)


class BasicBlock(nn.Module):
    """relu(x + F(x)), F two 3×3 convolutions: depths 18 and 34. N×H×W×Cin -> N×H/s×W/s×Cout, `inner` is Cout.

    downsample: the shortcut's projection, a module, or None where x keeps its shape. dilation: of the first 3×3.
    """

    def __init__(self, cin, inner, cout, stride, dilation, downsample):
        self.conv1, self.bn1 = conv_bn(cin, inner, 3, stride, dilation)
        self.conv2, self.bn2 = conv_bn(inner, cout, 3, 1, dilation)
        self.downsample = downsample

    def forward(self, x):
        y = self.bn1(self.conv1(x), relu=True)
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.bn2(self.conv2(y), relu=True, residual=shortcut)


class Bottleneck(nn.Module):
    """relu(x + F(x)), F convolutions 1×1, 3×3 of `inner` channels, 1×1: depths 50, 101, 152.

    N×H×W×Cin -> N×H/s×W/s×Cout. stride_in: which convolution has the stride, "3x3" or the first "1x1".
    downsample: the shortcut's projection, a module, or None where x keeps its shape. dilation: of the 3×3.
    """

    def __init__(self, cin, inner, cout, stride, dilation, downsample, stride_in="3x3"):
        first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
        self.conv1, self.bn1 = conv_bn(cin, inner, 1, first)
        self.conv2, self.bn2 = conv_bn(inner, inner, 3, second, dilation)
        self.conv3, self.bn3 = conv_bn(inner, cout, 1)
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


def stem_convolutions(kind, cout):
    """The first convolution, stride 2: N×H×W×3 -> N×H/2×W/2×Cout."""
    if kind == "7x7":
        return nn.Conv2d(3, cout, 7, 2, 3, bias=False)
    half = cout // 2
    return nn.Sequential(*conv_bn(3, half, 3, 2), nn.ReLU(), *conv_bn(half, half, 3), nn.ReLU(),
                         nn.Conv2d(half, cout, 3, 1, 1, bias=False))


def residual_stage(block, count, cin, inner, cout, stride, dilations, shortcut):
    """`count` blocks in a row, N×H×W×Cin -> N×H/s×W/s×Cout.

    The first has the stride, and a projection where it changes the shape. dilations: the first block's, the others'.
    """
    same_shape = stride == 1 and cin == cout
    first = block(cin, inner, cout, stride, dilations[0],
                  None if same_shape else shortcut_projection(shortcut, cin, cout, stride))
    return nn.Sequential(first, *(block(cout, inner, cout, 1, dilations[1], None) for _ in range(count - 1)))


class ResNet(nn.Module):
    """Images N×H×W×3 -> maps [c4, c8, c16, c32] of H/4 to H/32 pixels with `.channels` channels each.

    channels: of the first stage (64 in the paper; each stage doubles them, and bottlenecks give four times as many).
    width: inner channels of the first stage's bottlenecks, by default `channels`; wide_resnet50_2 is depth 50 with 128.
    stride_in: where a bottleneck has its stride, in the "3x3" or the first "1x1" convolution. inputs: "rgb" or "bgr",
    what the images are; kept as `.inputs` for whoever prepares them (see `data.normalise`). depth, stem, dilated: see
    `resnet`. shortcut: how a projection takes its stride, "conv" or "avgpool". Raises SettingError.
    """

    def __init__(self, depth, stem="7x7", dilated=False, stride_in="3x3", shortcut=None, inputs="rgb", channels=64,
                 width=None):
        shortcut = shortcut or ("avgpool" if stem == "deep32" else "conv")
        width = channels if width is None else width
        check_settings(depth, channels, width, stem=stem, shortcut=shortcut, stride_in=stride_in, inputs=inputs)
        block, expansion = (BasicBlock, 1) if depth < 50 else (functools.partial(Bottleneck, stride_in=stride_in), 4)
        self.inputs = inputs
        cin, dilation, self.channels = channels * (2 if stem == "deep64" else 1), 1, []
        self.conv1 = stem_convolutions(stem, cin)
        self.bn1 = nn.BatchNorm2d(cin)
        for i, count in enumerate(BLOCKS[depth]):
            stride, before = 1 if i == 0 else 2, dilation
            if dilated and i >= 2:
                stride, dilation = 1, dilation * 2  # keep the size, see as far as before
            cout = channels * 2**i * expansion
            stage = residual_stage(block, count, cin, width * 2**i, cout, stride, (before, dilation), shortcut)
            setattr(self, f"layer{i + 1}", stage)
            self.channels.append(cout)
            cin = cout

    @property
    def stages(self):
        """The four sequences of residual blocks."""
        return self.layer1, self.layer2, self.layer3, self.layer4

    def forward(self, x):
        """Images N×H×W×3 -> the list of the four stages' maps, of output stride 4, 8, 16, 32 (4, 8, 8, 8 dilated)."""
        x = self.bn1(self.conv1(x), relu=True)  # N×H/2×W/2×64
        x = ops.max_pool2d(x, 3, 2, 1)  # N×H/4×W/4×64
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class Classifier(ResNet):
    """Images N×H×W×3 -> logits N×classes: the mean of the last map over its pixels, and a linear layer.

    options: of ResNet. Raises SettingError for classes below 1, and as ResNet does.
    """

    def __init__(self, depth, classes, **options):
        if not classes >= 1:
            raise SettingError(f"classes: found {classes}, expected at least 1")
        super().__init__(depth, **options)
        self.fc = nn.Linear(self.channels[-1], classes)

    def forward(self, x):
        """Images N×H×W×3 -> logits N×classes."""
        x = ops.mean(super().forward(x)[-1], axis=(1, 2))  # N×C
        return self.fc(x)  # N×classes


def check_settings(depth, channels, width, **chosen):
    """Raise SettingError for a setting of a ResNet that does not exist, or that its depth has no place for."""
    if depth not in BLOCKS:
        raise SettingError(f"depth: found {depth!r}, expected one of {', '.join(map(str, BLOCKS))}")
    for name, value in chosen.items():
        if value not in CHOICES[name]:
            expected = " or ".join(f'"{choice}"' for choice in CHOICES[name])
            raise SettingError(f"{name}: found {value!r}, expected {expected}")
    for name, value in (("channels", channels), ("width", width)):
        if not value >= 1:
            raise SettingError(f"{name}: found {value}, expected at least 1")
    if chosen["stem"] == "deep32" and channels < 2:
        raise SettingError(f"channels: found {channels}, expected at least 2: the stem deep32 begins with half of them")
    for name, value, only in (("width", width, channels), ("stride_in", chosen["stride_in"], "3x3")):
        if depth < 50 and value != only:
            raise SettingError(f"{name}: found {value!r}, expected {only!r}: depth {depth} has no bottlenecks, "
                               "the depths 50, 101 and 152 have")


def resnet(depth, stem="7x7", dilated=False, seed=0, classes=None, **options):
    """A ResNet of depth 18, 34, 50, 101 or 152 that maps N×H×W×3 to its maps of OS 4, 8, 16 and 32.

    stem: "7x7", "deep32" for the released code's three 3×3, or the wider "deep64". dilated: keep the last two stages at
    OS 8.
    classes: where given, the result is a classifier, and maps N×H×W×3 to logits N×classes.
    options: `stride_in` ("3x3" or "1x1"), `shortcut` ("conv" or "avgpool", by default the stem's), `inputs` ("rgb" or
    "bgr"), `channels`, `width`: see ResNet. Weights are drawn from `seed`. Raises SettingError naming the setting.
    docs/12-resnet-and-its-checkpoints.md.
    """
    options.update(stem=stem, dilated=dilated)
    network = ResNet(depth, **options) if classes is None else Classifier(depth, classes, **options)
    return nn.initialise(network, seed)
