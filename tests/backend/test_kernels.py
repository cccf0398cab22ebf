"""The GPU's primitives pass their checks, on a GPU or the stand-in; with an error planted in a kernel they fail."""

import cuda_on_cpu
import cupy_standin
import pytest
from backend.gpu_checks import CHECKS
from helpers import set_to
from on_device import KINDS, device, needs_compiler


@pytest.fixture(params=KINDS)
def cuda(request):
    with device(request.param):
        yield


@pytest.mark.parametrize("name", CHECKS)
def test_check(name, cuda):
    CHECKS[name]()


@needs_compiler
@pytest.mark.parametrize("name", CHECKS)
def test_the_same_from_the_last_thread_to_the_first(name):
    """A result that depends on the order of threads and blocks would be a race."""
    with cupy_standin.installed(), cuda_on_cpu.threads_reversed():
        CHECKS[name]()


# (the check that must fail, right source, wrong source)
ERRORS = [
    ("sums", "+ rows_of(first + y, last) * off * off", ""),
    ("sums", "rows_of(first + y, last) * means[y", "(rows / blockDim.y) * means[y"),
    ("sums", "ACC share = 1 / (n += 1);", "ACC share = 1 / n;"),
    ("sums", "m2[k] += delta * (ACC(value[j].v[k]) - mean[k]);", "m2[k] += delta * delta;"),
    ("sums", "(last - row + (int)blockDim.y - 1)", "(last - row)"),
    ("sums", "P = (M + rows - 1) / rows;", "P = M / rows;"),
    ("sums", "variance[c] = squares / M", "variance[c] = squares / (M - 1)"),
    ("sums", "(2ll * blockIdx.y + 1) * C + c] = squares", "2ll * blockIdx.y * C + c] = squares"),
    ("sums", "total = over_lanes(total) / M", "total = total / M"),
    ("sums", "+ min(rows, M - p * rows) * off * off", ""),
    ("sums", "p < P; p += LANES) total += partial[(long long)p", "p < min(P, LANES); p += LANES) total += partial[p"),
    ("sums", "    __syncthreads();  // what was here before has been read\n    for (int k", "    for (int k"),
    ("sums", "    __syncthreads();  // what was here before has been read\n    values", "    values"),
    ("sums", "[threadIdx.x] = value;\n    __syncthreads();", "[threadIdx.x] = value;"),
    ("sums", "if (y && !(ACC(output[j].v[k]) > 0)) gradient[j].v[k] = T(0);", ""),
    ("sums", "(ACC(value[j].v[k]) - middle[k])", "ACC(value[j].v[k])"),
    ("sums", "first = blockIdx.y * rows, last = min(M, first + rows);\n    ACC sum[V] = {};",
     "first = blockIdx.y * rows, last = first + rows;\n    ACC sum[V] = {};"),
    ("normalising", "if (residual) out += ACC(rest.v[k]);", ""),
    ("normalising", "relu && !(out > 0)", "relu && residual && !(out > 0)"),
    ("normalising", "int c = i % (C / V) * V;", "int c = i % (C / V);"),
    ("normalising", "b[i] = -a[i] * r[i] * d_gamma[i] / M", "b[i] = -a[i] * d_gamma[i] / M"),
    ("normalising", "- b[i] * mean[i]", ""),
    ("normalising", "shift[c] = beta[c] - scale[c] * mean[c]", "shift[c] = beta[c] - mean[c]"),
    ("normalising", "variance[c] + eps", "variance[c]"),
    ("in_place", "variance[c] * (M / (M - 1))", "variance[c]"),
    ("in_place", "rows ? rows[0] : count;\n    running", "count;\n    running"),
    ("in_place", "if (M > 1) running", "running"),
    ("in_place", "+ decay * w[i]", "+ decay"),
    ("in_place", "w[i] -= lr * velocity", "w[i] -= velocity"),
    ("in_place", "share ? share[0] * g[i] : g[i]", "g[i]"),
    ("windows", "- ph;\n    int column = sw * (int)(rest % w)", ";\n    int column = sw * (int)(rest % w)"),
    ("windows", "row >= 0 && row < H && column >= 0 && column < W)\n        value = pack(x, ((image * H",
     "row < H && column >= 0 && column < W)\n        value = pack(x, ((image * H"),
    ("windows", "y % sh ||", ""),
    ("windows", "rest * (pitch / V)", "rest * (kh * kw * C / V)"),
    ("windows", "y / sh >= line + lines", "y / sh > line + lines"),
    ("windows", "if (image < N && row", "if (row"),
    ("pooling", "if (!found || ACC", "if (ACC"),
    ("pooling", "(r < row || q < column)", "true"),
    ("pooling", "wins = ACC(pack(x,", "wins = wins || ACC(pack(x,"),
    ("pooling", "max(0, (row + ph - kh + sh) / sh)", "max(0, (row + ph - kh) / sh)"),
    ("pooling", "b < w && b * sw - pw <= column", "b < w && b * sw <= column"),
    ("resampling", "weight_s[column * most_s + b]", "weight_s[row * most_s + b]"),
    ("resampling", "start_s[column] + b) * (C / V) + c", "start_s[column]) * (C / V) + c"),
    ("upsampled_loss", "sum * exp(largest - Z)", "sum"),
    ("upsampled_loss", "label < 0 ? ACC(0) :", ""),
    ("upsampled_loss", "weight == 0 || target[pixel] < 0", "weight == 0"),
    ("upsampled_loss", "above ? near[0][b] : near[1][b]", "near[1][b]"),
    ("upsampled_loss", "left ? line[1] : line[2]", "line[1]"),
    ("upsampled_loss", "start_s[j] + 1 < w ? K : 0", "K"),
    ("upsampled_loss", "- (k == target[pixel])", ""),
    ("upsampled_loss", "share * (exp(Z", "(exp(Z"),
    ("pixels", "i - channel + 2 - channel", "i - channel + 2"),
]


@needs_compiler
@pytest.mark.parametrize("check, right, wrong", ERRORS, ids=[f"{check}-{i}" for i, (check, *_) in enumerate(ERRORS)])
def test_an_error_planted_in_a_kernel_is_caught(check, right, wrong, tmp_path):
    with cupy_standin.installed():
        from minihgd.backend import launch
        source = launch.SOURCE.read_text(encoding="utf-8")
        assert right in source, f"kernels.cu no longer reads {right!r}: plant another error"
        (tmp_path / "kernels.cu").write_text(source.replace(right, wrong), encoding="utf-8")
        with set_to(launch, SOURCE=tmp_path / "kernels.cu", neighbours=one_at_a_time(launch, check)):
            assert caught(check) or reversed_catches(check)


def one_at_a_time(launch, check):
    """One column for a thread: a planted error is compiled once. Not where it is about several."""
    return launch.neighbours if check == "normalising" else lambda columns, *arrays: 1


def caught(check):
    """Whether a check fails."""
    try:
        CHECKS[check]()
    except (AssertionError, cuda_on_cpu.LaunchError):
        return True
    return False


def reversed_catches(check):
    """Whether it fails from the last thread to the first, where a barrier is missing."""
    with cuda_on_cpu.threads_reversed():
        return caught(check)
