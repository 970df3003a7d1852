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
from jaxtyping import Array
from rich.console import Console

import nopal
from nopal import NopalError
from nopal.data.images import ImageSet, Splits
from nopal.evaluation import evaluate
from nopal.learners.learner import MetaLearner
from nopal.learners.protonet import ProtoNet
from nopal.options.experiment import Experiment, TrainingOptions
from nopal.options.learners import MAMLOptions
from nopal.options.plain import from_plain, to_plain
from nopal.options.tasks import Classes, PoseTasks, SinusoidTasks
from nopal.recipes.catalogue import RECIPES, find_recipe, find_recipes, held_back
from nopal.recipes.recipe import Published, Recipe
from nopal.runs import Checkpoints, RunFolder, open_run, read_records
from nopal.stages.measuring import EVALUATION_SEED
from nopal.stages.metering import meter_run
from nopal.stages.running import run_recipe
from nopal.stages.seeds import run_seeds
from nopal.stages.sources import NAMED
from nopal.stages.table import results_table
from nopal.stages.task_sources import ImageTasks, open_tasks
from nopal.tasks.episode import Examples
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


def test_sinusoids_from_nothing_to_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert three["meter"]["tasks"] == 8
    monkeypatch.setitem(RECIPES, TINY.name, TINY)
    reading = meter_run(folders[0], None, None, 8, CONSOLE)
    assert reading.as_dict() == three["meter"] == json.loads((folders[0] / "meter.json").read_text())
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


def test_sinusoids_with_meta_augmentation_are_shifted_in_training_alone():
    tasks = SinusoidTasks(shift=2.0)
    key = jax.random.key(0)
    plain, shifted = (of.told(3, 2).sample(key) for of in (TASKS, tasks))
    moved = np.concatenate([shifted.support.y - plain.support.y, shifted.query.y - plain.query.y])
    assert 0 < abs(moved[0, 0]) <= 2
    np.testing.assert_allclose(moved, moved[0, 0], atol=1e-6)
    assert tasks.mistold(3) == TASKS.mistold(3)


