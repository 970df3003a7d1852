"""From a folder or zip file of CAD models to one file of images with their angles."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nopal.data.poses.arrays import PoseSet
from nopal.data.poses.meshes import FORMATS, PLACE, SYMMETRIC, find_models
from nopal.data.poses.rendering import Rendered, Work, load_rendered, render_models
from nopal.data.poses.scene import SceneOptions
from nopal.data.poses.split import divide
from nopal.errors import NopalError

Split = Literal["auto", "pascal3d", "seeded"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was rendered, sentences about models that could not be, and the class folders without models."""

    poses: PoseSet
    problems: tuple[str, ...]
    empty: tuple[str, ...]


def render_poses(
    root: str | Path,
    out: str | Path,
    *,
    options: SceneOptions = SceneOptions(),
    views: int = 100,
    seed: int = 0,
    drop: Sequence[str] = SYMMETRIC,
    formats: Sequence[str] = FORMATS,
    split: Split = "auto",
    processes: int = 0,
    watch: Callable[[int, Rendered | None], Any] = lambda total, rendered: None,
) -> Outcome:
    """Render `views` images of every model below `root` (see `find_models`) and write them to the `.npz` file `out`.

    Each finished object is a file in the folder `out` + ".partial" until all are done, so that the same call goes on
    after an interruption; where models had problems the folder stays, so that only they are drawn when they have been
    repaired. `watch` is called with the number of all objects: once before, with None, and after each with what became
    of it. Images depend on the seed and the objects alone. Several processes (0: one for each core) are started by
    spawn: a program must ask for them behind `if __name__ == "__main__"`. Raises `NopalError` for bad input, where no
    model can be drawn, and where something cannot be written.
    """
    out = Path(out).expanduser()
    models, empty = find_models(root, drop=drop, formats=formats)
    folder = out.with_name(out.name + ".partial")
    rendered: dict[str, Rendered] = {}
    watch(len(models), None)
    try:
        with contextlib.closing(render_models(models, Work(options, views, seed, folder), processes)) as results:
            for result in results:
                rendered[result.name] = result
                watch(len(models), result)
    except NopalError as error:
        stays = f" What was rendered stays in {folder}: the same command goes on from there." if rendered else ""
        raise NopalError(f"{error}{stays}") from None
    problems = tuple(rendered[model.name].problem for model in models if rendered[model.name].problem)
    files = {model.name: file for model in models if (file := rendered[model.name].file)}
    if not files:
        raise NopalError(f"None of the {len(models)} models in {root} can be rendered. {problems[0]}")
    import mujoco

    made = {
        "source": Path(root).name,
        "views": views,
        "seed": seed,
        "options": dataclasses.asdict(options),
        "mujoco": mujoco.__version__,
        "problems": list(problems),
    }
    objects = [load_rendered(file) for file in files.values()]
    names = tuple(files)
    parts, held_back = divide(names, split)
    angles = np.stack([arrays["angles"] for arrays in objects])
    poses = PoseSet(
        np.stack([arrays["images"] for arrays in objects]),
        angles,
        np.full_like(angles, PLACE[0]),
        np.full_like(angles, PLACE[1]),
        names,
        tuple(parts),
        np.array(held_back, bool),
        np.stack([arrays["quaternions"] for arrays in objects]) if options.rotation == "all" else None,
        made,
    )
    poses.save(out)
    if not problems:
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(poses, problems, tuple(empty))
