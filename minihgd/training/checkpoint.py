"""Checkpoints: one `.npz` file with weights, velocities, the step, and what the run was set to.

A file is written aside, flushed to the disk and renamed, so that a checkpoint is whole or is not there. Explained in
docs/13-training.md.
"""

import json
from dataclasses import dataclass

import numpy as np

from .. import models
from ..errors import CheckpointError
from ..files import written_aside
from ..weights.files import kind_of

FORMAT = "minihgd checkpoint 1"


@dataclass
class Checkpoint:
    """What a file holds: a run after `step` steps.

    weights, velocity: name -> NumPy array, as the model's and the optimiser's `state_dict` have them. about: the
    settings of the run and the model, plain JSON values. See docs/13-training.md.
    """

    step: int
    weights: dict  # name -> array, the library's own layout
    velocity: dict  # name -> array
    about: dict


def save(path, checkpoint):
    """Write a Checkpoint to the file `path`; what was there before stays whole until the new one is.

    checkpoint: the Checkpoint. Raises OSError, naming the file, where it cannot be written. See docs/13-training.md.
    """
    header = json.dumps({"format": FORMAT, "step": checkpoint.step, "about": checkpoint.about})
    arrays = {f"weights/{name}": a for name, a in checkpoint.weights.items()}
    arrays |= {f"velocity/{name}": a for name, a in checkpoint.velocity.items()}
    with written_aside(path) as file:
        np.savez(file, header=np.array(header), **arrays)


def load(path):
    """Read the Checkpoint in the file `path`; nothing in it is executed.

    Raises CheckpointError for a missing, broken or foreign file. See docs/13-training.md.
    """
    try:
        arrays, header = _read(path)
        found, step, about = header["format"], header["step"], header["about"]
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no checkpoint") from None
    except CheckpointError:
        raise
    except Exception as error:  # there is no telling in which way a broken file makes a step fail
        why = "it holds Python objects" if "allow_pickle" in str(error) else str(error) or type(error).__name__
        raise CheckpointError(f"{path}: not a checkpoint of minihgd, or a damaged one ({why})") from None
    if found != FORMAT:
        raise CheckpointError(f"{path}: its format is {found!r}, expected {FORMAT!r}")
    if type(step) is not int or not isinstance(about, dict):
        raise CheckpointError(f"{path}: a damaged checkpoint: its step is {step!r}, what it says of itself {about!r}")
    weights, velocity = ({name.removeprefix(kind): a for name, a in arrays.items() if name.startswith(kind)}
                         for kind in ("weights/", "velocity/"))
    return Checkpoint(step, weights, velocity, about)


def _read(path):
    """(name -> array, the header) of a file; what it raises may be anything."""
    try:
        kind = kind_of(path)
    except ValueError:
        raise ValueError("it is no .npz file") from None
    if kind != ".npz":
        raise CheckpointError(f"{path}: this is a weights file, not a checkpoint of a run; give it to --weights")
    with np.load(path, allow_pickle=False) as file:
        if "header" not in file.files:
            raise CheckpointError(f"{path}: found no header, expected a checkpoint of a run; is this a weights file? "
                                  "Those are given to --weights")
        arrays = {name: file[name] for name in file.files}
    return arrays, json.loads(str(arrays.pop("header")))


def model_of(path):
    """The model of the checkpoint in the file `path`, in evaluation mode on the CPU, and its `about`.

    For checkpoints whose `about` has `network`, the arguments of `models.build`, and the list `classes`. Raises
    CheckpointError where these are missing, the weights are another network's, or the file is missing or broken. See
    docs/13-training.md.
    """
    checkpoint = load(path)
    network, classes = (checkpoint.about.get(key) for key in ("network", "classes"))
    if not isinstance(network, dict) or not isinstance(classes, list):
        raise CheckpointError(f"{path}: it does not say which network it holds; expected `network` and `classes`")
    try:
        model = models.build(num_classes=len(classes), **network)
        model.load_state_dict(checkpoint.weights)
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: not the weights of its own network ({error.args[0]})") from None
    return model.eval(), checkpoint.about


def flat(about, prefix=""):
    """Nested dictionaries as one, names joined by dots."""
    parts = {}
    for key, value in about.items():
        parts |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return parts


def restore(path, model, optimiser, about):
    """Load the file `path` into a model and its optimiser and return the step, if it is of a run set to `about`.

    Raises CheckpointError, naming what differs, for a checkpoint of another model or other settings, and for a file
    that is missing or broken; then nothing was changed. See docs/13-training.md.
    """
    checkpoint = load(path)
    there, here = flat(checkpoint.about), flat(about)
    differ = [f"{key} is {there.get(key)!r} there and {here.get(key)!r} here"
              for key in sorted(there.keys() | here.keys()) if there.get(key) != here.get(key)]
    if differ:
        raise CheckpointError(f"{path}: a checkpoint of another run: {'; '.join(differ)}")
    expected, found = ({name: v.shape for name, v in velocity.items()}
                       for velocity in (optimiser.velocity, checkpoint.velocity))
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            raise CheckpointError(f"{path}: a checkpoint of another model: {name} has shape {found.get(name)}, "
                                  f"expected {expected.get(name)}")
    try:
        model.load_state_dict(checkpoint.weights)
        optimiser.load_state_dict(checkpoint.velocity)
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: a checkpoint of another model: {error.args[0]}") from None
    return checkpoint.step
