"""Parameters side by side in one array, so that what is done to all of them is done once.

Their gradients are added up over processes in one exchange, and a step of SGD is one call, not one for each of a
hundred small arrays. A parameter's `data` becomes a view of the array; names and shapes stay what they are. Explained
in docs/13-training.md; the exchange in docs/17-on-the-gpu-and-on-several.md.
"""

from .. import backend
from ..errors import TrainingError

ALIGNED = 64  # elements: parameters begin where an array of their own would, at a multiple of as many bytes and more


class Flat:
    """Parameters of one dtype on one device: their `weights`, and a `gradient` and `velocity` of the same layout.

    parameters: name -> Parameter. places: name -> slice of the three arrays, up to the next parameter; what is left
    over at its end is zero, and stays so. `velocities`: name -> view of the velocity, shaped as the parameter.
    """

    def __init__(self, parameters):
        self.parameters, self.places, stop = parameters, {}, 0
        for name, parameter in parameters.items():
            start, stop = stop, stop + -(-parameter.data.size // ALIGNED) * ALIGNED
            self.places[name] = slice(start, stop)
        like = next(iter(parameters.values())).data
        xp = backend.of(like).xp
        self.weights, self.gradient, self.velocity = (xp.zeros(stop, like.dtype) for _ in range(3))
        self.rest = xp.zeros(ALIGNED, like.dtype)
        self.velocities, self.views = self._views(self.velocity), self._views(self.weights)
        self.hold()

    def _views(self, flat):
        return {name: flat[place][: parameter.data.size].reshape(parameter.shape)
                for (name, place), parameter in zip(self.places.items(), self.parameters.values(), strict=True)}

    def hold(self):
        """Make every parameter's `data` the view here, with the values that it has; most often it is one already.

        Raises TrainingError for one that was moved to another device, cast or given another shape since.
        """
        for name, parameter in self.parameters.items():
            view, data = self.views[name], parameter.data
            if data is view:
                continue
            if type(data) is not type(view) or (data.dtype, data.shape) != (view.dtype, view.shape):
                found, made_for = (f"{type(a).__module__} {a.dtype} {a.shape}" for a in (data, view))
                raise TrainingError(f"{name}: found {found}, the optimiser was made for {made_for}; make it after "
                                    "model.to(...)")
            view[...] = data
            parameter.data = view

    def gather(self):
        """Put the gradients side by side, 0 where there is none, and forget them; returns the names of the others."""
        moving, parts, xp = [], [], backend.of(self.gradient).xp
        for name, parameter in self.parameters.items():
            length = self.places[name].stop - self.places[name].start
            if parameter.grad is None:
                parts.append(xp.zeros(length, self.gradient.dtype))
            else:
                parts += [parameter.grad.reshape(-1), self.rest[: length - parameter.data.size]]
                parameter.grad = None
                moving.append(name)
        xp.concatenate(parts, out=self.gradient)
        return moving
