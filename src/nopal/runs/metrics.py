"""Metrics on disk: a CSV file to read and TensorBoard events to watch."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from nopal.atomic import unwritten
from nopal.errors import NopalError
from nopal.loop import Moment
from nopal.runs.files import write_text


class MetricsLog:
    """A hook that writes the mean of each metric over `every` steps to `metrics.csv` and `tensorboard/` in `folder`.

    A row stands at the last step of its window, which is a multiple of `every`. On resume, give the steps done so far:
    what was written after them is cut off, and the first window begins there. Close it (or use it in a `with`) to write
    the window that has begun, too.
    """

    def __init__(self, folder: str | Path, every: int = 100, resume_step: int = 0):
        if every < 1:
            raise NopalError(f"Metrics are to be written every {every} steps; expected at least 1.")
        from tensorboardX import SummaryWriter  # slow to import

        self._path, self._every, self._step = Path(folder) / "metrics.csv", every, resume_step
        self._rows = [row for row in _read_rows(self._path) if int(row["step"]) <= resume_step]
        self._window: dict[str, list[np.ndarray]] = {}
        self._rewrite()
        self._board = SummaryWriter(str(Path(folder) / "tensorboard"), purge_step=resume_step + 1)

    def __call__(self, moment: Moment) -> None:
        first = moment.step - len(next(iter(moment.metrics.values()), ()))
        while first < moment.step:
            last = min((first // self._every + 1) * self._every, moment.step)
            for name, values in moment.metrics.items():
                part = values[len(values) - (moment.step - first) :][: last - first]
                self._window.setdefault(name, []).append(np.asarray(part, np.float64))
            self._step = first = last
            if last % self._every == 0:
                self._flush()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write values of one step, for instance of a validation; they join the row of that step where there is one."""
        row = {name: f"{value:.7g}" for name, value in values.items()}
        known = self._columns()
        if self._rows and int(self._rows[-1]["step"]) == step:
            self._rows[-1].update(row)
            self._rewrite()
        else:
            self._rows.append({"step": str(step)} | row)
            if self._columns() == known:
                self._append()
            else:
                self._rewrite()
        for name, value in values.items():
            self._board.add_scalar(name, float(value), step)
        self._board.flush()

    def close(self) -> None:
        """Write what is left; the log must not be used afterwards."""
        self._flush()
        self._board.close()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _flush(self) -> None:
        if self._window:
            self.log(self._step, {name: float(np.concatenate(parts).mean()) for name, parts in self._window.items()})
            self._window = {}

    def _columns(self) -> list[str]:
        return list(dict.fromkeys(["step", *(name for row in self._rows for name in row)]))

    def _append(self) -> None:
        try:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                file.write(_lines(self._rows[-1:], self._columns()))
        except OSError as error:
            raise unwritten(self._path, error) from error

    def _rewrite(self) -> None:
        columns = self._columns()
        write_text(self._path, _lines([dict(zip(columns, columns)), *self._rows], columns))


def _lines(rows: list[dict[str, str]], columns: list[str]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, columns, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _read_rows(path: Path) -> list[dict[str, str]]:
    """The rows that were written whole: a run that was killed may have left half a line at the end."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    if rows.fieldnames and "step" not in rows.fieldnames:
        raise NopalError(
            f"{path} has the columns {', '.join(rows.fieldnames)}; expected one named step: remove that file."
        )
    return [{name: cell for name, cell in row.items() if cell} for row in rows]
