"""Modules: what owns parameters, and the names they go by.

A module's attributes are its parts: a `Parameter` is trained, an array is a buffer (running statistics), a `Module`
or a `Sequential` is a part of its own. Names join the attributes with dots, as in `layer1.0.conv1.weight`.

The pages that derive a layer's gradients are named in its docstring. docs/12-resnet-and-its-checkpoints.md makes a
network of them, docs/13-training.md trains one.
"""

import math
import zlib

import numpy as np

from . import backend, ops
from .autograd import Recomputed, Tensor, is_recording


class Parameter(Tensor):
    """A tensor that is trained: a leaf with `requires_grad`. data: an array of floats. docs/13-training.md."""

    def __init__(self, data):
        super().__init__(data, requires_grad=True)


class Module:
    """Something with parameters and a `forward`. Calling it calls `forward`.

    With `recompute`, which is for modules that return one tensor, the tape keeps in training only the inputs of a
    call: what is computed inside is forgotten, and computed again in the backward pass. The gradients are the same to
    the bit; running statistics move once, and dropout drops the same channels.

    Raises TypeError when called without a `forward`; `load_state_dict` raises KeyError and ValueError.
    docs/13-training.md.
    """

    training = True
    recompute = False

    def __call__(self, *inputs, **options):
        if not (self.recompute and self.training and is_recording()):
            return self.forward(*inputs, **options)
        given = [t for x in (*inputs, *options.values()) for t in (x if isinstance(x, (list, tuple)) else [x])]
        tensors = [t for t in given if isinstance(t, Tensor)]
        op = Recomputed(lambda: self.forward(*inputs, **options), self._remember)
        return op(*tensors, *self.parameters())

    def _remember(self):
        """Note modes, buffers and the states of generators, here and in all inside; a function brings them back."""
        modes = [(module, module.training) for _, module in self.modules()]
        buffers = [(owner, name, part.copy()) for _, owner, name, part in self._leaves()
                   if not isinstance(part, Parameter)]
        generators = [(module, module.rng.bit_generator.state) for _, module in self.modules()
                      if hasattr(module, "rng")]

        def bring_back():
            for module, training in modes:
                module.training = training
            for owner, name, array in buffers:
                getattr(owner, name)[...] = array
            for module, state in generators:
                module.rng.bit_generator.state = state

        return bring_back

    def _parts(self):
        """(name, value) of the attributes that are parameters, buffers or modules, in the order they were set."""
        for name, value in vars(self).items():
            if isinstance(value, (Parameter, Module)) or backend.is_array(value):
                yield name, value

    def modules(self, prefix=""):
        """(name, module) of this module and all inside it."""
        yield prefix, self
        for name, part in self._parts():
            if isinstance(part, Module):
                yield from part.modules(f"{prefix}.{name}" if prefix else name)

    def _leaves(self):
        """(full name, owner, attribute, value) of every parameter and buffer."""
        for prefix, module in self.modules():
            for name, part in module._parts():
                if not isinstance(part, Module):
                    yield (f"{prefix}.{name}" if prefix else name), module, name, part

    def named_parameters(self):
        """(name, Parameter) of this module and all inside it."""
        return [(name, part) for name, _, _, part in self._leaves() if isinstance(part, Parameter)]

    def parameters(self):
        """Every Parameter of this module and of all inside it."""
        return [parameter for _, parameter in self.named_parameters()]

    @property
    def like(self):
        """An array of the module's, which says on which device and in which dtype it computes."""
        return next(part.data for _, _, _, part in self._leaves() if isinstance(part, Parameter))

    def state_dict(self):
        """name -> NumPy array (not a copy on the CPU) of parameters and buffers, in the library's own layout."""
        return {name: backend.to_numpy(array) for name, array in self.arrays().items()}

    def arrays(self):
        """name -> array of parameters and buffers: those that the module computes with, wherever they are."""
        return {name: part.data if isinstance(part, Parameter) else part for name, _, _, part in self._leaves()}

    def load_state_dict(self, arrays):
        """Copy `name -> array` into the parameters and buffers of the same names and shapes.

        Raises KeyError for a missing or an unknown name, ValueError for another shape; then nothing was changed.
        """
        own = self.arrays()
        missing, unknown = sorted(own.keys() - arrays.keys()), sorted(arrays.keys() - own.keys())
        if missing or unknown:
            raise KeyError(f"state: {len(missing)} names are missing ({', '.join(missing[:3])}), "
                           f"{len(unknown)} are unknown ({', '.join(unknown[:3])})")
        for name, array in own.items():
            if arrays[name].shape != array.shape:
                raise ValueError(f"state: {name} has shape {arrays[name].shape}, expected {array.shape}")
        for name, array in own.items():
            array[...] = backend.of(array).xp.asarray(arrays[name], array.dtype)

    def train(self, mode=True):
        """Set training mode (batch statistics, dropout) here and in all inside; returns the module."""
        for _, module in self.modules():
            module.training = mode
        return self

    def eval(self):
        """Set evaluation mode (running statistics, no dropout) here and in all inside; returns the module."""
        return self.train(False)

    def to(self, device=None, dtype=None):
        """Move parameters and buffers to a device ("cpu", "cuda", "cuda:1") and to a dtype; returns the module."""
        for _, owner, name, part in self._leaves():
            array = part.data if isinstance(part, Parameter) else part
            array = array if device is None else backend.to_device(array, device)
            array = array if dtype is None else array.astype(dtype, copy=False)
            if isinstance(part, Parameter):
                part.data, part.grad = array, None
            else:
                setattr(owner, name, array)
        return self

    def zero_grad(self):
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def reseed(self, *numbers):
        """Give every random layer a generator that depends on its name and `numbers` only."""
        for name, module in self.modules():
            if hasattr(module, "rng"):
                module.rng = np.random.default_rng((zlib.crc32(name.encode()), *numbers))

    def in_group(self, group):
        """Let the layers that see across a batch know the processes it is shared by; returns the module.

        In training each process gives the model its share of the batch, and the model computes what it would of all.
        """
        for _, module in self.modules():
            if isinstance(module, (BatchNorm2d, Dropout2d)):
                module.group = group
        return self

    def forward(self, *inputs, **options):
        """What the module computes from its inputs, tensors or arrays: a tensor, or as the class says."""
        raise TypeError(f"{type(self).__name__} has no forward")


