"""Predictions of poses as arrays, for any learner, and as a picture of a run."""

from __future__ import annotations

import io
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from nopal import NopalError
from nopal.cli import run
from nopal.data.poses import PoseSet
from nopal.learners.learner import Learner
from nopal.options.experiment import Experiment, TrainingOptions
from nopal.options.learners import ProtoNetOptions
from nopal.options.neural_processes import CNPOptions
from nopal.options.regularised import FeatureOptions, RegularisedOptions
from nopal.options.tasks import PoseTasks
from nopal.recipes.catalogue import RECIPES
from nopal.recipes.recipe import Published, Recipe
from nopal.runs import load_run, read_records
from nopal.stages.beginning import begin_run
from nopal.stages.predicting import predict_poses
from nopal.stages.reopening import origin_of
from nopal.stages.running import run_recipe
from nopal.tasks.poses import Poses

KEY = jax.random.key(0)


def poses(size: int = 8) -> PoseSet:
    """Six objects, of which the first is for the test; each view's first pixel is its angle (of 256 in a turn), the
    second the object."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (6, 20, size, size), dtype=np.uint8)
    images[:, :, 0, 1] = np.arange(6)[:, None]
    angles = (2 * np.pi / 256 * images[:, :, 0, 0]).astype(np.float32)
    place, held_back = np.zeros((6, 20), np.float32), np.zeros(6, bool)
    names = tuple(f"thing/{i}" for i in range(6))
    return PoseSet(images, angles, place, place, names, ("test", *["train"] * 5), held_back)


def tasks(**options: object) -> Poses:
    return Poses(poses().images, poses().angles, **{"shot": 3, "query": 4} | options)


class Says(Learner):
    """Always the same numbers."""

    numbers: tuple[float, ...] = eqx.field(static=True)

    def adapt(self, support, *, key=None, steps=None):
        return lambda x: jnp.tile(jnp.array(self.numbers), (len(x), 1))


class Reads(Learner):
    """Takes the angle from the first pixel, plus a turn for each object, as the second pixel of all support views has
    it."""

    def adapt(self, support, *, key=None, steps=None):
        which = 255 * support.x[:, 0, 1, 0].mean()
        return lambda x: 10 * (255 / 256 * x[:, 0, 0] + which)


def predict(learner: Learner, tasks: Poses, **options: object):
    return predict_poses(learner, tasks, poses().names, key=KEY, **options)


def test_a_number_is_a_place_on_the_turn() -> None:
    found = predict(Says((2.5,)), tasks(), each=2)
    np.testing.assert_allclose(found.predicted, np.full((6, 2, 4), 90))
    assert (found.support.shape, found.metric, found.turn) == ((6, 2, 3), "squared_error", 10)
    np.testing.assert_allclose(found.scores, (2.5 - found.true / 36) ** 2, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(predict(Says((2.5,)), tasks(turn=5.0), each=1).predicted, np.full((6, 1, 4), 180))


def test_a_point_on_the_circle_is_decoded() -> None:
    found = predict(Says((-3.0, 0.0)), tasks(target="circular", wrapped=True), each=1)
    np.testing.assert_allclose(found.predicted, np.full((6, 1, 4), 270), rtol=1e-6)
    np.testing.assert_allclose(found.scores, (found.errors / 36) ** 2, rtol=1e-3, atol=1e-5)
    assert found.metric == "squared_arc"


def test_views_are_those_that_were_shown() -> None:
    found = predict(Reads(), tasks(), devices=1)
    np.testing.assert_allclose(found.predicted, found.true + 360 * np.arange(6)[:, None, None], rtol=1e-4)
    drawn = np.concatenate([found.support, found.query], axis=2)
    assert all(len(set(views)) == 7 for views in drawn.reshape(-1, 7))
    assert len(np.unique(drawn.reshape(-1, 7), axis=0)) == 24


SMALL = RegularisedOptions(
    CNPOptions(representation=4, summary=4, lift=2), FeatureOptions((4,), filters=(2, 2), hidden=(4,)), "none"
)


TINY = Recipe(
    "poses-tiny",
    "Tiny",
    "poses",
    Experiment(SMALL, training=TrainingOptions(way=1, shot=2, query=2, tasks_per_step=1, steps=1), tasks=PoseTasks()),
    ((0, 2),),
    {(0, 2): Published(2.26, "[PDF]")},
)
SILENT = Console(file=io.StringIO())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with poses and `run`, a recipe's that was judged; `other` is a run of something else."""
    place = tmp_path_factory.mktemp("predicting")
    poses(24).save(place / "poses.npz")
    poses(16).save(place / "small.npz")
    options = {"episodes": 2, "data": place / "poses.npz", "console": SILENT}
    run_recipe(TINY, "published", place / "run", place / "results", **options)
    begin_run(place / "other", (16, 16, 1), ProtoNetOptions(filters=4), TrainingOptions(), made={})
    return place


