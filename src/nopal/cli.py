"""The command line: one function for each command, its arguments the options, its docstring the help."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import rich.box
import rich.table
import tyro
from tyro.conf import arg, subcommand

from nopal.commands.poses import poses
from nopal.commands.steps import steps
from nopal.errors import NopalError
from nopal.recipes.options import (
    EncoderOptions,
    MAMLOptions,
    PartitionOptions,
    ProtoNetOptions,
    RidgeOptions,
    TrainingOptions,
)
from nopal.recipes.recipe import Budget
from nopal.recipes.sources import Split
from nopal.runs import Interrupted, check_archive
from nopal.terminal import console, say

if TYPE_CHECKING:
    from nopal.partitions.summary import Summary

LearnerChoice = (
    Annotated[ProtoNetOptions, subcommand("protonet")]
    | Annotated[MAMLOptions, subcommand("maml")]
    | Annotated[RidgeOptions, subcommand("ridge")]
)
Source = Annotated[str, arg(metavar="SOURCE")]
Run = Annotated[Path, arg(metavar="RUN")]
Out = Annotated[Path, arg(metavar="OUT")]


@dataclasses.dataclass(frozen=True)
class Processes:
    """Several processes at work on one run, see docs/distributed.md."""

    coordinator: str | None = os.environ.get("NOPAL_COORDINATOR")
    """address of process 0, such as node1:1234, or auto to ask Slurm or Open MPI; NOPAL_COORDINATOR by default"""
    processes: str | None = os.environ.get("NOPAL_PROCESSES")
    """how many there are; NOPAL_PROCESSES by default"""
    process: str | None = os.environ.get("NOPAL_PROCESS")
    """number of this one, from 0 on; NOPAL_PROCESS by default"""
    patience: int = 300
    """seconds to wait for the others at the beginning"""
    silence: int = 30
    """seconds after which a process that is not heard of counts as dead"""

    def join(self) -> None:
        """Meet the others; all but the first are silent from then on."""
        from nopal import distributed

        numbers = {"processes": self.processes, "process": self.process}
        for name, text in numbers.items():
            if text is not None and not re.fullmatch(r"-?\d+", text):
                raise NopalError(f"The choice {name} is {text!r}; expected a whole number.")
        processes, process = (None if text is None else int(text) for text in numbers.values())
        distributed.join(self.coordinator, processes, process, patience=self.patience, silence=self.silence)
        console.quiet = not distributed.is_first()


Together = Annotated[Processes, arg(name="")]


def demo(
    out: Out = Path("nopal-demo"), /, *, seed: int = 0, resume: bool = False, episodes: int = 1000, speed: float = 1.0
) -> None:
    """Do the main job on built-in characters: cluster, meta-train, test on unseen scripts; about three minutes on two
    cores.

    Args:
        out: folder for the report, the records and the runs
        seed: of clustering, weights and tasks
        resume: go on with an interrupted demo
        episodes: test tasks for each number
        speed: divides the numbers of training steps, for a quicker look
    """
    from nopal.recipes.demo import run_demo

    page = run_demo(out, seed=seed, resume=resume, episodes=episodes, speed=speed, console=console)
    say(f"The report: {page}")


def encode(
    source: Source,
    out: Out,
    /,
    *,
    split: Split = "train",
    encoder: EncoderOptions = EncoderOptions(),
    by: Path | None = None,
    size: int | None = None,
    resume: bool = False,
) -> None:
    """Turn images into vectors: OUT gets the images and vectors, and the encoder is kept beside it.

    Args:
        source: a folder of images, an .npz file, or glyphs, omniglot, omniglot-background, mini-imagenet, mnist
        out: the .npz file to write, with X (images), Y (labels, where there are any) and Z (vectors)
        split: which part of a named data set
        encoder: what turns an image into a vector
        by: the file of an encoder that was fitted before, or the run folder of a learner whose network to take, in
            place of a new one
        size: resize a folder's images to this many pixels a side
        resume: where the encoder is trained, go on from its last checkpoint
    """
    from nopal.data import save_arrays
    from nopal.recipes.encoding import fit_encoder
    from nopal.recipes.rounds import encoder_at
    from nopal.recipes.sources import load_images, name_of

    check_archive(out)
    images, data = load_images(source, split=split, size=size), name_of(source)
    if by:
        fitted = encoder_at(by, images, data)
    else:
        fitted = fit_encoder(images, encoder, data, folder=out.with_suffix(".encoder"), resume=resume)
    vectors = fitted(images.images)
    save_arrays(out, images, vectors)
    kept = fitted.save(out.with_suffix(".encoder.npz"))
    say(f"{len(images):,} images became vectors of {vectors.shape[1]} numbers: {out} (the encoder: {kept})")


def partition(
    vectors: Annotated[Path, arg(metavar="VECTORS")],
    out: Out,
    /,
    *,
    options: Annotated[PartitionOptions, arg(name="")] = PartitionOptions(),
    report: Path | None = None,
) -> None:
    """Cluster vectors many times over: OUT gets the partitions from which tasks are made.

    Args:
        vectors: an .npz file of `nopal encode` (or any with Z), or an .npy file
        out: the .npz file to write
        options: how to cluster
        report: a page to write about every partition, with pictures of clusters where VECTORS has images; a name that
            ends in .csv gets the numbers alone
    """
    from nopal.data import load_vectors
    from nopal.partitions import summarise
    from nopal.recipes.clusters import write_clusters
    from nopal.recipes.pipeline import cluster
    from nopal.recipes.sources import load_labels
    from nopal.runs import check_writable

    check_archive(out, vectors)
    if report:
        check_writable(report)
    rows, labels = load_vectors(vectors), load_labels(vectors)
    made = cluster(rows, options)
    made.save(out)
    members = max(options.min_members, 6)
    found = summarise(made, members, labels)
    console.print(summary_table(found, members))
    if report:
        write_clusters(report, made, found, vectors, members)
        say(f"What they are like: {report}")
    say(f"The partitions: {out}")


def summary_table(found: Sequence[Summary], members: int) -> rich.table.Table:
    """Each number at its least, on average and at most over all partitions."""
    table = rich.table.Table(f"{len(found)} partitions", "least", "mean", "most", box=rich.box.SIMPLE_HEAD)
    names = {
        "clusters": f"clusters with {members} members or more",
        "rows": "images in them",
        "smallest": "smallest of them",
        "median": "median of them",
        "largest": "largest of them",
        "purity": "purity",
        "nmi": "normalised mutual information",
    }
    for field, name in names.items():
        values = [value for summary in found if (value := getattr(summary, field)) is not None]
        if values:
            digits = 2 if field in ("purity", "nmi") else 0
            numbers = min(values), sum(values) / len(values), max(values)
            table.add_row(name, *(f"{number:,.{digits}f}" for number in numbers))
    return table


def train(
    source: Source,
    partitions: Annotated[Path, arg(metavar="PARTITIONS")],
    out: Out,
    /,
    *,
    learner: LearnerChoice = ProtoNetOptions(),
    training: TrainingOptions = TrainingOptions(),
    split: Split = "train",
    size: int | None = None,
    every: int = 100,
    resume: bool = False,
    together: Together = Processes(),
) -> None:
    """Meta-train a learner on tasks from partitions; OUT becomes its run folder.

    Args:
        source: the images that were encoded: a folder, an .npz file, or a data set by name
        partitions: the file of `nopal partition`, or the word labels for tasks from human labels
        out: the run folder
        learner: which learner, and its options
        training: how to meta-train
        split: which part of a named data set
        size: resize a folder's images to this many pixels a side
        every: steps between checkpoints and log lines
        resume: go on from the last checkpoint in OUT
        together: several processes
    """
    together.join()
    from nopal.distributed import from_first
    from nopal.partitions import Partitions, from_labels
    from nopal.recipes.pipeline import begin_run, class_tasks, meta_train
    from nopal.recipes.sources import load_images, name_of
    from nopal.runs import check_writable

    from_first(lambda: check_writable(out / "config.json"))
    images = load_images(source, split=split, size=size)
    labelled = str(partitions) == "labels"
    divided = (
        from_labels(images.need_labels())
        if labelled
        else Partitions.from_arrays(from_first(lambda: Partitions.load(partitions).as_arrays()))
    )
    made = {"images": name_of(source), "partitions": divided.made}
    run = begin_run(out, images.shape, learner, training, made=made, every=every, resume=resume)
    meta_train(run, class_tasks(run, images.images, divided))
    say(f"The learner: {out}")


def evaluate(
    run: Run,
    source: Source,
    /,
    *,
    at: tuple[str, ...] = ("5x1", "5x5"),
    split: Split = "test",
    episodes: int = 1000,
    encoder: Path | None = None,
    baselines: tuple[Literal["knn", "linear", "mlp"], ...] = ("knn",),
    tune_on: str | None = None,
    out: Path | None = None,
) -> None:
    """Judge a run's learner on human-labelled tasks, beside baselines on the embedding it was trained from.

    Args:
        run: the run folder
        source: labelled images: a folder, an .npz file, or a data set by name
        at: difficulties, as way x shot
        split: which part of a named data set
        episodes: test tasks for each difficulty
        encoder: the encoder's file, for baselines; the run's own by default, where it made one
        baselines: nearest neighbours, logistic regression, a perceptron with dropout
        tune_on: labelled images of other classes on which to choose the baselines' hyper-parameters; of a data set by
            name, its validation part
        out: folder for the record (JSON) and the scores (CSV); the run folder by default
    """
    from nopal.recipes.judging import judge_run

    judge_run(
        run,
        source,
        [parse_difficulty(text) for text in at],
        split,
        episodes,
        out or run,
        encoder,
        console,
        baselines,
        tune_on,
    )


def report(runs: Annotated[tuple[Path, ...], arg(metavar="RUN...")], /, *, out: Path = Path("report.html")) -> None:
    """Write one self-contained page about some runs: scores, learning curves, tasks they were trained on.

    Args:
        runs: run folders
        out: the page to write
    """
    from nopal.recipes.judging import write_report

    write_report(runs, out)
    say(f"The report: {out}")


def fit(
    folder: Annotated[Path, arg(metavar="FOLDER")],
    out: Out = Path("nopal-run"),
    /,
    *,
    size: int = 28,
    encoder: EncoderOptions = EncoderOptions(),
    partitions: PartitionOptions = PartitionOptions(partitions=20),
    learner: LearnerChoice = ProtoNetOptions(),
    training: TrainingOptions = TrainingOptions(tasks_per_step=1, steps=2000),
    rounds: int = 1,
    skip_unreadable: bool = False,
    resume: bool = False,
    together: Together = Processes(),
) -> None:
    """From a folder of unlabelled images to a few-shot learner: encode, cluster, meta-train; OUT becomes its run
    folder.

    Args:
        folder: images, flat or in subfolders, whose names don't matter
        out: the run folder
        size: resize images to this many pixels a side; 84 suits photographs, if there is time
        encoder: what turns an image into a vector
        partitions: how to cluster
        learner: which learner, and its options
        training: how to meta-train
        rounds: more than 1: embed again with the learner's network, cluster again, meta-train again, each round in a
            folder of its own in OUT
        skip_unreadable: leave out files that can't be read
        resume: go on from the last checkpoint in OUT
        together: several processes
    """
    together.join()
    from nopal.recipes.fitting import fit_folder
    from nopal.recipes.rounds import round_folder

    fit_folder(folder, out, size, encoder, partitions, learner, training, skip_unreadable, resume, console, rounds)
    last = out if rounds == 1 else round_folder(out, rounds)
    say(f"The learner: {last}")
    say(f"Now sort a few examples into one folder per class and run: nopal predict {last} SUPPORT IMAGES")


def predict(
    run: Run,
    support: Annotated[Path, arg(metavar="SUPPORT")],
    images: Annotated[tuple[Path, ...], arg(metavar="IMAGES...")],
    /,
    *,
    out: Path = Path("predictions.csv"),
) -> None:
    """Adapt to a few labelled images and classify others; OUT gets file, class and probability.

    Args:
        run: the run folder of `nopal fit`, `train` or `run`
        support: a folder with one subfolder of images for each class
        images: images, or folders of them
        out: the CSV file to write
    """
    from nopal.prediction import load_queries, load_support
    from nopal.prediction import predict as classify
    from nopal.recipes.loading import image_shape, load
    from nopal.runs import check_writable

    check_writable(out)
    learner = load(run)
    shape = image_shape(learner)
    if learner.statistics == "transductive":
        say("This learner was trained with statistics of all queries; here it takes those of the support set.")
    known = load_support(support, shape)
    queries, files = load_queries(images, shape)
    found = classify(learner, known, queries, files)
    found.write(out)
    if len(files) == 1:
        best = int(found.probabilities[0].argmax())
        say(f"{files[0]}: {found.classes[best]} ({found.probabilities[0, best]:.1%})")
    say(f"{len(files):,} predictions: {out}")


def recipes() -> None:
    """List the published rows that can be run by name, with their published numbers."""
    from nopal.recipes.running import RECIPES

    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    table.add_column("name and learner", no_wrap=True)
    table.add_column("published (way x shot, or points)", min_width=17)
    table.add_column("steps: demo, hour, published")
    for recipe in RECIPES.values():
        marks = {at: f"{p.mean:g} {p.source.split()[0]}" for at, p in recipe.published.items()}
        published = "\n".join(f"{n}x{k}: {mark}" if n else f"{k}: {mark}" for (n, k), mark in marks.items())
        lines = [", ".join(f"{steps:,}" for steps in recipe.budgets.values())]
        if recipe.encoder_budgets:
            encoders = [recipe.at(budget).encoder for budget in get_args(Budget)]
            lines.append("encoder: " + ", ".join(f"{encoder.acai.steps:,}" for encoder in encoders if encoder))
        steps = "\n".join(filter(None, lines))
        table.add_row(f"[bold]{recipe.name}[/bold]\n{recipe.title}", published or "-", steps or "no training")
    console.print(table)


def run_recipe(
    name: Annotated[str, arg(metavar="NAME")],
    /,
    *,
    budget: Budget = "demo",
    seed: int = 0,
    seeds: int = 1,
    rounds: int = 1,
    steps: int | None = None,
    partitions: int | None = None,
    out: Path | None = None,
    results: Path = Path("results"),
    episodes: int = 1000,
    encoder: Path | None = None,
    data: Path | None = None,
    validation: bool = False,
    resume: bool = False,
    together: Together = Processes(),
) -> None:
    """Go from raw data to a row of a table, beside the published number.

    Args:
        name: a recipe, see `nopal recipes`, or a sweep over some of them
        budget: demo takes minutes, hour about an hour on two cores, published what the paper took
        seed: of clustering, weights and tasks
        seeds: train as many seeds together, from `seed` on, each in a folder of its own
        rounds: more than 1: embed again with the learner's network, cluster again, meta-train again; a folder and a
            record each
        steps: meta-training steps, in place of the budget's
        partitions: how many times to cluster, in place of the published number
        out: the run folder; runs/NAME-BUDGET-SEED by default, and OUT-SEED where there are several seeds
        results: folder for the record
        episodes: test tasks for each difficulty
        encoder: the file of an encoder that was fitted before, such as one that took hours, in place of a new one
        data: a file of `nopal poses render`, for recipes of poses; rendered from pascal3d_cad.zip by default
        validation: train without the part that is held back and judge on it, to choose hyper-parameters
        resume: go on with an interrupted run
        together: several processes
    """
    from nopal.recipes import running
    from nopal.recipes.rounds import run_rounds
    from nopal.recipes.seeds import run_seeds

    if seeds < 1:
        raise NopalError(f"The number of seeds is {seeds}; expected at least 1.")
    recipes = running.find_recipes(name)
    if rounds != 1 and (seeds > 1 or len(recipes) > 1):
        raise NopalError(f"{rounds} rounds were asked for with {seeds} seeds; run one seed of one recipe at a time.")
    together.join()
    options: dict[str, Any] = {
        "resume": resume,
        "steps": steps,
        "partitions": partitions,
        "episodes": episodes,
        "encoder": encoder,
        "data": data,
        "console": console,
    }
    for recipe in recipes:
        alone = out if len(recipes) == 1 else None
        base = alone or (out or Path("runs")) / f"{recipe.name}-{budget}"
        folders = {number: Path(f"{base}-{number}") for number in range(seed, seed + seeds)}
        recipe = running.held_back(recipe) if validation else recipe
        if rounds != 1:
            folder = out or Path(f"{base}-{seed}-rounds")
            records = run_rounds(recipe, budget, folder, results, rounds=rounds, seed=seed, **options)
        elif seeds == 1:
            records = [running.run_recipe(recipe, budget, alone or folders[seed], results, seed=seed, **options)]
        else:
            records = run_seeds(recipe, budget, folders.__getitem__, results, seeds=list(folders), **options)
        say(("The record: " if len(records) == 1 else "The records: ") + ", ".join(map(str, records)))


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
    from nopal.recipes.metering import meter_run

    meter_run(run, source, partitions, episodes, console)


def table(
    data: Annotated[str, arg(metavar="DATA")] = "all",
    /,
    *,
    results: Path = Path("results"),
    out: Path | None = None,
) -> None:
    """Make the page of results from the records, own numbers and published ones side by side.

    Args:
        data: a data set, such as omniglot; all by default
        results: the folder of records
        out: the Markdown page to write, with a picture beside it for each data set; printed by default
    """
    from nopal.recipes.table import results_table

    page = results_table(None if data == "all" else data, results, out)
    if out is None:
        print(page)
    else:
        say(f"The table: {out}")


def parse_difficulty(text: str) -> tuple[int, int]:
    """(way, shot) of a text such as 5x1."""
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found:
        raise NopalError(f"{text!r} is no difficulty; expected way x shot, for instance 5x1.")
    return int(found[1]), int(found[2])


COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": demo,
    "fit": fit,
    "predict": predict,
    "encode": encode,
    "partition": partition,
    "train": train,
    "evaluate": evaluate,
    "report": report,
    "meter": meter,
    "steps": steps,
    "recipes": recipes,
    "run": run_recipe,
    "table": table,
    "poses": poses,
}


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 2 for bad input, 3 where another process of the run has ended, or what
    the shell expects after a signal."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="nopal",
            description="Learn to learn from few examples, without labels. Begin with nopal demo or nopal fit FOLDER.",
            args=arguments or ["--help"],
            config=(tyro.conf.CascadeSubcommandArgs,),
        )
    except SystemExit as stop:  # tyro's own, after --help and mistyped options
        return int(stop.code or 0)
    except NopalError as error:
        print(f"nopal: {error}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        print(f"nopal: {stop}", file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print("nopal: Stopped; what was written stays.", file=sys.stderr)
        return 130
    except Exception as error:
        from nopal import distributed

        if distributed.ended_elsewhere(error):
            print(f"nopal: {distributed.LOST}", file=sys.stderr)
            return distributed.EXIT_LOST
        if distributed.several():  # the others wait for this process, which must not wait for them
            traceback.print_exc()
            return 1
        raise
    return 0
