"""CAD models are found, read in every format, cleaned and put in their place."""

from __future__ import annotations

import itertools
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nopal.data.poses.meshes import Mesh, Model, find_models, parse_mesh, stand, warp
from nopal.errors import NopalError

TETRAHEDRON = np.array([[0, 0, 0], [2, 0, 0], [0, 3, 0], [0, 0, 4.0]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def as_stl() -> bytes:
    triangles = b"".join(struct.pack("<12fH", 0, 0, 0, *TETRAHEDRON[face].ravel(), 0) for face in FACES)
    return bytes(80) + struct.pack("<I", 4) + triangles


def as_obj() -> bytes:
    vertices = [f"v {x} {y} {z}" for x, y, z in TETRAHEDRON]
    return "\n".join(vertices + [f"f {a} {b} {c}" for a, b, c in FACES + 1]).encode()


def as_ply() -> bytes:
    head = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    head += "element face 4\nproperty list uchar int vertex_indices\nend_header\n"
    rows = [f"{x} {y} {z}" for x, y, z in TETRAHEDRON] + [f"3 {a} {b} {c}" for a, b, c in FACES]
    return (head + "\n".join(rows) + "\n").encode()


def triangles(mesh: Mesh) -> set[tuple[tuple[float, ...], ...]]:
    """Corners of each face, from the smallest on, in the order of the face."""
    found = set()
    for face in mesh.vertices[mesh.faces].tolist():
        first = min(range(3), key=lambda corner: face[corner])
        found.add(tuple(tuple(face[(first + corner) % 3]) for corner in range(3)))
    return found


@pytest.mark.parametrize("suffix", [".off", ".stl", ".obj", ".ply"])
def test_every_format_gives_the_same_triangles(suffix: str, off: Callable[[Mesh], bytes]) -> None:
    mesh = Mesh(TETRAHEDRON, FACES)
    content = {".off": off(mesh), ".stl": as_stl(), ".obj": as_obj(), ".ply": as_ply()}[suffix]
    read = parse_mesh(content, suffix, "a/b")
    assert read.vertices.shape == (4, 3)
    assert triangles(read) == triangles(mesh)


def test_what_nobody_sees_is_left_out(off: Callable[[Mesh], bytes]) -> None:
    """A vertex of no triangle, a second copy of a vertex, and a triangle without area."""
    vertices = np.concatenate([TETRAHEDRON, [[99, 99, 99], [2, 0, 0], [50, 0, 0]]])
    faces = np.concatenate([FACES[:3], [[5, 2, 3]], [[0, 1, 6]]])
    read = parse_mesh(off(Mesh(vertices, faces)), ".off", "a/b")
    assert read.vertices.shape == (4, 3)
    assert triangles(read) == triangles(Mesh(TETRAHEDRON, FACES))


# Two of the four triangles of a tetrahedron, under headers that announce four.
CUT = b"0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n"
CORNERS = b"0 0 0\n1 0 0\n0 1 0\n1 1 0\n0 2 0\n1 2 0\n"
PLY = (
    b"ply\nformat ascii 1.0\nelement vertex %d\nproperty float x\nproperty float y\nproperty float z\n"
    b"element face %d\nproperty list uchar int vertex_indices\nend_header\n"
)


def test_faces_may_be_of_any_size_and_have_a_colour() -> None:
    for faces in (b"4 0 1 3 2\n4 2 3 5 4\n", b"4 0 1 3 2 255 0 0\n4 2 3 5 4 0.5 0.5 0.5\n"):
        assert len(parse_mesh(b"OFF\n6 2 0\n" + CORNERS + faces, ".off", "a/b").faces) == 4


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (b"OFF\n# a comment\n4 2 0\n\n" + CUT, ".off"),
        (b"OFF 4 2 0\n" + CUT, ".off"),
        (PLY % (4, 2) + CUT, ".ply"),
    ],
)
def test_a_file_with_all_that_its_header_announces_is_whole(content: bytes, suffix: str) -> None:
    assert len(parse_mesh(content, suffix, "a/b").faces) == 2


