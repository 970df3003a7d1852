"""Many seeds in one program: each with the numbers of a run of its own, however devices share them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nopal.errors import NopalError
from nopal.learners.maml import MAML
from nopal.nets.conv4 import Conv4
from nopal.partitions import Partitions
from nopal.seeds import seed_mesh, train_seeds
from nopal.tasks.classification import Classification
from nopal.training import initial_state, make_optimiser, train

pytestmark = pytest.mark.skipif(jax.device_count() < 2, reason="needs two devices; conftest makes them of CPU cores")

IMAGES = jnp.asarray(np.random.default_rng(0).integers(0, 256, (24, 8, 8, 1)), jnp.uint8)
OPTIMISER = make_optimiser(0.01)
COUNT = 3


@pytest.fixture(autouse=True)
def even_little_work_is_shared_out(monkeypatch):
    monkeypatch.setattr("nopal.mapping.MEETING", 0)


def learner(seed):
    network = Conv4((8, 8, 1), 2, filters=4, key=jax.random.key(seed))
    return MAML(network, inner_rate=0.1, inner_steps=1, statistics="running")


def tasks(seed):
    """Clusters of their own, on images that all have in common."""
    clusters = np.random.default_rng(seed).permutation(np.repeat(np.arange(4), 6))[None]
    return Classification(IMAGES, Partitions.from_assignments(clusters, 4, {}), way=2, shot=1, query=2)


LEARNERS, TASKS, KEYS = zip(*((learner(i), tasks(i), jax.random.key(10 + i)) for i in range(COUNT)))
USUAL = {"steps": 6, "tasks_per_step": 3, "optimiser": OPTIMISER, "chunk": 2}


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_array))]


def assert_equal(one, other):
    for a, b in zip(leaves(one), leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def alone():
    """Each seed's learner and metrics from a run of its own, on one device, with the default tasks at once."""
    found = []
    for i in range(COUNT):
        losses = []
        hooks = [lambda moment, losses=losses: losses.extend(moment.metrics["loss"])]
        trained = train(LEARNERS[i], TASKS[i], key=KEYS[i], hooks=hooks, devices=1, **USUAL)
        found.append((trained, losses))
    return found


@pytest.mark.parametrize("devices", [1, 2])
def test_one_by_one_the_numbers_are_those_of_runs_of_their_own_bit_for_bit(alone, devices):
    """Two devices share three seeds, and none of them waits for the other within a step."""
    losses = {i: [] for i in range(COUNT)}

    def hook(moments):
        for i, moment in moments.items():
            losses[i].extend(moment.metrics["loss"])

    trained = train_seeds(LEARNERS, TASKS, keys=KEYS, hooks=[hook], devices=devices, **USUAL)
    for i in range(COUNT):
        assert_equal(trained[i].network, alone[i][0].network)
        assert losses[i] == alone[i][1]
        for a, b in zip(leaves(trained[i].running), leaves(alone[i][0].running), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_vectorised_they_agree_to_rounding(alone):
    """With plain descent: Adam blows up rounding where a parameter has no gradient."""
    options = USUAL | {"optimiser": optax.sgd(0.1)}
    one = train_seeds(LEARNERS, TASKS, keys=KEYS, devices=1, **options)
    together = train_seeds(LEARNERS, TASKS, keys=KEYS, devices=2, at_once=3, vectorise_seeds=True, **options)
    for a, b in zip(leaves(one), leaves(together), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    assert not np.allclose(leaves(one)[0], leaves(LEARNERS[0])[0], atol=1e-4)


def test_those_behind_catch_up_and_all_end_as_if_never_interrupted(alone):
    kept = {}

    def keep(moments):
        kept.update({(i, moment.step): moment.state for i, moment in moments.items()})

    train_seeds(LEARNERS, TASKS, keys=KEYS, hooks=[keep], devices=2, **USUAL)
    starts = [4, 0, 2]
    states = [kept[i, start] if start else initial_state(LEARNERS[i], OPTIMISER) for i, start in enumerate(starts)]
    seen = []
    hooks = [lambda moments: seen.append({i: moment.step for i, moment in moments.items()})]
    trained = train_seeds(LEARNERS, TASKS, keys=KEYS, hooks=hooks, devices=2, states=states, starts=starts, **USUAL)
    assert seen == [{1: 2}, {1: 4, 2: 4}, {0: 6, 1: 6, 2: 6}]
    for i in range(COUNT):
        assert_equal(trained[i].network, alone[i][0].network)


@pytest.mark.parametrize(
    ("seeds", "tasks", "shape"),
    [(2, 8, (2, 1)), (5, 8, (1, 2)), (4, 1, (2, 1)), (1, 8, (1, 2)), (3, 3, (2, 1))],
)
def test_devices_share_seeds_first_and_tasks_where_some_would_be_left_over(seeds, tasks, shape):
    assert tuple(seed_mesh(seeds, tasks, 2).shape.values()) == shape


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"learners": []}, "There are 0 learners"),
        ({"keys": KEYS[:2]}, "3 learners, 3 task distributions, 2 keys and 3 starts"),
        ({"starts": [0, 9, 0]}, "has done 9 steps already, more than 6"),
        ({"steps": 0}, "Steps are 0 and tasks per step 3"),
        ({"learners": [*LEARNERS[:2], LEARNERS[2].with_statistics("support")]}, "differ in more than their arrays"),
        ({"tasks": [*TASKS[:2], TASKS[2].at(query=3)]}, "episodes of the seeds have arrays of different shapes"),
    ],
)
def test_what_can_not_go_together_is_refused(changes, sentence):
    options = {"learners": LEARNERS, "tasks": TASKS, "keys": KEYS, **USUAL} | changes
    with pytest.raises(NopalError, match=sentence):
        train_seeds(options.pop("learners"), options.pop("tasks"), **options)
