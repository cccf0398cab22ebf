"""One process: a group that changes nothing, and no trace of MPI."""

import subprocess
import sys

import numpy as np
import pytest

from minihgd import processes
from minihgd.errors import SettingError


@pytest.fixture
def by_itself(monkeypatch):
    for name in processes.SIZES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_a_process_by_itself_has_nobody_to_tell(by_itself):
    x = np.arange(3.0)
    with processes.joined() as group:
        assert (group.rank, group.size, group.share(6), group.device("cuda:1")) == (0, 1, slice(0, 6), "cuda:1")
        assert group.all_reduce_sum(x) is x and group.broadcast(x) is x and x.tolist() == [0, 1, 2]
        assert group.all_gather(x).tolist() == [[0, 1, 2]] and group.any(True, False) == [True, False]
        group.barrier(), group.leave()


def test_an_error_is_just_an_error(by_itself):
    with pytest.raises(ZeroDivisionError), processes.joined():
        raise ZeroDivisionError


def test_mpi_is_not_imported(by_itself):
    script = ("import sys; from minihgd import processes\n"
              "with processes.joined(): print([name for name in sys.modules if 'mpi4py' in name])")
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("name", processes.SIZES)
def test_mpiexec_without_mpi4py(by_itself, name):
    by_itself.setenv(name, "2")
    by_itself.setitem(sys.modules, "mpi4py", None)
    by_itself.delitem(sys.modules, "minihgd.processes.ranks", raising=False)
    with pytest.raises(SettingError, match=r"mpiexec: started 2 processes, which need mpi4py .*'minihgd\[mpi\]'"):
        with processes.joined():
            raise AssertionError("it went on")
