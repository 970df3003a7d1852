"""The main job on built-in data, in minutes: does meta-learning on clusters beat nearest neighbours on the embedding it
clustered?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from nopal.data import glyphs
from nopal.data.images import ImageSet
from nopal.errors import NopalError
from nopal.evaluation import Scores, check_episodes
from nopal.learners.learner import Learner
from nopal.learners.nearest_neighbour import NearestNeighbour
from nopal.options.experiment import EncoderOptions, PartitionOptions, TrainingOptions
from nopal.options.learners import MAMLOptions, MetaLearnerOptions, ProtoNetOptions
from nopal.options.plain import to_plain
from nopal.partitions import Partitions, from_labels
from nopal.report import (
    Picture,
    Row,
    Section,
    contact_sheet,
    curves_figure,
    html_table,
    report_page,
    table_legend,
    text_table,
    write_page,
)
from nopal.runs import Stopwatch, make_record, write_record
from nopal.stages.beginning import begin_run
from nopal.stages.encoding import fit_encoder
from nopal.stages.measuring import EVALUATION_SEED, TEST_QUERIES, as_score, labelled, measure
from nopal.stages.pipeline import class_tasks, cluster, meta_train
from nopal.tasks.classification import Classification

ENCODER = EncoderOptions("pca", 64)
PARTITIONS = PartitionOptions(clusters=500, partitions=20)
DIFFICULTIES = ((5, 1), (20, 1))
PROTONET = ProtoNetOptions(filters=32, downsample="stride", statistics="running")
PROTONET_TRAINING = TrainingOptions(way=20, shot=1, query=5, tasks_per_step=1, steps=1000)
MAML = MAMLOptions(inner_rate=1.0, test_steps=5, statistics="support")
MAML_TRAINING = TrainingOptions(way=20, shot=1, query=5, tasks_per_step=4, steps=250)

ROWS: dict[str, tuple[MetaLearnerOptions, TrainingOptions, bool]] = {
    "CACTUs-ProtoNets": (PROTONET, PROTONET_TRAINING, False),
    "CACTUs-MAML": (MAML, MAML_TRAINING, False),
    "oracle: ProtoNets trained on labels": (PROTONET, PROTONET_TRAINING, True),
}


def run_demo(
    folder: Path, *, seed: int = 0, resume: bool = False, episodes: int = 1000, speed: float = 1.0, console: Console
) -> Path:
    """Train and compare on glyphs, print the table, write records and `report.html` into `folder`; returns the page's
    path.

    `speed` divides the numbers of training steps. Raises `NopalError` for a speed that is none and too few test tasks.
    """
    check_episodes(episodes)
    if not 0 < speed < float("inf"):
        raise NopalError(f"The speed is {speed}; expected a number above 0, by which steps are divided.")
    console.print("Drawing the built-in characters (or taking them from the cache) ...")
    data = glyphs.load()
    images, test = data.train.without_labels(), data.test
    encode = fit_encoder(images, ENCODER, data="glyphs")
    console.print(f"Clustering {len(images):,} unlabelled images {PARTITIONS.partitions} times ...")
    partitions = cluster(encode(images.images), dataclasses.replace(PARTITIONS, seed=seed))
    labels = from_labels(data.train.need_labels())
    rows = [Row("chance", [chance_score(at, episodes) for at in DIFFICULTIES], "none")]

    def judge(name: str, learner: Learner, x: Any, config: Mapping[str, Any], steps: int, seconds: float) -> None:
        """Measure a learner, and put it into the table and the records."""
        found = measure(learner, labelled(x, test.need_labels()), DIFFICULTIES, episodes=episodes)
        scores = [as_score(at, of_learner) for at, of_learner in found.items()]
        rows.append(Row(name, [score.as_dict() for score in scores], scores[0].statistics))
        record = make_record(
            recipe="demo",
            learner=name,
            data="glyphs",
            seed=seed,
            config=config,
            steps=steps,
            published_steps=None,
            scores=scores,
            wall_seconds=seconds,
        )
        write_record(folder / "results", record)

    judge("kNN on the embedding", NearestNeighbour(), encode(test.images), {"encoder": to_plain(ENCODER)}, 0, 0.0)
    curves = {}
    for name, (options, training, on_labels) in ROWS.items():
        short = name.split(":")[0]
        path = folder / short.lower()
        training = dataclasses.replace(training, seed=seed, steps=max(int(training.steps / speed), 1))
        made = {"data": "glyphs", "tasks": "labels" if on_labels else to_plain(PARTITIONS)}
        run = begin_run(path, images.shape, options, training, made=made, resume=resume, every=50)
        learner = meta_train(run, class_tasks(run, images.images, labels if on_labels else partitions), label=short)
        curves[short] = run.metrics
        judge(name, learner, test.images, run.config, training.steps, Stopwatch(path / "seconds.txt").seconds())
    console.print(text_table(rows, "Characters of scripts never seen in training"))
    page = report_page(
        "Nopal: learning to learn without labels", _sections(rows, curves, images.images, partitions, test)
    )
    write_page(folder / "report.html", page)
    return folder / "report.html"


def chance_score(difficulty: tuple[int, int], episodes: int) -> dict:
    """What guessing gives; exact, so its interval has no width."""
    constant = Scores(np.full(episodes, 1 / difficulty[0], np.float32), "accuracy", "none")
    return as_score(difficulty, constant).as_dict()


def _sections(
    rows: list[Row], curves: dict, images: np.ndarray, partitions: Partitions, test: ImageSet
) -> list[Section]:
    made = Classification(images, partitions, way=5, shot=1, query=5)
    real = Classification(test.images, from_labels(test.need_labels()), way=5, shot=1, query=TEST_QUERIES)
    return [
        Section(
            "",
            [
                f"{len(images):,} images of handwritten-looking characters were clustered {len(partitions.members)} "
                "times, without their labels. Meta-learners were then trained to tell clusters apart from one example "
                "each, and judged on characters of scripts that they had never seen."
            ],
        ),
        Section("What it can do", [html_table(rows), *table_legend(rows)]),
        Section("How it learned", [Picture(curves_figure(curves), "Learning curves", "Accuracy on training tasks.")]),
        Section(
            "What it learned from",
            [
                Picture(
                    _sheet(made, 1),
                    "Tasks made of clusters",
                    "Tasks made of clusters: a row should look alike, nobody says so.",
                ),
                Picture(
                    _sheet(real, 2), "A real test task", "A test task with human labels: one example, then queries."
                ),
            ],
        ),
    ]


def _sheet(tasks: Classification, seed: int) -> Figure:
    rows = np.asarray(tasks.draw(jax.random.key(EVALUATION_SEED + seed)))
    return contact_sheet(np.asarray(tasks.x)[rows], shot=tasks.shot)
