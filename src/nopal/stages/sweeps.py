"""The figures in which recipes are points: scores against a choice, drawn from the records of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from nopal.recipes.catalogue import RECIPES
from nopal.recipes.recipe import Recipe, Sweep, recipe_data
from nopal.report import Point, budget_text, by_seed, rows_over_seeds, scores_of, sweep_figure
from nopal.report.rows import diverged_of, measure_of


def sweeps_of(data: str, records: Sequence[dict[str, Any]]) -> list[tuple[Sweep, Figure, bool]]:
    """The sweeps of a data set of which at least one point was measured, their pictures, with a line for each budget,
    and whether published numbers are among them."""
    found: dict[str, list[tuple[Recipe, Sweep]]] = {}
    for recipe in RECIPES.values():
        if recipe.sweep and recipe.data == recipe_data(data):
            found.setdefault(recipe.sweep.name, []).append((recipe, recipe.sweep))
    drawn = []
    for points in found.values():
        series: dict[str, dict[float, Point]] = {}
        published: dict[float, float] = {}
        for recipe, place in points:
            for budget, point in _measured(recipe, place, data, records):
                series.setdefault(budget, {}).setdefault(place.value, point)
            number = recipe.published.get(recipe.difficulties[0])
            if number and recipe.data == data:
                published[place.value] = number.mean
        recipe, place = points[0]
        if series:
            metric = measure_of(recipe.difficulties[0][0])
            lines = {budget: list(of.values()) for budget, of in series.items()}
            drawn.append((place, sweep_figure(lines, published, over=place.over, metric=metric), bool(published)))
    return drawn


def _measured(recipe: Recipe, place: Sweep, data: str, records: Sequence[dict[str, Any]]) -> list[tuple[str, Point]]:
    """What the records hold of a recipe, its own first and then those of others that do the same: budgets and points.
    Records of another value, which a recipe may have had before, are left out."""
    same = {other.name for other in RECIPES.values() if other.experiment == recipe.experiment}
    own = [
        record
        for record in records
        if record["data"] == data
        and record["recipe"] in same
        and record["config"]["learner"].get(place.over, place.value) == place.value
    ]
    own.sort(key=lambda record: record["recipe"] != recipe.name)
    way, shot = recipe.difficulties[0]
    found = []
    for group in by_seed(own):
        diverged = sum(diverged_of(record["scores"]) for record in group)
        for row in rows_over_seeds(group):
            for column, score in scores_of(row).items():
                if column == (way, shot, measure_of(way)):
                    found.append((budget_text(group[0]), Point(place.value, score["mean"], score["ci95"], diverged)))
    return found
