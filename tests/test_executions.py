"""Every way to carry out a meta-step gives the meta-gradient of the plain formulation, in double precision: a loop over
tasks in Python, each by reverse-mode differentiation without rematerialisation."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nopal.learners.maml import MAML
from nopal.mapping import device_mesh
from nopal.nets.conv4 import Conv4
from nopal.partitions import Partitions
from nopal.seeds import train_seeds
from nopal.tasks.classification import Classification
from nopal.training import MetaStep, initial_state

pytestmark = pytest.mark.skipif(jax.device_count() < 2, reason="needs two devices; conftest makes them of CPU cores")

KEY, COUNT = jax.random.key(3), 3
# A step along the gradient by 1 leaves it behind as a difference.
OPTIMISER = optax.sgd(1.0)


@pytest.fixture(autouse=True)
def double_precision(monkeypatch):
    monkeypatch.setattr("nopal.mapping.MEETING", 0)  # even little work is shared out
    with jax.enable_x64(True):
        yield


def learner(seed=0, rematerialise=True):
    network = Conv4((8, 8, 1), 2, filters=3, key=jax.random.key(seed))
    maml = MAML(network, inner_rate=0.2, inner_steps=2, rematerialise=rematerialise)
    return jax.tree.map(lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf, maml)


def tasks():
    images = jnp.asarray(np.random.default_rng(0).random((24, 8, 8, 1)))
    clusters = np.repeat(np.arange(4), 6)[None]
    return Classification(images, Partitions.from_assignments(clusters, 4, {}), way=2, shot=1, query=2)


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))]


def plain(learner, of, key):
    """The gradient of the mean loss of the tasks that a step draws from `key`."""

    @eqx.filter_jit
    @eqx.filter_grad
    def of_task(learner, episode, noise):
        return learner.loss(episode, key=noise)[0]

    found = []
    for task in range(COUNT):
        draw, noise = jax.random.split(jax.random.fold_in(key, task))
        found.append(leaves(of_task(learner, of.sample(draw), noise)))
    return [np.mean(gradients, axis=0) for gradients in zip(*found)]


def assert_same_gradient(before, after, expected):
    for one, other, gradient in zip(leaves(before), leaves(after), expected, strict=True):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one - other, gradient, rtol=1e-5, atol=1e-11)


@pytest.mark.parametrize(
    ("devices", "at_once", "rematerialise"), [(1, 1, True), (1, 2, False), (1, COUNT, True), (2, None, True)]
)
def test_a_step(devices, at_once, rematerialise):
    of, mesh, before = tasks(), device_mesh(devices), learner(rematerialise=rematerialise)
    step = eqx.filter_jit(MetaStep(of, OPTIMISER, COUNT, mesh, at_once))
    after = step(initial_state(before, OPTIMISER), KEY)[0].learner
    assert_same_gradient(before, after, plain(learner(rematerialise=False), of, KEY))


@pytest.mark.parametrize(("devices", "vectorised"), [(1, True), (2, False)])
def test_seeds_together(devices, vectorised):
    """Each of them, by the key that its run alone draws the first step from."""
    of, before, keys = tasks(), [learner(0), learner(1)], [jax.random.key(7), jax.random.key(8)]
    options = {"steps": 1, "tasks_per_step": COUNT, "optimiser": OPTIMISER, "devices": devices}
    after = train_seeds(before, of, keys=keys, vectorise_seeds=vectorised, **options)
    for one, other, key in zip(before, after, keys):
        expected = plain(one, of, jax.random.fold_in(key, 0))
        assert_same_gradient(one, other, expected)
