"""Stochastic gradient descent with momentum and weight decay.

    v ← m v + (g + λ w)        w ← w - lr v

as PyTorch has it: the decay λ acts on every parameter and goes through the momentum. With `clip` the gradients of all
parameters, taken as one vector, are shortened to that length where they are longer (Pascanu et al. 2013).
"""

from .. import backend
from ..errors import SettingError


class SGD:
    """Steps a model's parameters.

    factors: name prefix -> factor on the learning rate, as {"decoder.": 10}. clip: the most that the gradients' length
    may be; 0 for anything.
    """

    def __init__(self, model, momentum=0.9, weight_decay=1e-4, factors=None, clip=0):
        self.momentum, self.weight_decay, self.clip = momentum, weight_decay, clip
        self.parameters = dict(model.named_parameters())
        self.velocity = {name: backend.of(p.data).xp.zeros_like(p.data) for name, p in self.parameters.items()}
        self.factor = dict.fromkeys(self.parameters, 1)
        for prefix, factor in (factors or {}).items():
            found = [name for name in self.parameters if name.startswith(prefix)]
            if not found:
                raise SettingError(f"factors: no parameter's name starts with {prefix!r}")
            self.factor.update(dict.fromkeys(found, factor))

    def step(self, lr):
        """Move every parameter that has a gradient by its velocity, in place, and forget the gradient."""
        moving = [(name, p) for name, p in self.parameters.items() if p.grad is not None]
        if moving:
            backend.of(moving[0][1].data).momentum_steps(
                [(p.data, self.velocity[name], p.grad, lr * self.factor[name]) for name, p in moving],
                self.momentum, self.weight_decay, self.share([p.grad for _, p in moving]))
        for _, parameter in moving:
            parameter.grad = None

    def share(self, gradients):
        """What the gradients are multiplied by so that their length is at most `clip`; None where that is not asked.

        Not a number for a length that overflowed: such a run has diverged and is to end, not to stand still.
        """
        if not self.clip:
            return None
        xp = backend.of(gradients[0]).xp
        length = xp.sqrt(sum(xp.vdot(g, g) for g in gradients))  # stays on the device: a GPU is not waited for
        return xp.where(xp.isfinite(length), xp.minimum(1, self.clip / xp.maximum(length, 1e-12)), xp.nan)

    def state_dict(self):
        """name -> velocity, NumPy arrays."""
        return {name: backend.to_numpy(v) for name, v in self.velocity.items()}

    def load_state_dict(self, arrays):
        """Copy velocities saved by `state_dict` back. Names and shapes must be the parameters'."""
        for name, v in self.velocity.items():
            v[...] = backend.of(v).xp.asarray(arrays[name])
