"""The classical decoders that the paper compares with (Table 1): FCN's head and two U-Nets.

The paper gives their costs and not their layers. These are the ones whose parameters and multiply-accumulates come out
as printed: every convolution to 512 channels, each with batch normalisation and ReLU. The comparison is told in
docs/01-what-the-network-computes.md.
"""

from .. import nn, ops


def layer(cin, cout, size=1):
    """Convolution of `cin` to `cout` channels that keeps the size of the map, batch normalisation, ReLU.

    size: of the kernel in pixels, odd.
    """
    return nn.Sequential(nn.Conv2d(cin, cout, size, 1, size // 2, bias=False), nn.BatchNorm2d(cout), nn.ReLU())


class FCNHead(nn.Module):
    """One 3×3 convolution and the classifier, on the encoder's last map: FCN-32s, and dilatedFCN-8s at stride 8.

    Maps [c8, c16, c32] -> logits of the last one's size. channels: of the maps. num_classes: of the logits.
    compressed: channels before the classifier. dropout: the probability for each of them.
    """

    def __init__(self, channels, num_classes, compressed=512, dropout=0.1):
        self.fusion = layer(channels[2], compressed, 3)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(compressed, num_classes, 1, gain=0.1)

    def forward(self, maps):
        return self.classifier(self.dropout(self.fusion(maps[2])))


class UNet(nn.Module):
    """The last map, enlarged twice by two; each time the encoder's map of that size is laid beside it and fused.

    Maps [c8, c16, c32] -> logits N×H/8×W/8×classes. deconv: enlarge by a learned transposed convolution, 2×2 with
    stride 2, in place of bilinear resizing. channels, num_classes, dropout: as for FCNHead. compressed: channels of
    every map inside.
    """

    def __init__(self, channels, num_classes, compressed=512, dropout=0.1, deconv=False):
        for scale, cin in zip((8, 16, 32), channels, strict=True):
            setattr(self, f"e{scale}", layer(cin, compressed))
        self.up16 = nn.ConvTranspose2d(compressed, compressed, 2, 2, bias=False) if deconv else None
        self.up8 = nn.ConvTranspose2d(compressed, compressed, 2, 2, bias=False) if deconv else None
        self.fuse16 = layer(2 * compressed, compressed, 3)
        self.fuse8 = nn.Sequential(*layer(2 * compressed, compressed, 3), *layer(compressed, compressed, 3),
                                   *layer(compressed, compressed, 3))
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(compressed, num_classes, 1, gain=0.1)

    def forward(self, maps):
        e8, e16, e32 = (e(x) for e, x in zip((self.e8, self.e16, self.e32), maps, strict=True))
        d16 = self.fuse16(ops.concatenate([enlarge(e32, e16, self.up16), e16]))  # N×H/16×W/16×512
        d8 = self.fuse8(ops.concatenate([enlarge(d16, e8, self.up8), e8]))  # N×H/8×W/8×512
        return self.classifier(self.dropout(d8))  # N×H/8×W/8×classes


def enlarge(x, like, up):
    """x N×h×w×C -> the size of the map `like`, about twice as high and wide: bilinearly, or by the layer `up`."""
    height, width = like.shape[1:3]
    if up is None:
        return ops.resize_bilinear(x, (height, width))
    return ops.cut(ops.cut(up(x), 1, 0, height), 2, 0, width)  # an odd map is half of one that is a pixel larger