class Sequential(Module):
    """`modules` one after the other, named 0, 1, 2, … A normalisation and a ReLU behind it are computed as one op.

    Used in docs/12-resnet-and-its-checkpoints.md.
    """

    def __init__(self, *modules):
        for i, module in enumerate(modules):
            setattr(self, str(i), module)

    def __iter__(self):
        return (part for _, part in self._parts())

    def forward(self, x):
        return self.rest(x, 0)

    def rest(self, x, start=1):
        """What comes from module number `start` on."""
        modules = list(self)[start:]
        for module, before, after in zip(modules, [None, *modules], [*modules[1:], None], strict=False):
            if isinstance(module, BatchNorm2d) and isinstance(after, ReLU):
                x = module(x, relu=True)
            elif not (isinstance(module, ReLU) and isinstance(before, BatchNorm2d)):  # else it is done
                x = module(x)
        return x


class Conv2d(Module):
    """A convolution with weight kh×kw×Cin×Cout and, unless `bias=False`, a bias of Cout: x N×H×W×Cin -> N×Ho×Wo×Cout.

    cin, cout: channels. size (of the kernel), stride, padding, dilation: pixels, see `ops.conv2d`.
    gain: on the size of the initial weights, see `initialise`. docs/04-convolution.md.
    """

    def __init__(self, cin, cout, size, stride=1, padding=0, dilation=1, bias=True, gain=1.0):
        kh, kw = ops.convolution.pair(size, "size", 1)
        self.weight = Parameter(np.zeros((kh, kw, cin, cout), np.float32))
        self.bias = Parameter(np.zeros(cout, np.float32)) if bias else None
        self.stride, self.padding, self.dilation, self.gain = stride, padding, dilation, gain

    def forward(self, x):
        return ops.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation)


class ConvTranspose2d(Module):
    """A transposed convolution with weight kh×kw×Cin×Cout and, unless `bias=False`, a bias of Cout.

    x N×H×W×Cin -> N×Ho×Wo×Cout. cin, cout: channels. size (of the kernel), stride, padding: pixels, see
    `ops.conv_transpose2d`. docs/04-convolution.md.
    """

    def __init__(self, cin, cout, size, stride=1, padding=0, bias=True):
        kh, kw = ops.convolution.pair(size, "size", 1)
        self.weight = Parameter(np.zeros((kh, kw, cin, cout), np.float32))
        self.bias = Parameter(np.zeros(cout, np.float32)) if bias else None
        self.stride, self.padding = stride, padding

    def forward(self, x):
        return ops.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding)


