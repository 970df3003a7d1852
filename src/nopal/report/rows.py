"""Rows of tables, made of the records of runs; records that differ by their seeds alone share one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from nopal.errors import NopalError
from nopal.numerics.intervals import interval_over_groups

STATISTICS = {
    "support": "taken from the labelled examples of the task, for the queries too",
    "transductive": "taken from all queries of the task at once, so that the prediction for one depends on the others",
    "running": "fixed before the test, the same for every task",
    "none": "not used",
}
KIND = ("metric", "way", "shot", "points", "tasks", "statistics")
"""What the scores of two records must have in common to be averaged."""

OVER_GROUPS = "± over objects"
"""Heading of the interval over the groups of tasks; those there are are objects."""

Score = Mapping[str, Any]
Record = Mapping[str, Any]
Column = tuple[int, int, str]


@dataclasses.dataclass(frozen=True)
class Row:
    """A learner with its scores as records hold them (accuracies in percent).

    `statistics` says what its normalisation used, in a word of `STATISTICS`; `details` are further columns by their
    headings, for instance `{"budget": "3,000 steps"}`.
    """

    name: str
    scores: Sequence[Score]
    statistics: str
    details: Mapping[str, str] = dataclasses.field(default_factory=dict)


def measure_of(way: int | None) -> str:
    """The published measure of tasks of so many classes; 0 or None where numbers are predicted."""
    return "accuracy" if way else "squared_error"


def diverged_of(scores: Sequence[Score]) -> int:
    """How many test tasks diverged, each counted once, although its errors may be measured in two ways."""
    return sum(score.get("diverged", 0) for score in scores if score["metric"] == measure_of(score.get("way")))


def unmeasured(
    recipe: str, learner: str, data: str, published: Mapping[tuple[int, int], tuple[float, str]]
) -> dict[str, Any]:
    """In the place of a record: the published numbers of a row that was not run, mean and source by way and shot, or by
    0 and the points of a task of regression."""
    scores = []
    for (way, shot), (mean, source) in published.items():
        at = {"way": way, "shot": shot} if way else {"way": None, "shot": None, "points": shot}
        metric = measure_of(way)
        scores.append({"metric": metric, **at, "mean": None, "published": mean, "published_source": source})
    return {"recipe": recipe, "learner": learner, "data": data, "seed": None, "scores": scores, "hardware": None}


def rows_of(record: Record) -> list[Row]:
    """One row for each kind of statistics in a record's scores, with the budget as a further column.

    Raises `NopalError` where a score doesn't say which statistics it used, or contradicts itself.
    """
    if record["hardware"] is None:
        return [Row(record["learner"], record["scores"], "", {"budget": "not run"})]
    kinds: dict[str, list[Score]] = {}
    for score in record["scores"]:
        kind, transductive = score.get("statistics"), score.get("transductive")
        if kind not in STATISTICS or transductive != (kind == "transductive"):
            raise NopalError(
                f"A score of {record['learner']} has statistics {kind!r} and transductive {transductive!r}; expected "
                f"one of {', '.join(STATISTICS)}, and transductive true for that word alone: run it again."
            )
        kinds.setdefault(kind, []).append(score)
    details = {"budget": budget_text(record)}
    return [Row(record["learner"], scores, kind, groups_text(scores) | details) for kind, scores in kinds.items()]


def groups_text(scores: Sequence[Score]) -> dict[str, str]:
    """The interval of the first score over groups of tasks, such as objects, by the heading of its column; {} where
    there are none."""
    means = group_means(scores[0])
    return {} if means is None else {OVER_GROUPS: f"± {interval_over_groups(means):.3f}"}


def group_means(score: Score) -> Float[np.ndarray, "groups"] | None:
    """NaN for groups without a task."""
    means = score.get("group_means")
    return None if means is None else np.array(means, float)


def budget_text(record: Record) -> str:
    """For instance '3,000 of 30,000 steps', where the second number is the published one; the same for the tasks of a
    step, where they differ; how many partitions tasks were made from, and how long their encoder was trained; and
    whether steps were annealed."""
    budget, config = record["budget"], record.get("config", {})
    training, clustering = config.get("training") or {}, config.get("partitions") or {}
    steps, published = budget.get("steps"), budget.get("published_steps")
    if not steps:
        return "no training"
    text = f"{steps:,} of {published:,} steps" if published else f"{steps:,} steps"
    tasks = budget.get("tasks_per_step")
    text += f", {tasks} of {budget['published_tasks_per_step']} tasks each" if tasks else ""
    count = clustering.get("partitions")
    text += f", {count:,} partition{'s' if count > 1 else ''}" if count and training else ""
    encoded = _steps_of(config.get("encoder") or {})
    text += f", encoder {encoded:,} steps" if encoded and training else ""
    return f"{text}, annealed" if training.get("anneal") else text


def budget_order(record: Record) -> tuple[int, int, int]:
    """What sorts records of one row: the steps of an encoder that learners were trained on, their own, and the number
    of partitions."""
    config = record.get("config", {})
    encoded = _steps_of(config.get("encoder") or {}) if config.get("training") else 0
    partitions = (config.get("partitions") or {}).get("partitions")
    return encoded or 0, record["budget"].get("steps") or 0, partitions or 0


def _steps_of(encoder: Mapping[str, Any]) -> int | None:
    """Of an encoder as options name it, or as its file does."""
    options = encoder.get("options") or encoder.get(encoder.get("name", "")) or {}
    return options.get("steps")


def by_seed(records: Sequence[Record]) -> list[list[Record]]:
    """Records that differ by their seeds alone, together and in the order of the seeds."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record["hardware"] is None:
            groups[f"not run: {record['recipe']} {len(groups)}"] = [record]
            continue
        kinds = [[score.get(name) for name in KIND] for score in record["scores"]]
        about = [record["recipe"], record["learner"], record["data"], record["budget"], kinds]
        key = json.dumps([*about, _without_seeds(record.get("config", {}))], sort_keys=True)
        group = groups.setdefault(key, [])
        # Made twice: no further evidence, so no further seed.
        if any(other["seed"] == record["seed"] for other in group):
            groups[f"{key} {record.get('file')}"] = [record]
        else:
            group.append(record)
    return [sorted(group, key=lambda record: record["seed"]) for group in groups.values()]


