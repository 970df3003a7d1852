"""Tables of scores for the terminal, Markdown and HTML, and the page of results made of the records of runs."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from nopal.errors import NopalError
from nopal.report.page import Markup

STATISTICS = {
    "support": "taken from the labelled examples of the task, for the queries too",
    "transductive": "taken from all queries of the task at once, so that the prediction for one depends on the others",
    "running": "fixed before the test, the same for every task",
    "none": "not used",
}
SOURCES = {
    "SRC": "read in the authors' code",
    "PDF": "read in the authors' paper",
    "IMG": "read in a picture of the authors' poster or paper",
    "2ND": "read in a third party's copy",
    "INF": "inferred",
    "MEM": "from memory, not verified",
}

SEVERAL = (
    "A row with several seeds has the mean over them, ± the standard deviation between them, and the time of all; the "
    "interval of each is in its record."
)
METER = (
    "Reliance says how much of what is better than chance on training tasks comes from the support set, from 0 (all is "
    "memorised) to 1; before adapting: the score on training tasks without any support set ([the meter](meter.md))."
)
KIND = ("metric", "way", "shot", "points", "tasks", "statistics")
"""What the scores of two records must have in common to be averaged."""

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


def unmeasured(
    recipe: str, learner: str, data: str, published: Mapping[tuple[int, int], tuple[float, str]]
) -> dict[str, Any]:
    """In the place of a record: the published numbers of a row that was not run, mean and source by way and shot, or by
    0 and the points of a task of regression."""
    scores = []
    for (way, shot), (mean, source) in published.items():
        at = {"way": way, "shot": shot} if way else {"way": None, "shot": None, "points": shot}
        metric = "accuracy" if way else "squared_error"
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
    details = {"budget": budget_text(record["budget"])}
    return [Row(record["learner"], scores, kind, details) for kind, scores in kinds.items()]


def text_table(rows: Sequence[Row], title: str = "") -> Table:
    """For the terminal, as in `rich.print(text_table(rows))`; published numbers stand below one's own."""
    columns, headings, lines = _grid(rows)
    table = Table(
        title=Text(title, style="bold") if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for i, heading in enumerate(headings):
        if 0 < i <= len(columns):
            table.add_column(Text(heading.replace(" ", "\n", 1)), justify="right", no_wrap=True)
        else:
            table.add_column(Text(heading), no_wrap=heading == "statistics", overflow="fold")
    for row, line in zip(rows, lines):
        scores = scores_of(row)
        numbers = [_text_score(scores.get(column)) for column in columns]
        table.add_row(Text(line[0]), *numbers, *map(Text, line[len(columns) + 1 :]))
    return table


def markdown_table(rows: Sequence[Row]) -> str:
    """For Markdown, without a newline at the end; details may hold Markdown of their own, such as a link."""
    columns, headings, lines = _grid(rows)
    rule = ["---", *["---:"] * len(columns), *["---"] * (len(headings) - 1 - len(columns))]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in [headings, rule, *lines]
    )


def html_table(rows: Sequence[Row]) -> Markup:
    """For `report_page`, where `table_legend` should follow; a bar below every accuracy shows its share of 100%."""
    columns, headings, lines = _grid(rows)
    kinds = ["", *[' class="score"'] * len(columns), *[""] * (len(headings) - 1 - len(columns))]
    head = "".join(f'<th scope="col"{kind}>{html.escape(heading)}</th>' for kind, heading in zip(kinds, headings))
    body = ""
    for row, line in zip(rows, lines):
        scores = scores_of(row)
        numbers = [_html_score(scores.get(column)) for column in columns]
        others = [f"<td>{html.escape(cell)}</td>" for cell in line[len(columns) + 1 :]]
        body += f'<tr><th scope="row">{html.escape(row.name)}</th>{"".join(numbers + others)}</tr>\n'
    return Markup(
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>'
    )


