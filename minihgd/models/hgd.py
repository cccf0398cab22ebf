"""The holistically-guided decoder: section 3.2 of the paper, and the form its released code has.

    e_8, e_16, e_32     the encoder's last three maps, compressed to 512 channels
    m_32 = [e_8↓; e_16↓; e_32]      m_8 = [e_8; e_16↑; e_32↑]
    B, A  from m_32     codeword bases and n spatial weighting maps
    C = softmax(A)ᵀ B   the codebook: n holistic codewords                              equations (1), (2)
    G  from m_8         guidance;  Ḡ = G + mean of B;  W from Ḡ: assembly coefficients
    f̃_8 = W C           every OS-8 pixel a combination of codewords                     equation (3)
    f̂_8 = [f̃_8; G]      classified by a 1×1 convolution

Every convolution of the decoder is 1×1. Channels: 512 for e, 1024 for B, C, G and f̃. The codebook is derived in
docs/08-softmax-pooling.md, its use in docs/09-codeword-assembly.md, how less work gives the same in
docs/10-the-decoders-algebra.md.
"""

import math
from typing import NamedTuple

from .. import backend, nn, ops
from ..autograd import Tensor, is_recording
from ..errors import SettingError

SCALES = (8, 16, 32)


class Holistic(NamedTuple):
    """What the decoder makes of an image on the way to f̃ = W C, as arrays; of N images each has N in front."""

    maps: object  # H/32×W/32×n, the weighting maps Ã, each adding up to one: where a codeword is collected
    codebook: object  # n×D, the codewords C
    coefficients: object  # H/8×W/8×n, the assembly coefficients W: where a codeword is used


class Decoder(nn.Module):
    """What both forms share: the fusion of scales and the order of the steps.

    channels: (c8, c16, c32) of the encoder's maps. codebook_scales and guidance_scales: which of e_8, e_16, e_32
    enter m_32 and m_8 (Tables 2 and 3). transfer: whether the mean of B is added to G. Of the two forms alone,
    num_classes: of the logits; codewords: n; compressed: channels of e; codeword_channels: of B, C, G and f̃.
    Raises SettingError unless the scales are some of 8, 16 and 32, with 32 in the codebook's and 8 in the guidance's.
    """

    align_corners = False
    plain = False  # whether every step is computed as it is printed: slower, and what `report.cost` counts

    def __init__(self, codebook_scales, guidance_scales, transfer):
        for name, scales, own in (("codebook_scales", codebook_scales, 32), ("guidance_scales", guidance_scales, 8)):
            if not set(scales) <= set(SCALES) or own not in scales:
                raise SettingError(f"{name}: found {scales!r}, expected some of {SCALES}, {own} among them")
        self.codebook_scales = tuple(s for s in SCALES if s in codebook_scales)
        self.guidance_scales = tuple(s for s in SCALES if s in guidance_scales)
        self.transfer = transfer

    @property
    def scales(self):
        """The scales that enter the decoder at all."""
        return tuple(s for s in SCALES if s in self.codebook_scales + self.guidance_scales)

    def fuse(self, e, scales, to):
        """The maps e[s] of `scales`, resized to the size of map `to` and put side by side: m_32 or m_8."""
        size = e[to].shape[1:3]
        return ops.concatenate([ops.resize_bilinear(e[s], size, self.align_corners) for s in scales])

    def forward(self, maps):
        """maps [c8, c16, c32] -> logits N×H/8×W/8×classes."""
        e, A, B, C = self.collect(maps)
        return self.as_printed(e, B, C) if self.plain else self.by_parts(e, B, C)

    def collect(self, maps):
        """maps [c8, c16, c32] -> the compressed maps e by scale, A, B, and the codebook C."""
        e = self.compress(dict(zip(SCALES, maps, strict=True)))
        m32 = self.fuse(e, self.codebook_scales, to=32)  # N×H/32×W/32×1536
        B = self.base(m32)  # N×H/32×W/32×1024
        A = self.attention(m32)  # N×H/32×W/32×n
        return e, A, B, self.scale(ops.softmax_pool(A, B))  # C N×n×1024

    def as_printed(self, e, B, C):
        """From the codebook to the logits, in the paper's order."""
        G, W = self.guide(e, B)
        f = ops.assemble(W, C)  # N×H/8×W/8×1024
        return self.classify(self.head(ops.concatenate([f, G])))  # N×H/8×W/8×classes

    def guide(self, e, B):
        """The guidance G N×H/8×W/8×1024 and the assembly coefficients W N×H/8×W/8×n."""
        m8 = self.fuse(e, self.guidance_scales, to=8)  # N×H/8×W/8×1536
        G = self.guidance(m8)  # N×H/8×W/8×1024
        return G, self.coefficients(G + self.mean(B) if self.transfer else G)

    def by_parts(self, e, B, C):
        """The same function with less work: what is linear may change places with what is linear.

        A 1×1 convolution of maps side by side is the sum of the convolutions of each, and it commutes with resizing,
        which acts on space and not on channels: so the coarse maps are convolved before they are enlarged. For the
        same reason the transferred B_mean, one vector per image, goes through W's convolution by itself, and the head's
        weight u (K in the code) acts on the n codewords in place of the pixels assembled from them:

            [W C; G] u = W (C u_f) + G u_G
        """
        conv, rest = _first(self.guidance)
        G = rest(self.mix(conv, e, self.guidance_scales, to=8))  # N×H/8×W/8×1024
        conv, rest = _first(self.coefficients)
        W = conv(G) + ops.conv2d(self.mean(B), conv.weight) if self.transfer else conv(G)
        W = rest(W)  # N×H/8×W/8×n
        conv, rest = _first(self.head)
        (N, n, D), K = C.shape, conv.weight  # N×n×1024, 1×1×2048×k
        CK = ops.conv2d(ops.reshape(C, (N, n, 1, D)), ops.cut(K, 2, 0, D))  # N×n×1×k
        f = ops.assemble(W, ops.reshape(CK, (N, n, -1)))  # N×H/8×W/8×k
        return self.classify(rest(f + ops.conv2d(G, ops.cut(K, 2, D, K.shape[2]), conv.bias)))

    def mix(self, conv, e, scales, to):
        """conv(self.fuse(e, scales, to)), each map convolved by its own rows of the weight before it is enlarged."""
        parts, start = [], 0
        for s in scales:
            stop = start + e[s].shape[3]
            y = ops.conv2d(e[s], ops.cut(conv.weight, 2, start, stop), conv.bias if s == to else None)
            parts.append(ops.resize_bilinear(y, e[to].shape[1:3], self.align_corners))
            start = stop
        return sum(parts[1:], start=parts[0])

    @staticmethod
    def mean(B):
        """B_mean, the mean of the codeword bases: N×h×w×D -> N×1×1×D."""
        return ops.mean(B, axis=(1, 2), keepdims=True)

    def holistic(self, maps):
        """maps [c8, c16, c32] -> `Holistic`: the codewords of N images, where they come from and where they go."""
        e, A, B, C = self.collect(maps)
        _, W = self.guide(e, B)
        A = ops.softmax_pooling.softmax_over_pixels(A.data).reshape(A.shape)
        return Holistic(A, C.data, W.data)