def _without_seeds(config: Any) -> Any:
    if isinstance(config, Mapping):
        return {name: _without_seeds(value) for name, value in config.items() if name != "seed"}
    return config


def rows_over_seeds(records: Sequence[Record]) -> list[Row]:
    """The rows of records, of those that differ by their seeds alone one for all of them."""
    return [row for group in by_seed(records) for row in averaged(group)]


def averaged(group: Sequence[Record]) -> list[Row]:
    """The rows of records that differ by their seeds alone: means over seeds, and standard deviations between them in
    the place of intervals."""
    rows = rows_of(group[0])
    if len(group) == 1:
        return rows
    averaged = []
    for row, *others in zip(rows, *map(rows_of, group[1:])):
        means = np.array([[score["mean"] for score in of_seed.scores] for of_seed in (row, *others)])
        pairs = zip(row.scores, means.mean(0), means.std(0, ddof=1))
        scores = [{**score, "mean": float(mean), "ci95": float(deviation)} for score, mean, deviation in pairs]
        of_groups = [[group_means(score) for score in of_seed.scores] for of_seed in (row, *others)]
        for score, *of_seeds in zip(scores, *of_groups):
            known = all(of is not None for of in of_seeds)
            score["group_means"] = np.mean(of_seeds, axis=0).tolist() if known else None
        details = {name: text for name, text in row.details.items() if name != OVER_GROUPS}
        averaged.append(dataclasses.replace(row, scores=scores, details=groups_text(scores) | details))
    return averaged


def score_columns(rows: Sequence[Row]) -> list[Column]:
    """All columns of scores in these rows, in order; the shorter way round stands behind the published measure."""
    columns = {column for row in rows for column in scores_of(row)}
    return sorted(columns, key=lambda column: (column[:2], column[2] == "squared_arc", column[2]))


def scores_of(row: Row) -> dict[Column, Score]:
    """The scores by column; way 0 stands for the points of a regression task."""
    scores = {}
    for score in row.scores:
        way = score.get("way") or 0
        column = way, score["shot"] if way else score["points"], score["metric"]
        if column in scores:
            raise NopalError(
                f"The row {row.name!r} has two scores for {heading_of(column)}; give each a row of its own."
            )
        scores[column] = score
    return scores


def heading_of(column: Column) -> str:
    way, shot, metric = column
    name = f"{way}-way {shot}-shot" if way else f"{shot} points"
    return name if metric == "accuracy" else f"{name}, {metric.replace('_', ' ')}"
