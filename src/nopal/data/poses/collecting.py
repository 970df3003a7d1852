"""From a folder or zip file of CAD models to one file of images with their angles."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nopal.data.poses.arrays import PoseSet
from nopal.data.poses.meshes import FORMATS, PLACE, SYMMETRIC, Model, Warp, find_models
from nopal.data.poses.rendering import Rendered, Work, clear, load_rendered, render_models
from nopal.data.poses.scene import SceneOptions
from nopal.data.poses.split import divide
from nopal.errors import NopalError
from nopal.memory import physical_memory

Split = Literal["auto", "pascal3d", "seeded"]
TOLD = 20
"""Problems that a sentence names, where there is nothing but problems."""


@dataclasses.dataclass(frozen=True)
class RenderOptions:
    """Which models are drawn, and how often."""

    views: int = 100
    """images of each object"""
    seed: int = 0
    """of the angles"""
    drop: tuple[str, ...] = SYMMETRIC
    """classes to leave out; by default those whose objects look the same from all sides"""
    formats: tuple[str, ...] = FORMATS
    """endings of the files to read"""
    split: Split = "auto"
    """pascal3d for the list committed with the code, seeded for one by shuffled names, auto for the list where it
    fits"""
    variants: int = 0
    """further shapes of each object for meta-training, which are warped at random and count as objects; none are made
    of objects that are held back or for the test"""
    strength: float = 0.2
    """how far the corners of a warped object's box move, as a share of its sides; below 0.5"""
    warp: Warp = "free"
    """free: every corner moves by itself; symmetric: left and right alike, which keeps objects their own mirror
    images"""

    def check(self) -> None:
        """Raises `NopalError` for numbers that make no objects."""
        if self.views < 1 or self.seed < 0 or self.variants < 0:
            raise NopalError(
                f"{self.views} views and {self.variants} variants with the seed {self.seed} are asked for; expected at "
                "least 1 view, 0 variants and the seed 0."
            )
        if not 0 < self.strength < 0.5:
            raise NopalError(f"The strength of warping is {self.strength}; expected a number above 0 and below 0.5.")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was rendered, sentences about models that could not be, the class folders without models, and how many were
    left out by class."""

    poses: PoseSet
    problems: tuple[str, ...]
    empty: tuple[str, ...]
    dropped: dict[str, int]


def render_poses(
    root: str | Path,
    out: str | Path,
    options: RenderOptions = RenderOptions(),
    scene: SceneOptions = SceneOptions(),
    *,
    processes: int = 0,
    watch: Callable[[int, Rendered | None], Any] = lambda total, rendered: None,
    partial: Path | None = None,
    told: Mapping[str, Any] | None = None,
) -> Outcome:
    """Render images of every model below `root` (see `find_models`) and write them to the `.npz` file `out`.

    Each finished object is a file in the folder `out` + ".partial" until all are done, so that the same call goes on
    after an interruption; where models had problems the folder stays, so that only they are drawn when they have been
    repaired. If another folder is named as `partial`, it stays in any case. The split is one of all models, so that it
    doesn't change when some are repaired. `watch` is called with the number of all objects known so far: once before,
    with None, and after each with what became of it; variants are known when the models have been drawn. What else the
    file is to say of its making is `told`. Images depend on the seed, the objects and the OpenGL alone. Several
    processes (0: one for each core) are started by spawn: a program must ask for them behind `if __name__ ==
    "__main__"`. Raises `NopalError` for bad input, where no model can be drawn, for more images than fit into the
    memory, and where something cannot be written.
    """
    options.check()
    out = Path(out).expanduser()
    models, empty, dropped = find_models(root, drop=options.drop, formats=options.formats)
    scene.check()
    _check_memory(len(models), options, scene)
    folder = partial or partial_beside(out)
    work = Work(scene, options.views, options.seed, folder, options.strength, options.warp)
    rendered: dict[str, Rendered] = {}

    def draw(models: Sequence[Model]) -> tuple[str, ...]:
        """Names of those that could be drawn."""
        total = len(rendered) + len(models)
        watch(total, None)
        try:
            with contextlib.closing(render_models(models, work, processes)) as results:
                for result in results:
                    rendered[result.name] = result
                    watch(total, result)
        except NopalError as error:
            raise NopalError(f"{error} {_stays(folder)}" if rendered else str(error)) from None
        return tuple(model.name for model in models if rendered[model.name].file)

    found = [model.name for model in models]
    parts = dict(zip(found, zip(*divide(found, options.split))))
    names = draw(models)
    if not names:
        reasons = " ".join(rendered[name].problem for name in found[:TOLD])
        more = f" And {len(found) - TOLD} more." if len(found) > TOLD else ""
        raise NopalError(f"None of the {len(found)} models in {root} can be rendered. {reasons}{more}")
    variants = [
        model.as_variant(number)
        for model in models
        for number in range(1, options.variants + 1)
        if model.name in names and parts[model.name] == ("train", False)
    ]
    for model in variants:
        if model.name in rendered:
            raise NopalError(f"{model.name} in {root} is named like a variant; rename it, or render without variants.")
    if variants:
        warped = draw(variants)
        parts |= dict.fromkeys(warped, ("train", False))
        names += warped
    problems = tuple(result.problem for name in sorted(rendered) if (result := rendered[name]).problem)
    import mujoco

    made = {
        "source": Path(root).name,
        "views": options.views,
        "seed": options.seed,
        "options": dataclasses.asdict(scene),
        "mujoco": mujoco.__version__,
        "problems": list(problems),
        **(told or {}),
    }
    if variants:
        made |= {"variants": options.variants, "strength": options.strength}
        made |= {"warp": options.warp} if options.warp != "free" else {}
    poses = _joined({name: file for name in names if (file := rendered[name].file)}, parts, made)
    try:
        poses.save(out)
    except NopalError as error:
        raise NopalError(f"{error} {_stays(folder)}") from None
    if not (problems or partial):
        clear(folder)
    return Outcome(poses, problems, tuple(empty), dropped)


def _check_memory(models: int, options: RenderOptions, scene: SceneOptions) -> None:
    objects = models * (1 + options.variants)
    needed = objects * options.views * scene.size**2 * (3 if scene.color else 1)
    there = physical_memory()
    if there and needed > there:
        raise NopalError(
            f"{options.views:,} views of up to {objects:,} objects take {needed / 2**30:,.0f} GiB, and this machine "
            f"has {there / 2**30:,.0f} GiB of memory; ask for fewer or smaller ones."
        )


def partial_beside(out: Path) -> Path:
    """The folder of finished objects while others are yet to be drawn."""
    return out.with_name(out.name + ".partial")


def _stays(folder: Path) -> str:
    return f"What was rendered stays in {folder}: the same command goes on from there."


def _joined(files: dict[str, Path], parts: dict[str, tuple[str, bool]], made: dict[str, Any]) -> PoseSet:
    """The objects of these files, with their part and whether they are held back."""
    objects = [load_rendered(file) for file in files.values()]
    angles = np.stack([arrays["angles"] for arrays in objects])
    split, held_back = zip(*(parts[name] for name in files))
    return PoseSet(
        np.stack([arrays["images"] for arrays in objects]),
        angles,
        np.full_like(angles, PLACE[0]),
        np.full_like(angles, PLACE[1]),
        tuple(files),
        split,
        np.array(held_back, bool),
        np.stack([arrays["quaternions"] for arrays in objects]) if made["options"]["rotation"] == "all" else None,
        made,
    )
