"""CACTUs in rounds, a step beyond the paper: embed again with the network that was meta-learned, cluster again, and
meta-train again from fresh weights."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from nopal.data.images import ImageSet
from nopal.distributed import is_first
from nopal.encoders import Encoder, MetaLearned, load_encoder
from nopal.errors import NopalError
from nopal.learners.learner import NormalisingLearner
from nopal.options.learners import MetaLearnerOptions
from nopal.recipes.recipe import Budget, Recipe
from nopal.runs import load_run
from nopal.runs.stopwatch import seconds_of
from nopal.stages.given import given_encoder
from nopal.stages.loading import load
from nopal.stages.running import run_recipe
from nopal.stages.task_sources import splits_of


def run_rounds(
    recipe: Recipe,
    budget: Budget,
    folder: str | Path,
    results: str | Path,
    *,
    rounds: int,
    encoder: Path | None = None,
    console: Console,
    **choices: Any,
) -> list[Path]:
    """`run_recipe` again and again, each round in a folder of its own, on the vectors of the last one's network.

    Returns the paths of the records, one for each round. Raises `NopalError` where the recipe clusters no vectors.
    """
    experiment = recipe.experiment
    if experiment.encoder is None or not isinstance(experiment.learner, MetaLearnerOptions):
        raise NopalError(f"The recipe {recipe.name} meta-trains on no clusters of vectors; run it without rounds.")
    check_rounds(rounds)
    given = given_encoder(recipe, encoder) if encoder else None
    images, records = splits_of(recipe.data).train, []
    for number in range(1, rounds + 1):
        within = round_folder(folder, number)
        records.append(
            run_recipe(of_round(recipe, number), budget, within, results, encoder=given, console=console, **choices)
        )
        if number < rounds:
            given = meta_learned_encoder(within, images, recipe.data)
    return records


def check_rounds(rounds: int) -> None:
    """Raises `NopalError` for less than one."""
    if rounds < 1:
        raise NopalError(f"The number of rounds is {rounds}; expected at least 1, which embeds and clusters once.")


def round_folder(folder: str | Path, number: int) -> Path:
    """Where a round's run is, counted from 1."""
    return Path(folder) / f"round-{number}"


def of_round(recipe: Recipe, number: int) -> Recipe:
    """The row of a round; the first is the recipe's own, and there are no published numbers for others."""
    if number == 1:
        return recipe
    name, title = f"{recipe.name}-round-{number}", f"{recipe.title}, round {number}"
    note = f"not in the paper: clusters what the network of round {number - 1} makes of the images"
    return dataclasses.replace(recipe, name=name, title=title, published={}, note=note)


def first_round(name: str) -> str:
    """The name of the recipe of which a row of this name is a round."""
    return re.sub(r"-round-\d+$", "", name)


def is_later_round(name: str, recipe: Recipe) -> bool:
    """Whether it is the name of a round of this recipe, the first left out."""
    return first_round(name) == recipe.name != name


def rounds_of(recipe: Recipe, names: Iterable[str]) -> list[Recipe]:
    """The rounds of a recipe that are among these names, in their order, the first left out."""
    later = {name for name in names if is_later_round(name, recipe)}
    return [of_round(recipe, number) for number in sorted(int(name.rpartition("-")[2]) for name in later)]


def meta_learned_encoder(folder: Path, images: ImageSet, data: str) -> MetaLearned:
    """The network of a finished run as an encoder of `images`, left in the run's folder as `features.npz`.

    Several processes need the same folder.
    """
    run = load_run(folder)
    made = {name: run.config[name] for name in ("learner", "training", "made")}
    before = (made["made"]["encoder"] or {}).get("seconds", 0.0)
    seconds = round(before + seconds_of(folder), 1)
    encoder = _features(folder, images, data).noting(run=made, seconds=seconds)
    if is_first():
        encoder.save(folder / "features.npz")
    return encoder


def encoder_at(path: Path, images: ImageSet, data: str) -> Encoder:
    """The encoder of a file, or of the network of the run in a folder, with statistics of `images`."""
    if not path.is_dir():
        return load_encoder(path)
    return _features(path, images, data)


def _features(folder: Path, images: ImageSet, data: str) -> MetaLearned:
    learner = load(folder)
    network = learner.network if isinstance(learner, NormalisingLearner) else learner
    return MetaLearned.fit(images.images, network, data=data)
