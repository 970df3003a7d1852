"""The sinusoids of Yin et al. 2020 (arXiv 1912.03820, table 1): squared errors at 5 and 10 points, choices as in the
authors' notebooks."""

from __future__ import annotations

import dataclasses

from nopal.recipes.learner_options import MAMLOptions
from nopal.recipes.options import Experiment, MetaLearnerOptions, TrainingOptions
from nopal.recipes.recipe import Budget, Difficulty, Published, Recipe
from nopal.recipes.regularised_options import CNPOptions, FeatureOptions, RegularisedOptions, scale_of
from nopal.recipes.task_options import SinusoidTasks
from nopal.training import Optimiser

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


MAML = MAMLOptions(inner_rate=0.01, inner_steps=1, test_steps=100, hidden=(40, 40))
CNP = CNPOptions(representation=10, summary=5, over_queries="sum")
FOR_MAML = SinusoidTasks("maml_notebook")
FOR_CNP = SinusoidTasks("cnp_notebook", deviation=0.1)


# Drawn anew for every call of the encoder, kernels from N(0, 0.1), as in the authors' code.
ENCODER = FeatureOptions((5,), hidden=(100,), deviation=0.1)
MR_MAML_W = RegularisedOptions(MAML, ENCODER, "weights", beta=5e-5, scale=scale_of(-50.0), draws="call")
MR_MAML_A = RegularisedOptions(
    MAML, FeatureOptions((5,), hidden=(80,)), "activations", beta=5.0, over_dimensions="mean"
)
MR_CNP_W = RegularisedOptions(CNP, ENCODER, "weights", beta=0.15, scale=scale_of(-3.0), draws="call", samples=100)
MR_CNP_A = RegularisedOptions(
    CNP, FeatureOptions((5,), hidden=(100,)), "activations", beta=5.0, of="support", samples=100
)


def row(
    name: str,
    title: str,
    learner: MetaLearnerOptions,
    tasks: SinusoidTasks,
    steps: int,
    note: str = "",
    optimiser: Optimiser = "adam",
) -> Recipe:
    """A recipe; the published budget takes a minute or two."""
    budgets: dict[Budget, int] = {"demo": steps // 10}
    pairs = zip(POINTS, _PUBLISHED.get(name, ()))
    published = {at: Published(mean, f"[PDF] (standard deviation {spread})") for at, (mean, spread) in pairs}
    training = TrainingOptions(way=1, shot=10, query=10, tasks_per_step=1, steps=steps, optimiser=optimiser)
    experiment = Experiment(learner, training=training, tasks=tasks)
    return Recipe(f"sinusoids-{name}", title, "sinusoids", experiment, POINTS, published, budgets, note=note)


L2 = (
    "in effect an L2 penalty, for the published initial scale of the weights, 2e-22, gets no gradient that counts; "
    "a new Adam in every step, as published, gives that penalty its force"
)
ROWS = (
    row("maml", "MAML", MAML, FOR_MAML, 15_000),
    row(
        "maml-encoder",
        "MAML, encoder not adapted",
        dataclasses.replace(MR_MAML_W, noise="none", beta=0.0),
        FOR_MAML,
        15_000,
        "not in the paper: MR-MAML without its penalty",
    ),
    row("mr-maml-a", "MR-MAML (A)", MR_MAML_A, FOR_MAML, 10_000, "published with a new Adam in every step"),
    row("mr-maml-w", "MR-MAML (W)", MR_MAML_W, FOR_MAML, 15_000, L2, "sign"),
    row(
        "mr-maml-w-sound",
        "MR-MAML (W), one Adam",
        dataclasses.replace(MR_MAML_W, beta=1e-3, scale=0.05, draws="step"),
        FOR_MAML,
        15_000,
        "not in the paper: weights that are really drawn, one draw for a step, and an Adam that remembers",
    ),
    row("cnp", "CNP", CNP, FOR_CNP, 30_000),
    row("mr-cnp-a", "MR-CNP (A)", MR_CNP_A, FOR_CNP, 30_000),
    row("mr-cnp-w", "MR-CNP (W)", MR_CNP_W, FOR_CNP, 30_000),
)
