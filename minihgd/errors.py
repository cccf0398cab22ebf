"""The errors people meet: each message names the file or argument, what was found and what was expected.

Some are met in docs/12-resnet-and-its-checkpoints.md (weights), docs/13-training.md (checkpoints) and
docs/15-checking-gradients.md (gradients).
"""


class MinihgdError(Exception):
    """What all of them are, for scripts that print the message without a traceback."""


class GradientError(MinihgdError, AssertionError):
    """A backward pass disagrees with the numerical derivative of its forward pass. docs/15-checking-gradients.md."""


class ShapeError(MinihgdError, ValueError):
    """Arrays whose shapes, kinds or settings do not fit together."""


class SettingError(MinihgdError, ValueError):
    """A setting of a model, a run or a device that is out of range, unknown or not available."""


class DataError(MinihgdError, ValueError):
    """A data set, image or label that is missing, broken or out of range."""


class CheckpointError(MinihgdError, ValueError):
    """A checkpoint that cannot be read, or belongs to another model or run."""


class WeightsError(MinihgdError, ValueError):
    """A weights file that cannot be read, or does not fit the model."""


class TrainingError(MinihgdError, RuntimeError):
    """A training run that cannot go on."""


class DivergedError(TrainingError):
    """A training run whose loss or weights are no longer finite."""
