"""Writing files so that they are whole or not there."""

import contextlib
import os


@contextlib.contextmanager
def written_aside(path, mode="wb"):
    """A file to write in, beside `path`, that becomes `path` when the block ends well and vanishes otherwise."""
    aside = f"{path}.part"
    try:
        with open(aside, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(aside)
        raise
