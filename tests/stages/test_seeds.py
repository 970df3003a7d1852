"""A recipe with several seeds at once: folders and records as if each had been made alone."""

from __future__ import annotations

import io
import signal
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest
from rich.console import Console

from nopal import NopalError
from nopal.data.images import ImageSet, Splits
from nopal.learners.protonet import ProtoNet
from nopal.loop import Moment
from nopal.options.baselines import NearestNeighbourOptions
from nopal.options.experiment import EncoderOptions, Experiment, PartitionOptions, TrainingOptions
from nopal.options.learners import ProtoNetOptions
from nopal.recipes.recipe import Recipe
from nopal.runs import Interrupted, read_records
from nopal.stages import pipeline, watching
from nopal.stages.loading import load
from nopal.stages.running import run_recipe
from nopal.stages.seeds import run_seeds
from nopal.stages.sources import NAMED

ENCODER = EncoderOptions("raw")
RECIPE = Recipe(
    "letters-protonet",
    "Tiny ProtoNets",
    "letters",
    Experiment(
        ProtoNetOptions(filters=4, downsample="stride"),
        ENCODER,
        PartitionOptions(clusters=3, partitions=2),
        TrainingOptions(way=2, shot=1, query=1, tasks_per_step=1, steps=40),
    ),
    ((2, 1),),
)
CONSOLE = Console(file=io.StringIO())


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three classes that are noise of different brightness."""
    labels = np.repeat(np.arange(3), 8)
    noise = np.random.default_rng(0).integers(0, 100, (24, 8, 8, 1))
    images = ImageSet((noise + 50 * labels[:, None, None, None]).astype(np.uint8), labels)
    monkeypatch.setitem(NAMED, "letters", lambda: Splits(images, None, images))


def together(place: Path, seeds: list[int], recipe: Recipe = RECIPE, **options: object) -> list[Path]:
    return run_seeds(
        recipe,
        "demo",
        lambda seed: place / f"run-{seed}",
        place / "results",
        seeds=seeds,
        steps=40,
        episodes=4,
        console=CONSOLE,
        **options,  # type: ignore[arg-type]
    )


def assert_same_run(one: Path, other: Path) -> None:
    assert (one / "config.json").read_text() == (other / "config.json").read_text()
    a, b = (jax.tree.leaves(eqx.filter(load(path), eqx.is_array)) for path in (one, other))
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_each_folder_is_that_of_a_run_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 4 alone was stopped at step 20, and goes on beside seed 5, which is new; the encoder is fitted once."""
    monkeypatch.setattr(ProtoNet, "shares_examples", False)  # sums over halves have another order
    run_recipe(RECIPE, "demo", tmp_path / "alone", tmp_path, seed=4, steps=40, episodes=4, console=CONSOLE)

    class Stopper(watching.Progress):
        def __call__(self, moment: Moment) -> None:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(watching, "Progress", Stopper)
        with pytest.raises(Interrupted, match="Stopped at step 20"):
            run_recipe(RECIPE, "demo", tmp_path / "run-4", tmp_path, seed=4, steps=40, episodes=4, console=CONSOLE)
    fitted = []
    monkeypatch.setattr(pipeline, "fit_encoder", lambda *a, **k: fitted.append(a) or fit(*a, **k))
    records = together(tmp_path, [4, 5], resume=True)
    assert_same_run(tmp_path / "run-4", tmp_path / "alone")
    assert all((tmp_path / f"run-{seed}" / "metrics.csv").read_text().startswith("step,loss,") for seed in (4, 5))
    assert len(fitted) == 1
    assert [path.name for path in records] == [f"tiny-protonets-40-steps-seed-{seed}.json" for seed in (4, 5)]
    four, five = read_records(tmp_path / "results")
    (alone,) = read_records(tmp_path / "letters-protonet")
    assert (four["scores"], four["config"]) == (alone["scores"], alone["config"])
    assert (five["seed"], five["config"]["partitions"]["seed"], five["config"]["training"]["seed"]) == (5, 5, 5)


fit = pipeline.fit_encoder


def test_stopped_together_all_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopper(watching.Progress):
        def __call__(self, moment: Moment) -> None:
            signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    with monkeypatch.context() as patched:
        patched.setattr(watching, "Progress", Stopper)
        with pytest.raises(Interrupted, match="Stopped at step 20; go on with --resume"):
            together(tmp_path, [0, 1])
    for seed in (0, 1):
        assert [path.name for path in (tmp_path / f"run-{seed}" / "checkpoints").iterdir()] == ["20"]


def test_what_can_not_begin_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(NopalError, match="number of seeds is 0"):
        together(tmp_path, [])
    knn = Recipe("letters-knn", "kNN", "letters", Experiment(NearestNeighbourOptions(), ENCODER), ((2, 1),))
    with pytest.raises(NopalError, match="meta-trains nothing, and so no seeds together"):
        together(tmp_path, [0, 1], knn)
    (tmp_path / "run-1").mkdir()
    (tmp_path / "run-1" / "config.json").write_text("{}")
    with pytest.raises(NopalError, match="run-1 already holds a run"):
        together(tmp_path, [0, 1])
    assert not (tmp_path / "run-0").exists()
    clusters = PartitionOptions(clusters=25, partitions=1)
    experiment = Experiment(RECIPE.experiment.learner, ENCODER, clusters, RECIPE.experiment.training)
    with pytest.raises(NopalError, match="25 clusters were asked for"):
        together(tmp_path, [2, 3], Recipe("letters-many", "Many", "letters", experiment, ((2, 1),)))
    assert [path.name for path in tmp_path.iterdir()] == ["run-1"]
