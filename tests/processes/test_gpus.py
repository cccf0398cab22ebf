"""Ranks with a GPU each, on stand-ins for CuPy and NCCL: what they exchange, and that no GPU is waited for."""

import numpy as np
from processes import nccl_standin
from processes.members import furthest, run, steps, together

from minihgd import backend


def test_steps_on_the_device_are_those_of_one_process(tmp_path):
    one = steps(run(tmp_path, None), 4)

    def work(group):
        nccl_standin.join(group)
        return steps(run(tmp_path, group, device="cuda"), 4)

    with nccl_standin.installed() as waits:
        shares = together(2, work)
        assert set(waits) == {"get"}  # the losses, and in the end the arrays
    for share in shares:
        assert furthest(share, one) < 1e-12
        assert all(share[name].tobytes() == a.tobytes() for name, a in shares[0].items())


def test_all_begin_where_rank_0_is(tmp_path):
    def work(group):
        nccl_standin.join(group)
        r = run(tmp_path, group, device="cuda")
        for array in r.model.arrays().values():
            array += group.rank
        r._follow()
        return r.model.state_dict()

    with nccl_standin.installed():
        first, second = together(2, work)
    assert all(np.array_equal(second[name], a) for name, a in first.items())


def test_what_the_methods_do_with_device_arrays():
    def work(group):
        nccl_standin.join(group)
        x = backend.to_device(np.arange(3.0) + group.rank, "cuda")
        rows = group.all_gather(x)
        return rows.get(), group.all_reduce_sum(x) is x, x.get(), group.any(False, group.rank == 1)

    with nccl_standin.installed():
        for rows, same, total, flags in together(2, work):
            assert rows.tolist() == [[0, 1, 2], [1, 2, 3]] and same
            assert total.tolist() == [1, 3, 5] and flags == [False, True]
