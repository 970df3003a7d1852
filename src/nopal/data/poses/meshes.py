"""CAD models: where they lie, how they are read, and how large and where they stand in the scene."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from nopal.data.download import UNREADABLE
from nopal.errors import NopalError

FORMATS = (".off", ".stl", ".obj", ".ply")
SYMMETRIC = ("bottle", "train")
"""Classes that Yin et al. leave out: an object that looks the same from all sides has no angle."""
Centre = Literal["true", "published"]
Warp = Literal["free", "symmetric"]


class Mesh(NamedTuple):
    """Triangles with their corners."""

    vertices: Float[np.ndarray, "n 3"]
    faces: Int[np.ndarray, "m 3"]


@dataclasses.dataclass(frozen=True)
class Model:
    """One CAD model: `name` is "class/nn", `path` the file, or the zip file that holds it as `member`. A `variant`
    above 0 is the model in another shape, see `warp`."""

    name: str
    path: Path
    member: str | None = None
    variant: int = 0

    def read(self) -> bytes:
        """The file's bytes; raises `NopalError` where they cannot be read, and for a name that is not Unicode."""
        if self.name != (shown := printable(self.name)):
            raise NopalError(f"The model {shown} has a name that is not UTF-8; rename its file and folder.")
        try:
            if self.member is None:
                return self.path.read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(self.member)
        except (*UNREADABLE, KeyError) as error:
            raise NopalError(f"The model {self.name} can't be read ({error}); repair it or take it away.") from None

    def as_variant(self, number: int) -> Model:
        """The same model in another shape, with a name of its own: "class/nn~1"."""
        return dataclasses.replace(self, name=f"{self.name}~{number}", variant=number)

    @property
    def suffix(self) -> str:
        """The format: ".off", ".stl", ".obj" or ".ply"."""
        return PurePosixPath(self.member or self.path.name).suffix.lower()


class Found(NamedTuple):
    """Models, sorted by name; the class folders that have none; and how many models were left out by class."""

    models: list[Model]
    empty: list[str]
    dropped: dict[str, int]


def find_models(root: str | Path, *, drop: Sequence[str] = SYMMETRIC, formats: Sequence[str] = FORMATS) -> Found:
    """What lies in the class folders of a folder or a zip file.

    An object is named after the folder it lies in and its file: "car/01". Classes in `drop` and hidden files are passed
    over. Raises `NopalError` where `root` is neither folder nor zip file, where two files would be the same object,
    where a model lies in no class folder, where there is none at all, and for a class to drop that is not there, unless
    it is one of the default.
    """
    root = Path(root).expanduser()
    unknown = [ending for ending in formats if ending not in FORMATS]
    if unknown or not formats:
        raise NopalError(f"The formats are {list(formats)}; expected some of {', '.join(FORMATS)}.")
    files, folders = _contents(root)
    classes = {folder.name for folder in folders} | {file.parent.name for file in files}
    if absent := [name for name in drop if name not in classes and name not in SYMMETRIC]:
        raise NopalError(f"There is no class {absent[0]!r} in {root} to drop; expected some of {_some(classes)}.")
    found: dict[str, Model] = {}
    filled: set[PurePosixPath] = set()
    dropped: dict[str, int] = {}
    for file in sorted(files):
        if file.suffix.lower() not in formats:
            continue
        if len(file.parts) < 2:
            raise NopalError(f"{file} lies in no class folder of {root}; put every model into the folder of its class.")
        filled.update(file.parents)
        if file.parent.name in drop:
            dropped[file.parent.name] = dropped.get(file.parent.name, 0) + 1
            continue
        name = f"{file.parent.name}/{file.stem}"
        model = Model(name, root, files[file]) if root.is_file() else Model(name, root / file)
        if name in found:
            first = found[name].member or found[name].path.relative_to(root)
            raise NopalError(
                f"{first} and {file} in {root} would both be the object {name}; rename one, or choose the formats to "
                "read."
            )
        found[name] = model
    if not found:
        but = f" but those of {', '.join(sorted(dropped))}, which are left out" if dropped else ""
        raise NopalError(
            f"There is no model in {root}{but}; expected files that end in {', '.join(formats)} in class folders, such "
            "as car/01.off."
        )
    models = [found[name] for name in sorted(found)]
    return Found(models, sorted(printable(str(f)) for f in folders - filled if f.name not in drop), dropped)


