"""Encoders that a person gives to a recipe: whether they are what its row asks for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nopal.encoders import Encoder, load_encoder
from nopal.errors import NopalError
from nopal.recipes.recipe import Recipe, recipe_data
from nopal.stages.sources import NAMED


def given_encoder(recipe: Recipe, path: Path) -> Encoder:
    """The encoder of a file; raises `NopalError` where the recipe asks for none, for another kind or for one that is
    made otherwise; numbers of steps may differ."""
    given, options = load_encoder(path), recipe.experiment.encoder
    asked = options.name.partition("_")[0] if options else "none"
    if given.made["encoder"].lower() != asked:
        raise NopalError(f"{path} holds the encoder {given.made['encoder']}, but {recipe.name} asks for {asked}.")
    if options:
        chosen = dataclasses.asdict(options.training) if options.training else {}
        if asked == "pca":
            chosen = {"dimensions": options.dimensions, "whiten": options.name == "pca_whitened"}
        for name, value in chosen.items():
            found = given.made["options"].get(name, value)
            if found != value and name != "steps":
                raise NopalError(
                    f"The encoder in {path} has {name} = {found}, but {recipe.name} asks for {value}; give one that is "
                    "made as the recipe says, whatever its steps."
                )
    return given


def check_fitted_on(given: Encoder, recipe: Recipe, images: int) -> None:
    """Raises `NopalError` for an encoder that was fitted on other images than the recipe's, as far as it knows: on
    other data, or on another number of them."""
    made, data = given.made, recipe_data(recipe.data)
    other = made["data"] in NAMED and made["data"] not in (data, recipe.data)
    if made["images"] != images or other:
        raise NopalError(
            f"The encoder was fitted on {made['images']:,} images of {made['data'] or 'unnamed data'}, but "
            f"{recipe.name} asks for one of the {images:,} for meta-training of {data}; give such a one, or go step by "
            "step with nopal encode, partition and train."
        )
