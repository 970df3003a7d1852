"""Tables of scores for the terminal, Markdown and HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from nopal.report.page import Markup
from nopal.report.rows import OVER_GROUPS, STATISTICS, Column, Row, Score, heading_of, score_columns, scores_of

SOURCES = {
    "SRC": "read in the authors' code",
    "PDF": "read in the authors' paper",
    "IMG": "read in a picture of the authors' poster or paper, off plots roughly",
    "2ND": "read in a third party's copy",
    "INF": "inferred",
    "MEM": "from memory, not verified",
}


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
    if any(score["metric"] == "squared_arc" for score in scores):
        legend.append(
            "Squared arc: the same errors the shorter way round the circle. On a line, as published, an angle that is "
            "right but for a little across the seam from 10 to 0 counts as wrong by a whole turn, which is most of the "
            "error of a good learner."
        )
    if any(OVER_GROUPS in row.details for row in rows):
        legend.append(
            "The interval beside a mean is that of further tasks about the same few test objects. "
            f'"{OVER_GROUPS}" is half that of the mean over other objects of their kind, by Student\'s t of the means '
            "of objects; rows without it were measured before it was recorded."
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


def _grid(rows: Sequence[Row]) -> tuple[list[Column], list[str], list[list[str]]]:
    """The columns of scores, all headings, and the text of all cells."""
    columns = score_columns(rows)
    fullest = sorted(rows, key=lambda row: -len(row.details))  # so that a first row that lacks one changes no order
    details = sorted(
        dict.fromkeys(heading for row in fullest for heading in row.details), key=lambda heading: heading != OVER_GROUPS
    )
    lines = []
    for row in rows:
        numbers = ["".join(_number(score)) if (score := scores_of(row).get(column)) else "" for column in columns]
        lines.append([row.name, *numbers, row.statistics, *(row.details.get(heading, "") for heading in details)])
    return columns, ["learner", *map(heading_of, columns), "statistics", *details], lines


def _number(score: Score) -> tuple[str, str, str]:
    """Mean, interval and published number; the last two may be empty (chance is exact)."""
    digits = 1 if score["metric"] == "accuracy" else 3
    ci95, mean = score.get("ci95"), score["mean"]
    interval = f" ± {ci95:.{digits}f}" if ci95 else ""
    return "–" if mean is None else f"{mean:.{digits}f}", interval, published_text(score)


def published_text(score: Score) -> str:
    """Such as ' (83.3 [PDF])', in a table behind what was measured; '' where nothing was published."""
    published = score.get("published")
    return "" if published is None else f" ({' '.join(filter(None, [f'{published:g}', _mark(score)]))})"


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
