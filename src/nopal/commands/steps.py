"""`nopal steps`: how many steps a learner needs at test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from nopal.errors import NopalError
from nopal.terminal import console, say


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
    from nopal.recipes.stepping import step_runs

    difficulty = None
    if at is not None:
        found = re.fullmatch(r"(?:(\d+)x)?(\d+)", at)
        if not found:
            raise NopalError(f"{at!r} is no difficulty; expected way x shot, such as 5x1, or points, such as 10.")
        difficulty = int(found[1] or 0), int(found[2])
    step_runs(runs, steps, difficulty, source, episodes, out, console)
    say(f"The picture: {out}")
