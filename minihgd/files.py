"""Writing files so that they are whole or not there. Used for checkpoints: docs/13-training.md."""

import contextlib
import os


@contextlib.contextmanager
def written_aside(path, mode="wb"):
    """A file to write in, beside `path`, that becomes `path` when the block ends well and vanishes otherwise.

    mode: as for `open`. Raises OSError, which names the file, where it cannot be written.
    """
    aside = f"{path}.{os.getpid()}.part"  # another process may be writing the same file
    try:
        with naming(path):
            with open(aside, mode) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(aside)
        raise


@contextlib.contextmanager
def naming(path):
    """An OSError inside says which file it is about: that of a full disk does not."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)
        raise
