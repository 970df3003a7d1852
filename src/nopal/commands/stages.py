"""`nopal encode`, `partition`, `train`, `evaluate` and `report`: one stage at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import rich.box
import rich.table
from tyro.conf import arg

from nopal.commands.arguments import LearnerChoice, Out, Processes, Run, Source, Together, parse_difficulty
from nopal.errors import NopalError
from nopal.options.experiment import EncoderOptions, PartitionOptions, TrainingOptions
from nopal.options.learners import ProtoNetOptions
from nopal.runs import check_named
from nopal.stages.sources import Split
from nopal.terminal import console, say

if TYPE_CHECKING:
    from nopal.partitions.summary import Summary


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
        source: a folder of images, an .npz file, or glyphs, omniglot, omniglot-background, omniglot-nme,
            omniglot-nme-validation, mini-imagenet, mnist
        out: the .npz file to write, with X (images), Y (labels, where there are any) and Z (vectors)
        split: which part of a named data set
        encoder: what turns an image into a vector
        by: the file of an encoder that was fitted before, or the run folder of a learner whose network to take, in
            place of a new one
        size: resize a folder's images to this many pixels a side
        resume: where the encoder is trained, go on from its last checkpoint
    """
    from nopal.data import save_arrays
    from nopal.stages.beginning import check_outside
    from nopal.stages.encoding import fit_encoder
    from nopal.stages.rounds import encoder_at
    from nopal.stages.sources import NAMED, check_size, load_images, name_of

    check_named(out, ".npz", source=Path(source))
    check_outside(out, None if source in NAMED else Path(source))
    check_size(source, size)
    if by and encoder != EncoderOptions():
        raise NopalError(f"The encoder is that of {by}, so that other choices of one have no meaning; leave them out.")
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
    from nopal.stages.clusters import write_clusters
    from nopal.stages.pipeline import cluster
    from nopal.stages.sources import load_labels

    check_named(out, ".npz", source=vectors)
    if report:
        check_named(report, ".html", ".csv", source=vectors)
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
        learner: which learner; a MAML tells at most training.way classes apart
        training: how to meta-train
        split: which part of a named data set
        size: resize a folder's images to this many pixels a side, as they were when they were encoded
        every: steps between checkpoints and log lines
        resume: go on from the last checkpoint in OUT
        together: several processes
    """
    together.join()
    from nopal.distributed import from_first
    from nopal.partitions import Partitions, from_labels
    from nopal.stages.beginning import begin_run, check_beginning, digest_of
    from nopal.stages.pipeline import class_tasks, is_finished, meta_train
    from nopal.stages.sources import NAMED, check_size, load_images, name_of

    check_size(source, size)
    check_beginning(out, training, None if source in NAMED else Path(source), resume)
    images = load_images(source, split=split, size=size)
    labelled = str(partitions) == "labels"
    divided = (
        from_labels(images.need_labels())
        if labelled
        else Partitions.from_arrays(from_first(lambda: Partitions.load(partitions).as_arrays()))
    )
    made = {"images": name_of(source), "partitions": divided.made}
    digest, groups = digest_of(images.images), digest_of(divided.members, divided.starts)
    run = begin_run(
        out, images.shape, learner, training, made=made, digest=digest, groups=groups, every=every, resume=resume
    )
    finished = is_finished(run)
    meta_train(run, class_tasks(run, images.images, divided))
    say(f"The learner{', which was finished already' if finished else ''}: {out}")


def evaluate(
    run: Run,
    source: Source,
    /,
    *,
    at: tuple[str, ...] = ("5x1", "5x5"),
    split: Split = "test",
    episodes: int = 1000,
    encoder: Path | None = None,
    baselines: tuple[Literal["knn", "linear", "mlp"], ...] | None = None,
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
        baselines: nearest neighbours, logistic regression, a perceptron with dropout; the first by default where there
            is an encoder
        tune_on: labelled images of other classes on which to choose the baselines' hyper-parameters; of a data set by
            name, its validation part
        out: folder for the record (JSON) and the scores (CSV); the run folder by default
    """
    from nopal.stages.judging import judge_run

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
        runs: run folders, also of encoders
        out: the page to write
    """
    from nopal.stages.judging import write_report

    write_report(runs, out)
    say(f"The report: {out}")
