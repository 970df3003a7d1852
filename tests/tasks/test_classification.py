"""Classification tasks: what CACTUs' Algorithm 1 demands of every draw."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare

from nopal.errors import NopalError
from nopal.partitions import Partitions, from_labels
from nopal.tasks.classification import Classification

TOO_UNLIKELY = 1e-4
EPISODES = 3000
SIZES = [[3, 30, 5, 2, 4], [4, 0, 40, 3, 3]]
"""Cluster sizes of two partitions that share no row, so that a row tells partition and cluster."""


draw = eqx.filter_jit(lambda tasks, key: tasks.draw(key))
sample = eqx.filter_jit(lambda tasks, key: tasks.sample(key))
draws = eqx.filter_jit(lambda tasks, keys: jax.vmap(tasks.draw)(keys))


def two_partitions():
    """Clusters of very different sizes, their rows scattered; 2 and 0 are too small for three members a class."""
    n = sum(map(sum, SIZES))
    order = np.random.default_rng(0).permutation(n)
    assignments = np.full((2, n), -1)
    done = 0
    for p, sizes in enumerate(SIZES):
        for cluster, size in enumerate(sizes):
            assignments[p, order[done : done + size]] = cluster
            done += size
    return Partitions.from_assignments(assignments, 5), assignments


@pytest.fixture(scope="module")
def drawn():
    """Rows [episode, class, member], and each row's partition and cluster [episode, class, member]."""
    partitions, assignments = two_partitions()
    tasks = Classification(np.zeros((assignments.shape[1], 1), np.float32), partitions, way=3, shot=1, query=2)
    rows = np.asarray(draws(tasks, jax.random.split(jax.random.key(0), EPISODES)))
    partition = (assignments[1] >= 0).astype(int)
    return rows, partition[rows], assignments.max(0)[rows]


def test_support_and_query_share_no_row(drawn):
    rows, _, _ = drawn
    assert rows.shape == (EPISODES, 3, 3)
    assert all(len(set(task)) == 9 for task in rows.reshape(EPISODES, -1).tolist())


def test_a_task_comes_from_one_partition_and_a_class_from_one_cluster_of_its_own(drawn):
    _, partition, cluster = drawn
    assert (partition == partition[:, :1, :1]).all()
    assert (cluster == cluster[:, :, :1]).all()
    assert all(len(set(task)) == 3 for task in cluster[:, :, 0].tolist())


def test_partitions_are_uniform(drawn):
    _, partition, _ = drawn
    assert chisquare(np.bincount(partition[:, 0, 0], minlength=2)).pvalue > TOO_UNLIKELY


@pytest.mark.parametrize(("p", "large_enough"), [(0, [0, 1, 2, 4]), (1, [0, 2, 3, 4])])
def test_clusters_are_uniform_whatever_their_size_and_every_label_is_as_likely(drawn, p, large_enough):
    _, partition, cluster = drawn
    tasks = cluster[partition[:, 0, 0] == p][:, :, 0]
    table = np.stack([np.bincount(tasks[:, label], minlength=5) for label in range(3)])
    assert np.flatnonzero(table.sum(0)).tolist() == large_enough
    table = table[:, large_enough]
    assert chisquare(table.sum(0)).pvalue > TOO_UNLIKELY
    assert chi2_contingency(table).pvalue > TOO_UNLIKELY


def test_members_are_uniform_for_support_and_for_queries(drawn):
    rows, partition, cluster = drawn
    largest = (partition[:, :, 0] == 1) & (cluster[:, :, 0] == 2)
    for place in range(3):
        counts = np.bincount(rows[largest][:, place])
        assert chisquare(counts[counts > 0]).pvalue > TOO_UNLIKELY
        assert (counts > 0).sum() == 40


def test_an_episode_holds_the_rows_of_the_draw():
    partitions, assignments = two_partitions()
    n = assignments.shape[1]
    tasks = Classification(np.arange(n, dtype=np.float32)[:, None], partitions, way=3, shot=2, query=1)
    rows, episode = draw(tasks, jax.random.key(5)), sample(tasks, jax.random.key(5))
    rows, x = np.asarray(rows), np.asarray(episode.support.x)
    assert x[:, 0].tolist() == rows[:, :2].reshape(-1).tolist()
    assert np.asarray(episode.query.x)[:, 0].tolist() == rows[:, 2].tolist()
    assert episode.support.y.tolist() == [0, 0, 1, 1, 2, 2]
    assert episode.query.y.tolist() == [0, 1, 2]
    assert episode.target == tasks.target == episode.query.target
    assert tasks.target.way == 3


