"""Where the tasks of a run came from, once more."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from nopal.errors import NopalError
from nopal.options.experiment import Experiment
from nopal.options.tasks import Classes, PoseTasks
from nopal.recipes.catalogue import annealed, find_recipe
from nopal.recipes.recipe import VALIDATION, Difficulty, Recipe
from nopal.runs import RunFolder
from nopal.stages.loading import options_of, tasks_of
from nopal.stages.rounds import first_round
from nopal.stages.sources import name_of
from nopal.stages.task_sources import TaskSource, open_tasks


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a run was made of: `data` by name and, where they are to be those of a person, their `file`; the `shape` of
    its inputs; and `own`, what its configuration tells of data of a person (see `stages/task_sources.py`).

    Without `data` its tasks are of images that it doesn't name.
    """

    experiment: Experiment
    recipe: Recipe | None
    data: str
    shape: tuple[int, ...]
    file: Path | None = None
    own: dict[str, Any] | None = None

    @property
    def difficulty(self) -> Difficulty:
        """The first at which the recipe is judged; without a recipe that of meta-training."""
        if self.recipe:
            return self.recipe.difficulties[0]
        training = self.experiment.training
        assert training is not None
        return training.way if isinstance(self.experiment.tasks, Classes) else 0, training.shot

    def open(self) -> TaskSource:
        """The tasks, which may take a while to read. Raises `NopalError` for other data than those of the run, unless
        their file is named, and for inputs of another shape."""
        source = open_tasks(self.data, self.experiment, file=self.file)
        if self.file is None and source.own != self.own:
            made_of = f"those of {self.own.get('source', 'a file')}" if self.own else "those that recipes are about"
            raise NopalError(
                f"The run was made of poses ({made_of}) that aren't those of the data folder or its CAD models; name "
                "their file, or that of others to try it on."
            )
        self.check(source.shape)
        return source

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises `NopalError` for inputs of another shape than those of the run."""
        if shape != self.shape:
            raise NopalError(f"The inputs have shape {shape}, those that the learner knows {self.shape}; name others.")


def origin_of(run: RunFolder, source: str | None = None) -> Origin:
    """What a run's configuration says; a file of poses takes the place of what its recipe says, other sources don't."""
    learner, training = options_of(run)
    tasks, made = tasks_of(run), run.config["made"]
    shape, own, name = tuple(run.config["shape"]), made.get("own"), made.get("recipe")
    if name and source is None:
        recipe = find_recipe(first_round(name))
        recipe = annealed(recipe) if training.anneal else recipe
        experiment = dataclasses.replace(recipe.experiment, learner=learner, training=training, tasks=tasks)
        data = recipe.data + VALIDATION if made.get("held_back") else recipe.data
        return Origin(experiment, recipe, data, shape, own=own)
    experiment = Experiment(learner, training=training, tasks=tasks)
    if isinstance(tasks, PoseTasks):
        if source:
            experiment = dataclasses.replace(experiment, tasks=dataclasses.replace(tasks, variants=0))
        return Origin(experiment, None, name_of(source) if source else "poses", shape, Path(source) if source else None)
    return Origin(experiment, None, "", shape)
