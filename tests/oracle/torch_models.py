"""EfficientFCN in plain PyTorch: what the parity tests compare minihgd with. It shares no code with minihgd.

Maps are N×C×H×W in here; `to_torch` and `from_torch` convert weights, `logits_and_gradients` converts maps.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def conv3x3(inputs, outputs, stride=1, dilation=1):
    return nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)


def conv_bn(inputs, outputs, stride=1):
    return [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)]


def conv_bn_relu(inputs, outputs):
    return [*conv_bn(inputs, outputs), nn.ReLU()]


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs, width, outputs, stride, dilation, downsample, stride_in):
        super().__init__()
        assert width == outputs and stride_in == "3x3", "bottlenecks only"
        self.conv1, self.bn1 = conv3x3(inputs, width, stride, dilation), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv3x3(width, width, 1, dilation), nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs, width, outputs, stride, dilation, downsample, stride_in):
        super().__init__()
        stride1, stride2 = {"1x1": (stride, 1), "3x3": (1, stride)}[stride_in]
        self.conv1, self.bn1 = conv_bn(inputs, width, stride1)
        self.conv2, self.bn2 = conv3x3(width, width, stride2, dilation), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv_bn(width, outputs)
        self.downsample = downsample

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def make_layer(block, inputs, width, outputs, count, stride, first_dilation, dilation, shortcut, stride_in):
    """`count` blocks; the first carries the stride and, in a dilated layer, still the previous layer's dilation."""
    if stride == 1 and inputs == outputs:
        downsample = nn.Identity()
    elif shortcut == "conv":
        downsample = nn.Sequential(*conv_bn(inputs, outputs, stride))
    else:
        pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
        downsample = nn.Sequential(pool, *conv_bn(inputs, outputs))
    first = block(inputs, width, outputs, stride, first_dilation, downsample, stride_in)
    others = [block(outputs, width, outputs, 1, dilation, nn.Identity(), stride_in) for _ in range(count - 1)]
    return nn.Sequential(first, *others)


SCALES = (8, 16, 32)
LAYOUTS = {"resnet18": (BasicBlock, (2, 2, 2, 2)), "resnet34": (BasicBlock, (3, 4, 6, 3)),
           "resnet50": (Bottleneck, (3, 4, 6, 3)), "resnet101": (Bottleneck, (3, 4, 23, 3)),
           "resnet152": (Bottleneck, (3, 8, 36, 3))}


class ResNet(nn.Module):
    """Image -> the maps of layer2, layer3, layer4: OS 8, 16, 32 (all OS 8 when dilated); with `classes` logits."""

    def __init__(self, name, stem="7x7", dilated=False, shortcut="conv", channels=64, width=None, stride_in="3x3",
                 classes=None):
        super().__init__()
        block, counts = LAYOUTS[name]
        first = {"7x7": channels, "deep32": channels, "deep64": 2 * channels}[stem]
        half = first // 2
        if stem == "7x7":
            self.conv1 = nn.Conv2d(3, first, 7, 2, padding=3, bias=False)
        else:
            self.conv1 = nn.Sequential(conv3x3(3, half, 2), nn.BatchNorm2d(half), nn.ReLU(),
                                       conv3x3(half, half), nn.BatchNorm2d(half), nn.ReLU(), conv3x3(half, first))
        self.bn1 = nn.BatchNorm2d(first)
        # stride, the first block's dilation, the other blocks' dilation
        steps = [(1, 1, 1), (2, 1, 1), (1, 1, 2), (1, 2, 4)] if dilated else [(1, 1, 1)] + 3 * [(2, 1, 1)]
        inputs, all_outputs = first, [block.expansion * channels * 2**i for i in range(4)]
        for i, (outputs, count, step) in enumerate(zip(all_outputs, counts, steps, strict=True)):
            layer = make_layer(block, inputs, (width or channels) * 2**i, outputs, count, *step, shortcut, stride_in)
            setattr(self, f"layer{i + 1}", layer)
            inputs = outputs
        self.channels = dict(zip(SCALES, all_outputs[1:], strict=True))
        self.fc = nn.Linear(inputs, classes) if classes else None

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        f8 = self.layer2(self.layer1(F.max_pool2d(x, 3, 2, padding=1)))
        f16 = self.layer3(f8)
        f32 = self.layer4(f16)
        if self.fc is not None:
            return self.fc(F.adaptive_avg_pool2d(f32, 1).flatten(1))
        return {8: f8, 16: f16, 32: f32}


def fuse(maps, scales, size, align_corners):
    """[e8; e16; e32], those in `scales`, resized to `size`."""
    maps = [F.interpolate(maps[s], size, mode="bilinear", align_corners=align_corners) for s in SCALES if s in scales]
    return torch.cat(maps, dim=1)