@pytest.mark.parametrize(
    ("content", "suffix", "said"),
    [
        (b"", ".off", "damaged"),
        (b"OFF\n3 1 0\n0 0 0\n1 0", ".off", "damaged"),
        (bytes(80) + struct.pack("<I", 900) + b"cut", ".stl", "damaged|no triangle"),
        (b"v 0 0 0\nv 1 0 0\n", ".obj", "damaged|no triangle"),
        (b"ply\nnothing", ".ply", "damaged"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 9\n", ".off", "vertex 9, but 3 vertices|damaged"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 nan 0\n3 0 1 2\n", ".off", "not finite"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n", ".off", "no triangle with an area"),
        (b"OFF\n0 0 0\n", ".off", "damaged|no triangle"),
        (b"OFF\n4 4 0\n" + CUT, ".off", "ends 2 lines before what its header announces"),
        (b"OFF 4 4 0\n" + CUT, ".off", "ends 2 lines before"),
        (b"OFF\n4 3 0\n" + CUT, ".off", "ends 1 lines before"),
        (b"OFF\n6 2 0\n" + CORNERS + b"4 0 1 3 2\n", ".off", "ends 1 lines before"),
        (b"OFF\n6 2 0\n" + CORNERS + b"4 0 1 3 2\n4 2 3 5\n", ".off", "ends 1 lines before|damaged"),
        (b"OFF\n6 2 0\n" + CORNERS + b"4 0 1 3 2 4 2 3 5 4\n", ".off", "ends 1 lines before"),  # one would be lost
        (PLY % (4, 4) + CUT, ".ply", "ends 2 lines before"),
        (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\nf 1 2", ".obj", "ends in the middle of a line"),
        (b"OFF\n3 1 0\n0 0 0\n1e308 0 0\n0 -1e308 0\n3 0 1 2\n", ".off", r"as far as 1e\+308, .* below 1e\+30"),
    ],
)
def test_bad_files_are_told_by_name(content: bytes, suffix: str, said: str) -> None:
    with pytest.raises(NopalError, match=rf"^The model car/07 .*({said}).*repair it or take it away\.$"):
        parse_mesh(content, suffix, "car/07")


def test_a_class_to_drop_that_is_not_there_is_refused(cad: Path) -> None:
    with pytest.raises(NopalError, match=r"There is no class 'mugg' in .* to drop; expected some of .*mug, shoe"):
        find_models(cad, drop=("mugg",))


def test_models_are_named_after_class_and_file_and_sorted(cad: Path, tmp_path: Path) -> None:
    models, empty, dropped = find_models(cad)
    assert [model.name for model in models] == ["hat/a", "mug/a", "mug/b", "shoe/c"]  # and no bottle
    assert empty == []
    assert dropped == {"bottle": 1}
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", cad.parent, cad.name))
    zipped, _, _ = find_models(packed, drop=("mug",))
    assert [model.name for model in zipped] == ["bottle/a", "hat/a", "shoe/c"]
    assert zipped[1].read() == models[0].read() == (cad / "hat/a.off").read_bytes()
    assert zipped[1].suffix == models[0].suffix == ".off"


def test_folders_of_a_zip_file_may_be_divided_by_backslashes(cad: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("cad\\mug\\a.off", (cad / "mug/a.off").read_bytes())
        archive.writestr("cad\\cup\\", b"")
    models, empty, _ = find_models(tmp_path / "a.zip")
    assert [model.name for model in models] == ["mug/a"]
    assert models[0].read() == (cad / "mug/a.off").read_bytes()
    assert empty == ["cad/cup"]


def test_class_folders_without_models_and_hidden_files(cad: Path, tmp_path: Path) -> None:
    root = shutil.copytree(cad, tmp_path / "cad")
    (root / "cup").mkdir()
    (root / "spoon").mkdir()
    (root / "spoon/readme.txt").write_text("none yet")
    (root / "mug/._a.off").write_bytes(b"what some systems leave behind")
    models, empty, _ = find_models(root)
    assert len(models) == 4
    assert empty == ["cup", "spoon"]


def test_two_files_of_one_object_are_refused_unless_one_is_of_another_format(cad: Path, tmp_path: Path) -> None:
    root = shutil.copytree(cad, tmp_path / "cad")
    (root / "mug/a.stl").write_bytes(as_stl())
    with pytest.raises(NopalError, match=r"mug/a\.off and mug/a\.stl in .* would both be the object mug/a"):
        find_models(root)
    assert len(find_models(root, formats=(".stl",))[0]) == 1


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["a.off"], "lies in no class folder"),
        (["mug/notes.txt"], "There is no model in"),
        (["bottle/a.off"], "There is no model in .* but those of bottle, which are left out"),
    ],
)
def test_folders_without_classes_of_models_are_refused(files: list[str], said: str, tmp_path: Path) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(NopalError, match=said):
        find_models(tmp_path)