def printable(name: str) -> str:
    """The name of a file, bytes that are not UTF-8 as numbers."""
    return name.encode(errors="backslashreplace").decode()


def _contents(root: Path) -> tuple[dict[PurePosixPath, str], set[PurePosixPath]]:
    """Paths of all files below `root` that aren't hidden, with their names there, and of the folders that hold no
    folder. In a zip file made under Windows folders may be divided by backslashes."""
    if root.is_dir():
        below = root.rglob("*")
        paths = [(PurePosixPath(path.relative_to(root).as_posix()), str(path), path.is_dir()) for path in below]
    elif root.is_file():
        try:
            with zipfile.ZipFile(root) as archive:
                names = archive.namelist()
        except UNREADABLE as error:
            raise NopalError(f"{root} is no folder, and no zip file that can be read ({error}).") from None
        paths = [(PurePosixPath(name.replace("\\", "/")), name, name.endswith(("/", "\\"))) for name in names]
    else:
        raise NopalError(f"There is no folder or zip file {root}; check the path.")
    seen = [entry for entry in paths if not any(part.startswith((".", "__MACOSX")) for part in entry[0].parts)]
    folders = {path for path, _, folder in seen if folder}
    return {path: name for path, name, folder in seen if not folder}, folders - {path.parent for path in folders}


def parse_mesh(content: bytes, suffix: str, name: str) -> Mesh:
    """The triangles of a file of the format `suffix` that holds the object `name`: equal vertices made one, those of no
    triangle and triangles without area left out.

    Raises `NopalError` for damaged and empty files.
    """
    import trimesh

    def bad(why: str) -> NopalError:
        return NopalError(f"The model {name} {why}; repair it or take it away.")

    try:
        read: Any = trimesh.load(
            io.BytesIO(content), file_type=suffix[1:], force="mesh", process=False, skip_materials=True
        )
        vertices = np.asarray(read.vertices, np.float64)
        faces = np.asarray(read.faces, np.int64)
        missing = _missing_lines(content, suffix)
    except Exception as error:  # trimesh raises whatever its parsers stumble over
        raise bad(f"is damaged ({type(error).__name__}: {_one_line(error)})") from None
    if missing > 0:
        cut = f"{missing} lines before what its header announces"
        raise bad(f"ends {'in the middle of a line' if suffix == '.obj' else cut}")
    if not len(faces):
        raise bad("has no triangle")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise bad(f"has a triangle of vertex {faces.max()}, but {len(vertices)} vertices")
    if not np.isfinite(vertices[faces]).all():
        raise bad("has a vertex that is not finite")
    vertices, faces = _merged(vertices, faces)
    farthest = np.abs(vertices).max()
    if not farthest < _FARTHEST:
        raise bad(f"reaches as far as {farthest:.3g}, while coordinates below {_FARTHEST:.0e} were expected")
    a, b, c = (vertices[faces[:, corner]] / (farthest or 1) for corner in range(3))
    solid = np.linalg.norm(np.cross(b - a, c - a), axis=1) > 0
    if not solid.any():
        raise bad("has no triangle with an area")
    return Mesh(*_used(vertices, faces[solid]))


def stand(mesh: Mesh, centre: Centre = "true") -> tuple[Mesh, Float[np.ndarray, "3"]]:
    """The mesh at the size it has in the scene of Yin et al., and where its origin then stands at angle 0.

    The longest side of its bounding box becomes 1.2, or 1.68 where it is at most 0.5 in the file. Whichever the centre,
    at angle 0 the middle of the box stands at x = 0.5, y = 0 and its bottom at z = -0.324. It turns about that middle
    where the centre is "true". In the published data the offset of the middle was not turned with the object, which
    therefore turns about the origin of its file: "published".
    """
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    longest = (high - low).max()
    scale = (1.2 if longest > 0.5 else 1.68) / longest
    foot = scale * np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    if centre == "published":
        return Mesh(scale * mesh.vertices, mesh.faces), PLACE - foot
    return Mesh(scale * mesh.vertices - foot, mesh.faces), PLACE


