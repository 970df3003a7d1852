"""Partitions by random hyperplanes with a margin: what CACTUs (Hsu, Levine & Finn, 2019) compares k-means with."""

from __future__ import annotations

from typing import Literal

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Int8, Int16, Int64, Key

from nopal.errors import NopalError
from nopal.partitions.partition import Partitions

ROWS = 8192  # vectors looked at together: 32 MiB of distances from a thousand hyperplanes
EACH_SIDE = 10  # a hyperplane needs so many times the members of a cluster on each of its sides
Unit = Literal["number", "spread"]


def from_hyperplanes(
    z: Float[Array | np.ndarray, "n d"],
    *,
    way: int = 5,
    partitions: int = 100,
    margin: float = 0.0,
    min_members: int = 6,
    reach: float = 0.8,
    unit: Unit = "number",
    splits: int = 1000,
    retries: int = 100,
    key: Key[Array, ""],
) -> Partitions:
    """`partitions` divisions of the rows of `z` into the 2^m cells between m = ceil(log2(way)) hyperplanes.

    `splits` hyperplanes are drawn: a normal from Uniform(-1, 1) in each dimension, scaled to length 1, at a point from
    Uniform(-reach, reach); `reach` 0 means through the origin, as published for whitened vectors. Each is drawn again
    until both its sides have `10 * min_members` rows, not counting those nearer than `margin`. A partition takes m of
    them, drawn again until at least `way` cells have `min_members` rows; rows within any margin are left out.
    Published: R shots and queries together as `min_members`, margin 1.2 and 2400 partitions on ACAI. It needs
    a byte for each row and split, beside the two of each row and partition.

    With the unit "spread" margin and reach are in units of the vectors' spread, the root of the mean variance of a
    dimension, and the points are about their mean: what suits one embedding then suits another of any scale.

    Raises `NopalError` where `retries` further draws are not enough, and for counts, margins and vectors that make no
    sense.
    """
    if way < 2 or partitions < 1 or min_members < 1:
        raise NopalError(
            f"The way is {way}, partitions are {partitions} and min_members {min_members}; expected at least 2, 1 and "
            "1."
        )
    cuts, n = (way - 1).bit_length(), len(z)
    if splits < cuts:
        raise NopalError(f"{splits} hyperplanes were asked for; {way} cells need at least {cuts}.")
    if not (margin >= 0 and reach >= 0):
        raise NopalError(f"The margin is {margin} and the reach {reach}; expected numbers from 0 on.")
    if n < 2 * EACH_SIDE * min_members:
        raise NopalError(
            f"There are {n} vectors, but each side of a hyperplane needs {EACH_SIDE * min_members}, {EACH_SIDE} times "
            "min_members; give more vectors or lower min_members."
        )
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    scale = mean_and_spread(z) if unit == "spread" else (np.zeros(z.shape[1], np.float32), 1.0)
    sides = _splits(z, splits, margin, reach, EACH_SIDE * min_members, retries, random, scale)
    assignments = np.empty((partitions, n), np.int16)
    for cells in assignments:
        most = 0
        for _ in range(retries + 1):
            cells[:] = _cells(sides, random.choice(splits, cuts, replace=False))
            kept = int((np.bincount(cells[cells >= 0], minlength=1) >= min_members).sum())
            most = max(most, kept)
            if kept >= way:
                break
        else:
            raise NopalError(
                f"After {retries} retries a partition has at most {most} cells with {min_members} of the {n} vectors, "
                f"expected {way}; lower the way (--clusters), min_members or the margin, which is {margin:g} (in a "
                "recipe, which fixes these: give another encoder)."
            )
    made = {
        "how": "hyperplanes",
        "way": way,
        "partitions": partitions,
        "margin": margin,
        "min_members": min_members,
        "reach": reach,
        "unit": unit,
        "splits": splits,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
    }
    return Partitions.from_assignments(assignments, 2**cuts, made)


def _splits(
    z: Float[Array | np.ndarray, "n d"],
    splits: int,
    margin: float,
    reach: float,
    least: int,
    retries: int,
    random: np.random.Generator,
    scale: tuple[Float32[np.ndarray, "d"], float],
) -> Int8[np.ndarray, "splits n"]:
    """The side of each hyperplane on which each row is: 1 above, 0 below, -1 within the margin; `scale` is where rows
    are measured from, and in what unit."""
    origin, unit = scale
    sides = np.empty((splits, len(z)), np.int8)
    todo = np.arange(splits)
    for _ in range(retries + 1):
        normals, points = random.uniform(-1, 1, (2, len(todo), z.shape[1])).astype(np.float32)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        offsets = reach * np.sum(points * normals, 1)
        high, low = np.zeros((2, len(todo)), int)
        for begin in range(0, len(z), ROWS):
            some = slice(begin, begin + ROWS)
            distance = normals @ ((np.asarray(z[some], np.float32) - origin) / unit).T - offsets[:, None]
            if not np.isfinite(distance).all():
                bad = begin + np.flatnonzero(~np.isfinite(distance).all(0))[0]
                raise NopalError(f"Vector {bad} (counted from 0) is NaN or infinite; leave such vectors out.")
            above, outside = distance > 0, abs(distance) >= margin
            high += np.count_nonzero(above & outside, axis=1)
            low += np.count_nonzero(outside & ~above, axis=1)
            sides[todo, some] = np.where(outside, above, np.int8(-1))
        typical = np.median(abs(distance))
        todo = todo[(high < least) | (low < least)]
        if not len(todo):
            return sides
    raise NopalError(
        f"After {retries} retries {len(todo)} of {splits} hyperplanes have fewer than {least} of the {len(z)} vectors "
        f"on one side, outside a margin of {margin:g}; half of the vectors lie nearer than {typical:.2g} to a "
        "hyperplane: lower the margin, reach or min_members (in a recipe, which fixes these: give another encoder)."
    )


def mean_and_spread(z: Float[Array | np.ndarray, "n d"]) -> tuple[Float32[np.ndarray, "d"], float]:
    """The mean, and the root of the mean variance of a dimension; raises `NopalError` where all rows are the same."""
    total, squares = np.zeros((2, z.shape[1]))
    first = np.asarray(z[0], float)  # about which the sums lose no digits
    for begin in range(0, len(z), ROWS):
        rows = np.asarray(z[begin : begin + ROWS], float) - first
        total += rows.sum(0)
        squares += (rows**2).sum(0)
    mean = total / len(z)
    spread = float(np.sqrt(np.maximum(squares / len(z) - mean**2, 0).mean()))
    if spread == 0:
        raise NopalError(f"All {len(z)} vectors are the same and have no spread to measure by; give others.")
    return (first + mean).astype(np.float32), spread


def _cells(sides: Int8[np.ndarray, "splits n"], chosen: Int64[np.ndarray, "m"]) -> Int16[np.ndarray, "n"]:
    """The cell of each row, whose binary digits are its sides; -1 within any margin."""
    cell = np.zeros(sides.shape[1], np.int16)
    kept = np.ones(sides.shape[1], bool)
    for split in chosen:
        cell += cell + (sides[split] > 0)
        kept &= sides[split] >= 0
    return np.where(kept, cell, np.int16(-1))
