"""Draws without replacement: distinct, in range, uniform over ordered outcomes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from nopal.tasks.sampling import draw_without_replacement

TOO_UNLIKELY = 1e-4


def many(draws, population, times, seed=0):
    """`times` draws, one a row; the population is a traced number, as in a compiled sampler."""
    keys = jax.random.split(jax.random.key(seed), times)
    return np.asarray(
        jax.jit(jax.vmap(lambda k, n: draw_without_replacement(k, draws, n), (0, None)))(keys, population)
    )


@pytest.mark.parametrize(("draws", "population"), [(1, 1), (1, 7), (2, 5), (3, 4), (4, 4), (5, 5)])
def test_every_ordered_outcome_is_equally_likely(draws, population):
    outcomes = list(itertools.permutations(range(population), draws))
    drawn = many(draws, population, 40 * len(outcomes))
    counts = {outcome: 0 for outcome in outcomes}
    for row in drawn.tolist():
        counts[tuple(row)] += 1  # a KeyError is a repeated number, or one out of range
    if len(outcomes) > 1:
        assert chisquare(list(counts.values())).pvalue > TOO_UNLIKELY


@pytest.mark.parametrize(("draws", "population"), [(20, 20), (20, 21), (20, 1100), (30, 100_000)])
def test_numbers_are_distinct_and_below_the_population(draws, population):
    drawn = many(draws, population, 200)
    assert drawn.min() >= 0
    assert drawn.max() < population
    assert all(len(set(row)) == draws for row in drawn.tolist())


@pytest.mark.parametrize("population", [20, 23])
def test_each_place_of_a_long_draw_is_uniform(population):
    drawn = many(20, population, 2000)
    for place in (0, 10, 19):
        assert chisquare(np.bincount(drawn[:, place], minlength=population)).pvalue > TOO_UNLIKELY


def test_populations_may_differ_inside_one_program():
    keys = jax.random.split(jax.random.key(0), 3)
    together = jax.vmap(lambda k, n: draw_without_replacement(k, 3, n))(keys, jnp.array([3, 5, 1000]))
    alone = [draw_without_replacement(k, 3, n) for k, n in zip(keys, (3, 5, 1000))]
    np.testing.assert_array_equal(together, alone)
    assert sorted(together[0].tolist()) == [0, 1, 2]
