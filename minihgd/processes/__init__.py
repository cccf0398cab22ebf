"""Several processes that train one model, each on its share of every batch: how they find each other, and end together.

    mpiexec -n 4 python examples/train_pcontext.py ...

starts four processes, ranks 0 to 3. What one has to know of the others it asks its group, which is Alone where a
process was started by itself:

    with joined() as group:
        group.all_reduce_sum(gradient)  # in place: the same sum on every rank

NumPy arrays travel through MPI (mpi4py, the extra `mpi`), CuPy arrays through NCCL (backend/nccl.py), where each rank
has a GPU of its own.

A rank that dies or meets an error ends the others (watch.py). A signal to one rank is heard by all after the step they
are at. MPICH's mpiexec, the extra's, hands on the Ctrl-C or SIGTERM that it gets. Open MPI's ends all processes instead
and leaves the last checkpoint; with that one, send SIGTERM to a rank.

Explained in docs/17-on-the-gpu-and-on-several.md.
"""

import contextlib
import os

from ..errors import SettingError
from .alone import Alone

__all__ = ["Alone", "joined", "started"]

SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")  # what mpiexec leaves in the environment


def started():
    """How many processes mpiexec has started, this one among them; 1 where it was started otherwise.

    From the environment that mpiexec leaves; MPI is not asked. See docs/17-on-the-gpu-and-on-several.md.
    """
    return max(int(os.environ.get(name, 1)) for name in SIZES)


@contextlib.contextmanager
def joined():
    """The group of all that mpiexec has started, while the block lasts; one process is Alone, and imports no MPI.

    The ranks leave together: `group.leave()` waits for all, and so does the end of the block. An error inside that not
    every rank has agreed on ends the others, too: it is printed, and the process with it. Raises SettingError where
    mpi4py cannot be imported, or belongs to another MPI than mpiexec. See docs/17-on-the-gpu-and-on-several.md.
    """
    if started() < 2:
        yield Alone()
        return
    group = _ranks()
    try:
        yield group
        group.leave()
    except BaseException as error:
        if not group.left:
            group.abort(error)
        raise


def _ranks():
    number = started()
    try:
        from .ranks import Ranks
    except ImportError as error:
        raise SettingError(f"mpiexec: started {number} processes, which need mpi4py to find each other; it cannot be "
                           f"imported here ({error}): pip install 'minihgd[mpi]'") from None
    group = Ranks()
    if group.size != number:
        raise SettingError(f"mpiexec: started {number} processes, but mpi4py finds {group.size}: it belongs to another "
                           "MPI; use the mpiexec beside this Python")
    return group
