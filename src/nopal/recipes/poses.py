"""Pose regression (Yin et al. 2020, arXiv 1912.03820, tables 2 and 3; with meta-augmentation Rajendran, Irpan, Jang
2020, arXiv 2007.05549): squared errors of angles of which a turn has 10."""

from __future__ import annotations

import dataclasses

from nopal.recipes.learner_options import MAMLOptions
from nopal.recipes.options import Experiment, MetaLearnerOptions, TrainingOptions
from nopal.recipes.recipe import Budget, Difficulty, Published, Recipe
from nopal.recipes.regularised_options import (
    BayesByBackpropOptions,
    CNPOptions,
    FeatureOptions,
    FineTuningOptions,
    NPOptions,
    RegularisedOptions,
    WholeMAMLOptions,
    scale_of,
)
from nopal.recipes.task_options import PoseTasks

VIEWS: tuple[Difficulty, ...] = ((0, 15),)
BUDGETS: dict[Budget, int] = {"demo": 50, "hour": 1_000}
AUGMENTED = PoseTasks(augmented=True)

# The adapted part sees features as an image of 14 x 14; shifts of its normalisation are not adapted, and its statistics
# are those of all queries, as in the authors' code. The inner rate is the paper's; their code has 0.002.
HEAD = MAMLOptions(
    filters=64,
    downsample="none",
    scale=False,
    epsilon=1e-3,
    head_deviation=1.0,
    inner_rate=0.01,
    inner_steps=5,
    test_steps=20,
    adapted=("*.kernel", "*.bias"),
    statistics="transductive",
)
IMAGE = FeatureOptions((14, 14, 1), deviation=0.1)
# Plain MAML's encoder has no ReLU between its convolutions in the authors' code, and one behind its last layer.
LINEAR = dataclasses.replace(IMAGE, activation=False, activate_outputs=True)
HEAD_CHOICES = {field.name: getattr(HEAD, field.name) for field in dataclasses.fields(HEAD)}
PUBLISHED_MAML = WholeMAMLOptions(**HEAD_CHOICES, before=LINEAR)
MAML = WholeMAMLOptions(**HEAD_CHOICES, before=IMAGE)
TUNED = FineTuningOptions(
    filters=64, downsample="none", scale=False, epsilon=1e-3, head_deviation=1.0, before=IMAGE, rate=0.01, steps=20,
    adapted=("*.kernel", "*.bias"), statistics="transductive",
)  # fmt: skip


def mr_maml(beta: float) -> RegularisedOptions:
    """MR-MAML on weights, drawn anew for every call as in the authors' code."""
    return RegularisedOptions(HEAD, IMAGE, "weights", beta=beta, scale=scale_of(-20.0), draws="call")


def mr_cnp(beta: float) -> RegularisedOptions:
    """MR-CNP on weights."""
    return RegularisedOptions(WIDE, IMAGE_20, "weights", beta=beta, scale=scale_of(-3.0), draws="call")


CNP = CNPOptions(representation=100, summary=64, lift=16, deviation=0.05)
WIDE = CNPOptions(representation=200, summary=200, lift=5, deviation=0.05)
IMAGE_64, IMAGE_20 = FeatureOptions((64,), deviation=0.1), FeatureOptions((20,), deviation=0.1)
PLAIN_CNP = RegularisedOptions(CNP, IMAGE_64, "none")
ENCODER = RegularisedOptions(HEAD, IMAGE, "none")


def training(steps: int, rate: float, views: int = 15, weight_decay: float | None = None) -> TrainingOptions:
    """As published: meta-batches of 10, and decay that the rate does not scale."""
    return TrainingOptions(
        way=1,
        shot=views,
        query=views,
        tasks_per_step=10,
        steps=steps,
        outer_rate=rate,
        weight_decay=weight_decay,
        decay="per_step" if weight_decay else "times_rate",
    )


def row(
    name: str,
    title: str,
    learner: MetaLearnerOptions,
    training: TrainingOptions,
    published: Published | None = None,
    note: str = "",
    tasks: PoseTasks = PoseTasks(),
    sweep: tuple[str, float] | None = None,
) -> Recipe:
    """A recipe."""
    of_views = {VIEWS[0]: published} if published else {}
    experiment = Experiment(learner, training=training, tasks=tasks)
    return Recipe(f"poses-{name}", title, "poses", experiment, VIEWS, of_views, BUDGETS, note=note, sweep=sweep)


def paper(mean: float, spread: float) -> Published:
    """A number of Yin et al."""
    return Published(mean, f"[PDF] (standard deviation {spread})")


def later(mean: float, spread: float | None = None) -> Published:
    """A number of Rajendran et al."""
    return Published(mean, "[2ND]" + (f" (standard deviation {spread})" if spread else ""))


NOT_IN_PAPER = "not in the paper: one choice at a time between MAML and MR-MAML"
HEADS_RATE = "published with half the rate for the head"
FINE_TUNING = "steps, rate and weight decay of fine-tuning are not published"
LONG, OF_CNP = training(30_000, 2e-3), training(140_000, 1e-3)

