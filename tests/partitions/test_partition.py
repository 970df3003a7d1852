"""Ragged partitions: what they hold, the cleaning of CACTUs, and their file."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import normalized_mutual_info_score

from nopal.errors import NopalError
from nopal.partitions import Partitions, concatenate, summarise

ASSIGNMENTS = np.array([[2, 0, 2, -1, 0, 2], [1, 1, 1, 1, 1, 0]])


@pytest.fixture
def parts():
    return Partitions.from_assignments(ASSIGNMENTS, 3, {"how": "by hand"})


def test_members_are_sorted_by_cluster_and_rows_left_out_come_last(parts):
    assert parts.members.tolist() == [[1, 4, 0, 2, 5, 3], [5, 0, 1, 2, 3, 4]]
    assert parts.starts.tolist() == [[0, 2, 2, 5], [0, 1, 6, 6]]
    assert parts.sizes.tolist() == [[2, 0, 3], [1, 5, 0]]
    assert parts.rows == 6


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.integers(-1, 4)))
def test_assignments_come_back(assignments):
    assert (Partitions.from_assignments(assignments, 5).assignments == assignments).all()


@pytest.mark.parametrize("value", [-2, 3])
def test_an_unknown_cluster_is_refused(value):
    with pytest.raises(NopalError, match=f"An assignment is {value}; expected a cluster from 0 to 2"):
        Partitions.from_assignments(np.array([[0, value]]), 3)


def test_eligible_clusters_come_first_in_stable_order_also_when_compiled(parts):
    order, count = jax.jit(lambda p: p.eligible(2))(parts)
    assert order.tolist() == [[0, 2, 1], [1, 0, 2]]
    assert count.tolist() == [2, 1]
    assert parts.eligible(6)[1].tolist() == [0, 0]


def test_other_row_counts_are_refused(parts):
    parts.check_rows(6)
    with pytest.raises(NopalError, match="divide 6 rows, but there are 7 images"):
        parts.check_rows(7)


@pytest.mark.parametrize("label", [None, jnp.array([[1, 0, 1], [0, 1, 0]], jnp.int32)])
def test_a_saved_file_is_the_same_partitions(parts, label, tmp_path):
    parts = Partitions(parts.members, parts.starts, label, parts.made)
    path = parts.save(tmp_path / "new" / "parts")
    loaded = Partitions.load(path)
    assert path.name == "parts.npz"
    assert jax.tree.structure(loaded) == jax.tree.structure(parts)
    assert all((a == b).all() for a, b in zip(jax.tree.leaves(loaded), jax.tree.leaves(parts)))
    assert json.loads(loaded.made) == {"how": "by hand"}
    assert [p.name for p in path.parent.iterdir()] == ["parts.npz"]


def write(path, **changed):
    arrays = {
        "kind": "nopal partitions 1",
        "made": "{}",
        "members": np.array([[1, 0, 2]], np.int32),
        "starts": np.array([[0, 2, 3]], np.int32),
    }
    np.savez(path, **{name: a for name, a in (arrays | changed).items() if a is not None})
    return path


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"kind": "nopal encoder 1"}, "holds 'nopal encoder 1' where 'nopal partitions 1' was expected"),
        ({"kind": None}, "damaged or was not written by Nopal"),
        ({"made": "{"}, "damaged or was not written by Nopal"),
        ({"members": np.array([None])}, "damaged or was not written by Nopal"),
        ({"starts": None}, "arrays are .*'members'.* where members and starts were expected"),
        ({"members": np.zeros((1, 3))}, "members has type float64"),
        ({"starts": np.zeros((2, 3), np.int32)}, r"the shapes \(1, 3\) of members and \(2, 3\) of starts"),
        ({"label": np.zeros((1, 3), np.int32)}, r"\(1, 3\) of label don't fit"),
        ({"members": np.array([[1, 1, 2]], np.int32)}, "not a permutation"),
        ({"starts": np.array([[0, 2, 4]], np.int32)}, "does not ascend from 0 to at most 3"),
        ({"starts": np.array([[0, 2, 1]], np.int32)}, "does not ascend"),
    ],
)
def test_a_wrong_file_is_refused_in_a_sentence(changed, sentence, tmp_path):
    with pytest.raises(NopalError, match=sentence):
        Partitions.load(write(tmp_path / "wrong.npz", **changed))


def test_a_truncated_or_absent_file_is_refused(parts, tmp_path):
    path = parts.save(tmp_path / "parts.npz")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(NopalError, match=r"parts\.npz is damaged"):
        Partitions.load(path)
    with pytest.raises(NopalError, match="There is no file"):
        Partitions.load(tmp_path / "other.npz")


def test_an_unwritable_place_is_refused(parts, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NopalError, match="cannot be written"):
        parts.save(tmp_path / "file" / "parts.npz")


def test_concatenation_keeps_every_partition_and_fills_up_with_empty_clusters(parts):
    both = concatenate([parts, Partitions.from_assignments(np.array([[0, 1, 2, 3, 3, -1]]), 4)])
    assert both.sizes.tolist() == [[2, 0, 3, 0], [1, 5, 0, 0], [1, 1, 1, 2]]
    assert (both.assignments == [*ASSIGNMENTS.tolist(), [0, 1, 2, 3, 3, -1]]).all()
    assert json.loads(both.made) == {"concatenated": [{"how": "by hand"}, {}]}


def test_concatenated_labels_are_minus_one_for_added_clusters(parts):
    labelled = Partitions(parts.members, parts.starts, jnp.ones((2, 3), jnp.int32))
    wider = Partitions.from_assignments(np.array([[0, 1, 2, 3, 3, -1]]), 4)
    wider = Partitions(wider.members, wider.starts, jnp.array([[0, 1, 0, 1]], jnp.int32))
    assert concatenate([labelled, wider]).label.tolist() == [[1, 1, 1, -1], [1, 1, 1, -1], [0, 1, 0, 1]]


def test_what_does_not_fit_together_is_not_concatenated(parts):
    labelled = Partitions(parts.members, parts.starts, jnp.ones((2, 3), jnp.int32))
    with pytest.raises(NopalError, match="concatenate only partitions of one kind"):
        concatenate([parts, labelled])
    with pytest.raises(NopalError, match="Some partitions divide 1 rows and some 6"):
        concatenate([parts, Partitions.from_assignments(np.array([[0]]), 1)])
    with pytest.raises(NopalError, match="at least one"):
        concatenate([])


def test_summary_counts_only_clusters_that_are_kept(parts):
    first, second = summarise(parts)
    assert (first.clusters, first.rows, first.smallest, first.median, first.largest) == (2, 5, 2, 2.5, 3)
    assert (first.purity, first.nmi) == (None, None)
    assert (second.clusters, second.rows, second.smallest) == (2, 6, 1)
    assert summarise(parts, min_members=3)[0].rows == 3
    assert summarise(parts, min_members=7, labels=np.zeros(6, np.int32))[0].clusters == 0


def test_purity_by_hand(parts):
    # Clusters {1, 4} and {0, 2, 5} have classes (0, 1) and (2, 2, 0): 1 + 2 of 5 rows are of the commonest class.
    assert summarise(parts, labels=np.array([2, 0, 2, 9, 1, 0]))[0].purity == pytest.approx(3 / 5)


def test_mutual_information_agrees_with_scikit_learn():
    random = np.random.default_rng(0)
    assignments, labels = random.integers(0, 7, (3, 200)), random.integers(0, 5, 200)
    assignments[1] = labels
    expected = [normalized_mutual_info_score(labels, row) for row in assignments]
    found = [s.nmi for s in summarise(Partitions.from_assignments(assignments, 7), labels=labels)]
    assert found == pytest.approx(expected)
    assert found[1] == pytest.approx(1)
    assert summarise(Partitions.from_assignments(np.zeros((1, 4), int), 1), labels=np.zeros(4, int))[0].nmi == 1
