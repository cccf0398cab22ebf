"""Checkpoints of pretrained backbones, read without PyTorch."""

from .files import read
from .load import Report, load

__all__ = ["Report", "load", "read"]