ROWS = (
    row("maml-published", "MAML", PUBLISHED_MAML, training(10_000, 5e-4, 10, 1e-3), paper(5.39, 1.31),
        "as in the authors' code: 10 views, linear encoder, adapted as a whole, weight decay on"),
    row("maml", "MAML, whole network adapted", MAML, LONG, later(3.74, 0.64), "encoder and budget of MR-MAML"),
    row("maml-decay", "MAML, whole network adapted, weight decay", MAML, training(30_000, 2e-3, 15, 1e-3), None,
        NOT_IN_PAPER),
    row("maml-encoder", "MAML, encoder not adapted", ENCODER, LONG, later(2.8, 0.73), "MR-MAML without its penalty"),
    row("maml-encoder-decay", "MAML, encoder not adapted, weight decay", ENCODER, training(30_000, 2e-3, 15, 1e-3),
        None, NOT_IN_PAPER),
    row("maml-encoder-circular", "MAML, encoder not adapted, circular target", ENCODER, LONG, None, NOT_IN_PAPER,
        PoseTasks("circular")),
    row("mr-maml-w", "MR-MAML (W)", mr_maml(0.1), LONG, paper(2.26, 0.09)),
    row("mr-maml-w-noisy", "MR-MAML (W), weights really drawn",
        dataclasses.replace(mr_maml(1e-5), scale=0.05, draws="step"), LONG, None, NOT_IN_PAPER),
    row("mr-maml-a", "MR-MAML (A)", RegularisedOptions(HEAD, IMAGE, "activations", beta=1e-2), LONG, None,
        "not in the paper"),
    row("cnp", "CNP", PLAIN_CNP, OF_CNP, paper(8.48, 0.12)),
    row("cnp-decay", "CNP, weight decay", PLAIN_CNP, training(140_000, 1e-3, 15, 1e-3), paper(6.86, 0.27)),
    row("cnp-bayes", "CNP, all weights drawn", BayesByBackpropOptions(
        RegularisedOptions(WIDE, IMAGE_20, "none"), beta=1e-3, scale=scale_of(-3.0)),
        training(100_000, 5e-4), paper(7.73, 0.82), "published with layers that are new in validation"),
    row("np", "NP", RegularisedOptions(NPOptions(), IMAGE_64, "none"), OF_CNP, None, "not in the paper"),
    row("mr-cnp-w", "MR-CNP (W)", mr_cnp(1e-3), training(100_000, 5e-4), paper(2.89, 0.18)),
    row("mr-cnp-a", "MR-CNP (A)", RegularisedOptions(
        dataclasses.replace(CNP, lift=32), IMAGE_64, "activations", beta=1e-2, of="support"),
        training(120_000, 1e-3), None, HEADS_RATE),
    row("fine-tuning", "fine-tuning", TUNED, training(30_000, 1e-3), paper(7.33, 0.35), FINE_TUNING),
    row("fine-tuning-decay", "fine-tuning, weight decay", TUNED, training(30_000, 1e-3, 15, 1e-3), paper(6.16, 0.12),
        FINE_TUNING),
    row("maml-augmented", "MAML, whole network adapted, meta-augmentation", MAML, LONG, later(2.34, 0.66), "",
        AUGMENTED),
    row("maml-encoder-augmented", "MAML, encoder not adapted, meta-augmentation", ENCODER, LONG, later(1.61, 0.06),
        "the best that is published", AUGMENTED),
    row("mr-maml-w-augmented", "MR-MAML (W), meta-augmentation", mr_maml(1e-3), LONG, later(1.71, 0.16), "", AUGMENTED),
    row("cnp-augmented", "CNP, meta-augmentation", PLAIN_CNP, OF_CNP, later(2.51), "", AUGMENTED),
    row("mr-cnp-w-augmented", "MR-CNP (W), meta-augmentation", mr_cnp(1e-3), training(100_000, 5e-4), later(2.51), "",
        AUGMENTED),
)  # fmt: skip

# Figure 2, read off its plot.
_MR_MAML = {0.0: 4.6, 1e-4: 2.75, 1e-3: 2.9, 1e-2: 2.55, 0.1: 2.25, 1.0: 5.0}
_MR_CNP = {0.0: 8.1, 1e-5: 4.8, 1e-4: 3.3, 1e-3: 2.9, 1e-2: 8.1}
SWEEPS = (
    *(
        row(f"beta-mr-maml-{beta:g}", f"MR-MAML (W), beta {beta:g}", mr_maml(beta), LONG,
            Published(error, "[IMG] figure 2"), sweep=("poses-beta-mr-maml", beta))
        for beta, error in _MR_MAML.items()
    ),
    *(
        row(f"beta-mr-cnp-{beta:g}", f"MR-CNP (W), beta {beta:g}", mr_cnp(beta), training(100_000, 5e-4),
            Published(error, "[IMG] figure 2"), sweep=("poses-beta-mr-cnp", beta))
        for beta, error in _MR_CNP.items()
    ),
)  # fmt: skip