def test_what_is_no_folder_and_no_zip_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NopalError, match="no folder or zip file"):
        find_models(tmp_path / "nowhere")
    (tmp_path / "broken.zip").write_bytes(b"PK but not really")
    with pytest.raises(NopalError, match="no zip file that can be read"):
        find_models(tmp_path / "broken.zip")
    with pytest.raises(NopalError, match=r"formats are \['.fbx'\]"):
        find_models(tmp_path, formats=(".fbx",))


def test_a_damaged_member_of_a_zip_file_is_told_by_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("mug/a.off", b"these bytes change")
    content = (tmp_path / "a.zip").read_bytes().replace(b"bytes change", b"BYTES CHANGE")
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(NopalError, match="The model mug/a can't be read"):
        Model("mug/a", tmp_path / "a.zip", "mug/a.off").read()


@pytest.mark.parametrize(("unit", "longest"), [(1.0, 1.2), (0.1, 1.68)])
def test_size_and_place_are_those_of_the_paper(unit: float, longest: float) -> None:
    """The longest side becomes 5 x 0.0012 x 200 = 1.2; where it is at most 0.5 in the file, 7 x 0.0012 x 200 = 1.68."""
    mesh = Mesh(unit * np.add(TETRAHEDRON, [10, 20, 30]), FACES)
    scale = longest / 4
    true, place = stand(mesh)
    np.testing.assert_allclose(true.vertices, scale * (TETRAHEDRON - [1, 1.5, 0]), atol=1e-12)
    np.testing.assert_allclose(place, [0.5, 0, -0.324])
    published, place = stand(mesh, "published")
    np.testing.assert_allclose(published.vertices, scale * np.add(TETRAHEDRON, [10, 20, 30]), atol=1e-12)
    np.testing.assert_allclose(place, [0.5 - scale * 11, -scale * 21.5, -0.324 - scale * 30])


def test_a_warped_mesh_follows_the_corners_of_its_box() -> None:
    """By hand: vertices in the corners move by what was drawn for them, one in the middle by the mean of all eight."""
    middle, side = np.array([2.0, 4, 7]), np.array([2.0, 4, 8])
    corners = np.array([middle + side * place for place in itertools.product((-0.5, 0.5), repeat=3)])
    moved = warp(Mesh(np.vstack([corners, middle]), FACES), 0.3, np.random.default_rng(5))
    moves = np.random.default_rng(5).uniform(-0.3, 0.3, (2, 2, 2, 3)).reshape(8, 3) * side
    np.testing.assert_allclose(moved.vertices, np.vstack([corners + moves, middle + moves.mean(axis=0)]))
    alike = warp(Mesh(corners, FACES), 0.3, np.random.default_rng(5), "symmetric")
    np.testing.assert_allclose(alike.vertices[:4], (corners + moves)[:4])
    np.testing.assert_allclose(alike.vertices[4:] - middle, (alike.vertices[:4] - middle) * [-1, 1, 1])
    flat = Mesh(corners * [1, 1, 0], FACES)
    assert not warp(flat, 0.3, np.random.default_rng(0)).vertices[:, 2].any()
