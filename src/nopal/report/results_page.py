"""The page of results, made of the records of runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from nopal.errors import NopalError
from nopal.report.rows import Record, Row, Score, averaged, by_seed, diverged_of, rows_of
from nopal.report.tables import markdown_table, published_text, table_legend

SEVERAL = (
    "A row with several seeds has the mean over them, ± the standard deviation between them, and the time of all; the "
    "interval of each is in its record."
)
DIVERGED = "Tasks marked as diverged, in which adaptation ended in no number, are left out of the mean."
HUGE = (
    "A few tasks in which adaptation ended in a huge number make most of the mean of a seed, whose 95% interval is "
    "more than half of it: "
)
BEFORE = "before adapting"
METER = (
    "Reliance says how much of what is better than chance on training tasks is lost with the support set of another "
    f"task, from 0 (all is memorised) to 1; {BEFORE}: the score on training tasks without any support set ([the "
    "meter](meter.md))."
)


def results_page(
    records: Sequence[Record],
    title: str,
    intro: str,
    folder: str = "../results",
    below: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """A Markdown page with a table for each data set, its rows in the order of `records`; those that differ by their
    seeds alone share a row.

    `folder` is where the records lie, seen from the page: a row links to `folder/file` of a record that has a `file`,
    as those of `read_records` do. A record may hold, under `before`, the published score before adapting (`published`
    and `published_source`, as in a score). Blocks of Markdown stand `below` the tables of their data sets. Raises
    `NopalError` where there are no records.
    """
    if not records:
        raise NopalError("Found 0 records of runs, expected at least one; make one with `nopal run` first.")
    legend = table_legend([row for record in records for row in rows_of(record)])
    groups = by_seed(records)
    if any(len(group) > 1 for group in groups):
        legend.insert(1, SEVERAL)
    if any(diverged_of(record["scores"]) for record in records):
        legend.append(DIVERGED)
    huge = [name for name in dict.fromkeys(record["recipe"] for record in records if any(map(_wide, record["scores"])))]
    if huge:
        legend.append(f"{HUGE}{', '.join(f'`{name}`' for name in huge)}.")
    if any(record.get("meter") for record in records):
        legend.append(METER)
    blocks = [f"# {title}", intro, "\n".join(f"* {line}" for line in legend)]
    for data in dict.fromkeys(record["data"] for record in records):
        chosen = [group for group in groups if group[0]["data"] == data]
        made_on = (str(record["hardware"]) for group in chosen for record in group if record["hardware"])
        machines = list(dict.fromkeys(made_on))
        rows = [row for group in chosen for row in _with_particulars(group, machines, folder)]
        notes = "\\\n".join(f"<sup>{i}</sup> {machine}" for i, machine in enumerate(machines, 1))
        blocks += [
            block for block in (f"## {data}", markdown_table(rows), notes, *(below or {}).get(data, ())) if block
        ]
    return "\n\n".join(blocks) + "\n"


def _wide(score: Score) -> bool:
    """Whether the interval of a mean error reaches half way down to 0."""
    error = score["metric"] != "accuracy" and score.get("mean") is not None
    return error and score["ci95"] > score["mean"] / 2


def time_text(seconds: int | float) -> str:
    """For instance '45 s', '11 min', '1 h 25 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _with_particulars(group: Sequence[Record], machines: list[str], folder: str) -> list[Row]:
    """The rows of records that differ by their seeds alone, with where and how they were made; those that were not run
    as they are."""
    rows = []
    for row in averaged(group):
        if group[0]["hardware"] is None:
            rows.append(dataclasses.replace(row, details={**row.details, **_readings(group)}))
            continue
        marks = sorted({machines.index(str(record["hardware"])) + 1 for record in group})
        seconds = sum(record["wall_seconds"] for record in group)
        recipe = f"`{group[0]['recipe']}`"
        links = [_link(str(record["seed"]) if len(group) > 1 else recipe, record, folder) for record in group]
        particulars = _readings(group) | {
            "tasks": _tasks(group),
            "seed": ", ".join(str(record["seed"]) for record in group),
            "time": f"{time_text(seconds)}{_untimed(group)} <sup>{', '.join(map(str, marks))}</sup>",
            "record": ", ".join(links) if len(group) == 1 else f"{recipe} {', '.join(links)}",
        }
        rows.append(dataclasses.replace(row, details={**row.details, **particulars}))
    return rows


def _untimed(group: Sequence[Record]) -> str:
    """A word on an encoder that was trained before, by a program that did not say how long that took."""
    encoders = [record.get("config", {}).get("encoder") or {} for record in group]
    trained = any(one.get("options", {}).get("steps") and "seconds" not in one for one in encoders)
    return " without the encoder" if trained else ""


def _tasks(group: Sequence[Record]) -> str:
    """How many test tasks, and how many of them are not in the means because adaptation diverged."""
    scores = [score for record in group for score in record["scores"]]
    counts = ", ".join(f"{tasks:,}" for tasks in sorted({score["tasks"] for score in scores}))
    diverged = diverged_of(scores)
    return f"{counts} ({diverged} diverged)" if diverged else counts


def _readings(group: Sequence[Record]) -> dict[str, str]:
    """What the meter read on training tasks, averaged over seeds, and what was published of it."""
    readings = [record["meter"] for record in group if record.get("meter")]
    published = published_text(group[0].get("before", {}))
    found = {}
    for heading, field in (("reliance", "reliance"), (BEFORE, "before")):
        values = [reading[field] for reading in readings if reading[field] is not None]
        if values:
            digits = 1 if field == "before" and readings[0]["metric"] == "accuracy" else 2
            spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
            found[heading] = f"{np.mean(values):.{digits}f}{spread}{published if heading == BEFORE else ''}"
    return found if BEFORE in found or not published else {**found, BEFORE: f"–{published}"}


def _link(name: str, record: Record, folder: str) -> str:
    return f"[{name}]({folder}/{record['file']})" if record.get("file") else name
