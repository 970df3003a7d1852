"""Where data sets lie, how they get there, and where what was computed from them is kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pooch
from jaxtyping import Shaped

from nopal.atomic import written_beside
from nopal.errors import NopalError

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]
UNREADABLE = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error)  # what damaged archives are met with


def data_folder() -> Path:
    """The folder of data sets: `NOPAL_DATA` where it is set, else the user's cache folder. Nopal only adds to it."""
    return Path(os.environ.get("NOPAL_DATA") or pooch.os_cache("nopal")).expanduser()


def cache_folder() -> Path:
    """The user's folder for what can be computed again: `NOPAL_CACHE` where it is set; never inside `NOPAL_DATA`."""
    return Path(os.environ.get("NOPAL_CACHE") or pooch.os_cache("nopal") / "computed").expanduser()


def fetch(name: str, url: str, known_hash: str) -> Path:
    """The file `name` of the data folder, downloaded from `url` where it is missing.

    A file that lies there is taken as it is, since copies of a data set may be packed differently; its loader checks
    what is inside. `known_hash` (`"md5:..."`) is asked of downloads only. Raises `NopalError` where the download fails.
    """
    path = data_folder() / name
    if path.is_file():
        return path
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        quick_to_fail = pooch.HTTPDownloader(timeout=(5, 60))
        pooch.retrieve(url, known_hash, fname=path.name, path=path.parent, downloader=quick_to_fail)
    except (OSError, ValueError) as error:
        why = "its content is not the published one" if isinstance(error, ValueError) else _reason(error)
        raise NopalError(
            f"{name} is not in {data_folder()} and could not be downloaded from {url} ({why}): put the file at {path}, "
            "or let the environment variable NOPAL_DATA name the folder that holds it."
        ) from error
    finally:
        logger.setLevel(level)
    return path


def cached(name: str, sources: Iterable[Path], compute: Callable[[], Arrays], *, compress: bool = True) -> Arrays:
    """What `compute` returns, kept in the cache folder as `name-<key>.npz`; the key changes when a source file does.

    Without `compress` it is written and read faster. A damaged cache is computed again, and a cache that can't be
    written is done without.
    """
    stamps = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    path = cache_folder() / f"{name}-{hashlib.sha256(repr(stamps).encode()).hexdigest()[:12]}.npz"
    with contextlib.suppress(*UNREADABLE), path.open("rb") as file, np.load(file) as stored:
        return dict(stored)
    arrays = compute()
    with contextlib.suppress(OSError):
        write_npz(path, arrays, compress=compress)
    return arrays


def write_npz(path: Path, arrays: Arrays, *, compress: bool = True) -> None:
    """Writes an `.npz` beside `path`, then renames it: no reader ever sees half a file. Raises `OSError`."""
    write = np.savez_compressed if compress else np.savez
    with written_beside(path) as beside, beside.open("wb") as file:
        write(file, allow_pickle=False, **arrays)


def _reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "the folder can't be written"
    response = getattr(error, "response", None)
    return f"the server answered {response.status_code}" if response is not None else error.strerror or "no connection"
