"""Cross-entropy of enlarged logits on NumPy arrays, a few lines of the image at a time.

Derived in docs/11-cross-entropy.md; what the lines save: docs/16-speed-on-the-cpu.md.
"""

import numpy as np

from . import cpu, resampling


def upsampled_loss(logits, target, share, vertical, horizontal, keeps):
    """The loss of R X Sᵀ for logits X N×h×w×K, and its gradient N×h×w×K (None unless `keeps`).

    target N×H×W int: class numbers, -1 where a pixel does not count; share: what a pixel's loss is multiplied by;
    vertical, horizontal: the `Resizing`s R to H and S to W. The loss is a float64.
    """
    (n, h, w, K), (_, height, width) = logits.shape, target.shape
    R_h, R_w = vertical.matrix.astype(logits.dtype), horizontal.matrix.astype(logits.dtype)  # H×h, W×w
    # Classes before columns: sums over classes then run along whole rows of memory.
    across = np.ascontiguousarray(logits.swapaxes(2, 3)).reshape(-1, w)  # N·h·K×w
    across = cpu.matmul(across, R_w, transpose_b=True).reshape(n, h, K, width)

    def block(where):
        image, lines = where
        part = vertical.support(lines)  # the coarse lines that these lines lie between
        R = R_h[lines, part]  # b×a
        z = cpu.matmul(R, across[image, part].reshape(-1, K * width)).reshape(-1, K, width)  # b×K×W
        weight = (target[image, lines] >= 0) * logits.dtype.type(share)  # b×W: zero for void pixels
        loss = softmax_loss(z, np.maximum(target[image, lines], 0), weight)  # z has become dz
        if not keeps:
            return loss, None
        return loss, cpu.matmul(R, z.reshape(-1, K * width), transpose_a=True)  # a×K·W

    blocks = resampling.bands(n, height, K * width, cpu.BLOCK)
    parts = cpu.each(block, blocks)
    loss = sum(part for part, _ in parts)
    if not keeps:
        return loss, None
    across[...] = 0  # from here on its gradient
    for (image, lines), (_, d) in zip(blocks, parts, strict=True):
        across[image, vertical.support(lines)] += d.reshape(-1, K, width)
    dz = cpu.matmul(across.reshape(-1, width), R_w)  # N·h·K×w
    return loss, np.ascontiguousarray(dz.reshape(n, h, K, w).swapaxes(2, 3))


def softmax_loss(z, target, weight):
    """Σ weight · (log Σ_k exp z_k - z_target) of z b×K×W, target b×W, weight b×W; z becomes its gradient."""
    b, K, W = z.shape
    places = (K * np.arange(b)[:, None] + target) * W + np.arange(W)  # of z_target, b×W
    flat = z.reshape(-1)
    z -= z.max(axis=1, keepdims=True)  # exp cannot overflow, and the differences stay
    of_target = flat.take(places)  # b×W
    np.exp(z, out=z)
    total = z.sum(axis=1)  # b×W
    z *= (weight / total)[:, None]
    flat.put(places, flat.take(places) - weight)
    return ((np.log(total) - of_target) * weight).sum(dtype=np.float64)
