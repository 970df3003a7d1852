"""Recipes whose tasks are no classes of images: the same folders, records and tables."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import nopal
from nopal import NopalError
from nopal.evaluation import evaluate
from nopal.recipes.measuring import EVALUATION_SEED
from nopal.recipes.options import Experiment, MAMLOptions, TrainingOptions, from_plain, to_plain
from nopal.recipes.recipe import Published, Recipe
from nopal.recipes.running import find_recipe, run_recipe
from nopal.recipes.seeds import run_seeds
from nopal.recipes.table import results_table
from nopal.recipes.task_options import Classes, SinusoidTasks
from nopal.recipes.task_sources import open_tasks
from nopal.runs import Checkpoints, RunFolder, read_records
from nopal.training import make_optimiser

TASKS = SinusoidTasks()
TRAINING = TrainingOptions(way=1, shot=4, query=3, tasks_per_step=2, steps=20, weight_decay=0.5, decay="per_step")
TINY = Recipe(
    "waves-maml",
    "Tiny MAML",
    "waves",
    Experiment(MAMLOptions(inner_rate=0.01, inner_steps=1, hidden=(8,)), training=TRAINING, tasks=TASKS),
    ((0, 5), (0, 10)),
    {(0, 5): Published(0.46, "[PDF]")},
)
CONSOLE = Console(file=io.StringIO())


def test_sinusoids_from_nothing_to_a_table(tmp_path: Path) -> None:
    places = {"results": tmp_path / "results", "episodes": 8, "console": CONSOLE}
    folders = [tmp_path / "run-3", tmp_path / "run-4"]
    run_seeds(TINY, "demo", lambda seed: tmp_path / f"run-{seed}", seeds=[3, 4], **places)
    run_recipe(TINY, "demo", folders[0], seed=3, resume=True, **places)
    assert all("validation_score" in (folder / "metrics.csv").read_text() for folder in folders)
    three, four = read_records(tmp_path / "results")
    assert (three["seed"], four["config"]["training"]["seed"], three["data"]) == (3, 4, "waves")
    five, ten = three["scores"]
    assert (five["points"], five["way"], five["shot"], ten["points"]) == (5, None, None, 10)
    assert (five["metric"], five["published"], ten["published"]) == ("squared_error", 0.46, None)
    learner = nopal.load(folders[0])
    test = open_tasks("waves", TINY.experiment).test((0, 5))
    again = evaluate(learner, test, key=jax.random.key(EVALUATION_SEED), episodes=8)
    assert five["mean"] == pytest.approx(again.mean, abs=1e-5)
    page = results_table("waves", tmp_path / "results", tmp_path / "page.md")
    spread = np.std([three["scores"][0]["mean"], four["scores"][0]["mean"]], ddof=1)
    mean = (three["scores"][0]["mean"] + four["scores"][0]["mean"]) / 2
    assert f"{mean:.3f} ± {spread:.3f} (0.46 [PDF])" in page
    assert "the error is squared" in page
    assert "percent" not in page + (tmp_path / "page-waves.svg").read_text()
    negative = dataclasses.replace(TINY.experiment, training=dataclasses.replace(TRAINING, weight_decay=-1.0))
    with pytest.raises(NopalError, match=r"weight_decay is -1\.0; expected a number above 0"):
        run_recipe(dataclasses.replace(TINY, experiment=negative), "demo", tmp_path / "bad", **places)


def test_test_tasks_of_sinusoids_belie_the_amplitude() -> None:
    source = open_tasks("waves", TINY.experiment)
    assert source.shape == (21,)
    run = RunFolder(Path(), {}, Checkpoints(Path()))
    train, test = source.training(run, TINY.experiment), source.test((0, 5))
    assert (train.misleading, test.misleading, test.shot, test.query) == (False, True, 5, 200)
    assert train.target == test.target == TASKS.target()


def test_a_row_without_a_measurement_shows_what_was_published(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    page = results_table("sinusoids", tmp_path / "results", tmp_path / "page.md")
    assert "| MAML | – (0.46 [PDF]) | – (0.13 [PDF]) |" in page


def test_later_choices_are_stored_where_they_are_made() -> None:
    whole = TINY.experiment
    assert from_plain(Experiment, json.loads(json.dumps(to_plain(whole)))) == whole
    plain = to_plain(find_recipe("omniglot-oracle-maml").experiment)
    assert not {"tasks", "weight_decay", "decay", "hidden"} & {*plain, *plain["training"], *plain["learner"]}
    assert from_plain(Experiment, plain).tasks == Classes()


@pytest.mark.parametrize(("decay", "left"), [("per_step", 2 * (1 - 0.1)), ("times_rate", 2 * (1 - 0.1 * 0.01))])
def test_weight_decay_by_both_names(decay: str, left: float) -> None:
    """Without a gradient Adam stands still, and what is left is what the decay leaves."""
    weights = {"w": jnp.full(3, 2.0)}
    optimiser = make_optimiser(0.01, clip=1.0, weight_decay=0.1, decay=decay)  # type: ignore[arg-type]
    updates, _ = optimiser.update({"w": jnp.zeros(3)}, optimiser.init(weights), weights)
    np.testing.assert_allclose(eqx.apply_updates(weights, updates)["w"], left, rtol=1e-6)
