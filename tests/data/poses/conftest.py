"""Meshes with marks, and OpenGL where there is any."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from nopal.data.poses.meshes import Mesh
from nopal.data.poses.opengl import environment, find_backend
from nopal.errors import NopalError

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
SIDES = np.array(
    [
        *([0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]),
        *([2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]),
    ]
)


def boxes(*places: tuple[tuple[float, float, float], tuple[float, float, float]]) -> Mesh:
    """Boxes by their lowest corner and their size, normals outwards; eight vertices each, in their order."""
    vertices = np.concatenate([np.add(low, np.multiply(CORNERS, size)) for low, size in places])
    return Mesh(vertices, np.concatenate([SIDES + 8 * box for box in range(len(places))]))


def as_off(mesh: Mesh) -> bytes:
    """The mesh as an OFF file."""
    lines = [f"{len(mesh.vertices)} {len(mesh.faces)} 0"]
    lines += [" ".join(map(repr, map(float, vertex))) for vertex in mesh.vertices]
    lines += ["3 " + " ".join(map(str, face)) for face in mesh.faces]
    return ("OFF\n" + "\n".join(lines) + "\n").encode()


@pytest.fixture(scope="session")
def marked() -> Mesh:
    """Two boxes apart, a large and a small one, so that no turn but a whole one looks the same."""
    return boxes(((-2, -1, 5), (2, 1, 1.5)), ((3, 1, 5), (1, 0.6, 0.7)))


@pytest.fixture(scope="session")
def crumbs() -> Mesh:
    """Two tiny boxes, far apart."""
    return boxes(((0, 0, 0), (0.05, 0.05, 0.05)), ((6, 0, 0), (0.05, 0.05, 0.05)))


@pytest.fixture(scope="session")
def off() -> Callable[[Mesh], bytes]:
    """Turns a mesh into an OFF file."""
    return as_off


@pytest.fixture(scope="session")
def cad(marked: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four good models in three classes."""
    root = tmp_path_factory.mktemp("cad")
    models = {
        "mug/a.off": marked,
        "mug/b.off": boxes(((0, 0, 0), (3, 1, 1))),
        "hat/a.off": boxes(((0, 0, 0), (1, 2, 3)), ((0, 0, 3), (1, 1, 1))),
        "bottle/a.off": boxes(((0, 0, 0), (1, 1, 1))),
        "shoe/c.off": boxes(((0, 0, 0), (1, 3, 1))),
    }
    for name, mesh in models.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(as_off(mesh))
    return root


@pytest.fixture(scope="session")
def opengl() -> Iterator[str]:
    """The OpenGL that MuJoCo draws with, set up for this process; tests are skipped where there is none."""
    try:
        backend = find_backend()
    except NopalError as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(backend).items():
            patch.setitem(os.environ, name, value)
        yield backend
