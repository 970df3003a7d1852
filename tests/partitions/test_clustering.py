"""Partitions by k-means: the scaling, and the acceptance rule with its bounded retries."""

import json

import jax
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.numerics.kmeans import KMeans, fit_kmeans
from nopal.partitions import clustering, from_kmeans

Z = np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32)
KEY = jax.random.key(0)


@pytest.fixture
def pretend(monkeypatch):
    """k-means that notes its scales and hands out prepared assignments, call by call."""

    def prepare(*answers):
        calls, rest = [], iter(answers)

        def fit(z, scales, clusters, *, key, repeats, watch):
            calls.append((scales, key))
            watch(len(scales))
            return KMeans(np.asarray(next(rest), np.int32), None, None, None)

        monkeypatch.setattr(clustering, "fit_kmeans", fit)
        return calls

    return prepare


def test_the_first_partition_is_unscaled_and_the_others_are_scaled_uniformly(pretend):
    calls = pretend(np.zeros((400, 120)))
    from_kmeans(Z, clusters=2, partitions=400, key=KEY)
    scales = calls[0][0]
    assert (scales[0] == 1).all()
    assert ((scales[1:] >= 0) & (scales[1:] < 1)).all()
    in_tenths = np.histogram(scales[1:], bins=10, range=(0, 1))[0]
    expected = 399 * 8 / 10
    assert ((in_tenths - expected) ** 2 / expected).sum() < 27.9  # chi-square, 9 degrees of freedom, p = 0.001
    assert np.abs(np.corrcoef(scales[1:].T) - np.eye(8)).max() < 0.2


def test_unscaled_partitions_differ_by_their_seeds(pretend):
    calls = pretend(np.zeros((3, 120)))
    from_kmeans(Z, clusters=2, partitions=3, scaled=False, key=KEY)
    assert (calls[0][0] == 1).all()


def test_partitions_are_those_of_kmeans():
    parts = from_kmeans(Z, clusters=5, partitions=3, key=KEY)
    again = from_kmeans(Z, clusters=5, partitions=3, key=KEY)
    assert (parts.assignments == again.assignments).all()
    assert (
        (parts.assignments != from_kmeans(Z, clusters=5, partitions=3, key=jax.random.key(1)).assignments).any(1).all()
    )
    first = fit_kmeans(Z, np.ones((3, 8)), 5, key=jax.random.split(jax.random.fold_in(KEY, 0))[1])
    assert (parts.assignments[0] == first.assignments[0]).all()
    assert parts.sizes.sum(1).tolist() == [120, 120, 120]
    assert parts.label is None
    assert json.loads(parts.made) | {"how": "k-means", "clusters": 5, "scaled": True} == json.loads(parts.made)


GOOD, POOR = np.arange(120) % 4, np.minimum(np.arange(120), 3)  # 30 members each; 1, 1, 1 and 117


def test_only_refused_partitions_are_drawn_again_with_another_key(pretend):
    calls, seen = pretend([POOR, GOOD, POOR], [GOOD, POOR], [GOOD]), []
    watch = lambda done, total: seen.append((done, total))  # noqa: E731
    parts = from_kmeans(Z, clusters=4, partitions=3, min_members=30, min_kept=0.75, key=KEY, watch=watch)
    assert seen == [(3, 3), (5, 5), (6, 6)]
    assert (parts.assignments == GOOD).all()
    assert [len(scales) for scales, _ in calls] == [3, 2, 1]
    assert (calls[1][0][0] == 1).all()
    assert not (calls[2][0] == 1).any()
    assert len({tuple(np.asarray(jax.random.key_data(key)).tolist()) for _, key in calls}) == 3


def test_as_many_clusters_as_the_share_are_not_more_than_the_share(pretend):
    three = np.where(GOOD == 3, np.arange(120) % 3, GOOD)
    calls = pretend([three], [GOOD])
    from_kmeans(Z, clusters=4, partitions=1, min_members=30, min_kept=0.75, key=KEY)
    assert len(calls) == 2


def test_partitions_that_are_never_accepted_are_refused_after_the_retries(pretend):
    calls = pretend(*[[POOR, GOOD]], *[[POOR]] * 2)
    with pytest.raises(NopalError, match=r"After 2 retries 1 of 2 .* at most 1 of 4 have at least 2 .* more than 3"):
        from_kmeans(Z, clusters=4, partitions=2, min_members=2, min_kept=0.75, retries=2, key=KEY)
    assert len(calls) == 3


def test_what_can_never_be_accepted_is_refused_before_clustering(pretend):
    """More than 3 of 4 clusters, and so all, need 31 of 120 vectors each."""
    calls = pretend([GOOD])
    with pytest.raises(NopalError, match="More than 3 of 4 clusters shall have 31 members, but there are only 120"):
        from_kmeans(Z, clusters=4, partitions=1, min_members=31, min_kept=0.75, key=KEY)
    assert not calls


def test_without_a_share_everything_is_accepted(pretend):
    calls = pretend([POOR])
    from_kmeans(Z, clusters=4, partitions=1, min_members=1000, key=KEY)
    assert len(calls) == 1


def test_no_partitions_are_refused():
    with pytest.raises(NopalError, match="0 partitions by 1 repeats were asked for"):
        from_kmeans(Z, clusters=4, partitions=0, key=KEY)
    with pytest.raises(NopalError, match="121 clusters were asked for"):
        from_kmeans(Z, clusters=121, partitions=1, key=KEY)


def test_vectors_in_a_file_are_streamed_where_they_are_many(tmp_path, monkeypatch):
    np.save(tmp_path / "z.npy", Z)
    whole = from_kmeans(Z, clusters=5, partitions=2, key=KEY)
    monkeypatch.setattr(clustering, "fit_kmeans", None)
    assert (from_kmeans(Z, clusters=5, partitions=2, rows_at_once=50, key=KEY).assignments == whole.assignments).all()
    monkeypatch.setattr(clustering, "IN_MEMORY", 100)
    mapped = np.load(tmp_path / "z.npy", mmap_mode="r")
    assert (from_kmeans(mapped, clusters=5, partitions=2, key=KEY).assignments == whole.assignments).all()
