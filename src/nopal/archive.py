"""The one file format of vectors, partitions and encoders: a `.npz` of arrays that says what it holds and what made it.

Beside its arrays such a file has `kind` (for instance "nopal partitions 1") and `made` (a JSON object), both as text;
nothing is pickled.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from nopal.atomic import unwritten, written_beside
from nopal.errors import NopalError


def write_archive(path: str | Path, kind: str, made: dict[str, Any], arrays: dict[str, np.ndarray]) -> Path:
    """Write `arrays` beside `path`, then rename: `path` is never half-written. Folders are made, ".npz" is added."""
    path = Path(path)
    path = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
    try:
        with written_beside(path) as beside, beside.open("wb") as file:
            np.savez(file, allow_pickle=False, kind=np.array(kind), made=np.array(json.dumps(made)), **arrays)
    except OSError as error:
        raise unwritten(path, error) from None
    return path


def read_archive(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What made the file, and its arrays; raises `NopalError` where it is absent, damaged or of another kind."""
    try:
        with Path(path).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        found, made = str(arrays.pop("kind")), json.loads(str(arrays.pop("made")))
    except FileNotFoundError:
        raise NopalError(f"There is no file {path}; a file of {kind!r} was expected there.") from None
    except IsADirectoryError:
        raise NopalError(f"{path} is a folder; a .npz file of {kind!r} was expected there.") from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        why = "no .npz file" if "pickle" in str(error) else f"{type(error).__name__}: {error}"
        raise NopalError(
            f"{path} is damaged or was not written by Nopal ({why}); expected a .npz file of {kind!r}: make it again."
        ) from None
    if found != kind:
        raise NopalError(f"{path} holds {found!r} where {kind!r} was expected; give the right file or make it again.")
    return made, arrays
