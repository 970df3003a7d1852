"""The compiled loop: its chunks, its keys, its hooks, and going on as if never interrupted."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from nopal.errors import NopalError
from nopal.loop import run


class Walk(eqx.Module):
    """A noisy, non-linear walk: any difference in keys, order or arithmetic shows at once."""

    matrix: Array

    def __call__(self, state, key):
        noise = jax.random.normal(key, (3,))
        place = jnp.sin(self.matrix @ state["place"]) + noise
        return {"place": place, "count": state["count"] + 1, "name": state["name"]}, {"noise": noise[0]}


@pytest.fixture
def walk():
    return Walk(jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)), jnp.float32))


def beginning():
    return {"place": jnp.ones(3), "count": jnp.zeros((), jnp.int32), "name": "walker"}


def on_host(state):
    return jax.tree.map(np.array, eqx.filter(state, eqx.is_array))


def assert_identical(one, other):
    np.testing.assert_array_equal(one["place"], other["place"])
    assert one["count"] == other["count"]


def test_every_step_has_its_own_key_and_its_own_metrics(walk):
    seen = []
    key = jax.random.key(7)
    run(walk, beginning(), key, 8, chunk=5, hooks=[lambda moment: seen.extend(moment.metrics["noise"])])
    expected = [jax.random.normal(jax.random.fold_in(key, i), (3,))[0] for i in range(8)]
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


def test_a_step_follows_the_last_as_in_a_plain_loop(walk):
    state = plain = beginning()
    key = jax.random.key(1)
    for i in range(7):
        plain, _ = walk(plain, jax.random.fold_in(key, i))
    plain = on_host(plain)
    state = run(walk, state, key, 7, chunk=3)
    np.testing.assert_allclose(state["place"], plain["place"], rtol=1e-5)
    assert (state["count"], state["name"]) == (7, "walker")


@pytest.mark.parametrize(
    ("start", "steps", "ends", "lengths"),
    [
        (0, 12, [5, 10, 12], [5, 5, 2]),
        (3, 12, [5, 10, 12], [2, 5, 2]),
        (5, 10, [10], [5]),
        (0, 2, [2], [2]),
        (4, 4, [], []),
    ],
)
def test_chunks_end_at_multiples_and_at_the_end(walk, start, steps, ends, lengths):
    moments = []
    run(walk, beginning(), jax.random.key(0), steps, start=start, chunk=5, hooks=[moments.append])
    assert [moment.step for moment in moments] == ends
    assert [len(moment.metrics["noise"]) for moment in moments] == lengths


def test_no_steps_leave_the_state_as_it_is(walk):
    assert_identical(run(walk, beginning(), jax.random.key(0), 0), beginning())


def test_resumed_at_the_end_of_a_chunk_it_repeats_the_uninterrupted_run_bit_for_bit(walk):
    kept = {}
    key = jax.random.key(3)
    whole = run(walk, beginning(), key, 17, chunk=5, hooks=[lambda m: kept.update({m.step: on_host(m.state)})])
    for step in (5, 10, 15):
        state = {**jax.tree.map(jnp.asarray, kept[step]), "name": "walker"}
        assert_identical(run(walk, state, key, 17, start=step, chunk=5), whole)


def test_a_longer_run_begins_with_the_shorter_one(walk):
    kept = {}
    run(walk, beginning(), jax.random.key(3), 15, chunk=5, hooks=[lambda m: kept.update({m.step: on_host(m.state)})])
    assert_identical(run(walk, beginning(), jax.random.key(3), 10, chunk=5), kept[10])


def test_hooks_change_nothing_and_see_every_chunk_in_order(walk):
    order = []
    hooks = [lambda moment: order.append(("a", moment.step)), lambda moment: order.append(("b", moment.step))]
    watched = run(walk, beginning(), jax.random.key(0), 6, chunk=3, hooks=hooks)
    assert_identical(watched, run(walk, beginning(), jax.random.key(0), 6, chunk=3))
    assert order == [("a", 3), ("b", 3), ("a", 6), ("b", 6)]


def test_what_a_hook_sees_is_the_state_after_its_step(walk):
    counts = []
    run(
        walk,
        beginning(),
        jax.random.key(0),
        7,
        chunk=3,
        hooks=[lambda m: counts.append((m.step, int(m.state["count"])))],
    )
    assert counts == [(3, 3), (6, 6), (7, 7)]


def test_a_hook_that_raises_stops_the_run(walk):
    seen = []

    def stop(moment):
        seen.append(moment.step)
        if moment.step == 10:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        run(walk, beginning(), jax.random.key(0), 20, chunk=5, hooks=[stop, lambda moment: seen.append(-moment.step)])
    assert seen == [5, -5, 10]


def test_the_step_and_the_key_are_still_there_afterwards(walk):
    """Only the memory of the state is given away, even where it holds keys and matrices of the same shape as theirs."""
    key = jax.random.key(0)

    def step(state, key):
        return {"key": jax.random.fold_in(state["key"], 1), "matrix": walk.matrix + state["matrix"]}, {}

    run(step, {"key": jax.random.key(1), "matrix": jnp.zeros((3, 3))}, key, 20, chunk=5)
    assert jax.random.key_data(key).tolist() == [0, 0]
    assert jnp.isfinite(walk.matrix).all()


def test_a_chunk_without_steps_is_refused():
    with pytest.raises(NopalError, match="chunk is 0 steps"):
        run(lambda state, key: (state, {}), {"x": jnp.ones(1)}, jax.random.key(0), 3, chunk=0)
