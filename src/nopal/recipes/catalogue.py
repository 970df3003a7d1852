"""All recipes, by name, and what else may be asked of each: held-back data, steps that shrink."""

from __future__ import annotations

import dataclasses

from nopal.errors import NopalError
from nopal.recipes import memorising, mnist, omniglot, pose_ridge, poses, sinusoids
from nopal.recipes.recipe import VALIDATION, Recipe

ROWS = (*omniglot.ROWS, *mnist.ROWS, *sinusoids.ROWS, *memorising.ROWS, *poses.ROWS, *pose_ridge.ROWS)
RECIPES = {recipe.name: recipe for recipe in ROWS}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; raises `NopalError` where there is none."""
    if name not in RECIPES:
        raise NopalError(f"There is no recipe named {name!r}; `nopal recipes` lists them.")
    return RECIPES[name]


def find_recipes(name: str) -> list[Recipe]:
    """The recipe of that name, or all of a sweep such as poses-figure-2-mr-maml; raises `NopalError` where there are
    none."""
    return [recipe for recipe in RECIPES.values() if recipe.sweep and recipe.sweep.name == name] or [find_recipe(name)]


def held_back(recipe: Recipe) -> Recipe:
    """The same on data whose held-back part takes the place of the test, to choose hyper-parameters by."""
    experiment = dataclasses.replace(recipe.experiment, tasks=recipe.experiment.tasks.held_back())
    return dataclasses.replace(recipe, data=recipe.data + VALIDATION, experiment=experiment, published={})


def annealed(recipe: Recipe) -> Recipe:
    """The same with steps that shrink to nothing, whatever their number; raises `NopalError` where nothing is
    meta-trained."""
    training = recipe.experiment.training
    if training is None:
        raise NopalError(f"The recipe {recipe.name} meta-trains nothing, so there are no steps to anneal.")
    experiment = dataclasses.replace(recipe.experiment, training=dataclasses.replace(training, anneal=True))
    return dataclasses.replace(recipe, title=f"{recipe.title}, annealed", experiment=experiment)
