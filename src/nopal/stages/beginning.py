"""What a run is begun with, and what keeps it from beginning: checked before images are read, and before anything is
written."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import numpy as np
from jaxtyping import Array

from nopal.distributed import from_first, is_first
from nopal.errors import NopalError
from nopal.options.experiment import PartitionOptions, TrainingOptions, check_positive
from nopal.options.learners import MetaLearnerOptions
from nopal.options.plain import to_plain
from nopal.options.tasks import Classes, TaskOptions
from nopal.runs import RunFolder, check_writable, open_run
from nopal.runs.files import read_json
from nopal.runs.folder import CONFIG, refuse_used
from nopal.stages.loading import keys
from nopal.stages.watching import refuse_fewer
from nopal.tasks.classification import check_counts


def begin_run(
    path: str | Path,
    shape: tuple[int, ...],
    learner: MetaLearnerOptions,
    training: TrainingOptions,
    *,
    tasks: TaskOptions = Classes(),
    made: dict[str, Any],
    digest: str | None = None,
    groups: str | None = None,
    every: int = 100,
    resume: bool = False,
) -> RunFolder:
    """A run folder with everything that decides the result in `config.json`; `tasks` says what tasks are, `made` where
    they come from; `digest` is that of images which are a person's own, `groups` that of their partitions or labels.

    `every` is the number of steps between checkpoints and log lines. With `resume`, the run that is there goes on,
    perhaps for more steps (unless they are annealed) and, as long as there are no partitions, with other options for
    those. Raises `NopalError` for a folder that is in use or can't be written, for options that make no learner, and
    for other images or groups than the run was begun with, before anything is written.
    """
    check_positive(learner, "filters", "epsilon")
    check_positive(training, "tasks_per_step", "steps", "outer_rate", "clip", "weight_decay")
    if every < 1:
        raise NopalError(f"Checkpoints are to be written every {every} steps; expected at least 1.")
    eqx.filter_eval_shape(learner.build, shape, tasks.target(training.way), keys(training.seed)[0])
    if resume:
        refuse_fewer(Path(path), training.steps)
        from_first(lambda: check_digest(Path(path), digest))
        from_first(lambda: check_digest(Path(path), groups, "groups"))
    choices = {"learner": to_plain(learner), "training": to_plain(training)}
    if tasks != Classes():
        choices["tasks"] = to_plain(tasks)
    digests = {name: value for name, value in (("digest", digest), ("groups", groups)) if value}
    config = choices | {"shape": shape, "made": made, "every": every} | digests
    may_differ = ["digest", "groups"]  # which were compared above
    if not training.anneal:  # a stretched cosine would rise again
        may_differ.append("training.steps")
    if not (Path(path) / "partitions.npz").exists():
        may_differ += [f"made.partitions.{field.name}" for field in dataclasses.fields(PartitionOptions)]
    return open_run(path, config, resume=resume, may_differ=may_differ)


def check_beginning(path: Path, training: TrainingOptions, source: Path | None, resume: bool) -> None:
    """Raises `NopalError` for what keeps a run from beginning in `path` whatever its images are, before they are read
    from the folder `source` (None where they come from elsewhere)."""
    check_counts(training.way, training.shot, training.query)

    def check() -> None:
        check_writable(path / CONFIG)
        check_outside(path, source)
        if not resume:
            refuse_used(path)

    from_first(check)


def check_outside(path: Path, source: Path | None) -> None:
    """Raises `NopalError` where what a run writes at `path` would lie among the images of the folder `source`."""
    if source and path.resolve().is_relative_to(source.expanduser().resolve()):
        raise NopalError(
            f"{path} would lie within {source}, where its own pictures would count as images; choose a place outside."
        )


@contextlib.contextmanager
def undone_if_refused(run: RunFolder) -> Iterator[None]:
    """A run that is refused before its first step leaves nothing behind, so that its folder can be used again; but what
    an encoder has learned stays."""
    try:
        yield
    except NopalError as error:
        begun, trained = run.metrics.exists(), (run.path / "encoder").exists()
        if is_first() and not begun:
            of_run = () if trained else (CONFIG, "environment.json")
            for name in (*of_run, "encoder.npz", "partitions.npz", "clusters.png"):
                (run.path / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                run.path.rmdir()
        if trained and not begun:
            raise NopalError(f"{error} The trained encoder stays: go on with other partitions by --resume.") from None
        raise


def digest_of(*arrays: np.ndarray | Array) -> str:
    """What tells these images (and labels), in this order, from others."""
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def check_digest(path: Path, digest: str | None, name: Literal["digest", "groups"] = "digest") -> None:
    """Raises `NopalError` where there is a run in `path` that was begun with other images or groups of them; one begun
    before their digest was written down is let through."""
    begun = read_json(path / CONFIG).get(name) if (path / CONFIG).exists() else None
    if begun and digest and begun != digest:
        what = "images" if name == "digest" else "partitions or labels"
        raise NopalError(
            f"The run in {path} was begun with other {what} than these; give those that it was begun with, none added, "
            "taken away or changed."
        )
