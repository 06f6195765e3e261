"""Folders that belong to one process at a time.

Exists so that two of us never work on one copy, and so that a process that was killed leaves
neither its key nor a repository in a volume that outlives it (an emptyDir does). Promises: a
temporary folder is readable for nobody else, and is gone at the end; what processes that are no
more have left is removed by the next one, and nothing of a living one.
"""

import fcntl
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from watcher.errors import UsageError

_PREFIX = "watcher-git-"
_YOUNG = 1.0  # seconds, in which a process that has just made a folder comes to lock it


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else uses this folder meanwhile. Raises UsageError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise UsageError(
            f"git-cache-dir {str(folder)!r}: expected a folder that may be written to"
            f" ({error.strerror or error})"
        ) from None
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"git-cache-dir {str(folder)!r}: in use by another process") from None
        yield


@contextmanager
def temporary() -> Iterator[Path]:
    _remove_left()
    with (
        TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as folder,
        locked(Path(folder)),
    ):
        yield Path(folder)


def _remove_left() -> None:
    for folder in Path(gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, UsageError):
            about = folder.lstat()
            ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid()
            if ours and time.time() - about.st_mtime > _YOUNG:
                with locked(folder):
                    shutil.rmtree(folder)
