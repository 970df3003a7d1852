"""Objects drawn from many angles, by several processes, each object kept as soon as it is done."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from nopal.archive import read_archive, write_archive
from nopal.data.poses.meshes import Model, Warp, parse_mesh, warp
from nopal.data.poses.opengl import environment, find_backend
from nopal.data.poses.scene import SceneOptions, Stage
from nopal.errors import NopalError

_KIND = "nopal object 1"


@dataclasses.dataclass(frozen=True)
class Rendered:
    """What became of one object: its file, or why there is none; `kept` says that an earlier run had made the file."""

    name: str
    file: Path | None
    problem: str = ""
    kept: bool = False


@dataclasses.dataclass(frozen=True)
class Work:
    """Everything that decides the images of an object, and the folder for the files; `strength` is how far variants are
    warped, and `warp` how."""

    scene: SceneOptions
    views: int
    seed: int
    folder: Path
    strength: float = 0.0
    warp: Warp = "free"


def draw_rotations(
    name: str, views: int, seed: int, rotation: str = "z"
) -> tuple[Float32[np.ndarray, "views"], Float[np.ndarray, "views 4"]]:
    """Uniform angles about the vertical in [0, 2 pi), and rotations as unit quaternions (w, x, y, z), of one object.

    They depend on the seed and the object's name alone. For rotations of all kinds the angle is that of the twist about
    the vertical which they contain.
    """
    random = np.random.default_rng(_entropy(name, seed))
    if rotation == "z":
        angles = random.random(views, np.float32) * np.float32(2 * np.pi)  # always below 2 pi
        half, zero = angles.astype(np.float64) / 2, np.zeros(views)
        return angles, np.stack([np.cos(half), zero, zero, np.sin(half)], axis=1)
    quaternions = random.normal(size=(views, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    angles = np.mod(2 * np.arctan2(quaternions[:, 3], quaternions[:, 0]), 2 * np.pi).astype(np.float32)
    return angles % np.float32(2 * np.pi), quaternions


def _entropy(name: str, seed: int) -> list[int]:
    return [seed, *np.frombuffer(hashlib.sha256(name.encode()).digest(), np.uint32).tolist()]


def render_models(models: Sequence[Model], work: Work, processes: int = 0) -> Generator[Rendered]:
    """Draw every model, in any order; what lies in `work.folder` already is not drawn again.

    Images depend neither on the number of processes (0: one for each core) nor on interruptions. Where a mesh is bad,
    its `Rendered` says so and the others go on. One process is this one; several are started by spawn, which a program
    must ask for behind `if __name__ == "__main__"`. Raises `NopalError` where nothing can be drawn or written; what was
    drawn stays.
    """
    if processes < 0:
        raise NopalError(f"The number of processes is {processes}; expected at least 1, or 0 for one a core.")
    work.scene.check()
    backend = find_backend()
    processes = min(processes or _cores(), len(models))
    if processes == 1:
        with contextlib.closing(Painter(backend, work)) as painter:
            yield from map(painter.render, models)
        return
    unlucky: list[Model] = []
    with _pool(processes, backend, work) as pool:
        waiting = {pool.submit(_render, model): model for model in models}
        for done in as_completed(waiting):
            try:
                yield done.result()
            except BrokenProcessPool:
                unlucky.append(waiting[done])
    for model in unlucky:  # one of them ended a process; alone, it ends but its own
        with _pool(1, backend, work) as pool:
            try:
                yield pool.submit(_render, model).result()
            except BrokenProcessPool:
                yield Rendered(model.name, None, f"The model {model.name} ends MuJoCo; take it away.")


def load_rendered(file: Path) -> dict[str, np.ndarray]:
    """`images`, `angles` and `quaternions` of one object."""
    return read_archive(file, _KIND)[1]


class Painter:
    """Draws models one after another, in the process that made it."""

    def __init__(self, backend: str, work: Work):
        os.environ.update(environment(backend))
        self._backend, self._work = backend, work
        self._stage: Stage | None = None

    def render(self, model: Model) -> Rendered:
        """Draw a model, unless its file is there; raises `NopalError` where the file can't be written."""
        work = self._work
        try:
            content = model.read()
            file = work.folder / f"{_fingerprint(model, content, work, self._backend)}.npz"
            if _is_whole(file):
                return Rendered(model.name, file, kept=True)
            mesh = parse_mesh(content, model.suffix, model.name)
            if model.variant:
                random = np.random.default_rng([*_entropy(model.name, work.seed), 1])
                mesh = warp(mesh, work.strength, random, work.warp)
            self._stage = self._stage or Stage(work.scene, self._backend)
            angles, quaternions = draw_rotations(model.name, work.views, work.seed, work.scene.rotation)
            images = self._stage.draw(mesh, quaternions, model.name)
        except NopalError as error:
            return Rendered(model.name, None, str(error))
        except MemoryError:
            return Rendered(
                model.name, None, f"The model {model.name} takes more memory than there is; make it smaller."
            )
        arrays = {"images": images, "angles": angles, "quaternions": quaternions}
        write_archive(file, _KIND, {"name": model.name}, arrays)
        return Rendered(model.name, file)

    def close(self) -> None:
        """Free the OpenGL context."""
        if self._stage:
            self._stage.close()


@contextlib.contextmanager
def _pool(processes: int, backend: str, work: Work) -> Iterator[ProcessPoolExecutor]:
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, spawn, initializer=_begin, initargs=(backend, work))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


_painters: list[Painter] = []  # the one of a process that was started to draw


def _begin(backend: str, work: Work) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it, and lets this one finish
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _painters.append(Painter(backend, work))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _render(model: Model) -> Rendered:
    return _painters[0].render(model)


def clear(folder: Path) -> None:
    """Remove the objects in `folder`, also those of other options, and the folder where nothing else is in it."""
    for file in folder.glob("*.npz"):
        if re.fullmatch("[0-9a-f]{32}", file.stem):
            file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _fingerprint(model: Model, content: bytes, work: Work, backend: str) -> str:
    """Names what decides the images, so that a changed mesh or option is never taken for done, nor what another OpenGL
    drew."""
    import mujoco

    strength = work.strength if model.variant else 0.0
    warped = [work.warp] if model.variant and work.warp != "free" else []
    decisive = [_KIND, model.name, dataclasses.asdict(work.scene), work.views, work.seed, strength, mujoco.__version__]
    return hashlib.sha256(json.dumps([*decisive, backend, *warped]).encode() + content).hexdigest()[:32]


def _is_whole(file: Path) -> bool:
    try:
        return file.exists() and bool(load_rendered(file))
    except NopalError:
        return False


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
