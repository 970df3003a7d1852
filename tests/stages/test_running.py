"""From raw data to a record, beside the published number."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

from nopal import NopalError
from nopal.data.images import ImageSet, Splits
from nopal.encoders import ACAI, PCA, ACAIOptions, ClassifierOptions, Raw
from nopal.options.baselines import (
    ClusterMatchingOptions,
    FineTunedEncoderOptions,
    LogisticOptions,
    NearestNeighbourOptions,
)
from nopal.options.experiment import EncoderOptions, Experiment, PartitionOptions, TrainingOptions
from nopal.options.learners import FromScratchOptions, ProtoNetOptions
from nopal.recipes.catalogue import RECIPES, annealed, find_recipe, held_back
from nopal.recipes.recipe import Published, Recipe
from nopal.runs import load_run, read_records
from nopal.stages.given import check_fitted_on, given_encoder
from nopal.stages.reopening import origin_of
from nopal.stages.running import open_recipe, prepare, run_recipe
from nopal.stages.sources import NAMED

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
    assert "(published 66.5 [IMG] poster)\nReliance on the support set, on training tasks: " in said
    assert (record["meter"]["tasks"], record["meter"]["before"]) == (4, None)
    with pytest.raises(NopalError, match="already holds a run"):
        run(TRAINED, tmp_path, seed=2)
    run(TRAINED, tmp_path, seed=2, resume=True)
    (again,) = read_records(tmp_path / "results")
    assert again["scores"] == record["scores"]


def test_a_row_with_annealed_steps_is_another_row(tmp_path: Path) -> None:
    run(TRAINED, tmp_path)
    with pytest.raises(NopalError, match="anneal"):
        run(annealed(TRAINED), tmp_path, resume=True)
    run(annealed(TRAINED), tmp_path / "annealed")
    with pytest.raises(NopalError, match=r"training\.steps"):
        run(annealed(TRAINED), tmp_path / "annealed", steps=5, resume=True)
    (first,), (second,) = (read_records(folder / "results") for folder in (tmp_path, tmp_path / "annealed"))
    assert (first["learner"], second["learner"]) == ("Tiny ProtoNets", "Tiny ProtoNets, annealed")
    assert first["file"] != second["file"]
    assert second["config"]["training"] == first["config"]["training"] | {"anneal": True}
    with pytest.raises(NopalError, match="letters-knn meta-trains nothing"):
        annealed(KNN)


def test_a_run_judged_on_held_back_classes_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = NAMED["letters"]().train
    monkeypatch.setitem(NAMED, "letters", lambda: Splits(images, images, images))
    monkeypatch.setitem(RECIPES, TRAINED.name, TRAINED)
    run(held_back(TRAINED), tmp_path)
    with pytest.raises(NopalError, match=r"has made\.held_back = True and not 'absent'"):
        run(TRAINED, tmp_path, resume=True)
    run(TRAINED, tmp_path / "tested")
    found = [origin_of(load_run(place / "run")).data for place in (tmp_path, tmp_path / "tested")]
    assert found == ["letters-validation", "letters"]


def test_a_row_without_training(tmp_path: Path) -> None:
    run(KNN, tmp_path)
    (record,) = read_records(tmp_path / "results")
    assert (record["budget"]["steps"], record["scores"][0]["mean"], record["scores"][0]["ci95"]) == (0, 100, 0)
    assert not (tmp_path / "run").exists()


def test_a_row_is_tuned_for_each_difficulty_on_meta_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.repeat(np.arange(3), 8)
    noise = np.random.default_rng(0).normal(size=(24, 8, 8, 1))
    images = ImageSet(np.clip(100 + 12 * labels[:, None, None, None] + 40 * noise, 0, 255).astype(np.uint8), labels)
    monkeypatch.setitem(NAMED, "letters", lambda: Splits(images, images, images))
    experiment = Experiment(NearestNeighbourOptions((5, 3, 1)), EncoderOptions("raw"))
    run(Recipe("letters-tuned", "kNN", "letters", experiment, ((2, 1), (3, 3))), tmp_path)
    (record,) = read_records(tmp_path / "results")
    chosen = record["config"]["chosen"]
    assert chosen["2x1"] == {"neighbours": 1}
    assert chosen["3x3"]["neighbours"] in (3, 5)
    monkeypatch.setitem(NAMED, "letters", lambda: Splits(images, None, images))
    untuned = Recipe(
        "letters-untuned",
        "linear",
        "letters",
        Experiment(LogisticOptions((1.0, 2.0)), EncoderOptions("raw")),
        ((2, 1),),
    )
    with pytest.raises(NopalError, match="2 settings of hyper-parameters to choose from, but no labelled"):
        run(untuned, tmp_path)


def test_from_scratch(tmp_path: Path) -> None:
    run(
        Recipe("letters-scratch", "", "letters", Experiment(FromScratchOptions(4, steps=2)), ((2, 1), (3, 1))), tmp_path
    )
    (record,) = read_records(tmp_path / "results")
    assert [(score["way"], score["statistics"]) for score in record["scores"]] == [(2, "support"), (3, "support")]


def test_random_tasks_need_no_encoder(tmp_path: Path) -> None:
    random = PartitionOptions(clusters=3, partitions=2, how="random")
    experiment = Experiment(ProtoNetOptions(filters=4, downsample="stride"), None, random, TRAINING)
    run(Recipe("letters-random", "", "letters", experiment, ((2, 1),), budgets={"demo": 1}), tmp_path)
    made = np.load(tmp_path / "run" / "partitions.npz")
    assert made["starts"].shape == (2, 4)
    cut = PartitionOptions(clusters=3, how="hyperplanes")
    experiment = Experiment(ProtoNetOptions(filters=4, downsample="stride"), None, cut, TRAINING)
    with pytest.raises(NopalError, match="Partitions by hyperplanes need vectors; name an encoder"):
        run(Recipe("letters-cut", "", "letters", experiment, ((2, 1),)), tmp_path / "other")


def test_an_encoder_that_is_there_already(tmp_path: Path) -> None:
    images = NAMED["letters"]().train.images
    kept = Raw.fit(images, data="kept").noting(seconds=5000).save(tmp_path / "raw.npz")
    other = PCA.fit(images, dimensions=2).save(tmp_path / "pca.npz")
    with pytest.raises(NopalError, match=r"pca\.npz holds the encoder PCA, but letters-protonet asks for raw"):
        run(TRAINED, tmp_path, encoder=other)
    run(TRAINED, tmp_path, encoder=kept)
    (record,) = read_records(tmp_path / "results")
    assert (record["config"]["encoder"]["data"], record["config"]["encoder"]["seconds"]) == ("kept", 5000)
    assert 5000 < record["wall_seconds"] < 6000
    assert (tmp_path / "run" / "encoder.npz").exists()


def test_rows_on_a_classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is trained for the first row and given to the second."""
    images = NAMED["letters"]().train
    monkeypatch.setitem(NAMED, "letters", lambda: Splits(images, images, images))
    options = ClassifierOptions(steps=30, filters=2, downsample="stride", batch=6)
    encoder = EncoderOptions("classifier", classifier=options)
    tuned = FineTunedEncoderOptions(rates=(0.01, 0.1), steps=(3,), tuning_tasks=4)
    knn, fine = (
        Recipe(
            f"letters-{name}", name, "letters", Experiment(learner, encoder), ((2, 1),), encoder_budgets={"demo": 20}
        )
        for name, learner in (("nearest", NearestNeighbourOptions()), ("tuned", tuned))
    )
    run(knn, tmp_path)
    run(fine, tmp_path / "other", encoder=tmp_path / "run" / "encoder" / "encoder.npz")
    (nearest,), (tuned_record,) = (read_records(place / "results") for place in (tmp_path, tmp_path / "other"))
    assert nearest["budget"]["steps"] == tuned_record["budget"]["steps"] == 20
    assert tuned_record["config"]["encoder"]["encoder"] == "Classifier"
    assert tuned_record["config"]["chosen"]["2x1"]["steps"] == 3
    assert tuned_record["config"]["learner"]["method"] == "fine_tuned_encoder"
    assert tuned_record["scores"][0]["statistics"] == "support"
    raw = dataclasses.replace(fine, experiment=Experiment(tuned, EncoderOptions("raw")))
    with pytest.raises(NopalError, match="A Raw is no network to fine-tune"):
        run(raw, tmp_path / "third")


