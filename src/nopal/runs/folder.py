"""The folder of one run: its configuration, what it was made with, its metrics and its checkpoints."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from nopal.data.reading import kind_of
from nopal.distributed import from_first
from nopal.errors import NopalError
from nopal.runs.checkpoints import Checkpoints
from nopal.runs.files import read_json, write_json
from nopal.runs.provenance import environment

CONFIG = "config.json"


@dataclasses.dataclass(frozen=True, eq=False)
class RunFolder:
    """`config.json`, `environment.json`, `metrics.csv`, `tensorboard/` and `checkpoints/` under `path`."""

    path: Path
    config: dict[str, Any]
    checkpoints: Checkpoints

    @property
    def metrics(self) -> Path:
        """The file of metrics, which may not be there yet."""
        return self.path / "metrics.csv"


def open_run(
    path: str | Path, config: dict[str, Any], *, resume: bool = False, keep: int = 3, may_differ: Collection[str] = ()
) -> RunFolder:
    """Begin a run in a new or empty folder or, with `resume`, go on with the run that is there (if there is one).

    `config` is what JSON can hold. On resume it must be that of the folder, but for the dotted names in `may_differ`,
    whose new values replace the old ones. Raises `NopalError` where the folder cannot be written or holds other things.
    """
    path, config = Path(path), _plain(config)

    def begin() -> None:
        if resume and (path / CONFIG).exists():
            _compare(read_json(path / CONFIG), config, may_differ, path)
        else:
            refuse_used(path)
        write_json(path / CONFIG, config)
        write_json(path / "environment.json", environment())

    from_first(begin)
    return RunFolder(path, config, Checkpoints(path / "checkpoints", keep))


def load_run(path: str | Path) -> RunFolder:
    """The run in a folder, to read from; raises `NopalError` where there is none."""
    path = Path(path)
    if kind_of(path) != "folder":
        raise NopalError(f"There is no folder {path}; expected the folder of a run.")
    if kind_of(path / CONFIG) is None and (path / "round-1").is_dir():
        raise NopalError(f"The folder {path} holds the runs of rounds; name that of one, such as {path / 'round-1'}.")
    if kind_of(path / CONFIG) is None:
        raise NopalError(
            f"The folder {path} holds no {CONFIG}; expected the folder of a run: name another or train first."
        )
    return RunFolder(path, read_json(path / CONFIG), Checkpoints(path / "checkpoints", read_only=True))


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration as it will be read again, so that a tuple is no difference from a list."""
    try:
        return json.loads(json.dumps(config, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise NopalError(
            f"The configuration cannot be written as JSON ({error}); use finite numbers, text, lists and dictionaries."
        ) from None


def refuse_used(path: Path) -> None:
    """Raises `NopalError` where `path` is no place for a new run."""
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise NopalError(f"{path} cannot be the folder of a run ({error.strerror}); choose another folder.") from None
    if CONFIG in names:
        raise NopalError(f"The folder {path} already holds a run; go on with it by --resume or choose another folder.")
    if names:
        raise NopalError(f"The folder {path} holds other things ({names[0]!r}); choose a new or an empty folder.")


def _compare(old: dict[str, Any], new: dict[str, Any], may_differ: Collection[str], path: Path) -> None:
    before, now = dict(_fields(old)), dict(_fields(new))
    for name in [*now, *before]:
        if before.get(name, "absent") != now.get(name, "absent") and name not in may_differ:
            raise NopalError(
                f"The run in {path} has {name} = {before.get(name, 'absent')!r} and not {now.get(name, 'absent')!r}; "
                "resume it with the configuration it was begun with or choose another folder."
            )


def _fields(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values, such as ("learner.inner_rate", 0.25)."""
    for name, value in config.items():
        if isinstance(value, dict) and value:
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
