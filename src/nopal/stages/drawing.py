"""Pictures of what the learners of runs that are there predict."""

from __future__ import annotations

from pathlib import Path

from nopal.errors import NopalError
from nopal.options.tasks import PoseTasks
from nopal.runs import check_named, load_run
from nopal.stages.loading import load, options_of, steps_done, tasks_of
from nopal.stages.pose_data import find_poses
from nopal.stages.predicting import PICTURE, Objects, draw_predictions, judged_on
from nopal.stages.reopening import origin_of


def predict_run(path: Path, file: Path | None, out: Path | None, objects: int, split: Objects | None) -> Path:
    """`draw_predictions` of a run's learner, by default into the run's folder; returns the path of the picture.

    Raises `NopalError` for a run or a file of something else, and for less than one object to show.
    """
    if objects < 1:
        raise NopalError(f"The number of objects to show is {objects}; expected at least 1.")
    run = load_run(path)
    (options, training), tasks = options_of(run), tasks_of(run)
    if not isinstance(tasks, PoseTasks):
        raise NopalError(f"The run in {path} was not trained on poses; expected a folder made by nopal run poses-...")
    out = out or path / (PICTURE if split in (None, judged_on(tasks)) else f"predictions-{split}.png")
    check_named(out, ".png", source=file)
    origin = origin_of(run, str(file) if file else None)
    poses = find_poses(file) if file else origin.open().poses  # a file may have no object for other parts
    assert poses is not None
    origin.check(poses.shape)
    about = f"{run.config['made'].get('recipe') or options.title} after {steps_done(run):,} steps"
    draw_predictions(load(path), poses, tasks, training.shot, about, out, split=split, objects=objects)
    return out
