"""`nopal meter` and `steps`: what a learner that is there needs of its support set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from nopal.commands.arguments import Run, parse_difficulty
from nopal.terminal import console, say


def meter(
    run: Run,
    source: Annotated[str | None, arg(metavar="SOURCE")] = None,
    /,
    *,
    partitions: Annotated[Path | None, arg(metavar="PARTITIONS")] = None,
    episodes: int = 200,
) -> None:
    """Measure how much a run's learner depends on the support set, on tasks like those of its meta-training, see
    docs/meter.md; RUN gets the reading as meter.json.

    Args:
        run: the run folder
        source: what it was trained on, where no recipe says so: a folder, an .npz file (also of poses), or a data set
            by name
        partitions: the file of `nopal partition` that it was trained on, or the word labels; the run's own by default
        episodes: tasks
    """
    from nopal.stages.metering import meter_run

    meter_run(run, source, partitions, episodes, console)


def steps(
    runs: Annotated[tuple[Path, ...], arg(metavar="RUN...")],
    /,
    *,
    steps: tuple[int, ...] = (0, 1, 2, 5, 10, 20, 50, 100),
    at: str | None = None,
    source: str | None = None,
    episodes: int = 200,
    out: Path = Path("steps.svg"),
) -> None:
    """Judge the learners of runs after more or fewer steps on the support set, on test tasks, and draw them in one
    picture; the numbers get beside it as JSON.

    Args:
        runs: run folders of learners that adapt in steps, such as MAML
        steps: how many; 0 for no adaptation
        at: difficulty, as way x shot or as the number of points; by default the first of the first run's recipe
        source: labelled images to test on, where no recipe names some, or a file of poses
        episodes: test tasks
        out: the picture to write, .svg or .png
    """
    from nopal.stages.stepping import step_runs

    difficulty = None if at is None else parse_difficulty(at, points=True)
    step_runs(runs, steps, difficulty, source, episodes, out, console)
    say(f"The picture: {out}")