def table_legend(rows: Sequence[Row]) -> list[str]:
    """Sentences that explain the words and marks in these rows, and no others."""
    scores = [score for row in rows for score in row.scores]
    legend = ["Each number is a mean over test tasks, ± half the width of its 95% confidence interval."]
    if any(score["metric"] == "accuracy" for score in scores):
        legend[0] += " Accuracies are in percent."
    if any(score.get("way") for score in scores):
        legend.append(
            "N-way K-shot: a task has N classes; the learner sees K labelled examples of each (the support set), "
            "then classifies other examples of these classes (the queries)."
        )
    if any(score.get("points") for score in scores):
        legend.append(
            "K points: the learner sees K inputs of a task with their values (the support set), then predicts those of "
            "others (the queries); the error is squared and averaged."
        )
    if any(score.get("published") is not None for score in scores):
        marks = {_mark(score) for score in scores}
        found = "; ".join(f"[{mark}] {meaning}" for mark, meaning in SOURCES.items() if f"[{mark}]" in marks)
        legend.append("In parentheses: the published number" + (f" ({found})." if found else "."))
    used = {row.statistics for row in rows}
    kinds = "; ".join(f"{kind}: {meaning}" for kind, meaning in STATISTICS.items() if kind in used)
    return [
        *legend,
        f"Statistics are the means and variances by which a network normalises its activations. {kinds.capitalize()}.",
    ]


