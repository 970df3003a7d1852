"""From raw data to the row of a table, beside the published number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from nopal.data.images import ImageSet, Splits
from nopal.encoders import Encoder, load_encoder
from nopal.errors import NopalError
from nopal.learners.learner import Learner
from nopal.recipes.measuring import as_score, measure
from nopal.recipes.omniglot import ROWS
from nopal.recipes.options import Experiment, NearestNeighbourOptions, to_plain
from nopal.recipes.pipeline import begin_run, fit_encoder, make_partitions, meta_train
from nopal.recipes.recipe import Budget, Recipe
from nopal.recipes.sources import load_splits
from nopal.runs import Stopwatch, check_writable, make_record, write_record

RECIPES = {recipe.name: recipe for recipe in ROWS}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; raises `NopalError` where there is none."""
    if name not in RECIPES:
        raise NopalError(f"There is no recipe named {name!r}; `nopal recipes` lists them.")
    return RECIPES[name]


def run_recipe(
    recipe: Recipe,
    budget: Budget,
    folder: str | Path,
    results: str | Path,
    *,
    seed: int = 0,
    resume: bool = False,
    steps: int | None = None,
    partitions: int | None = None,
    episodes: int = 1000,
    encoder: Path | None = None,
    console: Console,
) -> Path:
    """Load, encode, cluster, meta-train and evaluate as the recipe says, and write the record into `results`.

    The run's files go into `folder`; `steps` and `partitions` override the budget's. `encoder` is the
    file of an encoder to take in place of fitting one. Returns the record's path.
    """
    experiment = recipe.at(budget, seed, steps, partitions)
    given = given_encoder(recipe, encoder) if encoder else None
    check_writable(Path(results) / recipe.name / "record.json")
    splits = load_splits(recipe.data)
    clock = Stopwatch(Path(folder) / "seconds.txt")
    learner, x = prepare(recipe, experiment, splits, folder, resume, given)

    def show(difficulty: tuple[int, int], scores: object) -> None:
        published = recipe.published.get(difficulty)
        beside = f"  (published {published.mean} {published.source})" if published else ""
        console.print(
            f"{recipe.title}, {difficulty[0]}-way {difficulty[1]}-shot: {scores}{beside}",
            highlight=False,
            soft_wrap=True,
        )

    found = measure(learner, x, splits.test.need_labels(), recipe.difficulties, episodes=episodes, report=show)
    training, full = experiment.training, recipe.experiment.training
    record = make_record(
        recipe=recipe.name,
        learner=recipe.title,
        data=recipe.data,
        seed=seed,
        config=to_plain(experiment) | ({"encoder": given.made} if given else {}),
        steps=training.steps if training else 0,
        published_steps=full.steps if full else 0,
        scores=[as_score(at, scores, recipe.published.get(at)) for at, scores in found.items()],
        wall_seconds=clock.seconds(),
    )
    return write_record(results, record)


def given_encoder(recipe: Recipe, path: Path) -> Encoder:
    """The encoder of a file; raises `NopalError` where the recipe asks for none or for another kind."""
    given, options = load_encoder(path), recipe.experiment.encoder
    asked = options.name.partition("_")[0] if options else "none"
    if given.made["encoder"].lower() != asked:
        raise NopalError(f"{path} holds the encoder {given.made['encoder']}, but {recipe.name} asks for {asked}.")
    return given


def prepare(
    recipe: Recipe,
    experiment: Experiment,
    splits: Splits,
    folder: str | Path,
    resume: bool,
    given: Encoder | None = None,
) -> tuple[Learner, object]:
    """The learner, meta-trained where it has to be, and the test images or vectors that it is judged on."""
    images: ImageSet = splits.train
    options = experiment.learner
    if isinstance(options, NearestNeighbourOptions) or experiment.training is None:
        if experiment.encoder is None:
            raise NopalError(f"The recipe {recipe.name} names no encoder, which nearest neighbours need.")
        encode = given or fit_encoder(
            images, experiment.encoder, recipe.data, folder=Path(folder) / "encoder", resume=resume
        )
        return options.build(images.shape, 0, jax.random.key(0)), encode(splits.test.images)
    made: dict[str, Any] = {"recipe": recipe.name, "encoder": None, "partitions": None}
    if experiment.encoder and experiment.partitions:
        encoder = given.made if given else to_plain(experiment.encoder)
        made |= {"encoder": encoder, "partitions": to_plain(experiment.partitions)}
    run = begin_run(folder, images.shape, options, experiment.training, made=made, resume=resume)
    partitions = make_partitions(run, images, given or experiment.encoder, experiment.partitions)
    learner = meta_train(run, images, partitions, validation=splits.validation, label=recipe.name)
    return learner, splits.test.images
