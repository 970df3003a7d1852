"""Scores, reports and tables of runs that are finished."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from nopal.encoders import load_encoder
from nopal.errors import NopalError
from nopal.evaluation import Scores
from nopal.learners.nearest_neighbour import NearestNeighbour
from nopal.prediction import brought_to
from nopal.recipes.loading import load, options_of, steps_done
from nopal.recipes.measuring import as_score, measure
from nopal.recipes.sources import Split, load_images, name_of
from nopal.report import (
    Picture,
    Row,
    Section,
    curves_figure,
    html_table,
    report_page,
    results_page,
    rows_of,
    table_legend,
    text_table,
    write_page,
)
from nopal.runs import Stopwatch, check_writable, load_run, make_record, read_records, write_record, write_scores_csv
from nopal.runs.files import write_text


def judge_run(
    path: Path,
    source: str,
    difficulties: Sequence[tuple[int, int]],
    split: Split,
    episodes: int,
    out: Path,
    encoder: Path | None,
    console: Console,
) -> None:
    """Score a run's learner and, where there is an encoder (the run's own by default), nearest neighbours on the same
    tasks; writes records and a CSV file."""
    if not difficulties:
        raise NopalError("No difficulty was named; name one, such as 5x1.")
    check_writable(out / "scores.csv")
    run, learner = load_run(path), load(path)
    own = path / "encoder.npz"
    encode = load_encoder(encoder or own) if encoder or own.exists() else None
    shape = learner.network.shape
    images = load_images(source, split=split, **brought_to(shape))
    if images.shape != shape:
        raise NopalError(
            f"The images are {images.shape} (height, width, channels), but the run was trained on {shape}; give images "
            "like those."
        )
    labels = images.need_labels()
    options, training = options_of(run)
    found = {options.title: measure(learner, images.images, labels, difficulties, episodes=episodes)}
    if encode:
        vectors = encode(images.images)
        found["kNN on the embedding"] = measure(NearestNeighbour(), vectors, labels, difficulties, episodes=episodes)
    data = name_of(source)
    records = [
        make_record(
            recipe="evaluation",
            learner=name,
            data=data,
            seed=training.seed,
            config=run.config,
            steps=steps_done(run) if name == options.title else 0,
            published_steps=None,
            scores=[as_score(at, scores) for at, scores in of_learner.items()],
            wall_seconds=Stopwatch(path / "seconds.txt").seconds(),
        )
        for name, of_learner in found.items()
    ]
    for record in records:
        write_record(out / "results", record, f"{record['learner']} on {data} {split} seed {training.seed}")
    write_scores_csv(out / "scores.csv", records)
    console.print(text_table([row for record in records for row in rows_of(record)]))
    if len(found) == 2:
        console.print(_differences(*found.values()), highlight=False)


def _differences(learner: dict[tuple[int, int], Scores], baseline: dict[tuple[int, int], Scores]) -> str:
    lines = (f"{n}-way {k}-shot {learner[n, k].minus(baseline[n, k])}" for n, k in learner)
    return "Above nearest neighbours on the same tasks, in points: " + "; ".join(lines)


def write_report(paths: Sequence[Path], out: Path) -> None:
    """One page about the runs in `paths`."""
    if not paths:
        raise NopalError("No run folder was named; name at least one.")
    check_writable(out)
    runs = {str(path): load_run(path) for path in paths}
    rows: list[Row] = []
    for name, run in runs.items():
        records = read_records(run.path / "results") if (run.path / "results").is_dir() else []
        for record in records:
            about = {"run": name, "data": record["data"]}
            rows += [dataclasses.replace(row, details=about | dict(row.details)) for row in rows_of(record)]
    sections = []
    if rows:
        sections.append(Section("Scores", [html_table(rows), *table_legend(rows)]))
    curves = {name: run.metrics for name, run in runs.items() if run.metrics.exists()}
    if curves:
        sections.append(
            Section(
                "How it learned", [Picture(curves_figure(curves), "Learning curves", "Accuracy on training tasks.")]
            )
        )
    pictures = [
        Picture(_picture(run.path / "tasks.png"), f"A training task of {name}", f"A training task of {name}.")
        for name, run in runs.items()
        if (run.path / "tasks.png").exists()
    ]
    if pictures:
        sections.append(Section("What it learned from", pictures))
    if shown := [picture for name, run in runs.items() for picture in _of_encoder(name, run.path / "encoder")]:
        sections.append(Section("What its encoder keeps", shown))
    write_page(out, report_page("Nopal: " + ", ".join(runs), sections))


def _of_encoder(name: str, folder: Path) -> list[Picture]:
    """What the encoder of a run left in its folder, where it was trained."""
    if not (folder / "reconstructions.png").exists():
        return []
    curve = curves_figure({name: folder / "metrics.csv"}, metric="loss")
    known, between = (_picture(folder / f"{kind}.png") for kind in ("reconstructions", "interpolations"))
    return [
        Picture(known, f"Reconstructions by the encoder of {name}", "Images, and what was decoded from their vectors."),
        Picture(between, f"Interpolations by the encoder of {name}", "Decoded on the way from one vector to another."),
        Picture(curve, f"Loss of the encoder of {name}", "Loss of the autoencoder."),
    ]


def _picture(path: Path) -> Figure:
    """A picture file as a figure, so that the page embeds it."""
    pixels = Image.open(path)
    figure = Figure(figsize=(pixels.width / 120, pixels.height / 120))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(pixels)
    axes.axis("off")
    return figure


def results_table(results: Path, out: Path | None) -> str:
    """The Markdown page of all records under `results`, with links relative to `out`."""
    where = out.parent if out else Path.cwd()
    if out:
        check_writable(out)
    page = results_page(
        read_records(results),
        "Results",
        "Made by `nopal table` from the records of real runs: every number is what a run measured, at the budget that "
        "its row states. Where that is far from the published budget, so may the number be, in either direction: only "
        "rows at the published budget are reproductions.",
        folder=Path(os.path.relpath(results, where)).as_posix(),
    )
    if out:
        write_text(out, page)
    return page