def results_page(
    records: Sequence[Record],
    title: str,
    intro: str,
    folder: str = "../results",
    pictures: Mapping[str, str] | None = None,
    remarks: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """A Markdown page with a table for each data set, its rows in the order of `records`; those that differ by their
    seeds alone share a row.

    `folder` is where the records lie, seen from the page: a row links to `folder/file` of a record that has a `file`,
    as those of `read_records` do. `pictures` and `remarks` stand below the tables of their data sets. Raises
    `NopalError` where there are no records.
    """
    if not records:
        raise NopalError("Found 0 records of runs, expected at least one; make one with `nopal run` first.")
    legend = table_legend([row for record in records for row in rows_of(record)])
    groups = _by_seed(records)
    if any(len(group) > 1 for group in groups):
        legend.insert(1, SEVERAL)
    if any(record.get("meter") for record in records):
        legend.append(METER)
    blocks = [f"# {title}", intro, "\n".join(f"* {line}" for line in legend)]
    for data in dict.fromkeys(record["data"] for record in records):
        chosen = [group for group in groups if group[0]["data"] == data]
        made_on = (str(record["hardware"]) for group in chosen for record in group if record["hardware"])
        machines = list(dict.fromkeys(made_on))
        rows = [row for group in chosen for row in _with_particulars(group, machines, folder)]
        notes = "\\\n".join(f"<sup>{i}</sup> {machine}" for i, machine in enumerate(machines, 1))
        picture = f"![Measured and published on {data}]({pictures[data]})" if pictures and data in pictures else ""
        said = "\n".join(f"* {remark}" for remark in (remarks or {}).get(data, ()))
        blocks += [block for block in (f"## {data}", markdown_table(rows), notes, said, picture) if block]
    return "\n\n".join(blocks) + "\n"


def budget_text(budget: Mapping[str, Any]) -> str:
    """For instance '3,000 of 30,000 steps', where the second number is the published one; and the same for the tasks of
    a step, where they differ."""
    steps, published = budget.get("steps"), budget.get("published_steps")
    if not steps:
        return "no training"
    text = f"{steps:,} of {published:,} steps" if published else f"{steps:,} steps"
    tasks = budget.get("tasks_per_step")
    return f"{text}, {tasks} of {budget['published_tasks_per_step']} tasks each" if tasks else text


def time_text(seconds: int | float) -> str:
    """For instance '45 s', '11 min', '1 h 25 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _by_seed(records: Sequence[Record]) -> list[list[Record]]:
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
    return [row for group in _by_seed(records) for row in _averaged(group)]


def _averaged(group: Sequence[Record]) -> list[Row]:
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
        averaged.append(dataclasses.replace(row, scores=scores))
    return averaged


def _with_particulars(group: Sequence[Record], machines: list[str], folder: str) -> list[Row]:
    """The rows of records that differ by their seeds alone, with where and how they were made; those that were not run
    as they are."""
    rows = []
    for row in _averaged(group):
        if group[0]["hardware"] is None:
            rows.append(row)
            continue
        marks = sorted({machines.index(str(record["hardware"])) + 1 for record in group})
        seconds = sum(record["wall_seconds"] for record in group)
        recipe = f"`{group[0]['recipe']}`"
        links = [_link(str(record["seed"]) if len(group) > 1 else recipe, record, folder) for record in group]
        particulars = _readings(group) | {
            "tasks": _tasks(group),
            "seed": ", ".join(str(record["seed"]) for record in group),
            "time": f"{time_text(seconds)} <sup>{', '.join(map(str, marks))}</sup>",
            "record": ", ".join(links) if len(group) == 1 else f"{recipe} {', '.join(links)}",
        }
        rows.append(dataclasses.replace(row, details={**row.details, **particulars}))
    return rows


def _tasks(group: Sequence[Record]) -> str:
    """How many test tasks, and how many of them are not in the means because adaptation diverged."""
    scores = [score for record in group for score in record["scores"]]
    counts = ", ".join(f"{tasks:,}" for tasks in sorted({score["tasks"] for score in scores}))
    diverged = sum(score.get("diverged", 0) for score in scores)
    return f"{counts} ({diverged} diverged)" if diverged else counts


def _readings(group: Sequence[Record]) -> dict[str, str]:
    """What the meter read on training tasks, averaged over seeds."""
    readings = [record["meter"] for record in group if record.get("meter")]
    found = {}
    for heading, field in (("reliance", "reliance"), ("before adapting", "before")):
        values = [reading[field] for reading in readings if reading[field] is not None]
        if values:
            digits = 1 if field == "before" and readings[0]["metric"] == "accuracy" else 2
            spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
            found[heading] = f"{np.mean(values):.{digits}f}{spread}"
    return found


def _link(name: str, record: Record, folder: str) -> str:
    return f"[{name}]({folder}/{record['file']})" if record.get("file") else name


def _grid(rows: Sequence[Row]) -> tuple[list[Column], list[str], list[list[str]]]:
    """The columns of scores, all headings, and the text of all cells."""
    columns = score_columns(rows)
    details = list(dict.fromkeys(heading for row in rows for heading in row.details))
    lines = []
    for row in rows:
        numbers = ["".join(_number(score)) if (score := scores_of(row).get(column)) else "" for column in columns]
        lines.append([row.name, *numbers, row.statistics, *(row.details.get(heading, "") for heading in details)])
    return columns, ["learner", *map(_heading, columns), "statistics", *details], lines


def score_columns(rows: Sequence[Row]) -> list[Column]:
    """All columns of scores in these rows, in order."""
    return sorted({column for row in rows for column in scores_of(row)})


def scores_of(row: Row) -> dict[Column, Score]:
    """The scores by column; way 0 stands for the points of a regression task."""
    scores = {}
    for score in row.scores:
        way = score.get("way") or 0
        column = way, score["shot"] if way else score["points"], score["metric"]
        if column in scores:
            raise NopalError(f"The row {row.name!r} has two scores for {_heading(column)}; give each a row of its own.")
        scores[column] = score
    return scores


def _heading(column: Column) -> str:
    way, shot, metric = column
    name = f"{way}-way {shot}-shot" if way else f"{shot} points"
    return name if metric == "accuracy" else f"{name}, {metric.replace('_', ' ')}"


def _number(score: Score) -> tuple[str, str, str]:
    """Mean, interval and published number; the last two may be empty (chance is exact)."""
    digits = 1 if score["metric"] == "accuracy" else 3
    ci95, published = score.get("ci95"), score.get("published")
    interval = f" ± {ci95:.{digits}f}" if ci95 else ""
    other = f" ({' '.join(filter(None, [f'{published:g}', _mark(score)]))})" if published is not None else ""
    mean = score["mean"]
    return "–" if mean is None else f"{mean:.{digits}f}", interval, other


def _mark(score: Score) -> str:
    """The mark of a published number's source, such as '[IMG]'; '' where it has none."""
    found = re.search(rf"\b({'|'.join(SOURCES)})\b", score.get("published_source") or "")
    return f"[{found[0]}]" if found else ""


def _text_score(score: Score | None) -> Text:
    """Without the mark, for terminals are narrow."""
    if score is None:
        return Text()
    mean, interval, published = _number({**score, "published_source": None})
    return Text.assemble(mean, interval, ("\n" + published.strip() if published else "", "dim"))


def _html_score(score: Score | None) -> str:
    if score is None:
        return '<td class="score"></td>'
    mean, interval, published = _number(score)
    drawn = score["metric"] == "accuracy" and score["mean"] is not None
    bar = f'<i style="--share:{score["mean"]:.1f}%"></i>' if drawn else ""
    below = f"<small>{published.strip()}</small>" if published else ""
    return f'<td class="score">{mean}<small>{interval}</small>{bar}{below}</td>'