def make_codebook(attention, base):
    """Equations (1), (2): N×n×h×w and N×D×h×w -> N×n×D."""
    weights = F.softmax(attention.flatten(2), dim=2)
    return torch.einsum("nip,ndp->nid", weights, base.flatten(2))


def assemble(coefficients, codebook):
    """Equation (3): N×n×H×W and N×n×D -> N×D×H×W."""
    return torch.einsum("nihw,nid->ndhw", coefficients, codebook)


class PaperDecoder(nn.Module):
    """Section 3.2 taken literally: every layer is a 1×1 convolution with bias, and nothing else."""
    align_corners = False

    def __init__(self, inputs, classes, n, codebook_scales, guidance_scales, transfer, channels, D, dropout):
        super().__init__()
        self.codebook_scales, self.guidance_scales, self.transfer = codebook_scales, guidance_scales, transfer
        self.used = [s for s in SCALES if s in codebook_scales or s in guidance_scales]
        self.n, self.dropout = n, dropout
        self.make_layers(inputs, classes, n, channels, D)

    def make_layers(self, inputs, classes, n, channels, D):
        for s in self.used:
            setattr(self, f"e{s}", nn.Conv2d(inputs[s], channels, 1))
        self.base = nn.Conv2d(channels * len(self.codebook_scales), D, 1)
        self.attention = nn.Conv2d(channels * len(self.codebook_scales), n, 1)
        self.guidance = nn.Conv2d(channels * len(self.guidance_scales), D, 1)
        self.coefficients = nn.Conv2d(D, n, 1)
        self.classifier = nn.Conv2d(2 * D, classes, 1)

    def forward(self, f):
        e = {s: getattr(self, f"e{s}")(f[s]) for s in self.used}
        m32 = fuse(e, self.codebook_scales, f[32].shape[2:], self.align_corners)
        m8 = fuse(e, self.guidance_scales, f[8].shape[2:], self.align_corners)
        B, A, G = self.base(m32), self.attention(m32), self.guidance(m8)
        W = self.coefficients(G + B.mean(dim=(2, 3), keepdim=True) if self.transfer else G)
        return self.predict(assemble(W, make_codebook(A, B)), G)

    def predict(self, f8, G):
        return self.classifier(torch.cat([f8, G], dim=1))


class ReleasedDecoder(PaperDecoder):
    """What the authors' code does: normalised layers, layer2's map as it is, scaled f8, a fusion layer, dropout."""
    align_corners = True

    def make_layers(self, inputs, classes, n, channels, D):
        for s in self.used:
            setattr(self, f"e{s}", nn.Sequential(*conv_bn_relu(inputs[s], channels)) if s > 8 else nn.Identity())
        width = {8: inputs[8], 16: channels, 32: channels}
        m32, m8 = sum(width[s] for s in self.codebook_scales), sum(width[s] for s in self.guidance_scales)
        self.base = nn.Sequential(*conv_bn_relu(m32, D))
        self.attention = nn.Sequential(*conv_bn_relu(m32, n), *conv_bn(n, n))
        self.guidance = nn.Sequential(*conv_bn_relu(m8, D))
        self.coefficients = nn.Sequential(*conv_bn_relu(D, n), *conv_bn_relu(n, n))
        self.fusion = nn.Sequential(*conv_bn_relu(2 * D, D))
        self.classifier = nn.Conv2d(D, classes, 1)

    def predict(self, f8, G):
        x = self.fusion(torch.cat([self.n ** -0.5 * f8, G], dim=1))
        return self.classifier(F.dropout2d(x, self.dropout, self.training))


class FCNHead(nn.Module):
    """3×3 convolution, normalisation, ReLU, dropout, classifier, on the last map."""

    def __init__(self, inputs, classes, channels, dropout):
        super().__init__()
        self.fusion = nn.Sequential(conv3x3(inputs[32], channels), nn.BatchNorm2d(channels), nn.ReLU())
        self.dropout, self.classifier = nn.Dropout2d(dropout), nn.Conv2d(channels, classes, 1)

    def forward(self, f):
        return self.classifier(self.dropout(self.fusion(f[32])))


