"""A published row of a table, as data: what to load, encode, train and evaluate, the published number and where it was
read."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from nopal.errors import NopalError
from nopal.options.experiment import Experiment

Budget = Literal["demo", "hour", "published"]
Difficulty = tuple[int, int]
"""Way and shot of a test task; where numbers are predicted 0 and the points in the support set."""

VALIDATION = "-validation"
"""Ends the name of data whose held-back part takes the place of the test, to choose hyper-parameters by."""
OWN = "-of-"
"""Stands in the name of data between what a recipe names and those of a person in their place."""


def name_of_difficulty(at: Difficulty) -> str:
    """Such as "5-way 1-shot" or "10 points"."""
    return f"{at[0]}-way {at[1]}-shot" if at[0] else f"{at[1]} points"


OURS = "not in the paper"
"""What the note of a row says that no paper has."""


def but(options: Any, **changes: Any) -> Any:
    """The same with some choices changed."""
    return dataclasses.replace(options, **changes)


def recipe_data(data: str) -> str:
    """The name of data that recipes have, of one that may be that of a held-back part or of a person's data."""
    return data.removesuffix(VALIDATION).partition(OWN)[0]


@dataclasses.dataclass(frozen=True)
class Published:
    """A published mean (accuracies in percent, errors as they are), and how it was read: [SRC], [PDF], [IMG], [2ND] or
    [MEM] as in the sources."""

    mean: float
    source: str


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The place of a row in a figure of scores `over` a choice, such as beta: all rows of one `name` belong together,
    and this one is at `value`."""

    name: str
    title: str
    over: str
    value: float


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One row. `budgets` are meta-training steps, `encoder_budgets` those of an encoder that is trained, `batches` the
    tasks of a step; the experiment holds the published numbers of them. A row may be a part of a `sweep`."""

    name: str
    title: str
    data: str
    experiment: Experiment
    difficulties: tuple[Difficulty, ...]
    published: dict[Difficulty, Published] = dataclasses.field(default_factory=dict)
    budgets: dict[Budget, int] = dataclasses.field(default_factory=dict)
    encoder_budgets: dict[Budget, int] = dataclasses.field(default_factory=dict)
    batches: dict[Budget, int] = dataclasses.field(default_factory=dict)
    note: str = ""
    steps_published: bool = True
    sweep: Sweep | None = None
    before: Published | None = None
    """the score on training tasks before adapting (the meter reads it)"""

    def at(self, budget: Budget, seed: int = 0, steps: int | None = None, partitions: int | None = None) -> Experiment:
        """The experiment with the budget's steps (or `steps`), as many `partitions` as published or as given, and that
        seed. Raises `NopalError` for a number of what the recipe has none of."""
        training, clustering = self.experiment.training, self.experiment.partitions
        for given, asked, what in ((steps, training, "meta-trains"), (partitions, clustering, "clusters")):
            if given is not None and asked is None:
                raise NopalError(
                    f"The recipe {self.name} {what} nothing, so that {given} has no meaning; leave it out."
                )
        if training:
            training = dataclasses.replace(
                training,
                steps=self.budgets.get(budget, training.steps) if steps is None else steps,
                tasks_per_step=self.batches.get(budget, training.tasks_per_step),
                seed=seed,
            )
        if clustering:
            many = clustering.partitions if partitions is None else partitions
            clustering = dataclasses.replace(clustering, seed=seed, partitions=many)
        encoder = self.experiment.encoder
        if encoder:
            encoder = encoder.with_training(self.encoder_budgets.get(budget, encoder.steps), seed)
        return dataclasses.replace(self.experiment, encoder=encoder, training=training, partitions=clustering)
