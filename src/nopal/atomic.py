"""Files that are whole or absent."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from nopal.errors import NopalError


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to, which takes its name if all went well and is gone if not. Folders are made.

    Raises `OSError` where that cannot be done.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.writing")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def unwritten(path: Path, error: OSError) -> NopalError:
    """What to tell a person of a file that could not be written."""
    room = "make room there, or " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return NopalError(f"{path} cannot be written ({error.strerror}); {room}choose another folder.")