class UNet(nn.Module):
    """From OS 32 to OS 8: enlarged by two, laid beside the encoder's map, fused by 3×3 convolutions."""

    def __init__(self, inputs, classes, channels, dropout, deconv):
        super().__init__()
        for s in SCALES:
            setattr(self, f"e{s}", nn.Sequential(*conv_bn_relu(inputs[s], channels)))

        def fuse(cin):
            return [conv3x3(cin, channels), nn.BatchNorm2d(channels), nn.ReLU()]

        self.fuse16 = nn.Sequential(*fuse(2 * channels))
        self.fuse8 = nn.Sequential(*fuse(2 * channels), *fuse(channels), *fuse(channels))
        self.deconv = deconv
        if deconv:
            self.up16, self.up8 = (nn.ConvTranspose2d(channels, channels, 2, 2, bias=False) for _ in range(2))
        self.dropout, self.classifier = nn.Dropout2d(dropout), nn.Conv2d(channels, classes, 1)

    def enlarge(self, x, like, up):
        size = like.shape[2:]
        if not self.deconv:
            return F.interpolate(x, size, mode="bilinear", align_corners=False)
        return getattr(self, up)(x)[:, :, : size[0], : size[1]]

    def forward(self, f):
        e8, e16, e32 = (getattr(self, f"e{s}")(f[s]) for s in SCALES)
        d16 = self.fuse16(torch.cat([self.enlarge(e32, e16, "up16"), e16], dim=1))
        d8 = self.fuse8(torch.cat([self.enlarge(d16, e8, "up8"), e8], dim=1))
        return self.classifier(self.dropout(d8))


class EfficientFCN(nn.Module):
    def __init__(self, backbone, decoder):
        super().__init__()
        self.backbone, self.decoder = backbone, decoder

    def forward(self, x):
        return F.interpolate(self.decoder(self.backbone(x)), x.shape[2:], mode="bilinear", align_corners=False)


def build(backbone="resnet18", form="paper", num_classes=60, codewords=256, stem="7x7", dilated=False,
          codebook_scales=SCALES, guidance_scales=SCALES, transfer=True, compressed=512, codeword_channels=1024,
          shortcut=None, dropout=0.1, channels=64, width=None, stride_in="3x3"):
    """N×3×H×W -> N×classes×H×W. form: "paper", "released", or a baseline's. dropout: 0 to compare training steps."""
    shortcut = shortcut or {"7x7": "conv", "deep32": "avgpool", "deep64": "conv"}[stem]
    assert shortcut in ("conv", "avgpool"), shortcut
    encoder = ResNet(backbone, stem, dilated or form == "dilatedfcn8s", shortcut, channels, width, stride_in)
    if form in ("fcn32s", "dilatedfcn8s"):
        return EfficientFCN(encoder, FCNHead(encoder.channels, num_classes, compressed, dropout))
    if form in ("unet_bilinear", "unet_deconv"):
        return EfficientFCN(encoder, UNet(encoder.channels, num_classes, compressed, dropout, form == "unet_deconv"))
    decoder = {"paper": PaperDecoder, "released": ReleasedDecoder}[form]
    return EfficientFCN(encoder, decoder(encoder.channels, num_classes, codewords, codebook_scales, guidance_scales,
                                         transfer, compressed, codeword_channels, dropout))


def to_torch(name, array):
    """kh×kw×Cin×Cout -> Cout×Cin×kh×kw, Cin×Cout -> Cout×Cin; other arrays as they are. Always a copy.

    Of a transposed convolution, kh×kw×Cin×Cout -> Cin×Cout×kh×kw.
    """
    if ".up" in name:
        return torch.tensor(array.transpose(2, 3, 0, 1))
    return torch.tensor(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T)


def from_torch(name, tensor):
    """Cout×Cin×kh×kw -> kh×kw×Cin×Cout, Cout×Cin -> Cin×Cout; other tensors as they are. Always a copy."""
    array = tensor.detach().numpy()
    if ".up" in name:
        return np.array(array.transpose(2, 3, 0, 1), order="C")
    return np.array(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T, order="C")


def load(model, arrays):
    """minihgd's arrays into the model, which takes their (widest) float type; names and shapes must agree both ways."""
    counters = {k: v for k, v in model.state_dict().items() if k.endswith("num_batches_tracked")}
    tensors = {k: to_torch(k, a) for k, a in arrays.items() if not k.endswith("num_batches_tracked")}
    dtype = max((t.dtype for t in tensors.values()), key=lambda d: d.itemsize)
    model.to(dtype).load_state_dict(tensors | counters, strict=True)
    return model


def logits_and_gradients(model, images, labels, training):
    """N×H×W×3 and N×H×W -> logits N×H×W×classes, the mean cross-entropy, {name: gradient in minihgd's layout}."""
    model.train(training).zero_grad()
    logits = model(torch.tensor(images, dtype=next(model.parameters()).dtype).permute(0, 3, 1, 2))
    loss = F.cross_entropy(logits, torch.tensor(labels).long(), ignore_index=255)
    loss.backward()
    gradients = {name: from_torch(name, p.grad) for name, p in model.named_parameters()}
    return logits.detach().permute(0, 2, 3, 1).contiguous().numpy(), loss.item(), gradients
