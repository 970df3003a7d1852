"""The page of results: what was measured and what was published, side by side, row by row as recipes are listed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from nopal.errors import NopalError
from nopal.recipes.catalogue import RECIPES
from nopal.recipes.recipe import VALIDATION, Difficulty, Published, Recipe, name_of_difficulty, recipe_data
from nopal.report import (
    ABLATION,
    ablation_table,
    as_svg,
    budget_order,
    comparison_figure,
    results_page,
    rows_over_seeds,
    steps_figure,
    unmeasured,
)
from nopal.runs import check_writable, read_records
from nopal.runs.files import write_text
from nopal.stages.rounds import first_round, is_later_round, rounds_of
from nopal.stages.stepping import read_steps
from nopal.stages.sweeps import sweeps_of

INTRO = (
    "Made by `nopal table` from the records of real runs: every number is what a run measured, at the budget that its "
    "row states. Where that is far from the published budget, so may the number be, in either direction: only rows at "
    "the published budget, and not annealed, are reproductions. A dash stands where a published row was not run here. "
    "What names of rows mean: (W) and (A) are meta-regularisation of the encoder's weights or of its activations, of "
    "strength beta; CNP is a conditional neural process, TAML a MAML whose initial weights shall prefer no task; an "
    "oracle is trained on human labels; ACAI and BiGAN are encoders that need none (an autoencoder, a generative "
    "adversarial network); nme means tasks that are not mutually exclusive, so that one function could solve them all; "
    "a circle is an angle regressed as a point on one, a density one whose distribution is predicted; with mirror "
    "images each view is also seen in a mirror, at the opposite angle; cross-validated predictions are as uncertain as "
    "errors on left-out support examples; variants are warped shapes of the training objects."
)
SWEEP = (
    "Dots are measured, with their 95% intervals over test tasks (of several seeds, with the standard deviation "
    "between them){}."
)
RINGS = "; rings are published"
STEPS = (
    "The same learners after more or fewer steps on the support set, on the same test tasks, as `nopal steps` measured "
    "them (as in figure 5 of Yin et al. 2020); 0 is before adaptation. Intervals are those of 95% over test tasks (of "
    "several seeds, the standard deviation between them)."
)


def results_table(data: str | None, results: Path, out: Path | None) -> str:
    """The Markdown page of the records under `results`: of all data sets or of one, and published rows that were not
    run. With `out` it is written there, links relative to it, a picture of each table beside it.

    Raises `NopalError` for a data set that neither recipes nor records know.
    """
    records = read_records(results)
    known = list(dict.fromkeys([recipe.data for recipe in RECIPES.values()] + [record["data"] for record in records]))
    if data is not None and data not in known:
        raise NopalError(f"There are no rows of {data!r}; expected one of {', '.join(known)}.")
    if out:
        check_writable(out)
    wanted = known if data is None else [data]
    lines = [line for name in wanted for line in _in_order(name, [r for r in records if r["data"] == name])]
    curves = read_steps(results)
    below = {name: _below(name, records, lines, [of for of in curves if of["data"] == name], out) for name in wanted}
    where = Path(os.path.relpath(results, out.parent if out else Path.cwd())).as_posix()
    page = results_page(lines, "Results", INTRO, where, below)
    if out:
        write_text(out, page)
    return page


def _below(
    data: str,
    records: list[dict[str, Any]],
    lines: list[dict[str, Any]],
    curves: list[dict[str, Any]],
    out: Path | None,
) -> list[str]:
    """What stands below the table of a data set: remarks on rows that were run, what was neither run nor published,
    what differences come from and, beside the page `out`, a picture of all, one of each sweep, and of the scores by
    test steps."""
    own = {record["recipe"] for record in records if record["data"] == data}
    rows = [row for recipe in RECIPES.values() for row in (recipe, *rounds_of(recipe, own))]
    blocks = ["\n".join(_remark(row) for row in rows if row.note and row.name in own)]
    of_data = [row for row in RECIPES.values() if row.data == data]
    if own and (waiting := [f"`{row.name}`" for row in of_data if not (row.published or row.name in own)]):
        blocks.append(f"Recipes that no paper has numbers of, and that were not run here either: {', '.join(waiting)}.")

    def drawn(figure: Figure, name: str, words: str) -> list[str]:
        if out is None:
            return []
        picture = out.with_name(f"{out.stem}-{name}.svg")
        write_text(picture, as_svg(figure))
        return [f"![{words}]({picture.name})"]

    lines = [line for line in lines if line["data"] == data]
    if measured := rows_over_seeds(lines):
        blocks += drawn(comparison_figure(measured), data, f"Measured and published on {data}")
    if ablation := ablation_table(lines):
        blocks += ["### Where the gain comes from", ABLATION, ablation]
    for sweep, figure, published in sweeps_of(data, records) if out else ():
        name = sweep.name + (VALIDATION if data.endswith(VALIDATION) else "")
        told = SWEEP.format(RINGS if published else "")
        blocks += [f"### {sweep.title}", told, *drawn(figure, name, f"{sweep.title}, by {sweep.over}")]
    for of in curves if out else ():
        at = name_of_difficulty((of.get("way", 0), of.get("shot") or of["points"]))
        name = f"{data}-steps-{at.replace(' ', '-')}"
        blocks += [f"### Scores by test steps, {at}", STEPS, *drawn(steps_figure(of["runs"]), name, f"By steps, {at}")]
    return blocks


def _remark(recipe: Recipe) -> str:
    return f"* {recipe.title} (`{recipe.name}`): {recipe.note}."


def _in_order(data: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records in the order of recipes, with published rows that have none; rows that no recipe is for stand last."""
    lines: list[dict[str, Any]] = []
    for recipe in RECIPES.values():
        if recipe.data != recipe_data(data):
            continue
        own = sorted((record for record in records if record["recipe"] == recipe.name), key=budget_order)
        if not own and recipe.published and recipe.data == data:
            own = [_published_only(recipe.name, recipe.title, data, recipe.published)]
        if recipe.before and recipe.data == data:
            before = {"published": recipe.before.mean, "published_source": recipe.before.source}
            own = [{**record, "before": before} for record in own]
        lines += own
        later = [record for record in records if is_later_round(record["recipe"], recipe)]
        lines += sorted(later, key=lambda record: (record["recipe"], *budget_order(record)))
    lines += [record for record in records if first_round(record["recipe"]) not in RECIPES]
    return lines


def _published_only(name: str, title: str, data: str, published: dict[Difficulty, Published]) -> dict[str, Any]:
    return unmeasured(name, title, data, {at: (number.mean, number.source) for at, number in published.items()})