class PaperDecoder(Decoder):
    """The text taken literally: 1×1 convolutions with bias, nothing between them.

    f̃ is a product of W and means of B, both of them linear in the features, and at first all n codewords are nearly the
    same mean, so that a step moves all of W's maps alike and f̃ by n times as much. With momentum and the paper's
    learning rate the loss grows without bound within ten steps; it falls with gradients clipped to length 1
    (`training.Settings.clip`).
    """

    def __init__(self, channels, num_classes, codewords=256, codebook_scales=SCALES, guidance_scales=SCALES,
                 transfer=True, compressed=512, codeword_channels=1024):
        super().__init__(codebook_scales, guidance_scales, transfer)
        D = codeword_channels
        for scale, cin in zip(SCALES, channels, strict=True):
            if scale in self.scales:
                setattr(self, f"e{scale}", nn.Conv2d(cin, compressed, 1))
        m32, m8 = len(self.codebook_scales) * compressed, len(self.guidance_scales) * compressed
        self.base = nn.Conv2d(m32, D, 1)
        self.attention = nn.Conv2d(m32, codewords, 1)  # its bias never learns: the softmax does not see a shift
        self.guidance = nn.Conv2d(m8, D, 1)
        # At first f̃, a sum of n codewords, is to be of a codeword's size, and no class preferred.
        self.coefficients = nn.Conv2d(D, codewords, 1, gain=codewords**-0.5)
        self.classifier = nn.Conv2d(2 * D, num_classes, 1, gain=0.1)

    def compress(self, maps):
        """{8: c8, 16: c16, 32: c32} -> those of e_8, e_16, e_32 that are used, by scale."""
        return {s: getattr(self, f"e{s}")(maps[s]) for s in self.scales}

    def by_parts(self, e, B, C):
        """`Decoder.by_parts` in training and where gradients are recorded; else `composed`."""
        return super().by_parts(e, B, C) if self.training or is_recording() else self.composed(e, B, C)

    def composed(self, e, B, C):
        """The same function once more, for prediction: where no gradients are wanted, weights may be multiplied first.

        Nothing but linear maps lies between e and both W and the head's G u_G, so w_g [w_c, u_G], n + classes wide,
        takes the place of the 1024 channels of G. (w_g, w_c, u are Wg, Wc, K in the code.)
        """
        Wg, Wc, K = (conv.weight.data[0, 0] for conv in (self.guidance, self.coefficients, self.head))
        (D, n), matmul, xp = Wc.shape, backend.of(Wg).matmul, backend.of(Wg).xp
        both = xp.concatenate([Wc, K[D:]], axis=1)  # D×(n + classes)
        bias = matmul(self.guidance.bias.data[None], both)[0]
        bias += xp.concatenate([self.coefficients.bias.data, self.head.bias.data])
        y = self.mix(_Conv(Tensor(matmul(Wg, both)[None, None]), Tensor(bias)), e, self.guidance_scales, to=8)
        W = ops.cut(y, 3, 0, n)  # N×H/8×W/8×n
        if self.transfer:
            W = W + ops.conv2d(self.mean(B), self.coefficients.weight)
        CK = matmul(C.data.reshape(-1, D), backend.narrow(K[:D], C.data)).reshape(len(C.data), n, -1)  # N×n×classes
        f = ops.assemble(W, Tensor(CK))
        return f + ops.cut(y, 3, n, y.shape[3])  # N×H/8×W/8×classes

    def scale(self, C):
        """The codebook as it is used: C itself."""
        return C

    @property
    def head(self):
        """The layer that sees f̂ = [f̃; G]."""
        return self.classifier

    def classify(self, x):
        """From the head's output to the logits: it has made them already."""
        return x


