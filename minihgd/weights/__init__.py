"""Checkpoints: pretrained backbones and whole models, read and written without PyTorch.

Explained in docs/12-resnet-and-its-checkpoints.md.
"""

from .describe import describe, in_words
from .files import read, write
from .load import Report, find, load, match, save
from .names import torch_layout
from .unfold import unfold

__all__ = ["Report", "describe", "find", "in_words", "load", "match", "read", "save", "torch_layout", "unfold", "write"]
