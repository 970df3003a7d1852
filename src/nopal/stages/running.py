"""From raw data to the row of a table, beside the published number."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from nopal.data.images import Splits
from nopal.distributed import from_first
from nopal.encoders import Encoder
from nopal.errors import NopalError
from nopal.evaluation import Scores, check_episodes
from nopal.learners.learner import Learner
from nopal.meter import read_meter
from nopal.options.baselines import BaselineOptions, ClusterMatchingOptions, FineTunedEncoderOptions
from nopal.options.experiment import EncoderOptions, Experiment
from nopal.options.learners import FromScratchOptions
from nopal.options.plain import to_plain
from nopal.options.tasks import PoseTasks
from nopal.recipes.recipe import OWN, VALIDATION, Budget, Difficulty, Recipe, name_of_difficulty, recipe_data
from nopal.runs import Stopwatch, check_writable, make_record, write_record
from nopal.stages.baselines import Chosen
from nopal.stages.beginning import begin_run
from nopal.stages.encoding import fit_encoder, is_trained
from nopal.stages.given import check_fitted_on, given_encoder
from nopal.stages.loading import key_of
from nopal.stages.measuring import EVALUATION_SEED, METER_TASKS, TasksAt, as_score, labelled, measure
from nopal.stages.pipeline import meta_train
from nopal.stages.predicting import PICTURE, draw_predictions
from nopal.stages.task_sources import ImageTasks, TaskSource, open_tasks
from nopal.stages.trials import verdict
from nopal.training import Tasks


def run_recipe(
    recipe: Recipe,
    budget: Budget,
    folder: str | Path,
    results: str | Path,
    *,
    seed: int = 0,
    resume: bool = False,
    steps: int | None = None,
    partitions: int | None = None,
    episodes: int = 1000,
    encoder: Encoder | Path | None = None,
    data: Path | None = None,
    console: Console,
) -> Path:
    """Load, encode, cluster, meta-train and evaluate as the recipe says, and write the record into `results`.

    The run's files go into `folder`; `steps` and `partitions` override the budget's. `encoder`, or the file of one, is
    taken in place of fitting one, and `data` is a file of rendered poses. Returns the record's path.
    """
    experiment = recipe.at(budget, seed, steps, partitions)
    check_episodes(episodes)
    given = given_encoder(recipe, encoder) if isinstance(encoder, Path) else encoder
    from_first(lambda: check_writable(Path(results) / recipe.name / "record.json"))
    opened = open_recipe(recipe, experiment, seed, given, data)
    clock = Stopwatch(Path(folder) / "seconds.txt")
    judged = prepare(opened, folder, resume)
    record = judge(opened, judged, results, episodes, clock, console)
    show_predictions(opened, judged.learner, folder)
    return record


@dataclasses.dataclass(frozen=True)
class Opened:
    """A recipe at one budget and seed, and the data that it is run on."""

    recipe: Recipe
    experiment: Experiment
    seed: int
    source: TaskSource
    given: Encoder | None = None
    """taken in place of fitting one"""


class Judged(NamedTuple):
    """What is measured: a learner, or a function that chooses one for each difficulty; the tasks of its test, and those
    that it was meta-trained on."""

    learner: Learner | Callable[[Difficulty], Learner]
    test: TasksAt
    training: Tasks | None = None


def open_recipe(
    recipe: Recipe, experiment: Experiment, seed: int, given: Encoder | None = None, data: Path | None = None
) -> Opened:
    """A recipe and its tasks. On data of a person the recipe says so, and has no published numbers."""
    source = open_tasks(recipe.data, experiment, given, data)
    if given and isinstance(source, ImageTasks):
        check_fitted_on(given, recipe, len(source.splits.train))
    if source.own:
        name = Path(source.own.get("source") or source.own.get("pickles", ["unnamed"])[0]).stem
        told, held_back = recipe_data(recipe.data), VALIDATION if recipe.data.endswith(VALIDATION) else ""
        recipe = dataclasses.replace(recipe, data=f"{told}{OWN}{name}{held_back}", published={})
    return Opened(recipe, experiment, seed, source, given)


def judge(
    opened: Opened, judged: Judged, results: str | Path, episodes: int, clock: Stopwatch, console: Console
) -> Path:
    """Measure a learner on test tasks and, where it was meta-trained, by the meter on its training tasks; write the
    record."""
    recipe, experiment, given = opened.recipe, opened.experiment, opened.given
    learner = judged.learner

    def show(difficulty: Difficulty, scores: Scores) -> None:
        published = recipe.published.get(difficulty)
        beside = f"  (published {published.mean} {published.source})" if published else ""
        also = "".join(f"; {other.metric.replace('_', ' ')} {other}" for other in scores.others)
        console.print(
            f"{recipe.title}, {name_of_difficulty(difficulty)}: {scores}{beside}{also}",
            highlight=False,
            soft_wrap=True,
        )

    found = measure(learner, judged.test, recipe.difficulties, episodes=episodes, report=show)
    chosen = {"chosen": learner.settings} if isinstance(learner, Chosen) else {}
    meter = None
    if judged.training and isinstance(learner, Learner):
        reading = read_meter(learner, judged.training, key=key_of(EVALUATION_SEED), episodes=min(episodes, METER_TASKS))
        line = f"Reliance on the support set, on training tasks: {verdict(reading)}"
        console.print(line, highlight=False, soft_wrap=True)
        meter = reading.as_dict()
    record = make_record(
        recipe=recipe.name,
        learner=recipe.title,
        data=recipe.data,
        seed=opened.seed,
        config=to_plain(experiment)
        | ({"encoder": given.made} if given else {})
        | ({"own": opened.source.own} if opened.source.own else {})
        | chosen,
        steps=steps_of(experiment, given),
        published_steps=steps_of(recipe.experiment) if recipe.steps_published else None,
        batches=batches_of(recipe, experiment),
        scores=[
            as_score(at, one, recipe.published.get(at) if one is scores else None)
            for at, scores in found.items()
            for one in (scores, *scores.others)
        ],
        wall_seconds=clock.seconds() + (given.made.get("seconds", 0.0) if given else 0.0),
        meter=meter,
    )
    return Path(str(from_first(lambda: {"path": str(write_record(results, record))})["path"]))


def show_predictions(opened: Opened, learner: object, folder: str | Path) -> None:
    """Leave a picture of what a learner predicts in its run's folder, where its tasks can be drawn: poses."""
    poses, tasks, training = opened.source.poses, opened.experiment.tasks, opened.experiment.training
    if poses is not None and isinstance(tasks, PoseTasks) and training and isinstance(learner, Learner):
        about = f"{opened.recipe.name} after {training.steps:,} steps"
        draw_predictions(learner, poses, tasks, training.shot, about, Path(folder) / PICTURE)


