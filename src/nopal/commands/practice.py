"""`nopal demo`, `fit` and `predict`: from images to predictions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from nopal.commands.arguments import LearnerChoice, Out, Processes, Run, Together
from nopal.data.reading import UnreadableImage
from nopal.errors import NopalError
from nopal.options.experiment import EncoderOptions, PartitionOptions, TrainingOptions
from nopal.options.learners import ProtoNetOptions
from nopal.terminal import console, say


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
    from nopal.stages.demo import run_demo

    page = run_demo(out, seed=seed, resume=resume, episodes=episodes, speed=speed, console=console)
    say(f"The report: {page}")


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
        folder: images, flat or in subfolders, whose names don't matter; with the encoder classifier one for each class
        out: the run folder
        size: resize images to this many pixels a side; 84 suits photographs, if there is time
        encoder: what turns an image into a vector
        partitions: how to cluster
        learner: which learner, for instance learner:maml --learner.inner-rate 0.1; its options are listed by
            nopal fit learner:maml --help. A MAML tells at most training.way classes apart
        training: how to meta-train
        rounds: more than 1: embed again with the learner's network, cluster again, meta-train again, each round in a
            folder of its own in OUT
        skip_unreadable: leave out files that can't be read
        resume: go on from the last checkpoint in OUT
        together: several processes
    """
    together.join()
    from nopal.stages.fitting import fit_folder
    from nopal.stages.rounds import round_folder

    with _offering_to_skip():
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
    skip_unreadable: bool = False,
) -> None:
    """Adapt to a few labelled images and classify others; OUT gets file, class and probability.

    Args:
        run: the run folder of `nopal fit`, `train` or `run`
        support: a folder with one subfolder of images for each class
        images: images, or folders of them
        out: the CSV file to write
        skip_unreadable: leave out images to classify that can't be read
    """
    from nopal.prediction import load_queries, load_support
    from nopal.prediction import predict as classify
    from nopal.runs import check_writable
    from nopal.stages.loading import image_shape, load

    check_writable(out)
    learner = load(run)
    shape = image_shape(learner)
    if learner.statistics == "transductive":
        say("This learner was trained with statistics of all queries; here it takes those of the support set.")
    known = load_support(support, shape)
    with _offering_to_skip():
        queries, files = load_queries(images, shape, skip_unreadable=skip_unreadable)
    found = classify(learner, known, queries, files)
    found.write(out)
    if len(files) == 1:
        best = int(found.probabilities[0].argmax())
        say(f"{files[0]}: {found.classes[best]} ({found.probabilities[0, best]:.1%})")
    say(f"{len(files):,} predictions: {out}")


@contextlib.contextmanager
def _offering_to_skip() -> Iterator[None]:
    try:
        yield
    except UnreadableImage as error:
        raise NopalError(f"{str(error).removesuffix('.')}, or leave such files out by --skip-unreadable.") from None
