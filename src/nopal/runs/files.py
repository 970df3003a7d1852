"""Small text files that are whole or absent."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nopal.atomic import unwritten, written_beside
from nopal.data.reading import kind_of
from nopal.errors import NopalError


def write_file(path: Path, write: Callable[[Path], Any]) -> Path:
    """Have `write` make a file beside `path`, then rename it; folders are made. Raises `NopalError` where that cannot
    be done."""
    try:
        with written_beside(path) as beside:
            write(beside)
    except OSError as error:
        raise unwritten(path, error) from None
    return path


def write_text(path: Path, text: str) -> Path:
    """`write_file` of a text in UTF-8; names of files that are none in it keep their bytes."""
    content = text.encode("utf-8", "surrogateescape")
    return write_file(path, lambda beside: beside.write_bytes(content))


def write_json(path: Path, value: Any) -> Path:
    """The value as sorted and indented JSON; raises `NopalError` for what JSON cannot hold (NaN included)."""
    try:
        text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise NopalError(
            f"{path.name} cannot hold this value ({error}); use finite numbers, text, lists and named fields."
        ) from None
    # A name of a file that is no UTF-8 is escaped as JSON has it.
    return write_text(path, text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises `NopalError` where the file is absent, damaged or holds something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NopalError(f"{path} cannot be read ({error}); expected a JSON file written by Nopal.") from None
    if not isinstance(value, dict):
        raise NopalError(f"{path} holds a {type(value).__name__}; expected a JSON object written by Nopal.")
    return value


def check_writable(path: Path) -> None:
    """Raises `NopalError` now, and not after an hour, where the file `path` could not be written."""
    found = kind_of(path)
    parent = next(parent for parent in path.absolute().parents if kind_of(parent))
    if found == "folder" or kind_of(parent) != "folder" or not os.access(parent, os.W_OK):
        why = f"{parent} can't be written" if kind_of(parent) == "folder" else f"{parent} is no folder"
        why = "it is a folder" if found == "folder" else why
        raise NopalError(f"The file {path} can't be written ({why}); choose another place.")


def check_named(out: Path, *endings: str, source: Path | None = None) -> None:
    """Raises `NopalError` where `out` can't be written or has none of these endings, and where it is the `source` that
    it is made from."""
    if out.suffix not in endings:
        raise NopalError(f"The file to write is {out}; expected a name that ends in {' or '.join(endings)}.")
    if source and out.resolve() == source.resolve():
        raise NopalError(f"The file to write, {out}, is the one to read; choose another name.")
    check_writable(out)