def steps_of(experiment: Experiment, given: Encoder | None = None) -> int:
    """Steps of meta-training; where there is none, those of an encoder that is trained."""
    if experiment.training:
        return experiment.training.steps
    if given:
        return given.made["options"].get("steps", 0)
    return experiment.encoder.steps if experiment.encoder else 0


def batches_of(recipe: Recipe, experiment: Experiment) -> tuple[int, int] | None:
    """The tasks of a step and the published number of them, where they differ."""
    own, published = experiment.training, recipe.experiment.training
    if not own or not published or own.tasks_per_step == published.tasks_per_step:
        return None
    return own.tasks_per_step, published.tasks_per_step


def prepare(opened: Opened, folder: str | Path, resume: bool) -> Judged:
    """The learner, meta-trained where it has to be, and the tasks that it is judged on."""
    recipe, experiment, source, given = opened.recipe, opened.experiment, opened.source, opened.given
    options = experiment.learner
    if isinstance(options, FromScratchOptions):
        weights = key_of(opened.seed)
        return Judged(lambda at: options.build(source.shape, source.test(at).target, weights), source.test)
    if isinstance(options, BaselineOptions | FineTunedEncoderOptions):
        encoder = given or experiment.encoder
        if encoder is None or not isinstance(source, ImageTasks):
            raise NopalError(f"The recipe {recipe.name} names no encoder, which its learner needs.")
        if is_trained(encoder):
            images = source.splits.train
            encoder = fit_encoder(images, encoder, recipe.data, folder=Path(folder) / "encoder", resume=resume)
        if isinstance(options, FineTunedEncoderOptions):
            return Judged(prepare_fine_tuning(options, encoder, source.splits, recipe.data), source.test)
        return Judged(*prepare_baseline(options, encoder, source.splits, recipe.data, opened.seed))
    if experiment.training is None:
        raise NopalError(f"The recipe {recipe.name} names no training, which its learner needs.")
    check_tests(opened)
    training = experiment.training
    run = begin_run(
        folder, source.shape, options, training, tasks=experiment.tasks, made=made_of(opened), resume=resume
    )
    tasks, validation = source.training(run, experiment), source.validation(training)
    return Judged(meta_train(run, tasks, validation=validation, label=recipe.name), source.test, tasks)


