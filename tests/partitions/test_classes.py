"""Tasks that are mutually exclusive, or not, or in part: how often which classes meet, and what they are called."""

import itertools
import json
from collections import Counter

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.stats import chisquare

from nopal.errors import NopalError
from nopal.partitions import Partitions, from_classes
from nopal.tasks import Classification

ROWS_OF_A_CLASS, TASKS, TOO_UNLIKELY = 3, 1500, 1e-4
draws = eqx.filter_jit(lambda tasks, keys: jax.vmap(tasks.draw)(keys))


def drawn(exclusivity, classes=7, way=3):
    """Classes of the tasks by label [task, label]; an unlabelled row lies between any two classes."""
    labels = np.append(np.repeat(np.arange(classes), ROWS_OF_A_CLASS), -1)
    labels = np.random.default_rng(0).permutation(labels)
    parts = from_classes(labels, way=way, exclusivity=exclusivity, key=jax.random.key(1))
    tasks = Classification(np.zeros((len(labels), 1), np.float32), parts, way=way, shot=2, query=1)
    found = labels[np.asarray(draws(tasks, jax.random.split(jax.random.key(0), TASKS)))]
    assert (found == found[..., :1]).all()  # the examples of a class are all of that class
    return found[..., 0]


def counts(tasks):
    return Counter(map(tuple, tasks.tolist()))


def test_with_fixed_labels_a_class_keeps_its_label_and_meets_every_class_of_the_other_labels():
    found = drawn("fixed_labels")
    of_label = [set(found[:, label].tolist()) for label in range(3)]
    assert sorted(map(len, of_label)) == [2, 2, 3]
    assert set.union(*of_label) == set(range(7))  # and so no class bears two labels
    tasks = counts(found)
    assert set(tasks) == set(itertools.product(*of_label))
    assert chisquare(list(tasks.values())).pvalue > TOO_UNLIKELY


def test_fixed_tasks_are_disjoint_groups_in_one_order():
    tasks = counts(drawn("fixed_tasks"))
    assert len(tasks) == 2  # of seven classes one remains, which is left out
    assert len(set(itertools.chain(*tasks))) == 6
    assert chisquare(list(tasks.values())).pvalue > TOO_UNLIKELY


def test_intra_shuffle_gives_the_same_groups_in_every_order():
    groups = {tuple(sorted(task)) for task in counts(drawn("fixed_tasks"))}
    tasks = counts(drawn("intra_shuffle"))
    assert set(tasks) == {order for group in groups for order in itertools.permutations(group)}
    assert chisquare(list(tasks.values())).pvalue > TOO_UNLIKELY


def test_inter_shuffle_gives_any_classes_in_any_order():
    tasks = counts(drawn("inter_shuffle", classes=5))
    assert set(tasks) == set(itertools.permutations(range(5), 3))
    assert chisquare(list(tasks.values())).pvalue > TOO_UNLIKELY


@pytest.mark.parametrize(("classes", "way", "of_a_label"), [(1200, 20, [60] * 20), (64, 5, [12, 13, 13, 13, 13])])
def test_the_published_numbers_of_classes_for_a_label(classes, way, of_a_label):
    parts = from_classes(np.arange(classes), way=way, key=jax.random.key(0))
    assert sorted(np.bincount(parts.label[0]).tolist()) == of_a_label


def test_the_key_decides_and_is_written_down(tmp_path):
    a, b, c = (from_classes(np.arange(12), way=3, exclusivity="fixed_tasks", key=jax.random.key(k)) for k in (0, 0, 1))
    np.testing.assert_array_equal(a.members, b.members)
    assert (a.members != c.members).any()
    assert json.loads(a.made) == {"how": "classes", "way": 3, "exclusivity": "fixed_tasks", "key": [0, 0]}
    stored = Partitions.load(a.save(tmp_path / "parts"))
    np.testing.assert_array_equal(stored.label, [[0, 1, 2]] * 4)


def test_class_numbers_without_rows_are_no_classes():
    with pytest.raises(NopalError, match="3 labels are to be borne by 2 classes"):
        from_classes(np.array([0, 5, 5]), way=3, key=jax.random.key(0))
    assert from_classes(np.array([0, 5, 5]), way=2, key=jax.random.key(0)).label.tolist()[0].count(-1) == 4


@pytest.mark.parametrize("way", [1, 6])
def test_numbers_of_labels_that_make_no_tasks_are_refused(way):
    with pytest.raises(NopalError, match=f"{way} labels are to be borne by 5 classes; expected at least 2"):
        from_classes(np.arange(5), way=way, key=jax.random.key(0))
