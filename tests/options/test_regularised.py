"""Learners of the second paper are built as their options say, and their options survive JSON."""

from __future__ import annotations

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.learners import (
    TAML,
    AttentiveNeuralProcess,
    BayesByBackprop,
    ConditionalNeuralProcess,
    FineTuning,
    MetaRegularised,
    NeuralProcess,
)
from nopal.meter import read_meter
from nopal.nets.bottleneck import Bottleneck
from nopal.nets.chain import Chain
from nopal.nets.mean_field import RandomWeights
from nopal.nets.stochastic import Certain
from nopal.options.learners import MetaLearnerOptions, ProtoNetOptions, RidgeOptions
from nopal.options.neural_processes import ANPOptions, CNPOptions, NPOptions
from nopal.options.plain import from_plain, to_plain
from nopal.options.regularised import (
    BayesByBackpropOptions,
    FeatureOptions,
    FineTuningOptions,
    MAMLOptions,
    RegularisedOptions,
    TAMLOptions,
    WholeMAMLOptions,
)
from nopal.partitions import from_labels
from nopal.tasks import Categorical, Gaussian, Sinusoids
from nopal.tasks.classification import Classification

FEATURES = FeatureOptions((3,), hidden=(4,), filters=(2, 3))
MAML = MAMLOptions(hidden=(4,), filters=3, downsample="none")
CNP = CNPOptions(representation=4, hidden=(5,))
ALL = (
    WholeMAMLOptions(hidden=(4,), before=FEATURES),
    TAMLOptions(hidden=(4,), regulariser="theil", weight=0.5),
    FineTuningOptions(hidden=(4,), before=FEATURES, rate=0.5, steps=3),
    CNP,
    NPOptions(latent=3, representation=4, hidden=(5,)),
    ANPOptions(latent=3, representation=4, hidden=(5,), heads=2),
    RegularisedOptions(MAML, FEATURES, beta=0.5),
    RegularisedOptions(CNP, FEATURES, "activations", of="support", samples=2),
    RegularisedOptions(CNP, FEATURES, "none"),
    BayesByBackpropOptions(RegularisedOptions(CNP, FEATURES, "none"), beta=0.25),
)


def titled(options: Any) -> str:
    return options.title


def build(options: Any, shape: tuple[int, ...] = (6,), target: Categorical | Gaussian = Gaussian(1)) -> Any:
    return options.build(shape, target, jax.random.key(0))


@pytest.mark.parametrize("options", ALL, ids=titled)
def test_options_survive_json(options: Any) -> None:
    assert from_plain(MetaLearnerOptions, json.loads(json.dumps(to_plain(options)))) == options


def test_learners_are_what_the_options_say() -> None:
    whole, taml, tuned, cnp, neural, attentive, weights, activations, plain, bayes = map(build, ALL)
    assert isinstance(whole.network, Chain)
    assert (whole.shape, whole.network.head.shape, whole.statistics) == ((6,), (3,), "none")
    assert isinstance(taml, TAML)
    assert (taml.regulariser, taml.weight) == ("theil", 0.5)
    assert isinstance(tuned, FineTuning)
    descent = tuned.learner
    assert (descent.inner_rate, descent.test_steps, isinstance(descent.network, Chain)) == (0.5, 3, True)
    kinds = (ConditionalNeuralProcess, NeuralProcess, AttentiveNeuralProcess)
    assert tuple(map(type, (cnp, neural, attentive))) == kinds
    assert all(learner.shape == (6,) for learner in (cnp, neural, attentive, weights, activations, plain, bayes))
    assert isinstance(weights, MetaRegularised)
    assert (type(weights.encoder), weights.beta, weights.learner.shape) == (RandomWeights, 0.5, (3,))
    assert type(activations.encoder) is Bottleneck
    assert (activations.of, activations.samples, activations.learner.shape) == ("support", 2, (3,))
    assert type(plain.encoder) is Certain
    assert isinstance(bayes, BayesByBackprop)
    assert bayes.beta == 0.25


def test_features_of_images_are_the_images_of_the_head() -> None:
    before = FeatureOptions((4, 5, 1), filters=(2, 3))
    for options in (RegularisedOptions(MAML, before), WholeMAMLOptions(filters=3, downsample="none", before=before)):
        learner = build(options, (16, 16, 1), Categorical(3))
        assert (learner.shape, learner.statistics) == ((16, 16, 1), "support")
        assert learner.adapt(None)(jnp.zeros((2, 16, 16, 1))).shape == (2, 3)


def test_the_published_scale_is_that_of_its_inverse_softplus() -> None:
    learner = build(RegularisedOptions(CNP, FEATURES, scale=2e-22))
    np.testing.assert_allclose(learner.encoder.weights.rho.layers[0].kernel, np.log(2e-22), rtol=1e-5)


def test_a_noise_that_there_is_not_is_refused() -> None:
    options = RegularisedOptions()
    object.__setattr__(options, "noise", "weigths")  # past the check of types, which users don't have
    with pytest.raises(NopalError, match="The noise is 'weigths'; expected one of none, weights, activations"):
        options.build((4,), Gaussian(1), jax.random.key(0))


@pytest.mark.parametrize("options", [*ALL, RidgeOptions(hidden=(4,)), ProtoNetOptions(hidden=(4,))], ids=titled)
@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_the_meter_reads_every_learner(options: Any, kind: str) -> None:
    if kind == "numbers" and isinstance(options, TAMLOptions | ProtoNetOptions):
        pytest.skip("for classes alone")
    vectors = np.random.default_rng(0).normal(size=(40, 21))
    classes = Classification(vectors, from_labels(np.arange(40) % 8), way=3, shot=2, query=2)
    tasks = classes if kind == "classes" else Sinusoids.told(3, 2)
    reading = read_meter(build(options, (21,), tasks.target), tasks, key=jax.random.key(1), episodes=4)
    assert reading.metric == tasks.target.metric
    assert all(np.isfinite(mean) for mean in reading.means().values() if mean is not None)