def test_a_recipe_leaves_a_picture_that_its_report_shows(place: Path) -> None:
    assert (place / "run" / "predictions.png").stat().st_size > 10_000
    assert run(["report", str(place / "run"), "--out", str(place / "page.html")]) == 0
    assert "What it predicts" in (place / "page.html").read_text(encoding="utf-8")


def test_other_objects_are_drawn_beside_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["poses", "predict", str(place / "run"), "--data", str(place / "poses.npz"), "--objects", "1"]
    assert run([*line, "--split", "train"]) == 0
    assert "predictions-train.png" in capsys.readouterr().out
    assert (place / "run" / "predictions-train.png").exists()
    assert run([*line, "--out", str(place / "own" / "test.png")]) == 0
    assert (place / "own" / "test.png").exists()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("none", [], "There is no folder"),
        ("other", [], "was not trained on poses"),
        ("run", ["--objects", "0"], "The number of objects to show is 0"),
        ("run", ["--data", "small.npz"], "The inputs have shape (16, 16, 1), those that the learner knows (24, 24, 1)"),
        ("run", ["--data", "nothing.npz"], "There is no file nothing.npz"),
        ("run", ["--data", "poses.npz", "--split", "validation"], "None of the 6 objects is for validation"),
        ("run", ["--out", "run"], "expected a name that ends in .png"),
        ("run", ["--data", "poses.npz", "--out", "poses.npz"], "expected a name that ends in .png"),
    ],
)
def test_refused(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    options: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(place)
    assert run(["poses", "predict", name, *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("nopal: ")
    assert said in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "option", "rest"), [("poses predict", ["--data"], "--out a.png"), ("meter", [], "--episodes 2")]
)
def test_a_run_knows_the_poses_it_was_made_of(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    option: list[str],
    rest: str,
) -> None:
    line = [*command.split(), str(place / "run")]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOPAL_DATA", str(tmp_path))
    monkeypatch.setitem(RECIPES, TINY.name, TINY)
    other = poses(24)
    other.images[5, 19, 23, 23] += 1
    for made_of in (other, poses(16)):
        made_of.save(tmp_path / "poses.npz")
        assert run([*line, *rest.split()]) == 2
        assert "poses (those of a file) that aren't those of the data folder" in capsys.readouterr().err
    assert run([*line, *option, "poses.npz", *rest.split()]) == 2
    assert "The inputs have shape (16, 16, 1), those that the learner knows (24, 24, 1)" in capsys.readouterr().err
    poses(24).save(tmp_path / "poses.npz")
    assert run([*line, *rest.split()]) == 0


def test_records_of_other_poses_say_so(place: Path, tmp_path: Path) -> None:
    (record,) = read_records(place / "results")
    assert record["data"] == "poses-of-unnamed"
    assert set(record["config"]["own"]) == {"digest"}
    assert record["scores"][0]["published"] is None
    other = poses(24)
    other.images[0, 0, 0, 0] += 1
    (place / "second").mkdir()
    path = other.save(place / "second" / "poses.npz")
    with pytest.raises(NopalError, match=r"own\.digest"):
        run_recipe(TINY, "published", place / "run", tmp_path, data=path, resume=True, console=SILENT, episodes=2)


def test_a_file_of_a_person_needs_no_variants(tmp_path: Path) -> None:
    training = TrainingOptions(way=1, shot=2, query=2)
    begin_run(tmp_path / "run", (24, 24, 1), SMALL, training, tasks=PoseTasks(variants=3), made={})
    origin = origin_of(load_run(tmp_path / "run"), str(poses(24).save(tmp_path / "own.npz")))
    assert origin.open().shape == (24, 24, 1)
