"""Which arrays: NumPy on "cpu", CuPy on "cuda" or "cuda:1", and the primitives that both provide.

`of(array)` is the module with the primitives for that array: `cpu` or `gpu`. They have the same functions, so an op
is written once:

    xp                                    numpy or cupy
    each(work, jobs)                      [work(job) for job in jobs], spread over the cores; count() says over how many
    matmul(a, b, ...)                     matrix products, batched or not, with transposes and accumulation
    column_sums(x), column_moments(x)     sums, and mean and variance, of the columns of a matrix
    scale_shift(x, scale, shift, ...)     x · scale + shift with a row for the columns; + residual; ReLU
    normalise_backward(dy, x, mean, y)    through the ReLU, with the sums that a normalisation's gradient needs
    combine(g, x, a, b, c)                a g + b x + c with rows for the columns
    normaliser, normaliser_backward       those rows, from statistics and their gradients
    follow(running_mean, ...)             running statistics moved towards a batch's
    pixels(images, ...)                   bytes as a backbone takes them
    add(a, b), add_row(x, row)            sums
    softmax(z)                            softmax along the rows of a matrix
    relu(x), relu_backward(dy, y)         max(x, 0), and dy where y > 0
    momentum_steps(parameters, ...)       a step of SGD
    uploads()                             a function that brings arrays to the device, or None
    BLOCK                                 how many elements to work on at a time
    windows, pooling, resampling, losses  the same for maps: modules of their own, or one

`conv` (beside this file) builds convolution from `matmul` and views, for both. What the GPU's do otherwise is explained
in docs/17-on-the-gpu-and-on-several.md.
"""

import numpy as np

from ..errors import SettingError
from . import cpu
from .precision import wide  # noqa: F401

_by_type = {np.ndarray: cpu}  # so that CuPy is imported with its first array, and looked for once


def of(array):
    """The primitives for an array: module `cpu` for NumPy's, `gpu` for CuPy's. Raises TypeError for anything else."""
    primitives = _by_type.get(type(array))
    if primitives is not None:
        return primitives
    if isinstance(array, (np.ndarray, np.generic)):  # NumPy turns arrays of no axes into numbers
        return cpu
    if is_array(array):
        from . import gpu

        _by_type[type(array)] = gpu
        return gpu
    raise TypeError(f"expected a NumPy or CuPy array, found {type(array).__name__}")


def is_array(value):
    """Whether `value` is a NumPy or a CuPy array (CuPy is not imported to find out)."""
    return isinstance(value, np.ndarray) or type(value).__module__.partition(".")[0] == "cupy"


def is_floating(dtype):
    """Whether a dtype holds floating-point numbers: NumPy's own, or bfloat16, which NumPy does not count as such."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def narrow(weight, x):
    """A weight as products with the maps x take it: in bfloat16 beside such maps, else itself."""
    return weight if wide(x.dtype) == x.dtype else weight.astype(x.dtype, copy=False)


def widened(x):
    """An array in float32 where it is in bfloat16, for what has to be computed so; else itself."""
    return x.astype(wide(x.dtype), copy=False)


def module(device):
    """The primitives for a device's name: "cpu", "cuda" or "cuda:N", which becomes the current GPU.

    Raises SettingError for another name, where CuPy cannot be imported, and for a GPU that is not there.
    """
    if device == "cpu":
        return cpu
    kind, _, number = str(device).partition(":")
    if kind != "cuda" or (number and not number.isdigit()) or str(device).endswith(":"):
        raise SettingError(f'device: found {device!r}, expected "cpu", "cuda" or "cuda:1"')
    try:
        from . import gpu
    except ImportError as error:
        raise SettingError(f"device: {device} needs CuPy, which cannot be imported here ({error}); "
                           "pip install 'minihgd[cuda12]' or [cuda13]") from None
    gpu.use(int(number or 0))
    return gpu


def to_device(array, device):
    """`array` on the device named: itself if it is there already, else a copy. Raises SettingError, as `module`."""
    target = module(device)
    return to_numpy(array) if target is cpu else target.xp.asarray(array)


def to_numpy(array):
    """`array` as a NumPy array: itself, or a copy from the GPU."""
    return array if isinstance(array, np.ndarray) else array.get()
