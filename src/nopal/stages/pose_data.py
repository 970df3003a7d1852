"""Where the poses of the recipes come from: a file, or CAD models that are rendered once."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from nopal.data.download import cache_folder, data_folder
from nopal.data.poses.arrays import PoseSet, load_poses, tables_of
from nopal.data.poses.collecting import RenderOptions, partial_beside, render_poses
from nopal.data.poses.meshes import Warp, find_models
from nopal.data.poses.pickles import write_pickle
from nopal.data.poses.rendering import Rendered, clear
from nopal.data.poses.scene import SceneOptions
from nopal.data.poses.split import pascal3d
from nopal.errors import NopalError
from nopal.loop import Moment
from nopal.report import evenly, pose_sheet, write_picture
from nopal.runs import Progress, Stopped, check_named
from nopal.terminal import say

FILES = ("poses.npz", "train_data_ins.pkl", "train_data.pkl")
MODELS = "pascal3d_cad.zip"
MODELS_AT_LEAST = 61
"""So many of the committed list can be had; the recipes of poses are about them."""
PICKLES = ("train_data.pkl", "val_data.pkl")
"""Of the original code: objects for meta-training, and for the test."""
SHOWN = 100
"""Objects of a contact sheet."""


def find_poses(file: Path | None = None, variants: int = 0, warp: Warp = "free") -> PoseSet:
    """The poses of `file`, with so many `variants` of objects for meta-training, made by that `warp`; by default those
    of the data folder: of a file that has as many, else of CAD models. These, of which `file` may also be a folder or a
    zip file, are rendered and kept in the cache folder. Raises `NopalError` where there is neither, and for a file with
    fewer variants."""
    folder, lacking = data_folder(), None
    if file and (file.expanduser().is_dir() or file.suffix.lower() == ".zip"):
        return load_poses(_rendered(file, variants, warp))
    for path in [file] if file else [folder / name for name in FILES if (folder / name).is_file()]:
        poses = load_poses(path)
        fitting = poses.variants if poses.warp == warp or not variants else 0
        if fitting >= variants:
            return poses.with_variants(variants)
        lacking = lacking or (path, fitting)
    models = folder / MODELS
    if lacking and (file or not models.is_file()):
        raise NopalError(
            f"{lacking[0]} holds {lacking[1]} {warp} variants of an object for meta-training, but {variants} are asked "
            f"for; render it by `nopal poses render --variants {variants} --warp {warp}`."
        )
    if not models.is_file():
        raise NopalError(
            f"There is neither {FILES[0]} nor {MODELS} in {folder}: render CAD models of your own by `nopal poses "
            f"render CAD_DIR {folder / FILES[0]}`, or put the PASCAL3D+ models there, a folder a class in one zip file."
        )
    return load_poses(_rendered(models, variants, warp))


def _rendered(models: Path, variants: int, warp: Warp) -> Path:
    """The file in the cache folder of what is drawn of these models, which is made where they are new or have changed.
    While some can't be drawn the others are kept apart, so that only repaired ones are drawn then."""
    models = models.expanduser()
    files = sorted({model.path for model in find_models(models).models})
    stamps = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.exists()]
    place, content = (hashlib.sha256(repr(key).encode()).hexdigest()[:12] for key in (models.resolve(), stamps))
    kind = "variants" if warp == "free" else f"{warp}-variants"
    name = cache_folder() / f"poses-{place}{f'-{variants}-{kind}' if variants else ''}"
    rendered = name.with_name(f"{name.name}-{content}.npz")
    partial = name.with_suffix(".partial")
    if partial.exists() or not rendered.is_file():  # what had no memory to be drawn may have it now
        render_file(models, rendered, RenderOptions(variants=variants, warp=warp), partial=partial)
    return rendered


def own_of(poses: PoseSet) -> dict[str, Any] | None:
    """None for the poses that the recipes are about: models of the committed list, in its parts, drawn as `nopal poses
    render` does by default. For all others how they were made, and a digest."""
    made, usual = poses.made, RenderOptions()
    expected = {"views": usual.views, "seed": usual.seed, "options": dataclasses.asdict(SceneOptions())}
    if poses.variants:
        expected["strength"] = usual.strength
    listed = {
        name: (part == "test", held_back)
        for name, part, held_back in zip(poses.names, poses.split, poses.validation.tolist())
        if not (poses.variants and "~" in name)
    }
    parts = {name: (part == "test", part == "validation") for name, part in pascal3d().items()}
    complete = len(listed) >= MODELS_AT_LEAST and all(name in listed for name, part in parts.items() if any(part))
    drawn = json.dumps({name: made.get(name) for name in expected}) == json.dumps(expected)
    if drawn and complete and listed.items() <= parts.items():
        return None
    told = ("source", "pickles", "views", "seed", "options", "variants", "strength", "warp")
    return {"digest": poses.digest(), **{name: made[name] for name in told if name in made}}