def prepare_baseline(
    options: BaselineOptions, encoder: EncoderOptions | Encoder, splits: Splits, data: str, seed: int
) -> tuple[Chosen, TasksAt]:
    """A baseline that chooses by the meta-validation images, where there is a choice, and tasks of the vectors of the
    test images. Of several processes the first encodes for all."""
    choice = any(isinstance(values, tuple) and len(values) > 1 for values in vars(options).values())
    held_out = splits.validation if choice else None

    def embed() -> dict[str, Any]:
        encode = encoder if isinstance(encoder, Encoder) else fit_encoder(splits.train, encoder, data)
        vectors = {"test": encode(splits.test.images)}
        if held_out:
            vectors["validation"] = encode(held_out.images)
        if isinstance(options, ClusterMatchingOptions):
            vectors["train"] = encode(splits.train.images)
        return vectors

    vectors = from_first(embed)
    validation = (vectors["validation"], held_out.need_labels()) if held_out else None
    chosen = Chosen(options.offer(lambda: vectors["train"], key_of(seed, "baseline")), validation)
    return chosen, labelled(vectors["test"], splits.test.need_labels())


def prepare_fine_tuning(
    options: FineTunedEncoderOptions, encoder: EncoderOptions | Encoder, splits: Splits, data: str
) -> Chosen:
    """Fine-tuning of an encoder's network that chooses by the meta-validation images."""
    held_out = splits.validation
    encode = encoder if isinstance(encoder, Encoder) else fit_encoder(splits.train, encoder, data)
    validation = (held_out.images, held_out.need_labels()) if held_out else None
    return Chosen(options.offer(encode), validation, options.tuning_tasks)


def check_tests(opened: Opened) -> None:
    """Raises `NopalError` where there are too few data for the test tasks, which would be late after training."""
    for at in opened.recipe.difficulties:
        opened.source.test(at)


def made_of(opened: Opened) -> dict[str, Any]:
    """Where the tasks of a run come from, as its configuration says."""
    recipe, experiment, given = opened.recipe, opened.experiment, opened.given
    made: dict[str, Any] = {"recipe": recipe.name, "encoder": None, "partitions": None}
    if recipe.data.endswith(VALIDATION):
        made["held_back"] = True
    if opened.source.own:
        made["own"] = opened.source.own
    if experiment.partitions:
        encoder = given.made if given else experiment.encoder and to_plain(experiment.encoder)
        made |= {"encoder": encoder, "partitions": to_plain(experiment.partitions)}
    return made
