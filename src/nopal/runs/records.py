"""Records of results: the only place from which a number may get into a document."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import itertools
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from nopal.errors import NopalError
from nopal.runs.files import read_json, write_json, write_text
from nopal.runs.provenance import environment

SCHEMA = 1
FIELDS: dict[str, Any] = {
    "schema": int,
    "recipe": str,
    "learner": str,
    "data": str,
    "seed": int,
    "config": dict,
    "budget": dict,
    "scores": list,
    "hardware": str,
    "versions": dict,
    "wall_seconds": int | float,
    "commit": str | None,
    "date": str,
}
METER = ("metric", "tasks", "right", "before", "shuffled", "foreign", "guess", "reliance", "low", "high")
"""Fields of the reading of the meter, which a record may have: mean scores and the index with its interval."""
STATISTICS = ("support", "transductive", "running", "none")


@dataclasses.dataclass(frozen=True)
class Score:
    """The mean over `tasks` test tasks and half the width of its 95% interval; accuracies in percent.

    Tasks that `diverged`, so that their error is no number, are not in the mean. Classification has `way` and `shot`,
    regression `points` in the support set. `statistics` says what normalised the
    network's activations: support, transductive, running or none. Where many tasks are about the same thing, as those
    of poses are about an object, `group_means` are the means of these, in the order of the data (None where no task is
    left), and the interval is that of further tasks about the same things.
    """

    metric: str
    mean: float
    ci95: float
    tasks: int
    statistics: str
    way: int | None = None
    shot: int | None = None
    points: int | None = None
    published: float | None = None
    published_source: str | None = None
    diverged: int = 0
    group_means: Sequence[float | None] | None = None

    def __post_init__(self) -> None:
        if self.statistics not in STATISTICS:
            raise NopalError(
                f"The statistics of a score are {self.statistics!r}; expected one of {', '.join(STATISTICS)}."
            )
        if (self.way is None or self.shot is None) == (self.points is None):
            raise NopalError(
                f"A score has way {self.way}, shot {self.shot}, points {self.points}; expected way and shot, or points."
            )
        if self.metric == "accuracy" and not 0 <= self.mean <= 100:
            raise NopalError(f"An accuracy is {self.mean}; expected percent, from 0 to 100.")

    @property
    def transductive(self) -> bool:
        """Whether the prediction for one query depends on the other queries."""
        return self.statistics == "transductive"

    def as_dict(self) -> dict[str, Any]:
        """As a record holds it."""
        return dataclasses.asdict(self) | {"transductive": self.transductive}


def make_record(
    *,
    recipe: str,
    learner: str,
    data: str,
    seed: int,
    config: Mapping[str, Any],
    steps: int,
    published_steps: int | None,
    scores: Sequence[Score],
    wall_seconds: float,
    batches: tuple[int, int] | None = None,
    meter: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A record made here and now; `published_steps` is what the paper took, None where that is not known. `batches` are
    the tasks of a step and the published number of them, where the two differ; `meter` is a reading on meta-training
    tasks (`nopal.meter`), where one was taken."""
    steps_taken = {"steps": steps, "published_steps": published_steps}
    tasks_taken = {"tasks_per_step": batches[0], "published_tasks_per_step": batches[1]} if batches else {}
    made = {
        "schema": SCHEMA,
        "recipe": recipe,
        "learner": learner,
        "data": data,
        "seed": seed,
        "config": dict(config),
        "budget": steps_taken | tasks_taken,
        "scores": [score.as_dict() for score in scores],
        "wall_seconds": round(wall_seconds, 1),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return made | ({"meter": dict(meter)} if meter else {}) | environment()


def write_record(folder: str | Path, record: Mapping[str, Any], run: str | None = None) -> Path:
    """Write `<folder>/<recipe>/<run>.json` and return its path.

    The default `run` names learner, steps and seed. A record of the same configuration takes the place of the old one;
    one of another does not, and gets a number behind its name. Raises `NopalError` where the record is not
    complete or names a path of this machine.
    """
    record = {name: value for name, value in record.items() if name != "file"}
    _check(record, "The record")
    of_recipe = Path(folder) / _slug(record["recipe"])
    name = _slug(run or f"{record['learner']} {record['budget']['steps']} steps seed {record['seed']}")
    paths = (of_recipe / f"{name}{f'-{number}' if number > 1 else ''}.json" for number in itertools.count(1))
    return write_json(next(path for path in paths if not path.exists() or _is_of(path, record["config"])), record)


def _is_of(path: Path, config: Mapping[str, Any]) -> bool:
    """Whether a file holds a record of that configuration."""
    try:
        return read_json(path).get("config") == json.loads(json.dumps(config))
    except NopalError:  # damaged, and still not ours to write over
        return False


def read_records(folder: str | Path) -> list[dict[str, Any]]:
    """All records under `folder`, sorted by path, which stands relative to `folder` under `file`.

    Raises `NopalError` where there is no such folder or a record is damaged or not complete.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NopalError(f"There is no folder {folder}; expected the folder of records, such as results/.")
    records = []
    for path in sorted(folder.rglob("*.json")):
        record = read_json(path)
        if "kind" in record:  # no record of a run: those have none
            continue
        _check(record, str(path))
        records.append(record | {"file": path.relative_to(folder).as_posix()})
    return records


def write_scores_csv(path: str | Path, records: Iterable[Mapping[str, Any]]) -> Path:
    """One line for each score of each record, with the record's `file` where it was read from one."""
    kept = ("recipe", "learner", "data", "seed")
    names = [field.name for field in dataclasses.fields(Score) if field.name != "group_means"] + ["transductive"]
    text = io.StringIO()
    lines = csv.DictWriter(text, [*kept, "steps", *names, "file"], lineterminator="\n", extrasaction="ignore")
    lines.writeheader()
    for record in records:
        about = {name: record[name] for name in kept} | {"steps": record["budget"]["steps"], "file": record.get("file")}
        lines.writerows(about | dict(score) for score in record["scores"])
    return write_text(Path(path), text.getvalue())


def _check(record: Mapping[str, Any], name: str) -> None:
    for field, kind in FIELDS.items():
        if field not in record:
            raise NopalError(f"{name} has no field {field!r}; records of schema {SCHEMA} need it: make it by a run.")
        if not isinstance(record[field], kind):
            raise NopalError(f"{name} has {field} = {record[field]!r}; expected {getattr(kind, '__name__', kind)}.")
    if record["schema"] != SCHEMA:
        raise NopalError(f"{name} has schema {record['schema']}; this Nopal reads schema {SCHEMA}: make it again.")
    for field in ("steps", "published_steps"):
        if field not in record["budget"]:
            raise NopalError(
                f"{name} has no field 'budget.{field}'; records of schema {SCHEMA} need it: make it by a run."
            )
    for field in METER if "meter" in record else ():
        if field not in record["meter"]:
            raise NopalError(f"{name} has no field 'meter.{field}', but a meter; make it by a run, or leave it out.")
    for i, score in enumerate(record["scores"]):
        _check_score(score, f"{name}, score {i}")
    if found := next((text for text in _texts(record) if _is_local(text)), None):
        raise NopalError(
            f"{name} names a path of this machine, {found!r}; give it relative to the data or leave it out."
        )


def _check_score(score: Mapping[str, Any], name: str) -> None:
    score = {"diverged": 0, "group_means": None} | dict(score)  # which came later than the first records
    fields = [field.name for field in dataclasses.fields(Score)]
    for field in [*fields, "transductive"]:
        if field not in score:
            raise NopalError(f"{name} has no field {field!r}; records of schema {SCHEMA} need it: make it by a run.")
    if Score(**{field: score[field] for field in fields}).transductive != score["transductive"]:
        raise NopalError(
            f"{name} has statistics {score['statistics']!r} and transductive {score['transductive']}; expected "
            "transductive to be true for statistics 'transductive' and no others."
        )


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def _is_local(text: str) -> bool:
    return text.startswith("~") or PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()


def _slug(text: str) -> str:
    """Lower-case letters and digits of any script, and dashes; a recipe's own slashes become dashes too."""
    return re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", text.lower())).strip("-") or "unnamed"