def render_file(
    models: Path,
    out: Path,
    options: RenderOptions = RenderOptions(),
    scene: SceneOptions = SceneOptions(),
    *,
    processes: int = 0,
    pickle: bool = False,
    partial: Path | None = None,
) -> None:
    """`render_poses` with its progress shown and a word on what could not be rendered; a contact sheet lies beside
    `out`, and with `pickle` the files of the original code. The folder `partial` stays until all of them are written,
    or where models had problems. Where none is named, nothing is written over files that were not made with `out`."""
    out = out.expanduser()
    check_named(out, ".npz", source=models)
    sheet, pickles = out.with_suffix(".png"), [out.with_name(name) for name in PICKLES] if pickle else []
    if partial is None:
        _check_free(out, [sheet, *pickles])
        partial = partial_beside(out)
    told = {"beside": [path.name for path in (sheet, *pickles)]}
    done, views, failed = 0, options.views, 0
    with Progress(0, label="render", unit="image") as progress, _stoppable(partial):

        def watch(total: int, rendered: Rendered | None) -> None:
            nonlocal done, failed
            if rendered and rendered.problem:
                failed += 1
            progress.grow((total - failed) * views)
            if rendered and not rendered.problem:
                done += views
                if rendered.kept:
                    progress.skip(views)
                progress(Moment(done, None, {}))

        outcome = render_poses(
            models, out, options, scene, processes=processes, watch=watch, partial=partial, told=told
        )
    poses = outcome.poses
    written = [out, write_sheet(poses, sheet)]
    for name, number in outcome.dropped.items():
        say(f"Models of the class {name}, which --drop leaves out: {number}.")
    for name in outcome.empty:
        say(f"The class folder {name} holds no model.")
    if outcome.problems:
        say(f"{len(outcome.problems)} models could not be rendered: " + " ".join(outcome.problems))
    count, test, held_back = len(poses), poses.split.count("test"), int(poses.validation.sum())
    say(
        f"{count} objects in {views} views, {count - test} for meta-training ({held_back} of them held back "
        f"for validation) and {test} for the test: {', '.join(map(str, written))}"
    )
    if pickle:
        if not 0 < test < count:
            raise NopalError(
                "The original code reads two files, of objects for meta-training and for the test, but there are no "
                f"objects for {'the test' if test == 0 else 'meta-training'}; render more of them."
            )
        of_train, of_test = tables_of(poses.part("train")), tables_of(poses.part("test"))
        files = [write_pickle(path, of) for path, of in zip(pickles, (of_train, of_test))]
        say(f"The original pickles: {', '.join(map(str, files))}")
    if outcome.problems:
        say(f"What was rendered also stays in {partial}: when models are repaired, the same command draws them alone.")
    else:
        clear(partial)


def _check_free(out: Path, beside: Sequence[Path]) -> None:
    """Raises `NopalError` where a file to write is there already and comes from no earlier rendering of `out`."""
    earlier = load_poses(out).made.get("beside", [out.with_suffix(".png").name]) if out.exists() else []
    for path in beside:
        if path.is_file() and path.name not in earlier:
            raise NopalError(
                f"{path} is there already, and was not made with {out}; take it away, or render into another folder."
            )


@contextlib.contextmanager
def _stoppable(partial: Path) -> Iterator[None]:
    """Where Ctrl-C or SIGTERM ends it, a sentence says what stays."""
    code = 130

    def end(number: int, frame: FrameType | None) -> NoReturn:
        nonlocal code
        code = 128 + number
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, end) if main else None
    try:
        yield
    except KeyboardInterrupt:
        sentence = f"Stopped; what was rendered stays in {partial}: the same command goes on from there."
        raise Stopped(sentence, code) from None
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)


def write_sheet(poses: PoseSet, path: Path) -> Path:
    """Write the contact sheet of `poses`, of more than `SHOWN` objects an even choice; raises `NopalError` where that
    cannot be done."""
    poses = poses.of(evenly(len(poses), SHOWN))
    return write_picture(pose_sheet(poses.images, poses.angles, poses.names), path)
