"""The sinusoids of Yin et al. 2020 (arXiv 1912.03820, table 1): squared errors at 5 and 10 points, choices as in the
authors' notebooks."""

from __future__ import annotations

from nopal.recipes.options import Experiment, LearnerOptions, MAMLOptions, TrainingOptions
from nopal.recipes.recipe import Budget, Difficulty, Published, Recipe
from nopal.recipes.task_options import SinusoidTasks

POINTS: tuple[Difficulty, ...] = ((0, 5), (0, 10))

# Means and standard deviations over five trials.
_PUBLISHED = {
    "maml": ((0.46, 0.04), (0.13, 0.01)),
    "mr-maml-a": ((0.17, 0.03), (0.07, 0.02)),
    "mr-maml-w": ((0.16, 0.04), (0.06, 0.01)),
    "cnp": ((0.91, 0.10), (0.92, 0.05)),
    "mr-cnp-a": ((0.10, 0.01), (0.09, 0.01)),
    "mr-cnp-w": ((0.11, 0.02), (0.09, 0.01)),
}


def row(name: str, title: str, learner: LearnerOptions, steps: int, note: str = "") -> Recipe:
    """A recipe at the published budget, which takes minutes."""
    budgets: dict[Budget, int] = {"demo": steps // 10}
    pairs = zip(POINTS, _PUBLISHED.get(name, ()))
    published = {at: Published(mean, f"[PDF] (standard deviation {spread})") for at, (mean, spread) in pairs}
    training = TrainingOptions(way=1, shot=10, query=10, tasks_per_step=1, steps=steps)
    experiment = Experiment(learner, training=training, tasks=SinusoidTasks())
    return Recipe(f"sinusoids-{name}", title, "sinusoids", experiment, POINTS, published, budgets, note=note)


ROWS = (row("maml", "MAML", MAMLOptions(inner_rate=0.01, inner_steps=1, test_steps=100), 15_000),)
