"""Partitions from human labels whose tasks invite memorising, more or less."""

from __future__ import annotations

from typing import Literal

import jax
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from nopal.errors import NopalError, check_choice
from nopal.partitions.labels import from_labels
from nopal.partitions.partition import Partitions

Exclusivity = Literal["fixed_labels", "fixed_tasks", "intra_shuffle", "inter_shuffle"]


def from_classes(
    labels: Int[Array | np.ndarray, "n"],
    *,
    way: int,
    exclusivity: Exclusivity = "fixed_labels",
    key: PRNGKeyArray,
) -> Partitions:
    """Partitions whose tasks of `way` classes are mutually exclusive, or not, or in part.

    Tasks are mutually exclusive where no single function solves them all; else a meta-learner may memorise that
    function and ignore the support set. From one end to the other, `key` deciding which classes belong together:

    * `"fixed_labels"`: every class bears one label for ever, and a task draws one class for each label (Yin et al.
      2020, arXiv 1912.03820). All labels have as many classes, give or take one.
    * `"fixed_tasks"`: the classes are divided into groups of `way`, which are the tasks, and bear one label for ever
      (the non-mutually-exclusive setting of Rajendran, Irpan, Jang 2020, arXiv 2007.05549).
    * `"intra_shuffle"`: the same groups, with their classes labelled anew in every task (Rajendran et al.).
    * `"inter_shuffle"`: any classes, labelled anew in every task (Rajendran et al.): mutually exclusive, as is usual,
      and what `from_labels` gives.

    Groups leave out the classes that remain when `way` doesn't divide their number, as in the published code. Raises
    `NopalError` where there are fewer classes than labels.
    """
    check_choice("exclusivity", exclusivity, Exclusivity)
    everything = from_labels(labels)
    sizes = np.asarray(everything.sizes[0])
    classes = np.flatnonzero(sizes)
    if not 2 <= way <= len(classes):
        raise NopalError(
            f"{way} labels are to be borne by {len(classes)} classes; expected at least 2, and no more than classes."
        )
    if exclusivity == "inter_shuffle":
        return everything
    data = np.asarray(jax.random.key_data(key)).tolist()
    made = {"how": "classes", "way": way, "exclusivity": exclusivity, "key": data}
    shuffled = np.asarray(jax.random.permutation(key, classes))
    if exclusivity == "fixed_labels":
        borne = np.full((1, len(sizes)), -1)
        borne[0, shuffled] = np.arange(len(shuffled)) % way
        return Partitions.from_assignments(everything.assignments, len(sizes), made, borne)
    groups = shuffled[: len(shuffled) // way * way].reshape(-1, way)
    place = np.full((len(groups), len(sizes) + 1), -1)  # the last is that of rows without a class, -1
    np.put_along_axis(place, groups, np.arange(way)[None], axis=1)
    label = np.tile(np.arange(way), (len(groups), 1)) if exclusivity == "fixed_tasks" else None
    return Partitions.from_assignments(place[:, everything.assignments[0]], way, made, label)
