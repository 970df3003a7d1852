"""From raw data to a record, beside the published number."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from nopal import NopalError
from nopal.data.images import ImageSet, Splits
from nopal.encoders import PCA, ACAIOptions, Raw
from nopal.recipes.options import (
    EncoderOptions,
    Experiment,
    NearestNeighbourOptions,
    PartitionOptions,
    ProtoNetOptions,
    TrainingOptions,
)
from nopal.recipes.recipe import Published, Recipe
from nopal.recipes.running import RECIPES, find_recipe, run_recipe
from nopal.recipes.sources import NAMED
from nopal.runs import read_records

TRAINING = TrainingOptions(way=2, shot=1, query=1, tasks_per_step=1, steps=40)
TRAINED = Recipe(
    "letters-protonet",
    "Tiny ProtoNets",
    "letters",
    Experiment(
        ProtoNetOptions(filters=4, downsample="stride"),
        EncoderOptions("raw"),
        PartitionOptions(clusters=3, partitions=1),
        TRAINING,
    ),
    ((2, 1),),
    {(2, 1): Published(66.5, "[IMG] poster")},
    {"demo": 3},
)
KNN = Recipe("letters-knn", "kNN", "letters", Experiment(NearestNeighbourOptions(), EncoderOptions("raw")), ((2, 1),))


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set of three classes, which differ by their brightness."""
    labels = np.repeat(np.arange(3), 8)
    noise = np.random.default_rng(0).integers(0, 20, (24, 8, 8, 1))
    images = ImageSet((noise + 100 * labels[:, None, None, None]).astype(np.uint8), labels)
    monkeypatch.setitem(NAMED, "letters", lambda: Splits(images, None, images))


def run(recipe: Recipe, place: Path, **changes: object) -> str:
    text = io.StringIO()
    console = Console(file=text, width=40)
    run_recipe(recipe, "demo", place / "run", place / "results", episodes=4, console=console, **changes)
    return text.getvalue()


def test_a_trained_row(tmp_path: Path) -> None:
    said = run(TRAINED, tmp_path, seed=2)
    (record,) = read_records(tmp_path / "results")
    assert (record["recipe"], record["learner"], record["data"]) == ("letters-protonet", "Tiny ProtoNets", "letters")
    assert record["budget"] == {"steps": 3, "published_steps": 40}
    assert (record["seed"], record["config"]["training"]["seed"], record["config"]["partitions"]["seed"]) == (2, 2, 2)
    (score,) = record["scores"]
    assert (score["published"], score["published_source"], score["statistics"]) == (66.5, "[IMG] poster", "running")
    assert said.endswith("(published 66.5 [IMG] poster)\n")
    with pytest.raises(NopalError, match="already holds a run"):
        run(TRAINED, tmp_path, seed=2)
    run(TRAINED, tmp_path, seed=2, resume=True)
    (again,) = read_records(tmp_path / "results")
    assert again["scores"] == record["scores"]


def test_a_row_without_training(tmp_path: Path) -> None:
    run(KNN, tmp_path)
    (record,) = read_records(tmp_path / "results")
    assert (record["budget"]["steps"], record["scores"][0]["mean"], record["scores"][0]["ci95"]) == (0, 100, 0)
    assert not (tmp_path / "run").exists()


def test_an_encoder_that_is_there_already(tmp_path: Path) -> None:
    images = NAMED["letters"]().train.images
    kept = Raw.fit(images, data="kept").save(tmp_path / "raw.npz")
    other = PCA.fit(images, dimensions=2).save(tmp_path / "pca.npz")
    with pytest.raises(NopalError, match=r"pca\.npz holds the encoder PCA, but letters-protonet asks for raw"):
        run(TRAINED, tmp_path, encoder=other)
    run(TRAINED, tmp_path, encoder=kept)
    (record,) = read_records(tmp_path / "results")
    assert record["config"]["encoder"]["data"] == "kept"
    assert (tmp_path / "run" / "encoder.npz").exists()


def test_places_are_looked_at_first(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(NopalError, match="results is no folder"):
        run(TRAINED, tmp_path)
    assert not (tmp_path / "run").exists()


def test_recipes_by_name() -> None:
    assert all(find_recipe(name).name == name for name in RECIPES)
    with pytest.raises(NopalError, match="no recipe named 'omniglot'"):
        find_recipe("omniglot")


def test_budgets() -> None:
    assert TRAINED.at("demo").training == TrainingOptions(way=2, query=1, tasks_per_step=1, steps=3)
    published = TRAINED.at("published", seed=1)
    assert published.training == TrainingOptions(way=2, query=1, tasks_per_step=1, steps=40, seed=1)
    assert published.partitions == PartitionOptions(clusters=3, partitions=1, seed=1)
    acai = find_recipe("omniglot-acai-knn")
    assert acai.at("published").encoder == EncoderOptions("acai", acai=ACAIOptions(steps=2**18))
    small = acai.at("demo", seed=3).encoder
    assert small is not None
    assert (small.acai.steps, small.seed) == (300, 3)
    assert TRAINED.at("demo", steps=9).training == TrainingOptions(way=2, query=1, tasks_per_step=1, steps=9)
