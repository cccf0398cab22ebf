"""The layers that benchmark.py measures by themselves, here and in PyTorch."""

import numpy as np

from minihgd import Tensor, backend, ops

try:
    import torch
    from torch.nn import functional as F
except ImportError:
    torch = None


def layers():
    """(text, multiply-accumulates forward, our function, PyTorch's, the inputs' shapes), maps N×H×W×C."""
    for size, cin, cout, kernel, stride in ((64, 64, 256, 1, 1), (64, 256, 64, 1, 1), (32, 1024, 256, 1, 1),
                                            (128, 64, 64, 3, 1), (64, 128, 128, 3, 1), (32, 256, 256, 3, 1),
                                            (16, 512, 512, 3, 1), (64, 128, 128, 3, 2), (512, 3, 64, 7, 2)):
        pad = kernel // 2
        yield (f"{kernel}×{kernel} convolution, {size}², {cin} to {cout}" + (", stride 2" if stride > 1 else ""),
               (size // stride) ** 2 * cin * cout * kernel**2,
               lambda x, w, s=stride, p=pad: ops.conv2d(x, w, None, s, p),
               lambda x, w, s=stride, p=pad: F.conv2d(x, w, None, s, p),
               [(1, size, size, cin), (kernel, kernel, cin, cout)])
    for size, channels in ((128, 64), (64, 256), (32, 1024)):
        yield (f"normalisation and ReLU, {size}², {channels}", 0,
               lambda x, g, b: ops.batch_norm(x, g, b, 0 * b.data, 0 * b.data + 1, True, relu=True),
               lambda x, g, b: F.relu(F.batch_norm(x, None, None, g, b, True)),
               [(1, size, size, channels), (channels,), (channels,)])
    yield ("max pooling 3×3, stride 2, 256², 64", 0, lambda x: ops.max_pool2d(x, 3, 2, 1),
           lambda x: F.max_pool2d(x, 3, 2, 1), [(1, 256, 256, 64)])
    yield ("bilinear, 32² to 64², 1024", 0, lambda x: ops.resize_bilinear(x, 64),
           lambda x: F.interpolate(x, (64, 64), mode="bilinear"), [(1, 32, 32, 1024)])
    yield ("codebook, 16², 256 codewords of 1024", 16**2 * 256 * 1024, ops.softmax_pool,
           lambda A, B: torch.einsum("nip,ndp->nid", F.softmax(A.flatten(2), dim=2), B.flatten(2)),
           [(1, 16, 16, 256), (1, 16, 16, 1024)])
    yield ("assembly, 64², 256 codewords of 1024", 64**2 * 256 * 1024, ops.assemble,
           lambda W, C: torch.einsum("nihw,nid->ndhw", W, C), [(1, 64, 64, 256), (1, 256, 1024)])
    labels = np.random.default_rng(0).integers(0, 60, (1, 512, 512), np.uint8)
    yield ("upsampling and loss, 64² to 512², 60 classes", 0,
           lambda x: ops.upsampled_cross_entropy(x, backend.of(x.data).xp.asarray(labels)),
           lambda x: F.cross_entropy(F.interpolate(x, (512, 512), mode="bilinear"),
                                     torch.from_numpy(labels).long().to(x.device)), [(1, 64, 64, 60)])


def as_theirs(array, memory_format, device, kernel):
    """A map N×H×W×C as N×C×H×W, a kernel kh×kw×Cin×Cout as Cout×Cin×kh×kw; others as they are."""
    tensor = torch.from_numpy(backend.to_numpy(array)).to(device)
    if tensor.ndim == 4:
        axes = (3, 2, 0, 1) if kernel else (0, 3, 1, 2)
        tensor = tensor.permute(axes).contiguous(memory_format=memory_format)
    return tensor.requires_grad_()


def ours_both_ways(function, arrays):
    y = function(*(Tensor(array, requires_grad=True) for array in arrays))
    y.backward(y.data)


def their_both_ways(function, tensors):
    y = function(*tensors)
    torch.autograd.grad(y, tensors, y.detach())
    if y.is_cuda:
        torch.cuda.synchronize(y.device)
