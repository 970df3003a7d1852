"""How long a run took, all its parts together."""

from __future__ import annotations

import time
from pathlib import Path

from nopal.runs.files import write_text


class Stopwatch:
    """Seconds of work on a run, added up over its interruptions; an equal `share` where runs go side by side."""

    def __init__(self, path: Path, share: float = 1.0):
        self._path, self._share, self._begun = path, share, time.monotonic()
        self._before = seconds_of(path.parent)

    def seconds(self) -> float:
        return self._before + self._share * (time.monotonic() - self._begun)

    def write(self) -> None:
        write_text(self._path, f"{self.seconds():.1f}\n")


def seconds_of(folder: Path) -> float:
    """What the work in a run folder took so far, as it is written there; 0 where that can't be told."""
    try:
        return float((folder / "seconds.txt").read_text())
    except (OSError, ValueError):
        return 0.0
