"""Weights whose batch normalisation was folded into the convolutions, made ready for training.

For prediction a normalisation is a fixed scale and shift of every channel, and many published files have the scale
multiplied into the convolution before it: what is left is γ = 1, running mean 0, running variance 1 and a shift. In
training the statistics are those of the batch, so such a network would start with every channel at deviation 1, which
is not what its weights were made for. The scale can be had back: measured on some images, and put into γ.
Derived in docs/12-resnet-and-its-checkpoints.md.
"""

import numpy as np

from .. import nn
from ..autograd import no_grad
from ..backend import of


def is_folded(arrays):
    """Whether all normalisations among name -> array are identities, up to 0.001, and some shift is not zero."""
    norms = [name.removesuffix("running_var") for name in arrays if name.endswith(".running_var")]
    identity = all(np.allclose(arrays.get(norm + kind, value), value, atol=1e-3) for norm in norms
                   for kind, value in (("weight", 1), ("running_mean", 0), ("running_var", 1)))
    return identity and any(np.any(arrays.get(f"{norm}bias", 0)) for norm in norms)


def unfold(model, images):
    """Give every normalisation of `model` the statistics that it meets on `images` (a tensor N×H×W×3), in place.

    What the model computes in evaluation mode stays the same: a channel's mean μ and variance σ² become its running
    statistics m and v, and its scale and shift make up for it,

        γ (x - m) / √(v + ε) + β  =  γ' (x - μ) / √(σ² + ε) + β'
        γ' = γ √(σ² + ε) / √(v + ε)        β' = β + γ (μ - m) / √(v + ε)

    and in training mode it now computes the same on such images. The model is left in evaluation mode. Derived in
    docs/12-resnet-and-its-checkpoints.md.
    """
    norms = [module for _, module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.forward = _measuring(norm)
    try:
        with no_grad():
            model.eval()(images)
    finally:
        for norm in norms:
            del norm.forward


def _measuring(norm):
    """A normalisation's `forward` that first takes over the statistics of its input."""
    def forward(x, **options):
        rows = x.data.reshape(-1, x.shape[-1])  # M×C
        mean, var = of(rows).column_moments(rows)
        scale = norm.weight.data / (norm.running_var + norm.eps) ** 0.5
        norm.weight.data[...] = scale * (var + norm.eps) ** 0.5
        norm.bias.data += scale * (mean - norm.running_mean)
        norm.running_mean[...], norm.running_var[...] = mean, var
        return type(norm).forward(norm, x, **options)
    return forward
