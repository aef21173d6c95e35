"""Locks between processes.

`locked` is filelock's lock, for work that only one process may do. Files that `files/atomic.py` is writing are locked
by flock, because filelock empties the file that it locks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has none, and removes no open file either
    fcntl = None  # type: ignore[assignment]

HAS_FLOCK = fcntl is not None


@contextlib.contextmanager
def locked(lock_file: Path, *, waits: bool = True) -> Iterator[None]:
    """Keep all other processes out of blocks with the same lock file.

    A killed process may leave the file, but never the lock.

    Args:
        lock_file: A file of its own, created here and removed at the end.
        waits: Whether to wait until another process is done.

    Raises:
        TimeoutError: If another process holds the lock and `waits` is False.
        OSError: If the lock file cannot be written.
    """
    from filelock import FileLock  # a board that runs exported models may lack it

    lock_file.touch()  # in a folder that cannot be written, filelock would wait forever
    with FileLock(lock_file, blocking=waits):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows removes no open file
                lock_file.unlink()


def lock_open_file(descriptor: int, *, is_shared: bool) -> bool:
    """Lock an open file until it is closed.

    Args:
        descriptor: Of the open file.
        is_shared: Wait for a lock that other shared locks may stand beside; else try to get the only lock, without
            waiting.

    Returns:
        Whether the file is locked now. False also where the system or the file system has no such locks.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
