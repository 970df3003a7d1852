"""The sinusoids of Yin et al. 2020 (arXiv 1912.03820, table 1): squared errors at 5 and 10 points, choices as in the
authors' notebooks.

Those build a new Adam in every step of MR-MAML (of all parameters for W, of the encoder for A). On weights the
published numbers depend on it: a first step of Adam has the length of the rate however small the gradient, so the
penalty moves every weight that a task leaves alone. Rows that keep their Adam say so.
"""

from __future__ import annotations

from nopal.options.experiment import Experiment, TrainingOptions
from nopal.options.learners import MAMLOptions, MetaLearnerOptions
from nopal.options.neural_processes import CNPOptions
from nopal.options.regularised import FeatureOptions, RegularisedOptions, scale_of
from nopal.options.tasks import SinusoidTasks
from nopal.recipes.recipe import OURS, Budget, Difficulty, Published, Recipe, but

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
# What their code calls normal: kernels from N(0, 0.05).
NORMAL = 0.05
CNP = CNPOptions(representation=10, summary=5, deviation=NORMAL, decoder_deviation=NORMAL, over_queries="sum")
FOR_MAML = SinusoidTasks(version="maml_notebook")
FOR_CNP = SinusoidTasks(deviation=0.1, version="cnp_notebook")

# Drawn anew for every call of the encoder, kernels from N(0, 0.1), as in the authors' code.
ENCODER = FeatureOptions((5,), hidden=(100,), deviation=0.1)
MR_MAML_W = RegularisedOptions(MAML, ENCODER, "weights", beta=5e-5, scale=scale_of(-50.0), draws="call")
MR_MAML_A = RegularisedOptions(
    MAML, FeatureOptions((5,), hidden=(80,)), "activations", beta=5.0, over_dimensions="mean"
)
# Theirs is 0.15, but their graph has the divergence twice, once for each call of the encoder.
MR_CNP_W = RegularisedOptions(CNP, ENCODER, "weights", beta=0.3, scale=scale_of(-3.0), draws="call", samples=100)
MR_CNP_A = RegularisedOptions(
    CNP, FeatureOptions((5,), hidden=(100,), deviation=NORMAL), "activations", beta=5.0, of="support", samples=100
)


