"""A run's folder belongs to one process at a time; what a run is, docs/13-training.md says."""

import contextlib
import os

from ..errors import TrainingError

try:
    import fcntl
except ImportError:  # a system without it: two runs in one folder are not noticed there
    fcntl = None


@contextlib.contextmanager
def claimed(folder):
    """The folder is created, and this process's alone while the block lasts. Raises TrainingError where another has it.

    The claim is a lock on the file `running`, which holds the process id. The system lifts it when the process ends,
    however it does, so a killed run leaves a file and no claim. A folder that is empty in the end is removed.
    """
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "running")
    file = _locked(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.remove(path)
        file.close()
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _locked(path):
    while True:
        file = open(path, "a+", encoding="utf-8")
        _lock(file, path)
        if os.path.exists(path) and os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            break
        file.close()  # whoever had it has removed it since: it is another file's name by now
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _lock(file, path):
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        process = file.read().strip()
        file.close()
        raise TrainingError(f"{os.path.dirname(path)}: another run, process {process or 'unknown'}, is writing in this "
                            "folder; wait for its end, or choose another folder") from None
    except OSError:
        pass  # a file system without locks
