"""Partitions by hyperplanes: cells by hand, the margin, the bounded redraws, and the same sampler."""

import json

import jax
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.partitions import from_hyperplanes, hyperplanes
from nopal.tasks import Classification

KEY = jax.random.key(0)
PLAIN = np.zeros(6, np.float32), 1.0
Z = 2 * np.random.default_rng(0).normal(size=(2000, 6)).astype(np.float32)


def test_cells_are_binary_numbers_of_sides() -> None:
    sides = np.array([[1, 1, 0, 0, -1], [-1, 0, 0, 0, 1], [1, 0, 1, 0, 1]], np.int8)
    assert hyperplanes._cells(sides, np.array([0, 2])).tolist() == [3, 2, 1, 0, -1]
    assert hyperplanes._cells(sides, np.array([2, 1, 0])).tolist() == [-1, 1, 4, 0, -1]


def test_every_cell_is_an_intersection_of_half_spaces() -> None:
    margin = 0.3
    sides = hyperplanes._splits(Z, 20, margin, 0.8, 60, 5, np.random.default_rng(1), PLAIN)
    normals, points = np.random.default_rng(1).uniform(-1, 1, (2, 20, 6))
    for split, (normal, point) in enumerate(zip(normals, 0.8 * points)):
        signed = (Z - point) @ (normal / np.linalg.norm(normal))
        clear = abs(abs(signed) - margin) > 1e-5
        assert (sides[split] == np.where(abs(signed) >= margin, signed > 0, -1))[clear].all()


def test_in_units_of_the_spread_neither_scale_nor_place_matter() -> None:
    z = Z.astype(np.float64)
    mean, spread = hyperplanes.mean_and_spread(300 + 50 * z)
    np.testing.assert_allclose(mean, 300 + 50 * z.mean(0), rtol=1e-6)
    assert spread == pytest.approx(50 * np.sqrt(z.var(0).mean()))
    choices = {"way": 5, "partitions": 3, "margin": 0.3, "splits": 30, "key": KEY}
    expected = from_hyperplanes((z - z.mean(0)) / np.sqrt(z.var(0).mean()), **choices)
    found = from_hyperplanes(300 + 50 * z, **choices, unit="spread")
    assert (found.assignments != expected.assignments).mean() < 1e-3
    assert json.loads(found.made)["unit"] == "spread"
    with pytest.raises(NopalError, match="hyperplanes have fewer than 60 of the 2000 vectors"):
        from_hyperplanes(300 + 50 * z, **choices, retries=0)
    with pytest.raises(NopalError, match="All 120 vectors are the same and have no spread"):
        from_hyperplanes(np.ones((120, 2)), unit="spread", key=KEY)


def test_partitions_have_way_cells_and_leave_the_margin_out() -> None:
    parts = from_hyperplanes(Z, way=5, partitions=7, margin=0.3, splits=30, key=KEY)
    assert parts.sizes.shape == (7, 8)
    assert ((parts.sizes >= 6).sum(1) >= 5).all()
    assert (parts.sizes.sum(1) < 2000).all()
    assert len({row.tobytes() for row in parts.assignments}) == 7
    assert parts.sizes.sum() < from_hyperplanes(Z, way=5, partitions=7, splits=30, key=KEY).sizes.sum() == 7 * 2000
    again = from_hyperplanes(Z, way=5, partitions=7, margin=0.3, splits=30, key=KEY)
    assert (again.assignments == parts.assignments).all()
    other = from_hyperplanes(Z, way=5, partitions=7, margin=0.3, splits=30, key=jax.random.key(1))
    assert (other.assignments != parts.assignments).any(1).all()
    assert json.loads(parts.made)["margin"] == 0.3


def test_the_sampler_is_the_same() -> None:
    parts = from_hyperplanes(Z, way=5, partitions=2, margin=0.3, splits=10, key=KEY)
    tasks = Classification(Z, parts, way=5, shot=1, query=5)
    rows = np.asarray(tasks.draw(KEY))
    cells = parts.assignments[:, rows]
    assert any((cells[p] == cells[p][:, :1]).all() and len(set(cells[p][:, 0])) == 5 for p in range(2))


@pytest.mark.parametrize(("way", "cells"), [(2, 2), (4, 4), (5, 8), (20, 32)])
def test_number_of_hyperplanes(way: int, cells: int) -> None:
    z = np.random.default_rng(0).normal(size=(3000, 6))
    assert from_hyperplanes(z, way=way, partitions=1, splits=8, min_members=2, key=KEY).sizes.shape == (1, cells)


def test_hyperplanes_at_a_point_or_through_the_origin() -> None:
    ball = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    through = from_hyperplanes(ball, way=2, partitions=20, reach=0.0, splits=20, key=KEY).sizes
    beside = from_hyperplanes(ball, way=2, partitions=20, reach=0.9, splits=20, key=KEY).sizes
    assert abs(np.asarray(through) - 1000).max() < 200 < abs(np.asarray(beside) - 1000).max()


def test_hyperplanes_beside_all_vectors_are_drawn_again() -> None:
    sides = hyperplanes._splits(Z, 50, 0.0, 30.0, 60, 1000, np.random.default_rng(0), PLAIN)
    assert set(np.unique(sides)) == {0, 1}
    assert (np.minimum((sides == 1).sum(1), (sides == 0).sum(1)) >= 60).all()
    first = hyperplanes._splits(Z, 50, 0.0, 30.0, 0, 0, np.random.default_rng(0), PLAIN)
    assert np.minimum((first == 1).sum(1), (first == 0).sum(1)).min() < 60


def test_rows_within_the_margin_count_on_neither_side() -> None:
    """Of a line from -50 to 50, a margin of 40 leaves 11 on each side of a plane through 0."""
    z = np.arange(-50.0, 51.0)[:, None].astype(np.float32)
    scale = np.zeros(1, np.float32), 1.0
    sides = hyperplanes._splits(z, 3, 40.0, 0.0, 11, 0, np.random.default_rng(0), scale)
    assert ((sides == 1).sum(1) == 11).all()
    assert ((sides == 0).sum(1) == 11).all()
    with pytest.raises(NopalError, match="have fewer than 12 of the 101 vectors"):
        hyperplanes._splits(z, 3, 40.0, 0.0, 12, 0, np.random.default_rng(0), scale)


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"margin": 50.0}, r"hyperplanes have fewer than 60 of the 2000 vectors .* a margin of 50; half .* lower the"),
        ({"way": 32, "min_members": 40, "splits": 5}, r"at most \d+ cells with 40 of the 2000 vectors, expected 32"),
        ({"min_members": 101}, "There are 2000 vectors, but each side of a hyperplane needs 1010"),
        ({"way": 1}, "The way is 1"),
        ({"splits": 2}, "2 hyperplanes were asked for; 5 cells need at least 3"),
        ({"margin": -1.0}, "The margin is -1.0"),
        ({"margin": float("nan")}, "The margin is nan"),
    ],
)
def test_refused(choices: dict, sentence: str) -> None:
    with pytest.raises(NopalError, match=sentence):
        from_hyperplanes(Z, **{"way": 5, "partitions": 2, "splits": 10, "retries": 3} | choices, key=KEY)


def test_vectors_that_are_not_finite_are_named() -> None:
    z = Z.copy()
    z[1234, 2] = np.nan
    with pytest.raises(NopalError, match="Vector 1234"):
        from_hyperplanes(z, key=KEY)