class Linear(Module):
    """y = x W + b, N×Cin -> N×Cout, with weight W of Cin×Cout and bias b of Cout. cin, cout: these channels.

    A product and a repeated row: docs/03-pixels-are-rows.md.
    """

    def __init__(self, cin, cout):
        self.weight = Parameter(np.zeros((cin, cout), np.float32))
        self.bias = Parameter(np.zeros(cout, np.float32))

    def forward(self, x):
        return ops.matmul(x, self.weight) + self.bias


class BatchNorm2d(Module):
    """Batch normalisation of C channels: γ is `weight`, β is `bias`, as PyTorch names them.

    channels: C. momentum: by what share the running statistics move. eps: added to the variance.
    docs/05-batch-normalisation.md.
    """

    group = None  # see `Module.in_group`

    def __init__(self, channels, momentum=0.1, eps=1e-5):
        self.weight = Parameter(np.ones(channels, np.float32))
        self.bias = Parameter(np.zeros(channels, np.float32))
        self.running_mean = np.zeros(channels, np.float32)
        self.running_var = np.ones(channels, np.float32)
        self.momentum, self.eps = momentum, eps

    def forward(self, x, relu=False, residual=None):
        """x normalised; plus `residual`, negative values zero with `relu`: see `ops.batch_norm`."""
        return ops.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var,
                              self.training, self.momentum, self.eps, relu, residual, self.group)


class ReLU(Module):
    """max(x, 0), element by element: a module without parameters. docs/06-pooling-and-relu.md."""

    def forward(self, x):
        return ops.relu(x)


class MaxPool2d(Module):
    """Max pooling, x N×H×W×C -> N×Ho×Wo×C; size, stride, padding: see `ops.max_pool2d`. docs/06-pooling-and-relu.md."""

    def __init__(self, size, stride=None, padding=0):
        self.size, self.stride, self.padding = size, stride, padding

    def forward(self, x):
        return ops.max_pool2d(x, self.size, self.stride, self.padding)


class AvgPool2d(Module):
    """Average pooling, x N×H×W×C -> N×Ho×Wo×C; `ceil_mode` keeps windows that hang over the edge.

    size, stride, padding: see `ops.avg_pool2d`. docs/06-pooling-and-relu.md.
    """

    def __init__(self, size, stride=None, padding=0, ceil_mode=False):
        self.size, self.stride, self.padding, self.ceil_mode = size, stride, padding, ceil_mode

    def forward(self, x):
        return ops.avg_pool2d(x, self.size, self.stride, self.padding, self.ceil_mode)


class Dropout2d(Module):
    """Channel dropout with probability p in training. `Module.reseed` says which channels fall.

    x N×H×W×C -> the same shape, see `ops.dropout2d`. docs/03-pixels-are-rows.md.
    """

    group = None  # see `Module.in_group`

    def __init__(self, p):
        self.p = p
        self.rng = np.random.default_rng(0)

    def forward(self, x):
        return ops.dropout2d(x, self.p, self.training, self.rng, self.group)


def initialise(module, seed):
    """Draw the weights of all convolutions and linear layers of `module` from normal distributions. Returns the module.

    Before batch normalisation and ReLU the variance is 2 / (kh·kw·Cout) (He et al. 2015); a convolution with a bias
    has neither behind it, and 1 / (kh·kw·Cin) keeps the size of its input, as 1 / Cin does in a linear layer. The
    convolution's `gain` scales its deviation. Biases stay zero. Each weight depends on the seed and on its own name
    only, so that two models agree in what they share. Used in docs/12-resnet-and-its-checkpoints.md.
    """
    for prefix, part in module.modules():
        if isinstance(part, (Conv2d, ConvTranspose2d, Linear)):
            *size, cin, cout = part.weight.shape  # kh×kw×Cin×Cout, or Cin×Cout
            taps = math.prod(size) / (part.stride**2 if isinstance(part, ConvTranspose2d) else 1)  # a pixel sees
            has_relu = part.bias is None and isinstance(part, Conv2d)
            variance = 2 / (taps * cout) if has_relu else 1 / (taps * cin)
            gain = part.gain if isinstance(part, Conv2d) else 1.0
            rng = np.random.default_rng((seed, zlib.crc32(prefix.encode())))
            part.weight.data[...] = rng.standard_normal(part.weight.shape, np.float32) * gain * np.sqrt(variance)
    return module