def warp(mesh: Mesh, strength: float, random: np.random.Generator, how: Warp = "free") -> Mesh:
    """The mesh bent along with its bounding box, whose corners move in each direction by up to `strength` of the box's
    side there: free-form deformation with a single cell (Sederberg and Parry, SIGGRAPH 1986). Below 0.5 opposite sides
    of the box never change places, and at 0.2 corners are practically never turned inside out (of random moves at 0.4
    about every eighth). `how` "symmetric" moves the corners of high x as a mirror shows those of low x to move, so
    that what is its own mirror image stays so."""
    low, side = mesh.vertices.min(axis=0), np.ptp(mesh.vertices, axis=0)
    place = (mesh.vertices - low) / np.where(side > 0, side, 1)
    x, y, z = np.moveaxis(np.stack([1 - place, place], axis=-1), 1, 0)
    moves = random.uniform(-strength, strength, (2, 2, 2, 3))
    if how == "symmetric":
        moves[1] = moves[0] * [-1, 1, 1]
    return Mesh(mesh.vertices + side * np.einsum("ni,nj,nk,ijkd->nd", x, y, z, moves, optimize=True), mesh.faces)


_FARTHEST = 1e30
"""Beyond, MuJoCo's single precision ends."""

PLACE = np.array([0.5, 0.0, -0.324])
"""Where the middle of an object's bottom stands."""


def _merged(
    vertices: Float[np.ndarray, "n 3"], faces: Int[np.ndarray, "m 3"]
) -> tuple[Float[np.ndarray, "k 3"], Int[np.ndarray, "m 3"]]:
    """Each vertex that a face has, once."""
    vertices, faces = _used(vertices, faces)
    unique, index = np.unique(vertices + 0.0, axis=0, return_inverse=True)  # -0 becomes 0
    return unique, index.ravel()[faces]


def _some(names: set[str]) -> str:
    shown = sorted(printable(name) for name in names if name)
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")


def _used(
    vertices: Float[np.ndarray, "n 3"], faces: Int[np.ndarray, "m 3"]
) -> tuple[Float[np.ndarray, "k 3"], Int[np.ndarray, "m 3"]]:
    """The vertices that a face has."""
    rows, index = np.unique(faces, return_inverse=True)
    return vertices[rows], index.reshape(faces.shape)


def _missing_lines(content: bytes, suffix: str) -> int:
    """How many lines a text file lacks of those that its header announces: parsers take what is there."""
    if suffix == ".ply" and b"format ascii" in content[:200]:
        header, _, body = content.partition(b"end_header")
        announced = sum(int(line.split()[2]) for line in header.splitlines() if line.startswith(b"element "))
        return announced - sum(1 for line in body.splitlines() if line.strip())
    if suffix == ".off":
        lines = [line for raw in content.splitlines() if (line := raw.partition(b"#")[0].split())]
        words = [word for line in lines[:3] for word in line]
        own_word = words[0].endswith(b"OFF")
        vertices, faces = map(int, words[1:3] if own_word else [words[0].rpartition(b"OFF")[2], words[1]])
        return vertices + faces - _items(lines, 4 if own_word else 3, vertices, faces)
    if suffix == ".obj" and not content.endswith(b"\n"):
        last = content.rpartition(b"\n")[2].split()
        return int(last[:1] in ([b"v"], [b"f"]) and len(last) < 4)
    return 0


def _items(lines: list[list[bytes]], header: int, vertices: int, faces: int) -> int:
    """How many of its vertices and faces an OFF file has, after the `header` words. Vertices may share a line; of each
    line that follows the parser takes one face, which has all of its vertices and maybe a colour."""
    found, left = 0, header + 3 * vertices
    for line in lines:
        rest, left = line[left:], max(left - len(line), 0)
        if rest and found < faces and len(rest) > int(rest[0]):
            found += 1
    return vertices - -(-left // 3) + found


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