def test_a_row_without_a_measurement_shows_what_was_published(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    page = results_table("sinusoids", tmp_path / "results", tmp_path / "page.md")
    assert "| MAML | – (0.46 [PDF]) | – (0.13 [PDF]) |" in page


def test_later_choices_are_stored_where_they_are_made() -> None:
    whole = TINY.experiment
    assert from_plain(Experiment, json.loads(json.dumps(to_plain(whole)))) == whole
    plain = to_plain(find_recipe("omniglot-oracle-maml").experiment)
    later = {"tasks", "weight_decay", "decay", "anneal", "hidden", "rematerialise"}
    assert not later & {*plain, *plain["training"], *plain["learner"]}
    assert from_plain(Experiment, plain).tasks == Classes()


@pytest.mark.parametrize(("decay", "left"), [("per_step", 2 * (1 - 0.1)), ("times_rate", 2 * (1 - 0.1 * 0.01))])
def test_weight_decay_by_both_names(decay: str, left: float) -> None:
    """Without a gradient Adam stands still, and what is left is what the decay leaves."""
    weights = {"w": jnp.full(3, 2.0)}
    optimiser = make_optimiser(0.01, clip=1.0, weight_decay=0.1, decay=decay)  # type: ignore[arg-type]
    updates, _ = optimiser.update({"w": jnp.zeros(3)}, optimiser.init(weights), weights)
    np.testing.assert_allclose(eqx.apply_updates(weights, updates)["w"], left, rtol=1e-6)


def test_labels_that_classes_bear_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve classes of one brightness each; in the test any of them may bear any label."""
    labels = np.repeat(np.arange(12), 4)
    images = ImageSet((20 * labels[:, None, None, None] + np.zeros((48, 4, 4, 1))).astype(np.uint8), labels)
    monkeypatch.setitem(NAMED, "grey", lambda: Splits(images, images, images))
    training = TrainingOptions(way=3, shot=1, query=1)
    run = open_run(
        tmp_path / "run", {"learner": {"method": "maml"}, "training": to_plain(training), "shape": [4, 4, 1]}
    )

    def drawn(tasks: Classes) -> np.ndarray:
        """The classes that bore each label in many tasks [tasks, label]."""
        experiment = Experiment(MAMLOptions(), training=training, tasks=tasks)
        found = open_tasks("grey", experiment).training(run, experiment)
        episodes = jax.vmap(found.sample)(jax.random.split(jax.random.key(0), 200))
        order = np.argsort(np.asarray(episodes.support.y), axis=1)
        brightness = np.asarray(episodes.support.x)[:, :, 0, 0, 0] * 255 / 20
        return np.take_along_axis(np.round(brightness).astype(int), order, axis=1)

    fixed, again = drawn(Classes("fixed_labels")), drawn(Classes("fixed_labels"))
    np.testing.assert_array_equal(fixed, again)
    borne = [set(column) for column in fixed.T]
    assert sorted(map(len, borne)) == [4, 4, 4]
    assert not borne[0] & borne[1]
    for tasks in (Classes(), Classes("fixed_labels", augmented=True)):
        assert all(set(column) == set(range(12)) for column in drawn(tasks).T)
    spared = open_tasks("grey-validation", Experiment(MAMLOptions(), training=training))
    assert isinstance(spared, ImageTasks)
    assert spared.splits.validation is None
    monkeypatch.setitem(NAMED, "plain", lambda: Splits(images, None, images))
    with pytest.raises(NopalError, match="Nothing of plain is held back"):
        open_tasks("plain-validation", Experiment(MAMLOptions()))
    run.metrics.touch()
    many = Experiment(MAMLOptions(), training=TrainingOptions(way=13), tasks=Classes("fixed_labels"))
    with pytest.raises(NopalError, match="13 labels are to be borne by 12 classes"):
        open_tasks("grey", many).training(run, many)


def test_figures_by_name() -> None:
    found = find_recipes("poses-figure-2-mr-maml")
    betas = [recipe.experiment.learner.beta for recipe in found]  # type: ignore[union-attr]
    assert betas == [0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0]
    assert [recipe.sweep.value for recipe in found if recipe.sweep] == betas
    figure_10 = find_recipes("omniglot-nme-1-shot-figure-10")
    assert [recipe.sweep.value for recipe in figure_10 if recipe.sweep] == [0.0, 1e-7, 1e-6, 1e-5, 5e-5, 1e-4, 1e-3]
    assert [recipe.published[(20, 1)].mean for recipe in figure_10] == [77.0, 81.0, 84.0, 84.5, 78.0, 72.0, 20.0]
    assert find_recipes("sinusoids-cnp") == [find_recipe("sinusoids-cnp")]
    with pytest.raises(NopalError, match="no recipe named 'poses-figure-3'"):
        find_recipes("poses-figure-3")


def test_what_is_held_back_takes_the_place_of_the_test() -> None:
    poses = held_back(find_recipe("poses-cnp"))
    assert (poses.data, poses.experiment.tasks, poses.published) == ("poses-validation", PoseTasks(choosing=True), {})
    assert held_back(find_recipe("omniglot-nme-1-shot-maml")).data in NAMED
    with pytest.raises(NopalError, match="drawn anew without end"):
        held_back(find_recipe("sinusoids-cnp"))


@pytest.mark.parametrize(
    "recipe", [r for r in RECIPES.values() if r.experiment.tasks != Classes()], ids=lambda r: r.name
)
def test_every_learner_of_a_recipe_takes_its_inputs(recipe: Recipe) -> None:
    shapes = {"sinusoids": (21,), "poses": (128, 128, 1), "omniglot-nme": (28, 28, 1), "mini-imagenet": (84, 84, 3)}
    shape, learner, training = shapes[recipe.data], recipe.experiment.learner, recipe.experiment.training
    assert training
    target = recipe.experiment.tasks.target(training.way)
    made = eqx.filter_eval_shape(learner.build, shape, target, jax.random.key(0))  # type: ignore[union-attr]
    x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)

    def answer(made: MetaLearner, x: Array) -> Array:
        if isinstance(made, ProtoNet):  # which predicts nothing without a support set
            support = Examples(x, jnp.arange(2), target)
            return made.with_statistics("support").adapt(support)(x)
        return made.adapt(None, key=jax.random.key(0))(x)

    outputs = eqx.filter_eval_shape(answer, made, x)
    assert outputs.shape == (2, target.width)
