"""Whether a GPU computes what NumPy does: every op in every precision, and the losses of training steps."""

import numpy as np
from gpu_check_cases import cases
from gpu_check_tools import computing

from minihgd import Tensor, backend, data, models, ops
from minihgd.backend.precision import bfloat16
from minihgd.training.sgd import SGD

# Of the largest value. float32: each addition rounds by 6e-8 of the sum so far, and of 10⁵ terms some √10⁵ of these
# errors are left. tf32: factors have 10 bits of mantissa; these inputs have 7, so that only what an op multiplies in
# between is rounded, by up to 1e-3. bfloat16: a map that is written is rounded by up to 4e-3 of its values, and some
# results are sums of maps written before.
LIMITS = {"float64": 1e-11, "float32": 1e-4, "tf32": 2e-3, "bfloat16": 1e-2}
OF_LOSSES = {"float64": 1e-8, "float32": 3e-3, "tf32": 1e-2, "bfloat16": 5e-2}  # of ten steps, which make errors grow
STEPS = 10


# --- op by op --------------------------------------------------------------------------------------------------------


def errors(report, context):
    """Every op forward, and all its gradients, in every precision against float64 on NumPy."""
    report.say("Worst error of the result and of all gradients, of the largest value, against float64 in NumPy on the "
               "same inputs: of float64 and float32 rounded to float32, of tf32 and bfloat16 to bfloat16. Limits: "
               + ", ".join(f"{name} {limit:g}" for name, limit in LIMITS.items()) + ".")
    names = ("float64", *context.precisions)
    rows, seen = [("op", "case", "shapes", *names, "")], set()
    for case in cases(context.small):
        if not context.has_time(report, f"{case.op}, {case.text}, and what comes after", 5):
            break
        found = errors_of(case, names)
        passed = [report.verify(f"{case.op}, {case.text}, in {name}: {error}",
                                isinstance(error, float) and error <= LIMITS[name], quiet=True)
                  for name, error in found.items()]
        shapes = " ".join("×".join(map(str, a.shape)) for a in (*case.maps, *case.rows))
        rows.append((case.op, case.text, shapes, *(e if isinstance(e, str) else f"{e:.1e}" for e in found.values()),
                     "passed" if all(passed) else "FAILED"))
        seen.add(case.op)
    report.table(rows, left=(0, 1, 2))
    missing = set(ops.__all__) - seen
    report.verify("every op is among them" + f", but {', '.join(sorted(missing))}" * bool(missing), not missing)
    if "tf32" in context.precisions:
        _tf32_is_used(report, context)


def errors_of(case, names):
    """{precision: worst error, or what went wrong}"""
    expected, found = {}, {}
    for name in names:
        narrow = bfloat16() if name in ("tf32", "bfloat16") and "bfloat16" in names else np.dtype(np.float32)
        given = [[a.astype(narrow).astype(np.float64) for a in arrays] for arrays in (case.maps, case.rows)]
        try:
            if narrow not in expected:
                expected[narrow] = results(case, *given, "cpu", np.float64, narrow)
            dtype = {"float64": np.float64, "bfloat16": narrow}.get(name, np.float32)
            with computing(name):
                there = results(case, *given, "cuda", dtype, narrow)
            found[name] = max(map(_error, there, expected[narrow]))
        except Exception as error:  # one op that fails says nothing of the others
            found[name] = f"{type(error).__name__}: {error}"[:200]
    return found


def results(case, maps, rows, device, dtype, narrow):
    """The value of a case, its gradients and what it keeps, in float64; the gradient that comes in is random."""
    tensors = [Tensor(backend.to_device(a.astype(kind), device), requires_grad=True)
               for arrays, kind in ((maps, dtype), (rows, backend.wide(np.dtype(dtype)))) for a in arrays]
    kept = []
    y = case.function(*tensors, kept)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dy = np.asarray(dy).astype(narrow).astype(y.dtype)
    y.backward(backend.to_device(dy, device))
    return [backend.to_numpy(a).astype(np.float64) for a in (y.data, *(t.grad for t in tensors), *kept)]


