"""Where a gain comes from, by hand-made records and by the configurations of the recipes themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nopal.options.plain import to_plain
from nopal.recipes.catalogue import find_recipe
from nopal.report.ablation import ablation_table, difference_text, read_choices


def record(name: str, mean: float, seed: int = 0, steps: int = 400, ci95: float = 0.3, **score: Any) -> dict[str, Any]:
    """Of a recipe of poses, as if it had been run on 4 tasks a step."""
    recipe = find_recipe(f"poses-{name}")
    config = json.loads(json.dumps(to_plain(recipe.at("hour", seed, steps))))
    config["training"]["tasks_per_step"] = 4
    points = {"points": recipe.difficulties[0][1], "way": None, "shot": None}
    scored = {"metric": "squared_error", "mean": mean, "ci95": ci95, "tasks": 300, "statistics": "transductive"}
    return {
        "recipe": recipe.name,
        "learner": recipe.title,
        "data": "poses",
        "seed": seed,
        "config": config,
        "budget": {"steps": steps, "published_steps": 30_000},
        "scores": [scored | points | {"transductive": True} | score],
        "hardware": "2 cores",
        "wall_seconds": 1.0,
    }


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in table.splitlines()]


def test_differences_to_the_plainest_row_of_the_same_budget() -> None:
    """6 - 8 with intervals of .3 and .4: -2 ± .5. Another budget, another learner on features and other points stay
    away."""
    table = ablation_table(
        [
            record("mr-maml-w", 6.0),
            record("maml-matched", 8.0, ci95=0.4),
            record("maml-encoder", 7.5, diverged=2),
            record("maml-encoder-circular", 1.0, steps=900),
            record("cnp", 5.0),
            record("maml", 3.0),
            {"hardware": None, "recipe": "poses-np", "scores": []},
        ]
    )
    headings, _, plain, regularised, encoder = cells(table)
    assert headings == [
        "learner", "encoder adapted", "noise", "beta", "weight decay", "target", "augmentation", "points",
        "squared error", "difference", "also", "budget",
    ]  # fmt: skip
    assert plain == [
        "MAML, network of MR-MAML", "yes", "none", "–", "none", "linear", "no", "15",
        "8.000 ± 0.400", "reference", "", "400 of 30,000 steps",
    ]  # fmt: skip
    assert regularised == [
        "MR-MAML (W)", "no", "weights, scale 1.2e-07", "0.1", "none", "linear", "no", "15",
        "6.000 ± 0.300", "-2.000 ± 0.500", "encoder deviation 0.1", "400 of 30,000 steps",
    ]  # fmt: skip
    assert encoder[1:4] == ["no", "none", "–"]
    assert encoder[8:11] == ["7.500 ± 0.300 (2 diverged)", "-0.500 ± 0.500", ""]


def test_rows_that_met_the_same_objects_are_compared_object_by_object() -> None:
    """Differences of -1, -3 and -2: t of two degrees of freedom, 4.303, times 1 over the root of 3."""
    table = ablation_table(
        [
            record("mr-maml-w", 2.0, group_means=[1.0, 2.0, 3.0, None]),
            record("maml-encoder", 4.0, group_means=[2.0, 5.0, 5.0, 9.0]),
            record("maml-encoder-circular", 3.0),
        ]
    )
    _, _, _, regularised, circular = cells(table)
    assert regularised[9] == "-2.000 ± 2.484 over objects"
    assert circular[9] == "-1.000 ± 0.424"


def test_nothing_to_compare() -> None:
    assert ablation_table([]) == ""
    assert ablation_table([record("maml-matched", 8.0), record("maml-encoder", 7.0, steps=900)]) == ""
    other = record("maml-encoder", 7.0)
    other["config"]["tasks"] = {"method": "sinusoids"}
    assert ablation_table([record("maml-matched", 8.0), other]) == ""
    fewer = record("maml-encoder", 7.0)
    fewer["config"]["training"]["tasks_per_step"] = 10
    assert ablation_table([record("maml-matched", 8.0), fewer]) == ""


def test_seeds_in_common() -> None:
    """Differences of -1 and -2 between seeds 0 and 1: -1.5 with a deviation of the root of 1/2."""
    reference = {seed: {"mean": mean, "ci95": 0.3} for seed, mean in enumerate((8.0, 9.0))}
    scores = {seed: {"mean": mean, "ci95": 0.4} for seed, mean in enumerate((7.0, 7.0, 1.0))}
    assert difference_text(scores, reference) == "-1.500 ± 0.707"
    assert difference_text({1: scores[1]}, reference) == "-2.000 ± 0.500"
    assert difference_text({2: scores[2]}, reference) == "-7.500"
    table = ablation_table(
        [
            *(record("maml-matched", of["mean"], seed) for seed, of in reference.items()),
            *(record("maml-encoder", of["mean"], seed) for seed, of in scores.items()),
        ]
    )
    _, _, plain, encoder = cells(table)
    assert plain[8:10] == ["8.500 ± 0.707", "reference"]
    assert encoder[8:10] == ["5.000 ± 3.464", "-1.500 ± 0.707"]


@pytest.mark.parametrize(
    ("name", "family", "told"),
    [
        ("maml", "maml", ["yes", "none", "–", "0.001 per step", "linear", "no"]),
        ("mr-maml-a", "maml", ["no", "activations", "0.001", "none", "linear", "no"]),
        ("mr-maml-w-noisy", "maml", ["no", "weights, scale 0.05", "0.001", "none", "linear", "no"]),
        ("maml-encoder-decay", "maml", ["no", "none", "–", "0.001 per step", "linear", "no"]),
        ("maml-encoder-augmented", "maml", ["no", "none", "–", "none", "linear", "yes"]),
        ("cnp-circular", "cnp", ["no", "none", "–", "none", "circle", "no"]),
        ("cnp-bayes", "cnp", ["no", "all weights, scale 0.049", "0.001", "none", "linear", "no"]),
        ("fine-tuning", "fine_tuning", ["yes", "none", "–", "none", "linear", "no"]),
    ],
)
def test_choices_are_read_from_configurations(name: str, family: str, told: list[str]) -> None:
    found, choices, _ = read_choices(record(name, 1.0)["config"])
    assert (found, list(choices.values())) == (family, told)


def test_what_else_differs_is_told() -> None:
    table = ablation_table([record("maml-matched", 8.0), record("maml-augmented", 7.0), record("mr-maml-w", 6.0)])
    also = [line[10] for line in cells(table)[2:]]
    assert also == ["", "outer rate 0.0005", "encoder deviation 0.1"]
    table = ablation_table([record("mr-maml-w", 8.0), record("mr-maml-w-noisy", 7.0), record("mr-maml-a", 7.0)])
    assert [line[10] for line in cells(table)[2:]] == ["", "", "encoder deviation none, draws step, samples 10"]
    table = ablation_table([record("mr-maml-w", 8.0), record("figure-2-mr-maml-0", 7.0)])
    assert [(line[3], line[9]) for line in cells(table)[2:]] == [("0", "reference"), ("0.1", "+1.000 ± 0.424")]


def test_what_lies_around_a_learner_is_told_and_makes_it_less_plain() -> None:
    names = "ridge-validated-varied-16", "ridge-mirrored", "ridge-circular"
    lines = cells(ablation_table([record(name, 2.0 + place) for place, name in enumerate(names)]))[2:]
    assert [(line[8], line[10]) for line in lines] == [
        ("4.000 ± 0.300", ""),
        (
            "2.000 ± 0.300",
            "variants 16, warp symmetric, cross-validated yes, mirror images yes, folds 5, axis 0.507544",
        ),
        ("3.000 ± 0.300", "mirror images yes, axis 0.507544"),
    ]