def row(
    name: str,
    title: str,
    learner: MetaLearnerOptions,
    tasks: SinusoidTasks,
    steps: int,
    note: str = "",
    fresh: tuple[str, ...] = (),
) -> Recipe:
    """A recipe; the published budget takes a minute or two."""
    budgets: dict[Budget, int] = {"demo": steps // 10}
    pairs = zip(POINTS, _PUBLISHED.get(name, ()))
    published = {at: Published(mean, f"[PDF] (standard deviation {spread})") for at, (mean, spread) in pairs}
    training = TrainingOptions(way=1, shot=10, query=10, tasks_per_step=1, steps=steps, fresh=fresh)
    experiment = Experiment(learner, training=training, tasks=tasks)
    return Recipe(f"sinusoids-{name}", title, "sinusoids", experiment, POINTS, published, budgets, note=note)


# The same learners on the tasks that the paper's text describes.
PAPER = SinusoidTasks()
CNP_PAPER = SinusoidTasks(deviation=0.1)
BY_THE_PAPER = (
    "on the tasks that the paper's text describes: trained on all 20 amplitudes, tested on queries like those of "
    "meta-training; the published numbers are of the notebooks' tasks"
)
# As far as amplitudes reach.
SHIFT = 4.0
SHIFTED = (
    f"{OURS}: all labels of a meta-training task shifted alike, by up to {SHIFT:g} either way; the support set tells "
    "the shift then, and the input the amplitude, as before"
)

ONE_OF_FIVE = (
    "one seed of five (0) ends at nine times the error of the others, which are near the .043 and .035 that the "
    "authors' notebook printed"
)
TWICE = (
    "the notebook's strength, 0.15, twice, as its graph adds the divergence for both calls of the encoder: once, the "
    "error is .32 (one seed); with Glorot-uniform kernels in the neural process and 0.15 it was .157, nearer to the "
    "published number, and why is not known; after the 3,000 steps of a demo it still memorises"
)
NO_NOISE = {"noise": "none", "beta": 0.0, "draws": "step"}
TABLE = (
    row(
        "maml",
        "MAML",
        MAML,
        FOR_MAML,
        15_000,
        "on tasks like those of the authors' notebook, as are all rows of MAML: trained on 16 of the 20 amplitudes, "
        "and noise is added twice to a test's support set",
    ),
    row("mr-maml-a", "MR-MAML (A)", MR_MAML_A, FOR_MAML, 10_000, fresh=("encoder.*",)),
    row(
        "mr-maml-w",
        "MR-MAML (W)",
        MR_MAML_W,
        FOR_MAML,
        15_000,
        "the published initial scale of the weights, 1.2e-7, gets no gradient that counts: in effect an L2 penalty, "
        "which acts because Adam begins anew in every step, see the row whose Adam is kept",
        fresh=("*",),
    ),
    row(
        "cnp",
        "CNP",
        CNP,
        FOR_CNP,
        30_000,
        "on tasks like those of the authors' notebook, as are all neural processes: trained on 16 of the 20 "
        "amplitudes, tested with the one-hot vectors of 11 of those and on queries without noise",
    ),
    row("mr-cnp-a", "MR-CNP (A)", MR_CNP_A, FOR_CNP, 30_000, ONE_OF_FIVE),
    row("mr-cnp-w", "MR-CNP (W)", MR_CNP_W, FOR_CNP, 30_000, TWICE),
)


def on_fixed_tests(row: Recipe) -> Recipe:
    """The row judged on the very tasks of the notebooks' tests, which are the same in every trial."""
    return but(
        row,
        name=row.name.replace("sinusoids-", "sinusoids-fixed-"),
        title=f"{row.title}, the notebook's tests",
        experiment=but(row.experiment, tasks=but(row.experiment.tasks, fixed=True)),
        note="judged on the hundred tasks that the authors' notebook fixes by seeds, not on new ones",
    )


ROWS = (
    *TABLE,
    *map(on_fixed_tests, TABLE),
    row("maml-fresh", "MAML, Adam begun anew", MAML, FOR_MAML, 15_000, OURS, fresh=("*",)),
    row("maml-encoder", "MAML, encoder not adapted", but(MR_MAML_W, **NO_NOISE), FOR_MAML, 15_000, OURS),
    row(
        "maml-encoder-fresh",
        "MAML, encoder not adapted, Adam begun anew",
        but(MR_MAML_W, **NO_NOISE),
        FOR_MAML,
        15_000,
        f"{OURS}: MR-MAML (W) without its penalty",
        fresh=("*",),
    ),
    row("mr-maml-a-kept", "MR-MAML (A), Adam kept", MR_MAML_A, FOR_MAML, 10_000, OURS),
    row("mr-maml-a-ours", "MR-MAML (A), Adam kept, beta 0.5", but(MR_MAML_A, beta=0.5), FOR_MAML, 10_000, OURS),
    row(
        "mr-maml-w-ours",
        "MR-MAML (W), beta 5e-6",
        but(MR_MAML_W, beta=5e-6),
        FOR_MAML,
        15_000,
        "a tenth of the published strength",
        fresh=("*",),
    ),
    row("mr-maml-w-kept", "MR-MAML (W), Adam kept", MR_MAML_W, FOR_MAML, 15_000, OURS),
    row("maml-augmented", "MAML, meta-augmentation", MAML, but(FOR_MAML, shift=SHIFT), 15_000, SHIFTED),
    row("cnp-augmented", "CNP, meta-augmentation", CNP, but(FOR_CNP, shift=SHIFT), 30_000, SHIFTED),
    row("paper-maml", "MAML, the paper's tasks", MAML, PAPER, 15_000, BY_THE_PAPER),
    row("paper-mr-maml-a", "MR-MAML (A), the paper's tasks", MR_MAML_A, PAPER, 10_000, fresh=("encoder.*",)),
    row("paper-mr-maml-w", "MR-MAML (W), the paper's tasks", MR_MAML_W, PAPER, 15_000, fresh=("*",)),
    row("paper-cnp", "CNP, the paper's tasks", CNP, CNP_PAPER, 30_000),
    row("paper-mr-cnp-a", "MR-CNP (A), the paper's tasks", MR_CNP_A, CNP_PAPER, 30_000),
    row("paper-mr-cnp-w", "MR-CNP (W), the paper's tasks", MR_CNP_W, CNP_PAPER, 30_000),
)
