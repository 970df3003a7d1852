"""How the learners of runs that are there do after more or fewer steps on the support set, in one picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rich.box
import rich.table
from matplotlib.figure import Figure
from rich.console import Console
from rich.text import Text

from nopal.errors import NopalError
from nopal.evaluation import Scores
from nopal.learners.learner import MetaLearner
from nopal.options.tasks import Classes
from nopal.prediction import brought_to
from nopal.recipes.recipe import Difficulty, name_of_difficulty
from nopal.report import as_svg, steps_figure, write_picture
from nopal.runs import check_named, check_writable, load_run
from nopal.runs.files import read_json, write_json, write_text
from nopal.runs.provenance import environment
from nopal.stages.loading import image_shape, key_of, load
from nopal.stages.measuring import EVALUATION_SEED, TasksAt, labelled
from nopal.stages.reopening import Origin, origin_of
from nopal.stages.sources import load_images, name_of
from nopal.stepwise import check_steps, enough_steps, evaluate_steps

KIND = "nopal steps 1"


@dataclasses.dataclass(frozen=True)
class Opened:
    """A run that is there."""

    name: str
    learner: MetaLearner
    origin: Origin
    data: str


def step_runs(
    runs: Sequence[Path],
    steps: Sequence[int],
    at: Difficulty | None,
    source: str | None,
    episodes: int,
    out: Path,
    console: Console,
) -> dict[str, Any]:
    """Judge the learners of runs after each number of steps, on the same test tasks; print the scores, draw them into
    `out`, and write them beside it as JSON, which is returned.

    The difficulty is the first of the first run's recipe by default. Raises `NopalError`, before anything is measured,
    for runs that can't stand in one picture.
    """
    check_named(out, ".svg", ".png")
    check_writable(out.with_suffix(".json"))
    opened = [_open(run, source, steps) for run in runs]
    if not opened:
        raise NopalError("No run folder was named; name one or more.")
    first = opened[0]
    at = at or first.origin.difficulty
    for run in opened:
        if run.data != first.data:
            raise NopalError(f"{first.name} is of {first.data}, but {run.name} of {run.data}; draw them one by one.")
    if bool(at[0]) != isinstance(first.origin.experiment.tasks, Classes):
        kind = "ways and shots, such as 5x1" if at[0] == 0 else "points, such as 10"
        raise NopalError(f"The tasks of {first.data} are not told by {name_of_difficulty(at)}; expected {kind}.")
    names = _told_apart([run.name for run in opened], runs)
    found = {}
    for name, run in zip(names, opened):
        tasks = _test_tasks(run, source)(at)
        found[name] = evaluate_steps(run.learner, tasks, steps, key=key_of(EVALUATION_SEED), episodes=episodes)
    plain = {
        "kind": KIND,
        "data": first.data,
        **({"way": at[0], "shot": at[1]} if at[0] else {"points": at[1]}),
        "runs": [_plain(name, run, found[name]) for name, run in zip(names, opened)],
        **environment(),
    }
    write_json(out.with_suffix(".json"), plain)
    _draw(steps_figure(plain["runs"]), out)
    _show(plain["runs"], first.data, at, console)
    return plain


def _open(path: Path, source: str | None, steps: Sequence[int]) -> Opened:
    run = load_run(path)
    origin = origin_of(run, source)
    if not origin.data and source is None:
        raise NopalError(f"The run in {path} does not say on what to test it; name labelled images by --source.")
    learner = load(path)
    check_steps(learner, steps, f"The learner in {path}")
    return Opened(path.resolve().name, learner, origin, origin.data or name_of(source or ""))


def _test_tasks(run: Opened, source: str | None) -> TasksAt:
    if run.origin.data:
        return run.origin.open().test
    images = load_images(source or "", split="test", **brought_to(image_shape(run.learner)))
    return labelled(images.images, images.need_labels())


def _told_apart(names: Sequence[str], runs: Sequence[Path]) -> list[str]:
    """The names of folders or, where two are the same, their paths."""
    return list(names) if len(set(names)) == len(names) else [str(run) for run in runs]


def _plain(name: str, run: Opened, found: dict[int, Scores]) -> dict[str, Any]:
    """As JSON holds it: accuracies in percent, null where every task diverged."""
    any_scores = next(iter(found.values()))
    recipe, training = run.origin.recipe, run.origin.experiment.training
    scale, digits = (100, 3) if any_scores.metric == "accuracy" else (1, 5)

    def number(value: float, tasks: int, least: int) -> float | None:
        return round(scale * value, digits) if tasks >= least else None

    scores = []
    for steps, of in found.items():
        left = len(of.values) - of.diverged
        mean, ci95 = number(of.mean, left, 1), number(of.ci95, left, 2)
        scores.append({"steps": steps, "mean": mean, "ci95": ci95, "diverged": of.diverged})
    return {
        "run": name,
        "recipe": recipe.name if recipe else None,
        "learner": recipe.title if recipe else None,
        "seed": training.seed if training else None,
        "meta_training_steps": training.steps if training else None,
        "usual_steps": run.learner.steps,
        "enough_steps": enough_steps(found),
        "metric": any_scores.metric,
        "statistics": any_scores.statistics,
        "tasks": len(any_scores.values),
        "scores": scores,
    }


def _show(runs: Sequence[dict[str, Any]], data: str, at: Difficulty, console: Console) -> None:
    tasks = f"{data}, {name_of_difficulty(at)}, {runs[0]['tasks']:,} test tasks"
    console.print(f"{tasks}, by steps on the support set", highlight=False, soft_wrap=True)
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("run", overflow="fold")
    for score in runs[0]["scores"]:
        table.add_column(str(score["steps"]), no_wrap=True)
    digits = ".1f" if runs[0]["metric"] == "accuracy" else ".3g"
    for run in runs:
        lost = {score["steps"]: f"\n{score['diverged']} lost" for score in run["scores"] if score["diverged"]}
        cells = [f"{_told(score['mean'], digits)}\n±{_told(score['ci95'], '.2g')}" for score in run["scores"]]
        name = Text(run["run"])  # whose brackets are no markup
        table.add_row(name, *(cell + lost.get(score["steps"], "") for cell, score in zip(cells, run["scores"])))
        enough = f"as good as its best after {run['enough_steps']} steps, of {run['usual_steps']} usual ones"
        console.print(f"{run['run']}: {enough}", highlight=False, soft_wrap=True, markup=False)
    console.print(table)
    if any(score["diverged"] for run in runs for score in run["scores"]):
        console.print("Lost are tasks whose adaptation diverged; they are not in the mean.", soft_wrap=True)


def _told(value: float | None, digits: str) -> str:
    return "–" if value is None else f"{value:{digits}}"


def _draw(figure: Figure, out: Path) -> None:
    if out.suffix == ".svg":
        write_text(out, as_svg(figure))
    else:
        write_picture(figure, out)


def read_steps(folder: Path) -> list[dict[str, Any]]:
    """What was written under `folder`, sorted by path."""
    return [found for path in sorted(folder.rglob("*.json")) if (found := read_json(path)).get("kind") == KIND]
