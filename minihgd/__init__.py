"""EfficientFCN by hand: a segmentation network's layers, gradients and training on NumPy, and on CuPy on a GPU.

The pages that derive and explain it begin with docs/01-what-the-network-computes.md.
"""

from . import backend, data, evaluation, models, nn, ops, report, training, weights
from .autograd import Tensor, no_grad
from .errors import GradientError
from .gradcheck import gradcheck

__all__ = ["GradientError", "Tensor", "backend", "data", "evaluation", "gradcheck", "models", "nn", "no_grad", "ops",
           "report", "training", "weights"]
__version__ = "0.1.0"
