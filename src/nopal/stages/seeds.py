"""A recipe with several seeds at once: as many run folders and records, each as if made alone."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from nopal.distributed import from_first
from nopal.errors import NopalError
from nopal.evaluation import check_episodes
from nopal.learners.learner import MetaLearner
from nopal.loop import Moment
from nopal.options.learners import MetaLearnerOptions
from nopal.recipes.recipe import Budget, Recipe
from nopal.runs import Interrupts, RunFolder, Stopwatch, check_writable
from nopal.runs.folder import refuse_used
from nopal.seeds import train_seeds
from nopal.stages.beginning import begin_run, undone_if_refused
from nopal.stages.given import given_encoder
from nopal.stages.pipeline import Training
from nopal.stages.running import Judged, check_tests, judge, made_of, open_recipe, show_predictions
from nopal.stages.watching import progress_of
from nopal.training import Tasks


def run_seeds(
    recipe: Recipe,
    budget: Budget,
    folder_of: Callable[[int], Path],
    results: str | Path,
    *,
    seeds: Sequence[int],
    resume: bool = False,
    steps: int | None = None,
    partitions: int | None = None,
    episodes: int = 1000,
    encoder: Path | None = None,
    data: Path | None = None,
    console: Console,
) -> list[Path]:
    """As `run_recipe` for each seed, whose files go into `folder_of(seed)`; but they are meta-trained together, and an
    encoder that no seed changes is fitted once. Returns the paths of the records."""
    if not seeds:
        raise NopalError("The number of seeds is 0; expected at least 1.")
    options, training = recipe.experiment.learner, recipe.experiment.training
    if not isinstance(options, MetaLearnerOptions) or training is None:
        raise NopalError(
            f"The recipe {recipe.name} meta-trains nothing, and so no seeds together; run it once for each, by --seed."
        )
    experiments = [recipe.at(budget, seed, steps, partitions) for seed in seeds]
    check_episodes(episodes)
    given = given_encoder(recipe, encoder) if encoder else None
    from_first(lambda: check_writable(Path(results) / recipe.name / "record.json"))
    first = open_recipe(recipe, recipe.experiment, seeds[0], given, data)
    check_tests(first)
    folders = [folder_of(seed) for seed in seeds]
    if not resume:
        for folder in folders:
            from_first(lambda folder=folder: refuse_used(folder))  # type: ignore[misc]
    rows = [
        dataclasses.replace(first, experiment=experiment, seed=seed) for experiment, seed in zip(experiments, seeds)
    ]
    source, share = first.source, 1 / len(seeds)
    clocks = [Stopwatch(folder / "seconds.txt", share) for folder in folders]
    with contextlib.ExitStack() as undo:
        runs: list[RunFolder] = []
        for row, folder in zip(rows, folders):
            of_seed, kind = row.experiment.training, row.experiment.tasks
            assert of_seed
            run = begin_run(folder, source.shape, options, of_seed, tasks=kind, made=made_of(row), resume=resume)
            undo.enter_context(undone_if_refused(run))
            runs.append(run)
        tasks = [source.training(run, row.experiment) for row, run in zip(rows, runs)]
    validation = source.validation(training)
    learners = meta_train_seeds(runs, tasks, validation=validation, label=recipe.name)
    found = []
    for row, learner, trained_on, clock, folder in zip(rows, learners, tasks, clocks, folders):
        console.print(f"Seed {row.seed}:", highlight=False)
        found.append(judge(row, Judged(learner, source.test, trained_on), results, episodes, clock, console))
        show_predictions(row, learner, folder)
    return found


def meta_train_seeds(
    runs: Sequence[RunFolder],
    tasks: Sequence[Tasks],
    *,
    validation: Tasks | None = None,
    label: str = "meta-training",
) -> list[MetaLearner]:
    """As `meta_train` for each run, all together; those that are finished rest, and those behind catch up first."""
    trainings = [Training(run, of_run) for run, of_run in zip(runs, tasks)]
    todo = [training for training in trainings if not training.finished]
    if todo:
        with contextlib.ExitStack() as open_files:
            hooks = [
                open_files.enter_context(t.hooks(validation, 1 / len(runs), f" of seed {t.options.seed}")) for t in todo
            ]
            start = min(training.start for training in todo)
            name = f"{label}, {len(todo)} seeds"
            progress = open_files.enter_context(progress_of(todo[0].options.steps, start, name, tasks[0].target.metric))
            interrupts = open_files.enter_context(Interrupts())

            def watch(moments: Mapping[int, Moment]) -> None:
                for i, moment in moments.items():
                    for hook in hooks[i]:
                        hook(moment)
                for bar in progress:
                    bar(_together(list(moments.values())))
                interrupts.stop([(todo[i].run.checkpoints, moment) for i, moment in moments.items()])

            first = todo[0]
            trained = train_seeds(
                [training.fresh for training in todo],
                [training.tasks for training in todo],
                steps=first.options.steps,
                tasks_per_step=first.options.tasks_per_step,
                optimiser=first.optimiser,
                keys=[training.key for training in todo],
                hooks=[watch],
                chunk=first.chunk,
                states=[training.state for training in todo],
                starts=[training.start for training in todo],
            )
        for training, learner in zip(todo, trained):
            training.kept.save(training.options.steps, learner)
    return [training.learner() for training in trainings]


def _together(moments: Sequence[Moment]) -> Moment:
    metrics: dict[str, Any] = {
        name: np.concatenate([moment.metrics[name] for moment in moments]) for name in moments[0].metrics
    }
    return Moment(moments[0].step, None, metrics)