def test_places_are_looked_at_first(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(NopalError, match="results is no folder"):
        run(TRAINED, tmp_path)
    assert not (tmp_path / "run").exists()


def test_published_numbers_are_in_their_rows() -> None:
    cells = {
        ("oracle-protonet", (20, 1)): Published(95.31, "[MEM]"),
        ("oracle-maml-published-head", (20, 5)): Published(96.29, "[2ND]"),
        ("zca-cactus-maml", (5, 5)): Published(40.19, "[IMG] poster"),
        ("from-scratch", (5, 5)): Published(74.78, "[IMG] poster"),
        ("random-maml", (20, 1)): Published(6.51, "[IMG] poster"),
    }
    for (name, at), published in cells.items():
        assert find_recipe(f"omniglot-{name}").published[at] == published
    assert {recipe.difficulties for recipe in RECIPES.values() if recipe.data == "mnist"} == {
        ((10, 1), (10, 5), (10, 10))
    }
    assert find_recipe("mnist-pca-cactus-maml").experiment.training.way == 10
    assert find_recipe("mnist-pca-cactus-maml").experiment.partitions == PartitionOptions(10, 100)


def test_rows_without_meta_learning_begin_with_a_classifier() -> None:
    cells = {"1-shot-fine-tuning": 28.9, "5-shot-fine-tuning": 49.8}
    cells |= {"1-shot-nearest-neighbour": 41.1, "5-shot-nearest-neighbour": 51.0}
    encoders = set()
    for name, mean in cells.items():
        published, other = find_recipe(f"mini-imagenet-nme-{name}"), find_recipe(f"omniglot-nme-{name}")
        assert [number.mean for number in published.published.values()] == [mean]
        assert (other.published, other.note[:16]) == ({}, "not in the paper")
        assert published.at("hour").encoder.steps == 2000
        encoders |= {published.experiment.encoder, other.experiment.encoder}
    assert [encoder.name for encoder in encoders] == ["classifier", "classifier"]
    raw = find_recipe("mini-imagenet-nme-5-shot-nearest-neighbour-raw")
    assert (raw.experiment.encoder, raw.published, raw.encoder_budgets) == (EncoderOptions("raw"), {}, {})


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
    none = TRAINED.at("demo", steps=0, partitions=0)  # asked for, and refused later on, not replaced by the budget's
    assert none.training
    assert none.partitions
    assert (none.training.steps, none.partitions.partitions) == (0, 0)


def test_refused_before_anything_is_trained(tmp_path: Path) -> None:
    for recipe, options, sentence in (
        (TRAINED, {"episodes": 1}, "The number of test tasks is 1"),
        (TRAINED, {"data": tmp_path / "poses.npz"}, "given as a file of poses, but these tasks are made from letters"),
        (KNN, {"partitions": 3}, "letters-knn clusters nothing, so that 3 has no meaning"),
        (KNN, {"steps": 3}, "letters-knn meta-trains nothing, so that 3 has no meaning"),
        (dataclasses.replace(TRAINED, difficulties=((2, 1), (9, 1))), {}, "9"),
    ):
        with pytest.raises(NopalError, match=sentence):
            run_recipe(recipe, "demo", tmp_path / "run", tmp_path, console=Console(file=io.StringIO()), **options)
        assert not (tmp_path / "run").exists()


def test_an_encoder_that_is_made_otherwise_is_not_a_rows(tmp_path: Path) -> None:
    images = NAMED["letters"]().train
    small = ACAIOptions(steps=1, width=8, latent_width=2, depth=2, latent=2, batch=4)
    ACAI.fit(images.images, options=small, key=jax.random.key(0)).save(tmp_path / "acai.npz")
    row = dataclasses.replace(
        KNN, experiment=dataclasses.replace(KNN.experiment, encoder=EncoderOptions("acai", acai=small))
    )
    assert given_encoder(row, tmp_path / "acai.npz").made["options"]["depth"] == 2
    longer = dataclasses.replace(small, steps=9)
    given_encoder(dataclasses.replace(row, experiment=with_acai(row, longer)), tmp_path / "acai.npz")
    deeper = dataclasses.replace(row, experiment=with_acai(row, dataclasses.replace(small, depth=4)))
    with pytest.raises(NopalError, match=r"acai\.npz has depth = 2, but letters-knn asks for 4"):
        given_encoder(deeper, tmp_path / "acai.npz")


@pytest.mark.parametrize(("left_out", "data"), [(1, "letters"), (0, "mnist")])
def test_an_encoder_of_other_images_is_not_a_rows(tmp_path: Path, left_out: int, data: str) -> None:
    images = NAMED["letters"]().train.images[left_out:]
    Raw.fit(images, data=data).save(tmp_path / "raw.npz")
    with pytest.raises(NopalError, match=rf"fitted on {len(images)} images of {data}, but letters-knn asks for one of"):
        run_recipe(
            KNN,
            "demo",
            tmp_path / "run",
            tmp_path,
            encoder=tmp_path / "raw.npz",
            episodes=5,
            console=Console(file=io.StringIO()),
        )
    assert not (tmp_path / "run").exists()


def test_an_encoder_of_what_is_not_held_back_is_that_of_a_row_judged_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NAMED, "letters-validation", NAMED["letters"])
    images = NAMED["letters"]().train.images
    check_fitted_on(Raw.fit(images, data="letters-validation"), held_back(KNN), len(images))
    with pytest.raises(NopalError, match="of letters-validation, but letters-knn asks for one of"):
        check_fitted_on(Raw.fit(images, data="letters-validation"), KNN, len(images))


def with_acai(recipe: Recipe, options: ACAIOptions) -> Experiment:
    return dataclasses.replace(recipe.experiment, encoder=EncoderOptions("acai", acai=options))


def test_the_seed_is_that_of_random_baselines(tmp_path: Path) -> None:
    matching = dataclasses.replace(
        KNN,
        experiment=Experiment(ClusterMatchingOptions(clusters=5, repeats=1), EncoderOptions("raw")),
        difficulties=((3, 1),),
    )
    opened = open_recipe(matching, matching.experiment, 0)
    learners = [prepare(dataclasses.replace(opened, seed=seed), tmp_path, False).learner((3, 1)) for seed in (0, 0, 1)]
    same, other = (
        all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (learners[0], learner))))
        for learner in learners[1:]
    )
    assert same
    assert not other
