"""Rounds: each clusters what the last one's network sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from nopal import NopalError
from nopal.data.images import ImageSet, Splits
from nopal.encoders import MetaLearned, load_encoder
from nopal.options.baselines import NearestNeighbourOptions
from nopal.options.experiment import EncoderOptions, Experiment, PartitionOptions, TrainingOptions
from nopal.options.learners import MAMLOptions
from nopal.partitions import Partitions
from nopal.recipes.catalogue import held_back
from nopal.recipes.recipe import Published, Recipe
from nopal.runs import read_records
from nopal.stages.loading import load
from nopal.stages.pipeline import cluster
from nopal.stages.rounds import encoder_at, first_round, run_rounds
from nopal.stages.sources import NAMED

CLUSTERS = PartitionOptions(clusters=3, partitions=2)
RECIPE = Recipe(
    "letters-maml",
    "Tiny MAML",
    "letters",
    Experiment(
        MAMLOptions(filters=4, inner_steps=1, test_steps=1),
        EncoderOptions("raw"),
        CLUSTERS,
        TrainingOptions(way=2, shot=1, query=1, tasks_per_step=1, steps=3),
    ),
    ((2, 1),),
    {(2, 1): Published(66.5, "[IMG] poster")},
)
LABELS = np.repeat(np.arange(3), 8)
NOISE = np.random.default_rng(0).integers(0, 60, (24, 8, 8, 1))
IMAGES = ImageSet((NOISE + 90 * LABELS[:, None, None, None]).astype(np.uint8), LABELS)


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set of three classes, which differ by their brightness."""
    monkeypatch.setitem(NAMED, "letters", lambda: Splits(IMAGES, None, IMAGES))


def run(place: Path, rounds: int, recipe: Recipe = RECIPE, *, resume: bool = False) -> list[dict]:
    console = Console(quiet=True)
    run_rounds(
        recipe,
        "published",
        place / "run",
        place / "results",
        rounds=rounds,
        seed=1,
        episodes=4,
        resume=resume,
        console=console,
    )
    return read_records(place / "results")


def test_the_second_round_clusters_what_the_first_one_learned(tmp_path: Path) -> None:
    first, second = run(tmp_path, 2)
    assert (first["recipe"], first["learner"]) == ("letters-maml", "Tiny MAML")
    assert (second["recipe"], second["learner"]) == ("letters-maml-round-2", "Tiny MAML, round 2")
    assert (first["scores"][0]["published"], second["scores"][0]["published"]) == (66.5, None)
    made = second["config"]["encoder"]
    assert (made["encoder"], made["run"]["made"]["encoder"]["name"]) == ("MetaLearned", "raw")
    assert made["run"]["training"]["steps"] == 3

    one, two = tmp_path / "run" / "round-1", tmp_path / "run" / "round-2"
    vectors = MetaLearned.fit(IMAGES.images, load(one).network)(IMAGES.images)
    for path in (one / "features.npz", two / "encoder.npz"):
        assert (load_encoder(path)(IMAGES.images) == vectors).all()
    seeded = PartitionOptions(clusters=3, partitions=2, seed=1)
    assert (cluster(vectors, seeded).members == Partitions.load(two / "partitions.npz").members).all()
    assert made["seconds"] == float((one / "seconds.txt").read_text())
    assert second["wall_seconds"] >= made["seconds"]


def test_rounds_may_be_judged_on_held_back_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NAMED, "letters", lambda: Splits(IMAGES, IMAGES, IMAGES))
    records = run(tmp_path, 2, held_back(RECIPE))
    assert [record["data"] for record in records] == ["letters-validation"] * 2


def test_rounds_are_taken_up_again(tmp_path: Path) -> None:
    expected = run(tmp_path / "whole", 2)
    run(tmp_path / "parts", 1)
    with pytest.raises(NopalError, match="already holds a run"):
        run(tmp_path / "parts", 2)
    found = run(tmp_path / "parts", 2, resume=True)
    assert [record["scores"] for record in found] == [record["scores"] for record in expected]
    assert [record["recipe"] for record in found] == ["letters-maml", "letters-maml-round-2"]


def test_an_encoder_of_a_file_or_of_a_run(tmp_path: Path) -> None:
    run(tmp_path, 2)
    folder = tmp_path / "run" / "round-1"
    by_file, by_run = (encoder_at(path, IMAGES, "letters") for path in (folder / "features.npz", folder))
    assert (by_file(IMAGES.images) == by_run(IMAGES.images)).all()


def test_names_of_rounds() -> None:
    names = ("omniglot-pca-cactus-maml-round-12", "omniglot-pca-cactus-maml", "a-round-2-b")
    assert [first_round(name) for name in names] == ["omniglot-pca-cactus-maml", *names[1:]]


def test_refused(tmp_path: Path) -> None:
    knn = Recipe("letters-knn", "", "letters", Experiment(NearestNeighbourOptions(), EncoderOptions("raw")), ((2, 1),))
    with pytest.raises(NopalError, match="letters-knn meta-trains on no clusters of vectors"):
        run(tmp_path, 2, knn)
    with pytest.raises(NopalError, match="The number of rounds is 0; expected at least 1"):
        run(tmp_path, 0)
    assert not (tmp_path / "run").exists()