def test_one_key_gives_the_same_rows_for_images_and_vectors():
    partitions, assignments = two_partitions()
    n = assignments.shape[1]
    images = np.random.default_rng(0).integers(0, 256, (n, 4, 4, 1), np.uint8)
    of_images, of_vectors = (
        Classification(x, partitions, way=2, shot=1, query=2)
        for x in (images, images.reshape(n, -1).astype(np.float32) / 255)
    )
    assert of_images.x.dtype == jnp.uint8  # bytes stay bytes until they are drawn
    key = jax.random.key(3)
    a, b = sample(of_images, key), sample(of_vectors, key)
    np.testing.assert_allclose(np.reshape(a.support.x, (2, -1)), b.support.x, atol=1e-6)
    np.testing.assert_allclose(np.reshape(a.query.x, (4, -1)), b.query.x, atol=1e-6)


def test_keys_differ_and_so_do_tasks():
    tasks = Classification(
        np.zeros((40, 1), np.float32), from_labels(np.repeat(np.arange(8), 5)), way=4, shot=1, query=1
    )
    rows = np.asarray(draws(tasks, jax.random.split(jax.random.key(0), 100)))
    assert len(np.unique(rows.reshape(100, -1), axis=0)) > 95
    np.testing.assert_array_equal(rows[7], tasks.draw(jax.random.split(jax.random.key(0), 100)[7]))  # also uncompiled


def test_another_difficulty_of_the_same_data():
    tasks = Classification(
        np.zeros((40, 1), np.float32), from_labels(np.repeat(np.arange(8), 5)), way=4, shot=1, query=1
    )
    harder = tasks.at(way=8, query=3)
    assert (harder.way, harder.shot, harder.query) == (8, 1, 3)
    assert draw(harder, jax.random.key(0)).shape == (8, 4)
    with pytest.raises(NopalError, match="only 0 clusters with the 6 members that 5 shots and 1 queries need"):
        tasks.at(shot=5)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"way": 1}, "The way of a task is 1; expected at least 2"),
        ({"shot": 0}, "The shot of a task is 0; expected at least 1"),
        ({"query": 0}, "The query of a task is 0; expected at least 1"),
        ({"way": 5}, "only 4 clusters with the 3 members that 1 shots and 2 queries need, but 5-way"),
        ({"query": 4}, "only 1 clusters with the 5 members"),
    ],
)
def test_counts_that_the_data_cannot_serve_are_refused(counts, sentence):
    partitions, assignments = two_partitions()
    with pytest.raises(NopalError, match=sentence):
        Classification(np.zeros((assignments.shape[1], 1)), partitions, **({"way": 2, "shot": 1, "query": 2} | counts))


def test_partitions_of_other_data_are_refused():
    with pytest.raises(NopalError, match="divide 6 rows, but there are 5 images or vectors"):
        Classification(np.zeros((5, 1)), from_labels(np.array([0, 0, 0, 1, 1, 1])), way=2, shot=1, query=1)


def test_a_change_of_difficulty_is_checked_too():
    tasks = Classification(
        np.zeros((12, 1), np.float32), from_labels(np.repeat(np.arange(4), 3)), way=2, shot=1, query=1
    )
    with pytest.raises(NopalError, match="shot of a task is 0"):
        tasks.at(shot=0)


def fixed_labels(labels):
    """Four clusters of three rows each, that bear these labels."""
    parts = from_labels(np.repeat(np.arange(4), 3))
    return Partitions(parts.members, parts.starts, jnp.array([labels], jnp.int32))


def test_clusters_that_bear_labels_keep_them_and_are_drawn_equally_often():
    tasks = Classification(
        np.arange(12.0, dtype=np.float32)[:, None], fixed_labels([0, 1, 0, 1]), way=2, shot=1, query=1
    )
    rows = jax.vmap(tasks.draw)(jax.random.split(jax.random.key(0), 400))
    clusters = np.asarray(rows)[:, :, 0] // 3
    assert (clusters % 2 == [0, 1]).all()
    assert 150 < (clusters[:, 0] == 2).sum() < 250
    assert 150 < (clusters[:, 1] == 3).sum() < 250


def test_a_label_that_no_cluster_bears_is_refused():
    with pytest.raises(NopalError, match="bears label 1"):
        Classification(np.zeros((12, 1), np.float32), fixed_labels([0, 0, 2, 2]), way=3, shot=1, query=1)
