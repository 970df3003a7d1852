"""Where the tasks of a run came from, once more."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nopal.recipes.loading import options_of, tasks_of
from nopal.recipes.options import Experiment
from nopal.recipes.recipe import Difficulty, Recipe
from nopal.recipes.rounds import first_round
from nopal.recipes.running import annealed, find_recipe
from nopal.recipes.sources import name_of
from nopal.recipes.task_options import Classes, PoseTasks
from nopal.recipes.task_sources import VALIDATION, TaskSource, open_tasks
from nopal.runs import RunFolder


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a run was made of: `data` by name and, where they are those of a person, their `file`.

    Without `data` its tasks are of images that it doesn't name.
    """

    experiment: Experiment
    recipe: Recipe | None
    data: str
    file: Path | None = None

    @property
    def difficulty(self) -> Difficulty:
        """The first at which the recipe is judged; without a recipe that of meta-training."""
        if self.recipe:
            return self.recipe.difficulties[0]
        training = self.experiment.training
        assert training is not None
        return training.way if isinstance(self.experiment.tasks, Classes) else 0, training.shot

    def open(self) -> TaskSource:
        """The tasks, which may take a while to read."""
        return open_tasks(self.data, self.experiment, file=self.file)


def origin_of(run: RunFolder, source: str | None = None) -> Origin:
    """What a run's configuration says; a file of poses takes the place of what its recipe says, other sources don't."""
    learner, training = options_of(run)
    tasks, name = tasks_of(run), run.config["made"].get("recipe")
    if name and source is None:
        recipe = find_recipe(first_round(name))
        recipe = annealed(recipe) if training.anneal else recipe
        made = dataclasses.replace(recipe.experiment, learner=learner, training=training, tasks=tasks)
        held_back = isinstance(tasks, PoseTasks) and tasks.choosing
        return Origin(made, recipe, recipe.data + VALIDATION if held_back else recipe.data)
    experiment = Experiment(learner, training=training, tasks=tasks)
    if isinstance(tasks, PoseTasks):
        if source:
            experiment = dataclasses.replace(experiment, tasks=dataclasses.replace(tasks, variants=0))
        return Origin(experiment, None, name_of(source) if source else "poses", Path(source) if source else None)
    return Origin(experiment, None, "")
