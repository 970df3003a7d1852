"""Options as plain data: what a run folder stores is what it was begun with."""

from __future__ import annotations

import dataclasses
import json
from typing import ClassVar

import jax
import numpy as np
import pytest
from jaxtyping import PRNGKeyArray

from nopal import NopalError
from nopal.encoders import ACAIOptions
from nopal.learners import MAML
from nopal.learners.learner import MetaLearner
from nopal.options.baselines import (
    BaselineOptions,
    ClusterMatchingOptions,
    LogisticOptions,
    MLPHeadOptions,
    MLPStoppedOnQueriesOptions,
    NearestNeighbourOptions,
)
from nopal.options.experiment import (
    EncoderOptions,
    Experiment,
    LearnerOptions,
    PartitionOptions,
    TrainingOptions,
    check_positive,
)
from nopal.options.learners import FromScratchOptions, MAMLOptions, MetaLearnerOptions, ProtoNetOptions
from nopal.options.plain import from_plain, to_plain
from nopal.options.regularised import RegularisedOptions
from nopal.tasks import Categorical
from nopal.tasks.target import Target


@pytest.mark.parametrize(
    "options",
    [MAMLOptions(adapted=("*.kernel",), inner_rate=0.5), ProtoNetOptions(filters=7), NearestNeighbourOptions((3,))],
)
def test_learners_survive_json(options: LearnerOptions) -> None:
    assert from_plain(LearnerOptions, json.loads(json.dumps(to_plain(options)))) == options


def test_options_made_elsewhere_are_known_as_soon_as_they_are_there() -> None:
    @dataclasses.dataclass(frozen=True)
    class ShrunkOptions(MetaLearnerOptions):
        method: ClassVar[str] = "shrunk"
        title: ClassVar[str] = "shrunk"
        learner: MetaLearnerOptions

        def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> MetaLearner:
            return self.learner.build(shape, target, key)

    for options in (ShrunkOptions(MAMLOptions(filters=3)), RegularisedOptions(ShrunkOptions(ProtoNetOptions()))):
        assert from_plain(Experiment, json.loads(json.dumps(to_plain(Experiment(options))))).learner == options
    built = ShrunkOptions(MAMLOptions(filters=3)).build((8, 8, 1), Categorical(5), jax.random.key(0))
    assert isinstance(built, MAML)


def test_an_experiment_survives_json() -> None:
    whole = Experiment(ProtoNetOptions(), EncoderOptions("zca"), PartitionOptions(9), TrainingOptions(clip=2.0))
    assert from_plain(Experiment, json.loads(json.dumps(to_plain(whole)))) == whole
    alone = Experiment(NearestNeighbourOptions())
    assert from_plain(Experiment, json.loads(json.dumps(to_plain(alone)))) == alone


def test_only_a_trained_encoder_has_choices_of_training() -> None:
    assert to_plain(EncoderOptions("pca", 9)) == {"name": "pca", "dimensions": 9}
    trained = EncoderOptions("acai", acai=ACAIOptions(steps=7), seed=3)
    assert from_plain(EncoderOptions, json.loads(json.dumps(to_plain(trained)))) == trained
    assert (trained.steps, EncoderOptions("pca").steps) == (7, 0)
    assert set(to_plain(trained)) == {"name", "dimensions", "acai", "seed"}
    supervised = EncoderOptions("classifier").with_training(steps=9, seed=2)
    assert (supervised.classifier.steps, supervised.seed, supervised.acai) == (9, 2, ACAIOptions())
    assert from_plain(EncoderOptions, json.loads(json.dumps(to_plain(supervised)))) == supervised
    assert EncoderOptions("zca").with_training(steps=9, seed=2) == EncoderOptions("zca")


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(NopalError, match="no choice named 'speed'"):
        from_plain(TrainingOptions, {"way": 5, "speed": 1})
    with pytest.raises(NopalError, match="method is 'reptile'"):
        from_plain(LearnerOptions, {"method": "reptile"})


@pytest.mark.parametrize(("images", "way", "clusters"), [(1000, 5, 50), (22_000, 5, 500), (60, 5, 10), (60, 20, 40)])
def test_number_of_clusters(images: int, way: int, clusters: int) -> None:
    assert PartitionOptions().for_images(images, way).clusters == clusters
    assert PartitionOptions(clusters=7).for_images(images, way).clusters == 7


def test_learners_are_built_as_the_options_say() -> None:
    maml = MAMLOptions(filters=4, inner_rate=0.125, inner_steps=2, test_steps=3, statistics="running")
    learner = maml.build((8, 8, 3), Categorical(6), jax.random.key(0))
    assert (learner.inner_rate, learner.inner_steps, learner.test_steps, learner.statistics) == (0.125, 2, 3, "running")
    assert learner.network.head.kernel.shape == (4, 6)
    protonet = ProtoNetOptions(filters=4, downsample="stride").build((8, 8, 1), Categorical(6), jax.random.key(0))
    assert (protonet.network.shape, protonet.network.head, protonet.statistics) == ((8, 8, 1), None, "running")
    scratch = FromScratchOptions(filters=4, rate=0.25, steps=7).build((8, 8, 1), Categorical(6), jax.random.key(0))
    assert (scratch.untrained.inner_rate, scratch.untrained.test_steps, scratch.statistics) == (0.25, 7, "support")


def test_baselines_offer_what_the_options_say() -> None:
    key = jax.random.key(0)

    def of(options: BaselineOptions) -> list:
        return options.offer(lambda: np.eye(6, dtype=np.float32), key)((5, 1))

    assert [(s, learner.neighbours) for s, learner in of(NearestNeighbourOptions((1, 5, 9)))] == [
        ({"neighbours": 1}, 1),
        ({"neighbours": 5}, 5),
    ]
    assert [float(learner.strength) for _, learner in of(LogisticOptions((0.5, 2.0)))] == [0.5, 2.0]
    made = of(MLPHeadOptions((4, 8), (0.0,), (3, 7)))
    assert [(learner.units, int(learner.epochs)) for _, learner in made] == [(4, 3), (4, 7), (8, 3), (8, 7)]
    (leak,) = of(MLPStoppedOnQueriesOptions())
    assert (type(leak[1]).__name__, int(leak[1].epochs)) == ("MLPStoppedOnQueries", 500)
    (matching,) = of(ClusterMatchingOptions(clusters=6, repeats=1))
    assert matching[1].centroids.shape == (6, 6)
    with pytest.raises(NopalError, match="begin at 6, but the support set has 5 examples"):
        of(NearestNeighbourOptions((6,)))
    for empty, name in (
        (NearestNeighbourOptions(()), "neighbours"),
        (LogisticOptions(()), "strength"),
        (MLPHeadOptions(units=()), "units"),
    ):
        with pytest.raises(NopalError, match=f"The grid of {name} is empty"):
            of(empty)


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("outer_rate", float("nan")), ("clip", -1.0)])
def test_positive_choices(name: str, value: float) -> None:
    check_positive(TrainingOptions(), "steps", "clip")
    with pytest.raises(NopalError, match=f"The choice {name} is {value}"):
        check_positive(TrainingOptions(**{name: value}), name)
