"""`nopal poses`: CAD models in, images with angles out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import OmitSubcommandPrefixes, arg, subcommand

from nopal.commands.arguments import Out
from nopal.data.poses.collecting import RenderOptions
from nopal.data.poses.scene import SceneOptions
from nopal.runs import check_named
from nopal.terminal import say


def render(
    models: Annotated[Path, arg(metavar="CAD_DIR")],
    out: Out,
    /,
    *,
    options: Annotated[RenderOptions, arg(name="")] = RenderOptions(),
    scene: Annotated[SceneOptions, arg(name="")] = SceneOptions(),
    processes: int = 0,
    pickle: bool = False,
) -> None:
    """Render CAD models at random angles: OUT gets images, angles and a split into meta-train and meta-test; a contact
    sheet lies beside it. The same command goes on after an interruption.

    Args:
        models: a folder or zip file with a folder for each class, and in it a file for each object
        out: the .npz file to write
        options: which models, and how often
        scene: what an image looks like
        processes: how many work at once; 0 for one on each core
        pickle: write train_data.pkl and val_data.pkl of the original code beside OUT, too
    """
    from nopal.stages.pose_data import render_file

    render_file(models, out, options, scene, processes=processes, pickle=pickle)


def show(poses: Annotated[Path, arg(metavar="POSES")], out: Out, /) -> None:
    """Draw a contact sheet of a file of poses: a row for each object (of 100 at most), a column for each direction.

    Args:
        poses: an .npz file of `nopal poses render`, or a .pkl file of the original code
        out: the picture to write, .png
    """
    from nopal.data.poses import load_poses
    from nopal.stages.pose_data import write_sheet

    check_named(out, ".png", source=poses)
    say(f"The contact sheet: {write_sheet(load_poses(poses), out)}")


def predict(
    run: Annotated[Path, arg(metavar="RUN")],
    /,
    *,
    data: Path | None = None,
    out: Path | None = None,
    objects: int = 6,
    split: Literal["test", "validation", "train"] | None = None,
) -> None:
    """Draw what a run's learner predicts: some views of objects, their true and predicted angles, and its errors.

    Args:
        run: the run folder of `nopal run poses-...`
        data: a file of `nopal poses render`, or a folder or zip file of CAD models; by default those of the recipes of
            poses
        out: the picture to write, .png; RUN/predictions.png by default, or predictions-SPLIT.png
        objects: how many have a row of views; the errors are those of all
        split: which objects; by default those that the run is judged on
    """
    from nopal.stages.drawing import predict_run

    say(f"The predictions: {predict_run(run, data, out, objects, split)}")


def deferred(command: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """The command with its arguments, not yet run: tyro would take a `NopalError` for a mistyped option."""

    @functools.wraps(command)
    def prepare(*arguments: Any, **options: Any) -> Callable[[], None]:
        return functools.partial(command, *arguments, **options)

    return prepare


Action = (
    Annotated[Any, subcommand("render", constructor=deferred(render))]
    | Annotated[Any, subcommand("show", constructor=deferred(show))]
    | Annotated[Any, subcommand("predict", constructor=deferred(predict))]
)


def poses(*, action: OmitSubcommandPrefixes[Action]) -> None:
    """Render CAD models to images with angles, look at such images, or at what a learner says about them."""
    action()
