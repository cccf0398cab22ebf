"""P ranks with a share of the batch each compute what one does with all of it. The ranks are threads, without MPI."""

import numpy as np
import pytest
from helpers import equal, random
from processes.checks import CHECKS
from processes.members import Noise, furthest, run, steps, together

from minihgd import Tensor, data, nn
from minihgd.errors import SettingError, TrainingError
from minihgd.ops.normalisation import merged


@pytest.mark.parametrize("name", CHECKS)
def test_layers_see_the_whole_batch(name):
    CHECKS[name]()


def test_moments_are_merged_without_cancellation():
    x = 1e6 + random(60, 3)
    shares = [x[:1], x[1:30], x[30:]]

    def work(group):
        own = shares[group.rank]
        return merged(group, len(own), own.mean(axis=0), own.var(axis=0))

    for M, mean, var in together(3, work):
        assert M == 60 and M.dtype == np.float64
        equal(mean, x.mean(axis=0))
        assert np.abs(var / x.var(axis=0) - 1).max() < 1e-9


def test_frozen_statistics_and_evaluation_exchange_nothing():
    def work(group):
        model = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout2d(0.5)).in_group(group).eval()
        model(Tensor(random(2, 4, 4, 3, dtype=np.float32), requires_grad=True)).backward(np.ones((2, 4, 4, 3)))
        return group.calls

    assert together(2, work) == [[], []]


def test_ranks_take_their_part_of_the_same_batches():
    whole = list(data.Batches(Noise(), 6, 16, 5).from_step(1, 4))
    for size in (2, 3):
        parts = [list(data.Batches(Noise(), 6, 16, 5, rank=r, size=size).from_step(1, 4)) for r in range(size)]
        for step, *shares in zip(whole, *parts, strict=True):
            assert {share[0] for share in shares} == {step[0]}
            for kind in (1, 2):
                assert np.array_equal(np.concatenate([share[kind] for share in shares]), step[kind])
    part = data.Batches(Noise(), 6, 16, 5, rank=1, size=2)
    assert np.array_equal(next(part.whole().from_step(1))[1], whole[0][1])
    with pytest.raises(SettingError, match="batch: found 6 images a step for 4 processes, expected a multiple of 4"):
        data.Batches(Noise(), 6, 16, 5, rank=1, size=4)


def test_shares_of_a_data_set_are_all_of_it():
    whole = Noise(7)
    shares = [data.Share(whole, rank, 3) for rank in range(3)]
    assert sorted(name for share in shares for name in share.ids) == whole.ids and len(shares[0]) == 3
    assert all(np.array_equal(share[1][0], whole[int(share.ids[1])][0]) for share in shares)
    assert all(np.array_equal(share[-1][0], whole[int(share.ids[-1])][0]) for share in shares)
    assert len(data.Share(whole, 8, 9)) == 0


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return steps(run(tmp_path_factory.mktemp("alone"), None))


@pytest.mark.parametrize("size", [2, 3, 6])
def test_twenty_steps_are_those_of_one(size, alone, tmp_path):
    """Losses, weights, running statistics, velocities; with dropout, clipping and labels that are unevenly spread."""
    ranks = together(size, lambda group: steps(run(tmp_path, group)))
    assert all(furthest(rank, alone) < 1e-12 for rank in ranks)
    for rank in ranks[1:]:  # and to the bit the same on every rank
        assert all(rank[name].tobytes() == a.tobytes() for name, a in ranks[0].items())


def test_float32_stays_close(tmp_path):
    one = steps(run(tmp_path, None, dtype=np.float32), 3)
    for rank in together(2, lambda group: steps(run(tmp_path, group, dtype=np.float32), 3)):
        assert furthest({"losses": rank["losses"]}, {"losses": one["losses"]}) < 1e-5


def test_a_share_without_labels(tmp_path):
    class Half(Noise):
        """Labels in few images only: most shares of two have none."""

        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return image, label if index % 4 == 0 else np.full_like(label, 255)

    one = steps(run(tmp_path, None, dataset=Half(), batch=3), 8)
    shares = together(3, lambda group: steps(run(tmp_path, group, dataset=Half(), batch=3), 8))
    assert all(furthest(share, one) < 1e-12 for share in shares)
    assert (one["losses"] > 0).any()


def test_ranks_that_no_longer_agree_are_noticed(tmp_path):
    def work(group):
        r = run(tmp_path, group)
        if group.rank == 1:
            r.model.parameters()[3].data[...] *= 1 + 1e-15
        r.save()

    with pytest.raises(TrainingError, match="the weights are no longer the same on all 2 processes after step 0"):
        together(2, work)


def test_all_begin_where_rank_0_is(tmp_path):
    def work(group):
        r = run(tmp_path / "run", group, epochs=1)
        for array in (*r.model.arrays().values(), *r.optimiser.velocity.values()):
            array += group.rank
        assert r.train()
        return r.model.state_dict()

    one = run(tmp_path / "one", None, epochs=1)
    assert one.train()
    for weights in together(2, work):
        assert furthest(weights, one.model.state_dict()) < 1e-12
    assert (tmp_path / "run" / "checkpoint.npz").exists()
