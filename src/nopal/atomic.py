"""Files that are whole or absent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


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
