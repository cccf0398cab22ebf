"""Stochastic gradient descent with momentum and weight decay.

    v ← m v + (g + λ w)        w ← w - lr v

as PyTorch has it: the decay λ acts on every parameter and goes through the momentum. With `clip` the gradients of all
parameters, taken as one vector, are shortened to that length where they are longer (Pascanu et al. 2013).

Where several processes have a share of the batch each, g is the sum of theirs, and all make the same step.

Derived in docs/13-training.md.
"""

from .. import backend
from ..errors import SettingError
from ..processes import Alone
from .flat import Flat


class SGD:
    """Steps the parameters of a model, whose data it lays side by side: v ← m v + (g + λ w), w ← w - lr v.

    momentum: m. weight_decay: λ, on every parameter. factors: name prefix -> factor on the learning rate, as
    {"decoder.": 10}. clip: the most that the gradients' length may be; 0 for anything. group: of the processes that
    step together. Raises SettingError for a prefix with which no parameter's name starts. See docs/13-training.md.
    """

    def __init__(self, model, momentum=0.9, weight_decay=1e-4, factors=None, clip=0, group=None):
        self.momentum, self.weight_decay, self.clip, self.group = momentum, weight_decay, clip, group or Alone()
        parameters = dict(model.named_parameters())
        self.factor = dict.fromkeys(parameters, 1)
        for prefix, factor in (factors or {}).items():
            found = [name for name in parameters if name.startswith(prefix)]
            if not found:
                raise SettingError(f"factors: no parameter's name starts with {prefix!r}")
            self.factor.update(dict.fromkeys(found, factor))
        kinds = {}
        for name, parameter in parameters.items():
            kinds.setdefault(parameter.dtype, {})[name] = parameter
        self.flats = [Flat(alike) for alike in kinds.values()]  # one, but for a model of several dtypes
        self.velocity = {name: velocity for flat in self.flats for name, velocity in flat.velocities.items()}

    def step(self, lr):
        """Move every parameter that has a gradient by its velocity, in place, and forget the gradient.

        lr: the learning rate, before the factors. Raises TrainingError for parameters that were moved to another device
        or cast since this was made.
        """
        steps = []
        for flat in self.flats:
            flat.hold()
            moving = flat.gather()
            self.group.all_reduce_sum(flat.gradient)
            steps += [(flat.weights[place], flat.velocity[place], flat.gradient[place], lr * factor)
                      for place, factor in self._runs(flat, moving)]
        if steps:
            primitives = backend.of(steps[0][0])
            primitives.momentum_steps(steps, self.momentum, self.weight_decay, self._share())

    def _runs(self, flat, names):
        """(place, factor) of the longest runs of neighbours among `names` that learn at one rate."""
        runs = []
        for name in names:
            place, factor = flat.places[name], self.factor[name]
            if runs and runs[-1][0].stop == place.start and runs[-1][1] == factor:
                place = slice(runs.pop()[0].start, place.stop)
            runs.append((place, factor))
        return runs

    def _share(self):
        """What the gradients are multiplied by so that their length is at most `clip`; None where that is not asked.

        Not a number for a length that overflowed: such a run has diverged and is to end, not to stand still.
        """
        if not self.clip:
            return None
        gradients = [flat.gradient for flat in self.flats]
        xp = backend.of(gradients[0]).xp
        length = xp.sqrt(sum(xp.vdot(g, g) for g in gradients))  # stays on the device: a GPU is not waited for
        share = xp.where(xp.isfinite(length), xp.minimum(1, self.clip / xp.maximum(length, 1e-12)), xp.nan)
        return self.group.broadcast(share)  # every rank has the same gradients, but may have added up in another order

    def state_dict(self):
        """name -> velocity, NumPy arrays."""
        return {name: backend.to_numpy(v) for name, v in self.velocity.items()}

    def load_state_dict(self, arrays):
        """Copy velocities saved by `state_dict` back, of the parameters' shapes. Raises KeyError for a missing name."""
        for name, v in self.velocity.items():
            v[...] = backend.of(v).xp.asarray(arrays[name])
