"""`nopal poses`: CAD models in, images with angles out."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import OmitSubcommandPrefixes, arg, subcommand

from nopal.data.poses.collecting import Split
from nopal.data.poses.meshes import FORMATS, SYMMETRIC
from nopal.data.poses.scene import SceneOptions

if TYPE_CHECKING:
    from nopal.data.poses import PoseSet

Out = Annotated[Path, arg(metavar="OUT")]


def render(
    models: Annotated[Path, arg(metavar="CAD_DIR")],
    out: Out,
    /,
    *,
    options: Annotated[SceneOptions, arg(name="")] = SceneOptions(),
    views: int = 100,
    seed: int = 0,
    drop: tuple[str, ...] = SYMMETRIC,
    formats: tuple[str, ...] = FORMATS,
    split: Split = "auto",
    processes: int = 0,
    pickle: bool = False,
) -> None:
    """Render CAD models at random angles: OUT gets images, angles and a split into meta-train and meta-test; a contact
    sheet lies beside it. The same command goes on after an interruption.

    Args:
        models: a folder or zip file with a folder for each class, and in it a file for each object
        out: the .npz file to write
        options: what an image looks like
        views: images of each object
        seed: of the angles
        drop: classes to leave out; by default those whose objects look the same from all sides
        formats: endings of the files to read
        split: pascal3d for the list committed with the code, seeded for one by shuffled names, auto for the list where
            it fits
        processes: how many work at once; 0 for one on each core
        pickle: write train_data.pkl and val_data.pkl of the original code beside OUT, too
    """
    from nopal.cli import check_archive, say
    from nopal.data.poses.arrays import tables_of
    from nopal.data.poses.collecting import render_poses
    from nopal.data.poses.pickles import write_pickle
    from nopal.data.poses.rendering import Rendered
    from nopal.loop import Moment
    from nopal.runs import Progress

    check_archive(out, models)
    done = 0
    with contextlib.ExitStack() as stack:

        @functools.cache
        def progress_of(total: int) -> Progress:
            return stack.enter_context(Progress(total * views, label="render", unit="image"))

        def watch(total: int, rendered: Rendered | None) -> None:
            nonlocal done
            progress = progress_of(total)
            if rendered:
                done += views
                if rendered.kept or rendered.problem:
                    progress.skip(views)
                progress(Moment(done, None, {}))

        outcome = render_poses(
            models,
            out,
            options=options,
            views=views,
            seed=seed,
            drop=drop,
            formats=formats,
            split=split,
            processes=processes,
            watch=watch,
        )
    poses = outcome.poses
    written = [out, write_sheet(poses, out.with_suffix(".png"))]
    if pickle:
        written += [
            write_pickle(out.with_name("train_data.pkl"), tables_of(poses.part("train"))),
            write_pickle(out.with_name("val_data.pkl"), tables_of(poses.part("test"))),
        ]
    for name in outcome.empty:
        say(f"The class folder {name} holds no model.")
    if outcome.problems:
        say(f"{len(outcome.problems)} models could not be rendered: " + " ".join(outcome.problems))
    test, held_back = poses.split.count("test"), int(poses.validation.sum())
    say(
        f"{len(poses)} objects in {views} views, {len(poses) - test} for meta-training ({held_back} of them held back "
        f"for validation) and {test} for the test: {', '.join(map(str, written))}"
    )


def show(poses: Annotated[Path, arg(metavar="POSES")], out: Out, /) -> None:
    """Draw a contact sheet of a file of poses: a row for each object, a column for each direction.

    Args:
        poses: an .npz file of `nopal poses render`, or a .pkl file of the original code
        out: the picture to write
    """
    from nopal.cli import say
    from nopal.data.poses import load_poses
    from nopal.runs import check_writable

    check_writable(out)
    say(f"The contact sheet: {write_sheet(load_poses(poses), out)}")


def write_sheet(poses: PoseSet, path: Path) -> Path:
    """Write the contact sheet of `poses`; raises `NopalError` where that cannot be done."""
    from nopal.atomic import written_beside
    from nopal.errors import NopalError
    from nopal.report import pose_sheet

    try:
        with written_beside(path) as beside:
            pose_sheet(poses.images, poses.angles, poses.names).savefig(beside, format="png", dpi=160)
    except OSError as error:
        raise NopalError(f"{path} cannot be written ({error.strerror}); choose another folder.") from None
    return path


Action = Annotated[Any, subcommand("render", constructor=render)] | Annotated[Any, subcommand("show", constructor=show)]


def poses(*, action: OmitSubcommandPrefixes[Action]) -> None:
    """Render CAD models to images with angles, or look at such images."""
