"""Scores, reports and tables of runs that are finished."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from nopal.encoders import load_encoder
from nopal.errors import NopalError
from nopal.evaluation import Scores
from nopal.options.baselines import (
    BaselineOptions,
    LogisticOptions,
    MLPHeadOptions,
    NearestNeighbourOptions,
)
from nopal.partitions import Partitions, summarise
from nopal.prediction import brought_to
from nopal.recipes.cactus import LINEAR, MLP, NEIGHBOURS
from nopal.report import (
    Markup,
    Picture,
    Row,
    Section,
    curves_figure,
    html_table,
    report_page,
    rows_of,
    summaries_table,
    table_legend,
    text_table,
    write_page,
)
from nopal.runs import (
    RunFolder,
    Stopwatch,
    check_writable,
    load_run,
    make_record,
    read_records,
    write_record,
    write_scores_csv,
)
from nopal.runs.files import read_json
from nopal.runs.folder import CONFIG
from nopal.stages.baselines import Chosen
from nopal.stages.beginning import digest_of
from nopal.stages.loading import image_shape, key_of, load, options_of, steps_done, tasks_of
from nopal.stages.measuring import as_score, labelled, measure
from nopal.stages.predicting import PICTURE
from nopal.stages.sources import NAMED, Split, load_images, name_of

BaselineName = Literal["knn", "linear", "mlp"]
DEFAULTS: dict[str, BaselineOptions] = {
    "knn": NearestNeighbourOptions(),
    "linear": LogisticOptions(),
    "mlp": MLPHeadOptions(),
}
TUNED: dict[str, BaselineOptions] = {"knn": NEIGHBOURS, "linear": LINEAR, "mlp": MLP}


def judge_run(
    path: Path,
    source: str,
    difficulties: Sequence[tuple[int, int]],
    split: Split,
    episodes: int,
    out: Path,
    encoder: Path | None,
    console: Console,
    baselines: Sequence[BaselineName] | None = None,
    tune_on: str | None = None,
) -> None:
    """Score a run's learner and, where there is an encoder (the run's own by default), `baselines` on its vectors of
    the same tasks; writes records, and a CSV file of all that are there.

    Of baselines nearest neighbours are the default, where there is an encoder. They take their default
    hyper-parameters, or the best of the recipes' on tasks of `tune_on`, labelled images of other classes. Raises
    `NopalError` for baselines without an encoder.
    """
    if not difficulties:
        raise NopalError("No difficulty was named; name one, such as 5x1.")
    check_writable(out / "scores.csv")
    run, learner = load_run(path), load(path)
    own = path / "encoder.npz"
    encode = load_encoder(encoder or own) if encoder or own.exists() else None
    if encode is None and (baselines or tune_on):
        raise NopalError(
            f"The run in {path} has no encoder of its own, whose vectors baselines need; name by --encoder the one "
            "that nopal encode wrote, VECTORS.encoder.npz."
        )
    shape = image_shape(learner)
    images = load_images(source, split=split, **brought_to(shape))
    if images.shape != shape:
        raise NopalError(
            f"The images are {images.shape} (height, width, channels), but the run was trained on {shape}; give images "
            "like those."
        )
    labels = images.need_labels()
    options, training = options_of(run)
    data, tasks_at = name_of(source), labelled(images.images, labels, name_of(source))
    validation = None
    if encode and tune_on:
        held_out = load_images(tune_on, split="validation" if tune_on in NAMED else split, **brought_to(shape))
        validation = encode(held_out.images), held_out.need_labels()
        for at in difficulties:
            labelled(*validation, name_of(tune_on))(at)
    found = {options.title: measure(learner, tasks_at, difficulties, episodes=episodes)}
    judged: dict[str, Any] = {"split": split, "at": difficulties, "episodes": episodes}
    judged["digest"] = digest_of(images.images, labels)
    configs: dict[str, dict[str, Any]] = {options.title: run.config | {"judged": judged}}
    if encode:
        vectors = encode(images.images)
        for name in ("knn",) if baselines is None else baselines:
            baseline = (TUNED if tune_on else DEFAULTS)[name]
            chosen = Chosen(baseline.offer(lambda: vectors, key_of(0, "baseline")), validation)
            row = f"{baseline.title} on the embedding"
            found[row] = measure(chosen, labelled(vectors, labels), difficulties, episodes=episodes)
            configs[row] = run.config | {"chosen": chosen.settings, "judged": judged | {"encoder": encode.made}}
    records = [
        make_record(
            recipe="evaluation",
            learner=name,
            data=data,
            seed=training.seed,
            config=configs[name],
            steps=steps_done(run) if name == options.title else 0,
            published_steps=None,
            scores=[as_score(at, scores) for at, scores in of_learner.items()],
            wall_seconds=Stopwatch(path / "seconds.txt").seconds(),
        )
        for name, of_learner in found.items()
    ]
    for record in records:
        of, steps = data[:40], record["budget"]["steps"]  # what a file may be called is short
        write_record(out / "results", record, f"{record['learner']} on {of} {split} {steps} steps seed {training.seed}")
    console.print(text_table([row for record in records for row in rows_of(record)]))
    if "kNN on the embedding" in found:
        console.print(_differences(found[options.title], found["kNN on the embedding"]), highlight=False)
    write_scores_csv(out / "scores.csv", read_records(out / "results" / "evaluation"))


def _differences(learner: dict[tuple[int, int], Scores], baseline: dict[tuple[int, int], Scores]) -> str:
    lines = (f"{n}-way {k}-shot {learner[n, k].minus(baseline[n, k])}" for n, k in learner)
    return "Above nearest neighbours on the same tasks, in points: " + "; ".join(lines)


def write_report(paths: Sequence[Path], out: Path) -> None:
    """One page about the runs in `paths`, which may be of encoders."""
    if not paths:
        raise NopalError("No run folder was named; name at least one.")
    check_writable(out)
    encoders = {str(path): folder for path in paths if (folder := _encoder_alone(path))}
    runs = {str(path): load_run(path) for path in paths if str(path) not in encoders}
    encoders |= {name: run.path / "encoder" for name, run in runs.items()}
    rows: list[Row] = []
    for name, run in runs.items():
        records = read_records(run.path / "results") if (run.path / "results").is_dir() else []
        for record in records:
            tasks = record["scores"][0]["tasks"]
            about = {"run": name, "data": record["data"], "tasks": f"{tasks:,}", "record": Path(record["file"]).stem}
            rows += [dataclasses.replace(row, details=about | dict(row.details)) for row in rows_of(record)]
    sections = []
    if rows:
        sections.append(Section("Scores", [html_table(rows), *table_legend(rows)]))
    curves: dict[str, dict[str, Path]] = {}
    for name, run in runs.items():
        if run.metrics.exists():
            curves.setdefault(tasks_of(run).target(options_of(run)[1].way).metric, {})[name] = run.metrics
    if curves:
        sections.append(
            Section(
                "How it learned",
                [
                    Picture(
                        curves_figure(of_metric, metric=metric),
                        f"Learning curves: {metric.replace('_', ' ')}",
                        f"{metric.replace('_', ' ').capitalize()} on training tasks.",
                    )
                    for metric, of_metric in curves.items()
                ],
            )
        )
    for file, heading, words in (
        ("tasks.png", "What it learned from", "A training task of"),
        (PICTURE, "What it predicts", "Predictions of"),
    ):
        drawn = {name: run.path / file for name, run in runs.items() if (run.path / file).exists()}
        pictures = [Picture(_picture(path), f"{words} {name}", f"{words} {name}.") for name, path in drawn.items()]
        if pictures:
            sections.append(Section(heading, pictures))
    if shown := [picture for name, folder in encoders.items() for picture in _of_encoder(name, folder)]:
        sections.append(Section("What its encoder keeps", shown))
    for name, run in runs.items():
        if (run.path / "partitions.npz").exists():
            sections.append(_clusters(name, run))
    write_page(out, report_page("Nopal: " + ", ".join(map(str, paths)), sections))


def _clusters(name: str, run: RunFolder) -> Section:
    """What the partitions are like that a run made, as far as its tasks use them."""
    made, training = Partitions.load(run.path / "partitions.npz"), options_of(run)[1]
    members = training.shot + training.query
    parts: list[str | Markup | Picture] = []
    if (run.path / "clusters.png").exists():
        drawn = f"Some clusters of the first partition of {name}."
        parts.append(Picture(_picture(run.path / "clusters.png"), drawn, f"{drawn} The number is that of members."))
    parts.append(f"Clusters with at least {members} members count, as many as a task takes of each.")
    return Section(f"The clusters of {name}", [*parts, summaries_table(summarise(made, members))])


def _encoder_alone(path: Path) -> Path | None:
    """The folder of an encoder that was trained for no meta-learner: this one, or in it `encoder`."""
    if (path / CONFIG).exists():
        config = read_json(path / CONFIG)
        return path if "encoder" in config and "learner" not in config else None
    return path / "encoder" if (path / "encoder" / CONFIG).exists() else None


def _of_encoder(name: str, folder: Path) -> list[Picture]:
    """What an encoder left in its folder, where it was trained."""
    shown = [
        Picture(_picture(file), f"{kind.capitalize()} by the encoder of {name}", caption)
        for kind, caption in _OF_ENCODER.items()
        if (file := folder / f"{kind}.png").exists()
    ]
    if (folder / "metrics.csv").exists():
        curve = curves_figure({name: folder / "metrics.csv"}, metric="loss")
        shown.append(Picture(curve, f"Loss of the encoder of {name}", "Loss of the encoder."))
    return shown


_OF_ENCODER = {
    "reconstructions": "Images, and what was decoded from their vectors.",
    "interpolations": "Decoded on the way from one vector to another.",
}


def _picture(path: Path) -> Figure:
    """A picture file as a figure, so that the page embeds it."""
    try:
        pixels = Image.open(path)
        pixels.load()
    except (OSError, SyntaxError) as error:  # what Pillow raises for broken pictures
        raise NopalError(f"The picture {path} can't be read ({error}); take it away.") from None
    figure = Figure(figsize=(pixels.width / 120, pixels.height / 120))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(pixels)
    axes.axis("off")
    return figure
