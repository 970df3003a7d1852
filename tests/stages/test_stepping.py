"""Runs by the number of test steps: on the command line, in one picture and in a file."""

from __future__ import annotations

import json
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest
from PIL import Image

import nopal
from nopal.cli import run
from nopal.evaluation import Scores, evaluate
from nopal.learners import MAML
from nopal.options.experiment import Experiment, TrainingOptions
from nopal.options.learners import MAMLOptions, MetaLearnerOptions
from nopal.options.neural_processes import CNPOptions
from nopal.options.tasks import Classes, PoseTasks, SinusoidTasks, TaskOptions
from nopal.recipes.catalogue import RECIPES
from nopal.recipes.recipe import Recipe
from nopal.runs import Checkpoints
from nopal.stages import stepping
from nopal.stages.beginning import begin_run
from nopal.stages.measuring import EVALUATION_SEED

TASKS = SinusoidTasks()
TRAINING = TrainingOptions(way=1, shot=4, query=3, steps=20)
WAVES = Recipe(
    "waves-maml", "MAML", "waves", Experiment(MAMLOptions(), training=TRAINING, tasks=TASKS), ((0, 5), (0, 10))
)


def finished(path: Path, options: MetaLearnerOptions, tasks: TaskOptions = TASKS, recipe: str = "waves-maml") -> Path:
    """The folder of a run whose learner is as it was at the beginning."""
    shape = (21,) if isinstance(tasks, SinusoidTasks) else (8, 8, 1)
    made = begin_run(path, shape, options, TRAINING, tasks=tasks, made={"recipe": recipe or None})
    learner = options.build(shape, tasks.target(1), jax.random.key(0))
    Checkpoints(made.path / "learner", keep=1).save(20, learner)
    return path


def go(line: str) -> int:
    return run(["steps", *line.split()])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(RECIPES, WAVES.name, WAVES)
    monkeypatch.chdir(tmp_path)
    finished(tmp_path / "one", MAMLOptions(hidden=(4,), inner_rate=0.01, test_steps=7))
    return tmp_path


def known(learner: MAML, tasks: nopal.tasks.Sinusoids, steps: tuple[int, ...], **_: object) -> dict[int, Scores]:
    """In the place of an evaluation: errors of 2 / (1 + steps) in three tasks, of which the last diverges after 50."""
    return {
        number: Scores(np.array([2.0, 2.0, np.inf if number > 50 else 2.0]) / (1 + number), "squared_error", "none")
        for number in steps
    }


def test_one_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert go("one --steps 3 --episodes 2 --out figures/steps.svg") == 0
    said = capsys.readouterr().out
    assert "waves, 5 points, 2 test tasks, by steps" in said
    found = json.loads((here / "figures" / "steps.json").read_text())
    (one,) = found["runs"]
    assert (found["data"], found["points"], one["run"], one["recipe"]) == ("waves", 5, "one", "waves-maml")
    assert (one["usual_steps"], one["tasks"], one["metric"]) == (7, 2, "squared_error")
    learner, test = nopal.load(here / "one"), TASKS.mistold(5)
    again = evaluate(learner, test, key=jax.random.key(EVALUATION_SEED), episodes=2, steps=3)
    assert [score["steps"] for score in one["scores"]] == [3]
    assert one["scores"][0]["mean"] == pytest.approx(again.mean, abs=1e-5)
    assert "steps on the support set" in (here / "figures" / "steps.svg").read_text()


def test_several_runs(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(stepping, "evaluate_steps", known)
    for name in ("other/one", "last"):
        finished(here / name, MAMLOptions(hidden=(4,)))
    assert go("one other/one last --at 10 --steps 0 1 99 --out steps.png") == 0
    said = capsys.readouterr().out
    assert "Lost are tasks whose adaptation diverged" in said
    assert said.count("1 lost") == 3
    assert "other/one: as good as its best after 1 steps, of 10 usual ones" in said
    found = json.loads((here / "steps.json").read_text())
    assert [of["run"] for of in found["runs"]] == ["one", "other/one", "last"]
    assert found["points"] == 10
    assert found["runs"][0]["scores"][1:] == [
        {"steps": 1, "mean": 1.0, "ci95": 0.0, "diverged": 0},
        {"steps": 99, "mean": 0.02, "ci95": 0.0, "diverged": 1},
    ]
    with Image.open(here / "steps.png") as picture:
        assert picture.size[0] > picture.size[1] > 100


def test_what_diverged_everywhere_is_null() -> None:
    learner = eqx.filter_eval_shape(MAMLOptions().build, (2,), TASKS.target(), jax.random.key(0))
    origin = stepping.Origin(WAVES.experiment, None, "waves", (1,))
    opened = stepping.Opened("run", learner, origin, "waves")
    none = Scores(np.array([np.nan, np.inf]), "squared_error", "none")
    one = Scores(np.array([np.nan, 2.0]), "squared_error", "none")
    scores = stepping._plain("run", opened, {0: none, 4: one})["scores"]
    assert scores == [
        {"steps": 0, "mean": None, "ci95": None, "diverged": 2},
        {"steps": 4, "mean": 2.0, "ci95": None, "diverged": 1},
    ]


def test_what_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(here / "cnp", CNPOptions(hidden=(4,)))
    finished(here / "poses", MAMLOptions(filters=2), PoseTasks(), "")
    finished(here / "images", MAMLOptions(filters=2), Classes(), "")
    before = set(here.rglob("*"))
    for line, sentence in (
        ("one --out steps.pdf", "The file to write is steps.pdf; expected a name that ends in .svg or .png."),
        ("", "No run folder was named"),
        ("nowhere", "There is no folder nowhere"),
        ("cnp", "The learner in cnp adapts in no steps; expected one that descends on the support set"),
        ("one --steps 1 -2", "The numbers of steps are 1, -2; expected at least one, all of them 0 or more."),
        ("one --at five", "'five' is no difficulty; expected way x shot, for instance 5x1, or points, for instance 10"),
        ("one --at 5x1", "The tasks of waves are not told by 5-way 1-shot; expected points, such as 10."),
        ("one poses", "one is of waves, but poses of poses; draw them one by one."),
        ("images", "The run in images does not say on what to test it; name labelled images by --source."),
        ("images --source new.npz --at 5", "are not told by 5 points; expected ways and shots, such as 5x1."),
        ("one --episodes 1", "The number of test tasks is 1"),
    ):
        assert go(line) == 2, line
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("nopal: ")
        assert sentence in last
    assert set(here.rglob("*")) == before


def test_labelled_images_where_no_recipe_names_some(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.repeat(np.arange(4), 8)
    images = (60 * labels[:, None, None, None] + np.zeros((32, 8, 8, 1))).astype(np.uint8)
    nopal.data.save_arrays(here / "new.npz", nopal.data.ImageSet(images, labels))
    finished(here / "grey", MAMLOptions(filters=2), Classes(), "")

    def found(learner: MAML, tasks: nopal.tasks.Classification, steps: tuple[int, ...], **_: object) -> dict:
        assert (tasks.way, tasks.shot, len(tasks.x)) == (2, 1, 32)
        return {number: Scores(np.array([0.5, 0.75]), "accuracy", "support") for number in steps}

    monkeypatch.setattr(stepping, "evaluate_steps", found)
    assert go("grey --source new.npz --at 2x1 --steps 4 0") == 0
    plain = json.loads((here / "steps.json").read_text())
    assert (plain["data"], plain["way"], plain["shot"], plain["runs"][0]["recipe"]) == ("new.npz", 2, 1, None)
    assert [score["mean"] for score in plain["runs"][0]["scores"]] == [62.5, 62.5]