class ReleasedDecoder(Decoder):
    """The authors' public code: batch normalisation after each convolution, ReLU where not noted otherwise.

    It departs from the text in: c8 enters as it is; A and W take a second n→n convolution; W ≥ 0; f̃ is divided by
    √n; [f̃; G] is fused to 1024 channels before channel dropout and the classifier.
    """

    align_corners = True

    def __init__(self, channels, num_classes, codewords=256, codebook_scales=SCALES, guidance_scales=SCALES,
                 transfer=True, compressed=512, codeword_channels=1024, dropout=0.1):
        super().__init__(codebook_scales, guidance_scales, transfer)
        D, n = codeword_channels, codewords
        for scale, cin in zip(SCALES[1:], channels[1:], strict=True):
            if scale in self.scales:
                setattr(self, f"e{scale}", nn.Sequential(*_layer(cin, compressed), nn.ReLU()))
        width = {8: channels[0], 16: compressed, 32: compressed}
        m32, m8 = (sum(width[s] for s in scales) for scales in (self.codebook_scales, self.guidance_scales))
        self.base = nn.Sequential(*_layer(m32, D), nn.ReLU())
        self.attention = nn.Sequential(*_layer(m32, n), nn.ReLU(), *_layer(n, n))
        self.guidance = nn.Sequential(*_layer(m8, D), nn.ReLU())
        self.coefficients = nn.Sequential(*_layer(D, n), nn.ReLU(), *_layer(n, n), nn.ReLU())
        self.fusion = nn.Sequential(*_layer(2 * D, D), nn.ReLU())
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(D, num_classes, 1, gain=0.1)
        self.codewords = n

    def compress(self, maps):
        """{8: c8, 16: c16, 32: c32} -> those of c_8, e_16, e_32 that are used, by scale: c_8 enters as it is."""
        return {s: maps[s] if s == 8 else getattr(self, f"e{s}")(maps[s]) for s in self.scales}

    def scale(self, C):
        """The codebook as it is used: divided by √n."""
        return C * (1 / math.sqrt(self.codewords))  # so is f̃ = W C

    @property
    def head(self):
        """The layer that sees f̂ = [f̃; G]."""
        return self.fusion

    def classify(self, x):
        """From the head's output, 1024 channels, to the logits: dropout and the classifier."""
        return self.classifier(self.dropout(x))


def _layer(cin, cout):
    return nn.Conv2d(cin, cout, 1, bias=False), nn.BatchNorm2d(cout)


class _Conv(NamedTuple):
    """A 1×1 convolution that no layer owns."""

    weight: Tensor
    bias: Tensor


def _first(layer):
    """A layer, as its convolution and a function for what follows it."""
    return (layer, lambda x: x) if isinstance(layer, nn.Conv2d) else (next(iter(layer)), layer.rest)


FORMS = {"paper": PaperDecoder, "released": ReleasedDecoder}
