"""Scores, reports and tables of a run that is there."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from nopal import NopalError
from nopal.data import save_arrays
from nopal.data.images import ImageSet
from nopal.encoders import Raw
from nopal.options.experiment import TrainingOptions
from nopal.options.learners import ProtoNetOptions
from nopal.runs import Checkpoints, read_records
from nopal.stages.beginning import begin_run
from nopal.stages.judging import judge_run, write_report
from nopal.stages.table import results_table
from nopal.tasks import Categorical

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `run`, of a learner that has fresh weights, and `easy.npz`: classes differ by their brightness."""
    place = tmp_path_factory.mktemp("judging")
    options, training = ProtoNetOptions(filters=4, downsample="stride", statistics="support"), TrainingOptions(steps=7)
    run = begin_run(place / "run", SHAPE, options, training, made={})
    Checkpoints(run.path / "learner").save(7, options.build(SHAPE, Categorical(5), jax.random.key(0)))
    labels = np.repeat(np.arange(3), 6)
    noise = np.random.default_rng(0).integers(0, 20, (18, *SHAPE))
    images = ImageSet((noise + 100 * labels[:, None, None, None]).astype(np.uint8), labels, ("a", "b", "c"))
    save_arrays(place / "easy.npz", images)
    save_arrays(place / "nameless.npz", images.without_labels())
    save_arrays(place / "small.npz", ImageSet(images.images[:, ::2, ::2], labels))
    Raw.fit(images.images).save(place / "raw.npz")
    return place


def judge(place: Path, source: str = "easy.npz", **changes: object) -> str:
    text = io.StringIO()
    arguments = {"difficulties": [(3, 1)], "split": "test", "episodes": 4, "out": place / "run", "encoder": None}
    judge_run(place / "run", str(place / source), **(arguments | changes), console=Console(file=text, width=120))
    return text.getvalue()


def test_records_and_scores(place: Path, tmp_path: Path) -> None:
    said = judge(place, out=tmp_path, encoder=place / "raw.npz")
    knn, learner = read_records(tmp_path / "results")
    assert (knn["learner"], knn["budget"]["steps"], knn["data"]) == ("kNN on the embedding", 0, "easy.npz")
    assert (learner["learner"], learner["budget"]["steps"]) == ("ProtoNets", 7)
    score = knn["scores"][0]
    assert (score["mean"], score["way"], score["shot"], score["tasks"]) == (100.0, 3, 1, 4)
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 3
    assert "100.0" in said
    assert "Above nearest neighbours on the same tasks, in points: 3-way 1-shot" in said
    page = results_table(None, tmp_path / "results", tmp_path / "docs" / "page.md")
    assert (tmp_path / "docs" / "page.md").read_text() == page
    assert f"(../results/{knn['file']})" in page
    assert f"(results/{knn['file']})" in results_table(None, tmp_path / "results", tmp_path / "page.md")


def test_no_evaluation_takes_the_place_of_another(place: Path, tmp_path: Path) -> None:
    other = ImageSet(np.zeros((18, *SHAPE), np.uint8), np.repeat(np.arange(3), 6))
    (tmp_path / "b").mkdir()
    save_arrays(tmp_path / "b" / "easy.npz", other)
    for source, changes in (
        ("easy.npz", {}),
        ("easy.npz", {"episodes": 5}),
        ("easy.npz", {"difficulties": [(2, 1)]}),
        ("easy.npz", {"split": "train"}),
        (str(tmp_path / "b" / "easy.npz"), {}),
        ("easy.npz", {}),
    ):
        judge(place, source, out=tmp_path, **changes)
    name = "protonets-on-easy-npz-{}-7-steps-seed-0{}.json".format
    lines = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    assert sorted((line["file"], line["way"], line["tasks"]) for line in lines) == [
        (name("test", "-2"), "3", "5"),
        (name("test", "-3"), "2", "4"),
        (name("test", "-4"), "3", "4"),
        (name("test", ""), "3", "4"),
        (name("train", ""), "3", "4"),
    ]
    files = [record["file"].removeprefix("evaluation/") for record in read_records(tmp_path / "results")]
    assert files == [line["file"] for line in lines]


def test_a_report_tells_evaluations_apart(place: Path, tmp_path: Path) -> None:
    run = shutil.copytree(place / "run", tmp_path / "run")
    for episodes in (4, 5):
        judge(place, out=run, episodes=episodes)
    write_report([run], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for tasks, name in ((4, "seed-0"), (5, "seed-0-2")):
        assert f"<td>{tasks}</td><td>protonets-on-easy-npz-test-7-steps-{name}</td>" in page


def test_baselines_are_chosen_on_other_labelled_images(place: Path, tmp_path: Path) -> None:
    judge(place, out=tmp_path, encoder=place / "raw.npz", baselines=("knn", "linear"), tune_on=str(place / "easy.npz"))
    knn, linear, learner = read_records(tmp_path / "results")
    assert linear["learner"] == "linear on the embedding"
    assert (set(knn["config"]["chosen"]), set(linear["config"]["chosen"]["3x1"])) == ({"3x1"}, {"strength"})
    assert "chosen" not in learner["config"]


def test_a_folder_is_brought_to_the_shape_of_the_run(place: Path, tmp_path: Path) -> None:
    for name, value in (("a", 0), ("b", 250)):
        for i in range(6):
            (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 16), (value, 0, i)).save(tmp_path / "set" / name / f"{i}.png")
    judge(place, str(tmp_path / "set"), out=tmp_path / "out", difficulties=[(2, 1)])
    (record,) = read_records(tmp_path / "out" / "results")
    assert (record["data"], record["scores"][0]["way"]) == ("set", 2)


@pytest.mark.parametrize(
    ("source", "changes", "sentence"),
    [
        ("nameless.npz", {}, "These images have no labels"),
        ("small.npz", {}, r"The images are \(4, 4, 1\) .* trained on \(8, 8, 1\)"),
        ("easy.npz", {"difficulties": []}, "No difficulty was named"),
        ("easy.npz", {"difficulties": [(4, 1)]}, "npz has 3 classes, 3 of them .* 4x1 needs 4 classes of 6"),
        ("easy.npz", {"episodes": 0}, "The number of test tasks is 0"),
    ],
)
def test_refused(place: Path, tmp_path: Path, source: str, changes: dict, sentence: str) -> None:
    with pytest.raises(NopalError, match=sentence):
        judge(place, source, out=tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_what_to_tune_on_is_found_before_anything_is_measured(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(place / "easy.npz") as easy:
        save_arrays(tmp_path / "few.npz", ImageSet(easy["X"][::2], easy["Y"][::2]))
    monkeypatch.delattr("nopal.stages.judging.measure")
    with pytest.raises(NopalError, match=r"few\.npz has 3 classes, none of them of 6 images or more"):
        judge(place, out=tmp_path / "out", encoder=place / "raw.npz", tune_on=str(tmp_path / "few.npz"))


def test_reports_need_runs(place: Path, tmp_path: Path) -> None:
    with pytest.raises(NopalError, match="No run folder was named"):
        write_report([], tmp_path / "page.html")
    with pytest.raises(NopalError, match="There is no folder"):
        write_report([place / "no run"], tmp_path / "page.html")
    assert not list(tmp_path.iterdir())
