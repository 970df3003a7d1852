"""Functions over tasks: the same numbers however they are shared among devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.mapping import device_mesh, map_over_tasks, mean_over_tasks, replicate

ARRAYS = (jnp.array([0.5, -1.0, 2.0]), jax.random.key(4))
WAYS = [(1, False), (1, True), (2, False), (2, True)]

pytestmark = pytest.mark.skipif(jax.device_count() < 2, reason="needs two devices; conftest makes them of CPU cores")


def work(arrays, task):
    x, key = arrays
    return {"wave": jnp.sin(x * (1.0 + task)), "noise": jax.random.normal(jax.random.fold_in(key, task))}


def plain(tasks):
    """Every task in a Python loop."""
    results = [work(ARRAYS, jnp.asarray(task)) for task in range(tasks)]
    return {name: np.stack([result[name] for result in results]) for name in results[0]}


def call(how, tasks, devices, vectorise, function=work):
    mesh = device_mesh(devices)
    return jax.jit(lambda arrays: how(function, arrays, tasks, mesh, vectorise))(replicate(ARRAYS, mesh))


@pytest.mark.parametrize(("devices", "vectorise"), WAYS)
@pytest.mark.parametrize("tasks", [1, 4])
def test_means_and_stacks_are_those_of_a_plain_loop(tasks, devices, vectorise):
    mean = call(mean_over_tasks, tasks, devices, vectorise)
    stack = call(map_over_tasks, tasks, devices, vectorise)
    for name, values in plain(tasks).items():
        np.testing.assert_allclose(mean[name], values.mean(0), rtol=1e-5, atol=1e-6)
        assert stack[name].shape == values.shape
        np.testing.assert_allclose(stack[name], values, rtol=1e-5, atol=1e-6)


def test_all_ways_agree():
    """One by one and vectorised, one device and two: to rounding."""
    for how in (mean_over_tasks, map_over_tasks):
        first, *others = (call(how, 5, *way) for way in WAYS)
        for other in others:
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), first, other)


def test_more_tasks_than_are_vectorised_at_once():
    stack = call(map_over_tasks, 131, 2, True, lambda arrays, task: task)
    assert stack.tolist() == list(range(131))


def test_a_mesh_has_all_devices_unless_told_otherwise():
    assert device_mesh().size == jax.device_count()
    assert device_mesh(1).size == 1


def test_replicating_keeps_what_is_no_array():
    tree = replicate({"x": jnp.arange(3), "name": "a", "none": None}, device_mesh(2))
    assert (tree["x"].tolist(), tree["name"], tree["none"]) == ([0, 1, 2], "a", None)
    assert len(tree["x"].devices()) == 2


def test_padding_tasks_have_no_part_in_the_mean_even_where_they_are_not_numbers():
    def first_three(arrays, task):
        return {"float": jnp.where(task < 3, 1.0, jnp.nan), "whole": task}

    mean = call(mean_over_tasks, 3, 2, False, first_three)
    assert mean["float"] == 1
    assert mean["whole"] == 1


@pytest.mark.parametrize("devices", [0, 1000])
def test_devices_that_are_not_there_are_refused(devices):
    with pytest.raises(NopalError, match=f"{devices} devices were asked for; expected 1 to"):
        device_mesh(devices)