def _error(found, expected):
    """The largest difference, of the largest value. Infinite for another shape, or what is not a number."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    largest = np.abs(expected).max(initial=0)
    return float(np.abs(found - expected).max(initial=0) / (largest if largest else 1))


def _tf32_is_used(report, context):
    """float32 is not TF32 in secret, nor TF32 float32: a product of factors that are not rounded."""
    n = context.size(512, 32)
    a, b = (np.random.default_rng(seed).standard_normal((n, n)).astype(np.float32) for seed in (0, 1))
    right, off = a.astype(np.float64) @ b.astype(np.float64), {}
    for name in ("float32", "tf32"):
        with computing(name):
            found = context.gpu.matmul(*(backend.to_device(x, "cuda") for x in (a, b)))
        off[name] = _error(backend.to_numpy(found).astype(np.float64), right)
    report.verify(f"a product of {n}² has an error of {off['float32']:.1e} in float32, up to 1e-5, and of "
                  f"{off['tf32']:.1e} in tf32, 1e-5 to 1e-3", off["float32"] <= 1e-5 < off["tf32"] <= 1e-3)


# --- training steps --------------------------------------------------------------------------------------------------


def training(report, context):
    """Ten steps of a small network, on the CPU and on the GPU; and twice on the GPU, for the same bits."""
    steps = context.size(STEPS, 2)
    runs = {"float64 CPU": _losses(context, "cpu", np.float64, steps)[0],
            "float32 CPU": _losses(context, "cpu", np.float32, steps)[0]}
    for name in ("float64", *context.precisions):
        if not context.has_time(report, f"training steps in {name} and after", 10):
            break
        with report.part(f"training steps in {name}"), computing(name):
            _train_twice(report, context, name, steps, runs)
    report.table([("step", *runs), *((step, *(f"{losses[step]:.8f}" for losses in runs.values()))
                                     for step in range(steps))])


def _train_twice(report, context, name, steps, runs):
    """`runs`, {on what: losses}, gets those of a precision."""
    dtype = np.float64 if name == "float64" else np.float32
    runs[name], weights = _losses(context, "cuda", dtype, steps)
    off = max(abs(a / b - 1) for a, b in zip(runs[name], runs["float64 CPU"], strict=True))
    report.check(f"losses in {name} beside those in float64 on the CPU, worst relative error", off, OF_LOSSES[name])
    again, weights_again = _losses(context, "cuda", dtype, steps)
    same = again == runs[name] and all(np.array_equal(a, b) for a, b in zip(weights, weights_again, strict=True))
    report.verify(f"twice in {name}: the same losses, weights and statistics to the bit", same)


def _losses(context, device, dtype, steps):
    """The losses of steps of a ResNet-18 of 16 channels with the released form's decoder, and its weights afterwards.

    They are steps on one batch, whose labels are in large patches: the loss falls.
    """
    batch, side, classes = context.size(4, 2), context.size(128, 32), 21
    model = models.build("efficientfcn", "resnet18", classes, context.size(32, 4), "released",
                         channels=context.size(16, 4), compressed=context.size(64, 4),
                         codeword_channels=context.size(128, 6)).to(device, dtype).train()
    optimiser, rng, losses = SGD(model, factors={"decoder.": 10}), np.random.default_rng(0), []
    images = rng.integers(0, 256, (batch, side, side, 3), np.uint8)
    labels = rng.integers(0, classes, (batch, 2, 2)).astype(np.uint8)
    labels = labels.repeat(side // 2, axis=1).repeat(side // 2, axis=2)
    labels[:, :8] = 255
    for step in range(steps):
        model.reseed(0, step)
        loss = model.loss(data.as_input(model, images), labels)
        loss.backward()
        optimiser.step(0.003)
        losses.append(loss.data)
    return [float(loss) for loss in losses], list(model.state_dict().values())
