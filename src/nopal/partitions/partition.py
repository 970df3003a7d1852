"""Several ways to divide the same rows into clusters, as ragged arrays that a compiled sampler can index."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int32

from nopal.archive import read_archive, write_archive
from nopal.errors import NopalError

KIND = "nopal partitions 1"


class Partitions(eqx.Module):
    """P partitions of n rows into at most k clusters each.

    Each row of `members` is a permutation of 0..n-1: cluster c of partition p holds the rows
    `members[p, starts[p, c] : starts[p, c + 1]]`, in ascending order, and rows from `starts[p, k]` on are left out.
    `label`, where present, fixes what cluster c is called in every task (non-mutually-exclusive tasks); without it
    clusters get fresh labels. `starts` has k + 1 edges. `made` is a JSON object that says how all this was made.

    The file of `save` holds `members`, `starts` and, where present, `label`, all int32 (see `nopal.archive`).
    """

    members: Int32[Array, "P n"]
    starts: Int32[Array, "P edges"]
    label: Int32[Array, "P k"] | None = None
    made: str = eqx.field(static=True, default="{}")

    @classmethod
    def from_assignments(
        cls,
        assignments: Int[Array | np.ndarray, "P n"],
        clusters: int,
        made: dict[str, Any] | None = None,
        label: Int[np.ndarray, "P k"] | None = None,
    ) -> Partitions:
        """Row i is in cluster `assignments[p, i]` of partition p, or left out where that is -1."""
        found = np.asarray(assignments)
        wrong = (found < -1) | (found >= clusters)
        if wrong.any():
            raise NopalError(
                f"An assignment is {found[wrong][0]}; expected a cluster from 0 to {clusters - 1}, or -1 for a row to "
                "leave out."
            )
        cluster = np.where(found < 0, clusters, found)
        sizes = np.array([np.bincount(row, minlength=clusters + 1)[:clusters] for row in cluster], np.int32)
        starts = np.pad(sizes.reshape(-1, clusters).cumsum(1), ((0, 0), (1, 0)))
        # Line by line, and in 16 bits where they suffice: NumPy sorts those by their digits, ten times as fast.
        digits = np.int16 if clusters < 2**15 else np.int32
        members = np.empty(cluster.shape, np.int32)
        for line, row in zip(members, cluster):
            line[:] = row.astype(digits).argsort(kind="stable")
        return cls(
            jnp.asarray(members),
            jnp.asarray(starts, jnp.int32),
            None if label is None else jnp.asarray(label, jnp.int32),
            json.dumps(made or {}),
        )

    @property
    def rows(self) -> int:
        """n, the number of rows that every partition divides."""
        return self.members.shape[1]

    @property
    def sizes(self) -> Int32[Array, "P k"]:
        """Number of members of every cluster."""
        return jnp.diff(self.starts)

    @property
    def assignments(self) -> Int32[np.ndarray, "P n"]:
        """The cluster of every row, -1 for rows that are left out: the inverse of `from_assignments`."""
        cluster = np.full(self.members.shape, -1, np.int32)
        for row, members, sizes in zip(cluster, np.asarray(self.members), np.asarray(self.sizes)):
            row[members[: sizes.sum()]] = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        return cluster

    def eligible(self, min_members: int) -> tuple[Int32[Array, "P k"], Int32[Array, "P"]]:
        """Cluster numbers, those with at least `min_members` members first (both parts ascend), and how many they are.

        This is the cleaning of CACTUs without rewriting data: a sampler draws from the first `count` entries.
        """
        ok = self.sizes >= min_members
        return jnp.argsort(~ok, axis=1, stable=True).astype(jnp.int32), ok.sum(1, dtype=jnp.int32)

    def check_rows(self, n: int) -> None:
        """Raises `NopalError` unless these are partitions of `n` rows."""
        if n != self.rows:
            raise NopalError(
                f"The partitions divide {self.rows} rows, but there are {n} images or vectors; give those that these "
                "partitions were made from."
            )

    def save(self, path: str | Path) -> Path:
        """Write one `.npz` (beside, then renamed); raises `NopalError` where that is impossible."""
        arrays = self.as_arrays()
        return write_archive(path, KIND, json.loads(str(arrays.pop("made"))), arrays)

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Everything by name, for another process or a file."""
        arrays = {"members": self.members, "starts": self.starts, "label": self.label, "made": np.array(self.made)}
        return {name: np.asarray(a) for name, a in arrays.items() if a is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Partitions:
        """The inverse of `as_arrays`."""
        parts = {name: jnp.asarray(a) for name, a in arrays.items() if name != "made"}
        return cls(**parts, made=str(arrays["made"]))

    @classmethod
    def load(cls, path: str | Path) -> Partitions:
        """Read what `save` wrote; raises `NopalError` where the file is absent, damaged or inconsistent."""
        made, arrays = read_archive(path, KIND)
        fault = _fault(arrays)
        if fault:
            raise NopalError(f"{path} is not a file of partitions, for {fault}; make it again with nopal partition.")
        return cls(**{name: jnp.asarray(a) for name, a in arrays.items()}, made=json.dumps(made))


def _fault(arrays: dict[str, np.ndarray]) -> str | None:
    """What keeps `arrays` from being partitions, if anything."""
    if not {"members", "starts"} <= set(arrays) <= {"members", "starts", "label"}:
        return f"its arrays are {sorted(arrays)} where members and starts were expected"
    for name, a in arrays.items():
        if a.dtype != np.int32 or a.ndim != 2:
            return f"{name} has type {a.dtype} and {a.ndim} axes where int32 and 2 were expected"
    members, starts = arrays["members"], arrays["starts"]
    (count, n), k = members.shape, starts.shape[1] - 1
    if len(starts) != count or ("label" in arrays and arrays["label"].shape != (count, k)):
        shapes = " and ".join(f"{a.shape} of {name}" for name, a in arrays.items())
        return f"the shapes {shapes} don't fit together"
    if (np.sort(members, axis=1) != np.arange(n)).any():
        return f"a row of members is not a permutation of 0..{n - 1}"
    if k < 1 or starts[:, 0].any() or (np.diff(starts) < 0).any() or (starts[:, -1] > n).any():
        return f"a row of starts does not ascend from 0 to at most {n}"
    return None


def concatenate(parts: Sequence[Partitions]) -> Partitions:
    """All partitions of `parts`, which divide the same rows, in order; where k differs, empty clusters fill up.

    Empty clusters so added have label -1. Raises `NopalError` where row counts differ or only some have labels.
    """
    if not parts:
        raise NopalError("There are no partitions to concatenate; give at least one.")
    rows = sorted({part.rows for part in parts})
    if len(rows) > 1:
        raise NopalError(f"Some partitions divide {rows[0]} rows and some {rows[-1]}; concatenate like with like.")
    if len({part.label is None for part in parts}) > 1:
        raise NopalError(
            "Some partitions have fixed labels and some have none; concatenate only partitions of one kind."
        )
    k = max(part.sizes.shape[1] for part in parts)
    gaps = [((0, 0), (0, k - part.sizes.shape[1])) for part in parts]
    starts = jnp.concatenate([jnp.pad(part.starts, gap, mode="edge") for part, gap in zip(parts, gaps)])
    labels = [jnp.pad(p.label, gap, constant_values=-1) for p, gap in zip(parts, gaps) if p.label is not None]
    return Partitions(
        jnp.concatenate([part.members for part in parts]),
        starts,
        jnp.concatenate(labels) if labels else None,
        json.dumps({"concatenated": [json.loads(part.made) for part in parts]}),
    )
