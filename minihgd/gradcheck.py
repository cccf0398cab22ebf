"""Numerical derivatives against backward passes.

For y = f(a, b, …) and a random cotangent ȳ, backward claims the gradient of ⟨ȳ, f⟩ with respect to every element of
every argument. Central differences measure it:

    d⟨ȳ, f⟩/da_i  ≈  ⟨ȳ, f(a + h e_i) - f(a - h e_i)⟩ / 2h

The cotangent is random because a constant one hides errors: the outputs of a softmax or of batch normalisation add
up to a constant, so with ȳ = 1 their true gradient is zero and a missing term goes unseen. See
docs/15-checking-gradients.md.
"""

import numpy as np

from .autograd import Tensor
from .errors import GradientError


def gradcheck(function, *arrays, tol=1e-6, step=1e-5, seed=0):
    """The largest relative error of the backward pass of `function` at `arrays`.

    function: takes as many tensors as there are arrays and returns one tensor; it must give the same output for the
    same inputs. arrays: NumPy arrays of any shape, checked in float64; keep them away from kinks by more than `step`.
    The error of an argument is its largest absolute error over its largest gradient. seed: of the cotangent. Raises
    GradientError, naming argument and element, where it exceeds `tol`. docs/15-checking-gradients.md.
    """
    rng = np.random.default_rng(seed)
    arrays = [np.array(a, dtype=np.float64) for a in arrays]
    tensors = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    y = function(*tensors)
    cotangent = rng.standard_normal(y.shape)
    if y.requires_grad:
        y.backward(cotangent)
    claimed = [np.zeros_like(a) if t.grad is None else t.grad for a, t in zip(arrays, tensors, strict=True)]
    for i, (a, g) in enumerate(zip(arrays, claimed, strict=True)):
        if g.shape != a.shape:
            raise GradientError(f"argument {i} has shape {a.shape}, its gradient {g.shape}")

    def value(shifted):
        return np.vdot(cotangent, function(*(Tensor(a) for a in shifted)).data)

    worst = 0.0
    for i, a in enumerate(arrays):
        measured = numerical_gradient(lambda x, i=i: value([*arrays[:i], x, *arrays[i + 1 :]]), a, step)
        difference = np.abs(measured - claimed[i])
        scale = max(np.abs(measured).max(initial=0), np.abs(claimed[i]).max(initial=0))
        error = _relative(difference.max(initial=0), scale)
        if not error <= tol:
            where = np.unravel_index(np.argmax(np.nan_to_num(difference, nan=np.inf)), a.shape)
            raise GradientError(f"argument {i}, element {tuple(map(int, where))}: backward says "
                                f"{claimed[i][where]:.9g}, numerically it is {measured[where]:.9g} "
                                f"(relative error {error:.2g}, tolerance {tol:.2g})")
        worst = max(worst, error)
    return worst


def numerical_gradient(value, a, step=1e-5):
    """Central differences of the scalar `value(a)`, `step` both ways; shape of `a`. docs/15-checking-gradients.md."""
    gradient = np.empty_like(a)
    for i in np.ndindex(a.shape):
        ahead, behind = a.copy(), a.copy()
        ahead[i] += step
        behind[i] -= step
        gradient[i] = (value(ahead) - value(behind)) / (2 * step)
    return gradient


def check_directions(loss, parameters, directions=4, tol=1e-6, step=1e-6, seed=0):
    """The largest relative error of a whole model's backward pass along random directions.

    loss: takes nothing and returns a scalar tensor that depends on `parameters` (float64 tensors), the same one for
    the same parameters. Each direction moves all of them at once, each in proportion to its own size, and

        d loss / d direction = sum over the parameters of <gradient, direction>

    directions: how many. step: what share of a direction is gone to each side. seed: of the directions. Raises
    GradientError where the two differ by more than `tol` of the sum's largest term. docs/15-checking-gradients.md.
    """
    for parameter in parameters:
        parameter.grad = None
    loss().backward()
    gradients = [np.zeros(p.shape) if p.grad is None else p.grad for p in parameters]
    at, rng, worst = [p.data for p in parameters], np.random.default_rng(seed), 0.0
    for number in range(directions):
        v = [rng.standard_normal(a.shape) * max(1e-3, np.abs(a).mean()) for a in at]

        def value(distance, v=v):
            for p, a, d in zip(parameters, at, v, strict=True):
                p.data = a + distance * d
            return float(loss().data)

        try:
            measured = (value(step) - value(-step)) / (2 * step)
        finally:
            for p, a in zip(parameters, at, strict=True):
                p.data = a
        terms = [np.vdot(g, d) for g, d in zip(gradients, v, strict=True)]
        error = _relative(abs(measured - sum(terms)), np.abs(terms).max())
        if not error <= tol:
            raise GradientError(f"direction {number}: backward says {sum(terms):.9g}, numerically it is "
                                f"{measured:.9g} (relative error {error:.2g}, tolerance {tol:.2g})")
        worst = max(worst, error)
    return worst


def _relative(difference, scale):
    """difference / scale; where both gradients vanish, up to rounding, the difference itself."""
    return float(difference / scale) if scale > 1e-8 else float(difference)
