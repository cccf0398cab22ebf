"""Work spread over threads: order, errors, calls within and beside one another, and the same bits in every run."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import relative, set_to, threads_are

from minihgd import Tensor, models, training
from minihgd.backend import blas, cpu, threads, windows


@pytest.fixture(params=[1, 2, 3])
def number(request):
    """Of threads; all tests that take it run on each."""
    with threads_are(request.param):
        yield request.param


def test_results_are_in_the_jobs_order(number):
    def work(job):
        time.sleep(0.002 * (job % 3))  # later jobs are done first
        return job * job

    assert threads.each(work, range(20)) == [job * job for job in range(20)]
    assert threads.each(work, iter([3])) == [9]
    assert threads.each(work, []) == []


def test_the_work_is_shared(number):
    """As many jobs run at once as there are threads: each waits for the others."""
    meeting = threading.Barrier(number, timeout=10)
    names = set(threads.each(lambda job: (meeting.wait(), threading.current_thread().name)[1], range(number)))
    assert len(names) == number and threading.current_thread().name in names


def test_no_more_threads_than_jobs():
    with threads_are(8):
        used = threads.each(lambda job: (time.sleep(0.01), threading.get_ident())[1], range(2))
    assert len(set(used)) == 2


class Stop(Exception):
    pass


def test_an_error_is_raised(number):
    def work(job):
        if job == 5:
            raise Stop
        return job

    with pytest.raises(Stop):
        threads.each(work, range(10))
    assert not threads.is_busy()
    assert threads.each(lambda job: job, range(10)) == list(range(10))  # the threads are there again


class NamedHelpers:
    """A pool whose tasks know their number: 1, 2, … in the order in which they were submitted; the caller has 0."""

    def __init__(self, pool):
        self.pool, self.here, self.submitted = pool, threading.local(), 0

    def submit(self, task):
        self.submitted += 1
        return self.pool.submit(self.run, task, self.submitted)

    def run(self, task, number):
        self.here.number = number
        task()

    def number(self):
        return getattr(self.here, "number", 0)


@pytest.mark.parametrize("failing", [{0}, {1}, {2}, {0, 1}, {1, 2}, {0, 1, 2}])
def test_errors_wait_until_all_threads_have_stopped(failing):
    """Whoever fails, the caller or one of its helpers: when `each` returns, no thread is still at work."""
    at_work, meeting = set(), threading.Barrier(3, timeout=10)  # so that each of three threads takes one of three jobs

    def work(job):
        at_work.add(job)
        meeting.wait()
        try:
            if helpers.number() in failing:
                raise Stop
            time.sleep(0.05)
        finally:
            at_work.remove(job)

    with threads_are(3), ThreadPoolExecutor(2) as pool:
        helpers = NamedHelpers(pool)
        with set_to(threads, _pool=lambda: helpers), pytest.raises(Stop):
            threads.each(work, range(3))
        assert at_work == set()


def test_calls_within_a_job_run_in_its_thread(number):
    def inner(job):
        return job, threading.get_ident()

    def outer(job):
        return threading.get_ident(), threads.is_busy(), threads.each(inner, [10 * job + i for i in range(4)])

    for job, (ident, busy, results) in enumerate(threads.each(outer, range(6))):
        assert busy == (number > 1)
        assert results == [(10 * job + i, ident) for i in range(4)]
    assert not threads.is_busy()


def test_alone(number):
    """The caller does all jobs itself; afterwards it is helped again, if it was before."""
    me = threading.get_ident()
    with pytest.raises(Stop), threads.alone():
        with threads.alone():
            pass
        assert threads.is_busy() and set(threads.each(lambda job: threading.get_ident(), range(9))) == {me}
        raise Stop
    assert not threads.is_busy()


def test_calls_from_several_threads_at_once(number):
    """Products of different sizes from six threads: nobody waits for ever, and all are right."""
    rng = np.random.default_rng(0)
    cases = [(rng.random((300 + 16 * i, 220)), rng.random((220, 180 + i))) for i in range(6)]
    found = [[] for _ in cases]

    def compute(i):
        for _ in range(8):
            found[i].append(cpu.matmul(*cases[i]))
            found[i].append(cpu.relu(cases[i][0] - 0.5))

    callers = [threading.Thread(target=compute, args=(i,), daemon=True) for i in range(len(cases))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
    assert not any(caller.is_alive() for caller in callers), "a deadlock"
    for (a, b), results in zip(cases, found, strict=True):
        assert len(results) == 16
        assert all(np.allclose(product, a @ b) for product in results[::2])
        assert all(np.array_equal(positive, np.maximum(a - 0.5, 0)) for positive in results[1::2])


def test_the_environment_says_how_many(monkeypatch):
    def count():
        threads.count.cache_clear()
        return threads.count()

    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
        assert count() == 3
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "5")
        assert count() == 5
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "0")
        assert count() == 1
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "many")
        assert count() == 3
        monkeypatch.setattr(threads.blas, "ONE_THREAD", False)
        assert count() == 1
    finally:
        monkeypatch.undo()
        count()


# --- a training step -------------------------------------------------------------------------------------------


def step(form, dtype=np.float32):
    """The loss, gradients and updated weights of a step, by name."""
    rng = np.random.default_rng(0)
    options = dict(dropout=0.5) if form == "released" else {}
    model = models.build("efficientfcn", "resnet18", 5, 8, form, channels=16, compressed=16, codeword_channels=32,
                         **options).to(dtype=dtype)
    model.reseed(1)
    images, labels = rng.standard_normal((3, 96, 128, 3)).astype(dtype), rng.integers(0, 5, (3, 96, 128))
    labels[:, :8] = 255
    with set_to(cpu, WAKING=0, BLOCK=1 << 12), set_to(windows, WINDOWS=1 << 15):  # everything in many parts
        loss = model.train().loss(Tensor(images), labels)
        loss.backward()
        found = {"loss": loss.data} | {f"gradient of {name}": p.grad for name, p in model.named_parameters()}
        training.SGD(model).step(0.01)
    return found | model.state_dict()


@pytest.mark.parametrize("form", ["paper", "released"])
def test_a_step_is_the_same_to_the_bit_in_every_run(form, number):
    first = step(form)
    for _ in range(2):
        for name, value in step(form).items():
            assert np.array_equal(value, first[name]), name


@pytest.mark.parametrize("form", ["paper", "released"])
def test_a_step_is_the_same_on_any_number_of_threads(form):
    """Up to rounding: sums are cut where the threads' shares meet."""
    def on(number):
        with threads_are(number):
            return step(form, np.float64)

    one = on(1)
    for number in (2, 3):
        for name, value in on(number).items():
            assert relative(value, one[name]) < 1e-11, name


def test_blas_lets_go_of_the_interpreters_lock():
    """While one thread multiplies, another gets on with Python."""
    a = np.ones((1100, 1100))

    def longest_pause():
        """The longest time for which Python stood still during a product, as a part of the product's own."""
        begun, ended, pause = threading.Event(), [], 0

        def multiply():
            begun.set()
            start = time.perf_counter()
            blas.gemm(a, a, np.empty_like(a))
            ended.append(time.perf_counter() - start)

        thread = threading.Thread(target=multiply)
        thread.start()
        begun.wait()
        now = time.perf_counter()
        while not ended:
            before, now = now, time.perf_counter()
            pause = max(pause, now - before)
        thread.join()
        return max(pause, time.perf_counter() - now) / ended[0]

    assert min(longest_pause() for _ in range(3)) < 0.5
