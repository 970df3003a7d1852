"""Functions over tasks: the same numbers however they are shared among devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.mapping import (
    AT_ONCE,
    bytes_written,
    device_mesh,
    map_over_tasks,
    mean_over_tasks,
    replicate,
    share_examples,
)

ARRAYS = (jnp.array([0.5, -1.0, 2.0]), jax.random.key(4))
WAYS = [(1, 1), (1, None), (1, 2), (2, 1), (2, 3)]

pytestmark = pytest.mark.skipif(jax.device_count() < 2, reason="needs two devices; conftest makes them of CPU cores")


@pytest.fixture(autouse=True)
def even_little_work_is_shared_out(monkeypatch):
    monkeypatch.setattr("nopal.mapping.MEETING", 0)


def work(arrays, task):
    x, key = arrays
    return {"wave": jnp.sin(x * (1.0 + task)), "noise": jax.random.normal(jax.random.fold_in(key, task))}


def plain(tasks):
    """Every task in a Python loop."""
    results = [work(ARRAYS, jnp.asarray(task)) for task in range(tasks)]
    return {name: np.stack([result[name] for result in results]) for name in results[0]}


def call(how, tasks, devices, at_once, function=work):
    mesh = device_mesh(devices)
    return jax.jit(lambda arrays: how(function, arrays, tasks, mesh, at_once))(replicate(ARRAYS, mesh))


@pytest.mark.parametrize(("devices", "at_once"), WAYS)
@pytest.mark.parametrize("tasks", [1, 4])
def test_means_and_stacks_are_those_of_a_plain_loop(tasks, devices, at_once):
    mean = call(mean_over_tasks, tasks, devices, at_once)
    stack = call(map_over_tasks, tasks, devices, at_once)
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


def test_more_tasks_than_are_taken_at_once():
    stack = call(map_over_tasks, 131, 2, 64, lambda arrays, task: task)
    assert stack.tolist() == list(range(131))


def three_together(at_once):
    """Whether three tasks of six are taken together, each of which writes more than a cache holds."""
    return str(jax.make_jaxpr(lambda: call(map_over_tasks, 6, 1, at_once, much))()).count("f32[3,1024,1024]") > 0


def much(arrays, task):
    return jnp.zeros((1024, 1024)) + task


def test_the_environment_takes_the_place_of_the_default(monkeypatch):
    assert not three_together(None)
    monkeypatch.setenv(AT_ONCE, "3")
    assert three_together(None)
    assert not three_together(1)


@pytest.mark.parametrize("asked", ["0", "-1", "all", "1.5"])
def test_a_number_of_tasks_in_the_environment_that_makes_no_sense(monkeypatch, asked):
    monkeypatch.setenv(AT_ONCE, asked)
    with pytest.raises(NopalError, match=f"NOPAL_TASKS_AT_ONCE is '{asked}'; expected a whole number from 1 on"):
        call(map_over_tasks, 4, 1, None)


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

    mean = call(mean_over_tasks, 3, 2, 1, first_three)
    assert mean["float"] == 1
    assert mean["whole"] == 1


@pytest.mark.parametrize("devices", [0, 1000])
def test_devices_that_are_not_there_are_refused(devices):
    with pytest.raises(NopalError, match=f"{devices} devices were asked for; expected 1 to"):
        device_mesh(devices)


def test_sharing_out_examples_divides_what_it_can_and_changes_no_value():
    mesh = device_mesh(2)
    tree = {"even": jnp.arange(6.0).reshape(6, 1), "odd": jnp.arange(3), "scalar": jnp.asarray(2.0)}
    shared = jax.jit(lambda tree: share_examples(tree, mesh))(replicate(tree, mesh))
    jax.tree.map(np.testing.assert_array_equal, shared, tree)
    assert shared["even"].sharding.shard_shape((6, 1)) == (3, 1)
    assert shared["odd"].sharding.is_fully_replicated


def test_fewer_tasks_than_devices():
    mesh = device_mesh(2)
    mean = jax.jit(lambda arrays: mean_over_tasks(work, arrays, 1, mesh))(replicate(ARRAYS, mesh))
    np.testing.assert_allclose(mean["wave"], work(ARRAYS, 0)["wave"], rtol=1e-6)


def test_no_tasks_at_once_are_refused():
    with pytest.raises(NopalError, match="tasks taken at once are 0; expected at least 1"):
        map_over_tasks(work, ARRAYS, 4, device_mesh(1), at_once=0)


@pytest.mark.parametrize(("function", "expected"), [(lambda x: x @ x, 36), (lambda x: jax.jit(jnp.sin)(x) + 1, 72)])
def test_bytes_written_are_those_of_every_result(function, expected):
    assert bytes_written(jax.make_jaxpr(function)(jnp.ones((3, 3), jnp.float32)).jaxpr) == expected


def test_a_loop_counts_once():
    def loop(x):
        return jax.lax.scan(lambda c, _: (c * 2, None), x, None, length=7)[0]

    assert bytes_written(jax.make_jaxpr(loop)(jnp.ones(5, jnp.float32)).jaxpr) == 20


def test_little_work_is_done_by_every_device_alone(monkeypatch):
    """No sum over devices is left in the program, and the mean is the same."""
    mesh = device_mesh(2)
    arrays = replicate(ARRAYS, mesh)
    means = {}
    for meeting in (0, 2**24):
        monkeypatch.setattr("nopal.mapping.MEETING", meeting)
        program = jax.jit(lambda arrays: mean_over_tasks(work, arrays, 5, mesh, at_once=2))
        assert ("all-reduce" in program.lower(arrays).compile().as_text()) == (meeting == 0)
        means[meeting] = program(arrays)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), *means.values())
