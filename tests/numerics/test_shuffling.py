"""Shuffled sequences: each number once, and no order more likely than another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from nopal.numerics.shuffling import epoch_rows, shuffled


@pytest.mark.parametrize("n", [1, 2, 3, 10, 49, 50, 997])
def test_each_number_comes_once(n):
    found = jax.jit(shuffled, static_argnums=2)(jax.random.key(n), jnp.arange(n), n)
    np.testing.assert_array_equal(np.sort(found), np.arange(n))


def test_places_can_be_asked_for_one_by_one():
    key = jax.random.key(0)
    whole = shuffled(key, jnp.arange(30), 30)
    np.testing.assert_array_equal(shuffled(key, jnp.array([17, 3]), 30), whole[jnp.array([17, 3])])


def test_neighbours_are_scattered():
    """Over many keys, every pair of numbers is as likely to stand at places 0 and 1 as any other."""
    draw = jax.jit(jax.vmap(lambda key: shuffled(key, jnp.arange(2), 7)))
    pairs = np.asarray(draw(jax.random.split(jax.random.key(0), 21_000)))
    count = np.bincount(7 * pairs[:, 0] + pairs[:, 1], minlength=49).reshape(7, 7)
    assert (np.diag(count) == 0).all()
    off = count[~np.eye(7, dtype=bool)]
    assert abs(off / 500 - 1).max() < 0.35
    large = np.asarray(shuffled(jax.random.key(1), jnp.arange(22_000), 22_000))
    assert abs(stats.pearsonr(large[:-1], large[1:]).statistic) < 0.03
    assert stats.kstest((large[1:] - large[:-1]) % 22_000, stats.uniform(0, 22_000).cdf).pvalue > 1e-4


@pytest.mark.parametrize(("images", "batch"), [(30, 8), (32, 8), (5, 8)])
def test_an_epoch_takes_each_image_once(images, batch):
    steps = max(images // batch, 1)
    take = jax.jit(epoch_rows, static_argnums=(2, 3))
    epochs = [
        [take(jax.random.key(0), jnp.asarray(e * steps + i), images, batch) for i in range(steps)] for e in (0, 1)
    ]
    one, two = (np.concatenate(rows) for rows in epochs)
    for rows in (one, two):
        count = np.bincount(rows, minlength=images)
        assert count.sum() == steps * batch
        assert count.max() - count.min() <= 1
    assert (one != two).any()
