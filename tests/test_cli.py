"""The command line as a person uses it, with small drawings of a few letters."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest
from PIL import Image

import nopal
from nopal.__main__ import devices
from nopal.cli import run
from nopal.commands.arguments import parse_difficulty
from nopal.data import glyphs, save_arrays
from nopal.data.images import ImageSet
from nopal.data.resizing import resize

TRAIN = "--training.way 3 --training.query 2 --training.tasks-per-step 1 --training.steps 10"
LEARNER = "learner:protonet --learner.filters 4 --learner.downsample stride --learner.readout mean"


def small(images: ImageSet, classes: int) -> ImageSet:
    """The first classes, 10 x 10 pixels."""
    chosen = images.of_classes(images.classes[:classes])
    return ImageSet(resize(chosen.images, (10, 10)), chosen.labels, chosen.classes)


def save(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image[..., 0]).save(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Letters to train on as an archive and as a folder, others to test with, and what a careless user may have."""
    place = tmp_path_factory.mktemp("place")
    letters = glyphs.load()
    known, new = small(letters.train, 30), small(letters.test, 6)
    save_arrays(place / "letters.npz", known)
    save_arrays(place / "new.npz", new)
    for i, image in enumerate(known.images):
        save(image, place / "photos" / f"{i:03}.png")
    for i in (0, 20, 21):
        save(new.images[i], place / "support" / f"class{i // 20}" / f"{i}.png")
    for i in (1, 2, 22):
        save(new.images[i], place / "queries" / f"{i}.png")
    save(new.images[0], place / "lonely" / "class" / "0.png")
    (place / "empty").mkdir()
    (place / "damaged").mkdir()
    (place / "damaged" / "1.png").write_bytes(b"no image")
    (place / "notes.txt").write_text("no picture")
    np.savez(place / "nan.npz", Z=np.full((9, 2), np.nan, np.float32))
    np.savez(place / "few.npz", Z=np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32))
    np.savez(place / "yhot.npz", Z=np.random.default_rng(0).normal(size=(9, 2)), Y=np.zeros((9, 5), int))
    return place


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


@pytest.fixture(scope="module")
def stages(place: Path) -> Path:
    """From images to a run folder, one stage after the other; the folder that holds it all."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(place)
        assert go("encode letters.npz stages/vectors.npz --encoder.dimensions 16") == 0
        assert go("partition stages/vectors.npz stages/partitions.npz --clusters 20 --partitions 2") == 0
        assert go(f"train letters.npz stages/partitions.npz stages/run --every 5 {TRAIN} {LEARNER}") == 0
    return place / "stages"


def go(line: str) -> int:
    return run(line.split())


def test_stages(stages: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(stages / "vectors.npz") as file:
        assert (file["X"].shape, file["Z"].shape, len(file["Y"])) == ((600, 10, 10, 1), (600, 16), 600)
    assert nopal.encoders.load_encoder(stages / "vectors.encoder.npz").dimensions == 16
    assert nopal.partitions.Partitions.load(stages / "partitions.npz").sizes.shape == (2, 20)
    assert [line.split(",")[0] for line in (stages / "run" / "metrics.csv").read_text().splitlines()] == [
        "step",
        "5",
        "10",
    ]
    assert nopal.load(stages / "run").statistics == "running"

    assert go("evaluate stages/run new.npz --at 3x1 --episodes 8 --baselines knn") == 2
    assert "no encoder of its own, whose vectors baselines need; name by --encoder" in capsys.readouterr().err
    assert go("evaluate stages/run new.npz --at 3x1 --episodes 8 --encoder stages/vectors.encoder.npz") == 0
    said = capsys.readouterr().out
    assert "ProtoNets" in said
    assert "kNN on the embedding" in said
    assert go("report stages/run --out page.html") == 0
    page = (here / "page.html").read_text(encoding="utf-8")
    assert all(words in page for words in ("ProtoNets", "new.npz", "Learning curves", "A training task of stages/run"))
    assert go("table --results stages/run/results --out docs/results.md") == 0
    whole = (here / "docs" / "results.md").read_text()
    assert "](../stages/run/results/evaluation/" in whole
    capsys.readouterr()
    assert go("table omniglot --results stages/run/results --out docs/results.md") == 0
    printed = capsys.readouterr().out
    assert "| Oracle MAML | – (94.46 [MEM])" in printed
    assert "](../stages/run/results/evaluation/" not in printed
    assert (here / "docs" / "results.md").read_text() == whole


def test_images_are_embedded_by_a_file_or_a_run(stages: Path, here: Path) -> None:
    assert go("encode new.npz new-vectors.npz --by stages/vectors.encoder.npz") == 0
    encoder = nopal.encoders.load_encoder(stages / "vectors.encoder.npz")
    with np.load(here / "new-vectors.npz") as file:
        np.testing.assert_array_equal(file["Z"], encoder(file["X"]))
    assert go("encode new.npz features.npz --by stages/run") == 0
    made = nopal.encoders.load_encoder(here / "features.encoder.npz").made
    assert (made["encoder"], made["images"], made["data"]) == ("MetaLearned", 120, "new.npz")


def test_the_meter_of_a_run(stages: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert go("meter stages/run") == 2
    assert "does not say what it was trained on; name its images" in capsys.readouterr().err
    assert go("meter stages/run letters.npz") == 2
    assert "no partitions at" in capsys.readouterr().err
    assert go("meter stages/run letters.npz --partitions stages/partitions.npz --episodes 4") == 0
    assert "Reliance on the support set" in capsys.readouterr().out
    found = json.loads((stages / "run" / "meter.json").read_text())
    assert (found["tasks"], found["metric"], found["before"], found["guess"]) == (4, "accuracy", None, 33.333)


def test_partitions_have_a_page_or_their_numbers(stages: Path, here: Path) -> None:
    line = "partition stages/vectors.npz other.npz --partitions 2 --min-members 6"
    assert go(f"{line} --how hyperplanes --clusters 3 --margin 0.1 --report other.html") == 0
    page = (here / "other.html").read_text(encoding="utf-8")
    assert all(words in page for words in ("2 partitions of 600 vectors", "purity", "Clusters of partition 1"))
    assert go(f"{line} --how random --clusters 20 --report other.csv") == 0
    rows = list(csv.DictReader((here / "other.csv").read_text().splitlines()))
    assert [int(row["clusters"]) for row in rows] == [20, 20]
    assert all(float(row["purity"]) < 0.3 for row in rows)
    np.save(here / "z.npy", np.load(stages / "vectors.npz")["Z"])
    assert go("partition z.npy other.npz --clusters 20 --partitions 1 --report other.html") == 0
    assert "Clusters of partition" not in (here / "other.html").read_text(encoding="utf-8")


def test_fit_then_predict(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert go(f"fit photos fitted --size 10 --partitions.partitions 2 --encoder.dimensions 8 {TRAIN} {LEARNER}") == 0
    assert "nopal predict fitted SUPPORT IMAGES" in capsys.readouterr().out
    assert go("report fitted --out fitted.html") == 0
    assert "The clusters of fitted" in (here / "fitted.html").read_text(encoding="utf-8")
    config = json.loads((here / "fitted" / "config.json").read_text())
    assert (config["shape"], config["made"]["partitions"]["clusters"]) == ([10, 10, 1], 30)

    assert go("predict fitted support queries") == 0
    rows = list(csv.DictReader((here / "predictions.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == ["queries/1.png", "queries/2.png", "queries/22.png"]
    for row in rows:
        p = [float(row["p(class0)"]), float(row["p(class1)"])]
        assert sum(p) == pytest.approx(1, abs=2e-4)
        assert (row["class"], float(row["probability"])) == (f"class{int(p[1] > p[0])}", max(p))

    capsys.readouterr()
    assert go("predict fitted support queries/2.png --out one.csv") == 0
    assert (here / "one.csv").read_text().splitlines()[1:] == (here / "predictions.csv").read_text().splitlines()[2:3]
    assert capsys.readouterr().out.startswith(f"queries/2.png: {rows[1]['class']} (")


def test_names_may_be_any_bytes(stages: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = here / os.fsdecode(b"latin\xff.png")
    odd.write_bytes((here / "queries" / "1.png").read_bytes())
    assert run(["predict", "stages/run", "support", odd.name, "--out", "odd.csv"]) == 0
    assert (here / "odd.csv").read_bytes().splitlines()[1].startswith(b"latin\xff.png,")
    assert capsys.readouterr().out.startswith("latin\\udcff.png: class")


def test_an_encoder_is_trained_and_trained_further(here: Path) -> None:
    line = "encode new.npz trained.npz --encoder.name acai --encoder.acai.width 8 --encoder.acai.depth 2"
    assert go(f"{line} --encoder.acai.steps 2") == 0
    encoder = nopal.encoders.load_encoder(here / "trained.encoder.npz")
    with np.load(here / "trained.npz") as file:
        np.testing.assert_array_equal(encoder(file["X"]), file["Z"])
    assert go(f"{line} --encoder.acai.steps 4") == 2
    assert go(f"{line} --encoder.acai.steps 4 --resume") == 0
    assert nopal.encoders.load_encoder(here / "trained.encoder.npz").made["options"]["steps"] == 4
    assert (here / "trained.encoder" / "interpolations.png").exists()


KILLED = """
import os, signal, sys
from nopal.__main__ import devices
from nopal.cli import run
from nopal.stages import watching

class Killer(watching.Progress):
    def __call__(self, moment):
        os.kill(os.getpid(), signal.SIGKILL)

watching.Progress = Killer
run(sys.argv[1:])
"""


def test_killed_and_resumed(stages: Path, here: Path) -> None:
    line = f"train letters.npz stages/partitions.npz killed --every 5 {TRAIN} {LEARNER}"
    killed = subprocess.run([sys.executable, "-c", KILLED, *line.split()], capture_output=True, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in (here / "killed" / "checkpoints").iterdir()] == ["5"]
    assert go(f"{line} --resume") == 0
    assert (here / "killed" / "metrics.csv").read_text() == (stages / "run" / "metrics.csv").read_text()
    learners = [nopal.load(folder) for folder in (here / "killed", stages / "run")]
    for a, b in zip(*(jax.tree.leaves(eqx.filter(learner, eqx.is_array)) for learner in learners)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("fit nowhere run", "There is no folder nowhere"),
        ("fit empty run", "The folder empty is empty"),
        ("fit lonely run", "holds 1 images, but 5-way tasks of 6 images a class need at least 60"),
        ("fit damaged run", "or leave such files out by --skip-unreadable."),
        ("fit notes.txt run", "notes.txt is a file; expected a folder of images"),
        ("fit photos notes.txt/run", "notes.txt is no folder"),
        ("fit photos queries --size 16", "The folder queries holds other things"),
        ("encode letters.npz vectors", "The file to write is vectors; expected a name that ends in .npz"),
        ("encode letters.npz notes.txt/vectors.npz", "can't be written"),
        ("encode lonely x.npz", "number of dimensions is 64, of 1 images"),
        ("encode letters.npz x.npz --encoder.name acai --encoder.acai.batch 3", "The batch has 3 images"),
        ("encode letters.npz x.npz --size 8", "The size 8 is for the images of a folder, and letters.npz is none"),
        ("train glyphs labels x --size 8", "and glyphs is none; leave it out"),
        ("partition nan.npz x.npz", "are not all finite"),
        ("partition yhot.npz x.npz", "The labels Y of yhot.npz have shape (9, 5)"),
        ("partition few.npz x.npz --clusters 10", "10 clusters were asked for; expected between 1 and 9"),
        (
            "partition few.npz x.npz --how hyperplanes --clusters 2 --margin 9",
            "There are 9 vectors, but each side of a hyperplane needs 60, 10 times min_members",
        ),
        ("encode letters.npz letters.npz", "The file to write, letters.npz, is the one to read"),
        ("encode letters.npz x.npz --by nowhere --encoder.name raw", "other choices of one have no meaning"),
        (
            "partition few.npz x.npz --report few.npz",
            "expected a name that ends in .html or .csv",
        ),
        ("partition few.npz x.npz --min-kept 1.5 --clusters 2", "from 0 to below 1"),
        ("demo x --speed 0", "The speed is 0.0; expected a number above 0"),
        ("demo x --episodes 1", "The number of test tasks is 1"),
        ("run omniglot-raw-knn --data nowhere.npz", "nowhere.npz was given as a file of poses"),
        ("partition few.npz few.npz", "The file to write, few.npz, is the one to read"),
        ("partition notes.txt x.npz", "notes.txt can't be read as NumPy arrays"),
        ("train letters.npz few.npz run", "few.npz is damaged or was not written by Nopal"),
        ("train photos labels run", "These images have no labels"),
        ("train letters.npz labels run --training.query 20 learner:maml", "has only 0 clusters with the 21 members"),
        ("train letters.npz labels run --every 0 learner:maml", "every 0 steps"),
        ("evaluate photos new.npz", "The folder photos holds no config.json"),
        ("evaluate nowhere new.npz", "There is no folder nowhere"),
        ("evaluate photos new.npz --at five", "'five' is no difficulty; expected way x shot"),
        ("report", "No run folder was named"),
        ("table --results nowhere", "There is no folder nowhere"),
        ("encode letters.npz x.npz --by nowhere", "There is no file nowhere"),
        ("run omniglot-raw-knn --rounds 2", "omniglot-raw-knn meta-trains on no clusters of vectors"),
        ("run omniglot-raw-cactus-maml --rounds 2 --seeds 2", "2 rounds were asked for with 2 seeds"),
        ("run nothing", "There is no recipe named 'nothing'"),
        ("predict nowhere support queries", "There is no folder nowhere"),
        ("predict nowhere support queries --out empty", "The file empty can't be written (it is a folder)"),
    ],
)
def test_a_failure_is_one_sentence(here: Path, capsys: pytest.CaptureFixture[str], line: str, sentence: str) -> None:
    before = set(here.rglob("*"))
    assert go(line) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("nopal: ")
    assert sentence in last
    assert set(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("lonely queries", "The support folder lonely has 1 class"),
        ("support", "No image to classify was named"),
        ("support nowhere.png", "There is no image file nowhere.png"),
        ("support notes.txt", "repair it or take it away, or leave such files out by --skip-unreadable"),
        ("support notes.txt --skip-unreadable", "None of the 1 images to classify can be read"),
        ("queries queries", "1.png lies beside the class folders of queries"),
    ],
)
def test_predictions_refused(
    stages: Path, here: Path, capsys: pytest.CaptureFixture[str], line: str, sentence: str
) -> None:
    assert go(f"predict stages/run {line} --out refused.csv") == 2
    assert sentence in capsys.readouterr().err
    assert not (here / "refused.csv").exists()


def test_another_configuration(stages: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"train letters.npz stages/partitions.npz stages/run {TRAIN}"
    assert go(f"{line} {LEARNER}") == 2
    assert "already holds a run; go on with it by --resume" in capsys.readouterr().err
    assert go(f"{line} --every 5 --resume learner:maml") == 2
    assert "resume it with the configuration it was begun with" in capsys.readouterr().err


def test_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert go("recipes") == 0
    said = capsys.readouterr().out
    assert "omniglot-oracle-maml-published-head" in said
    assert "98.35 [MEM]" in said


@pytest.mark.parametrize("error", [KeyboardInterrupt, nopal.NopalError("Two words.")])
def test_exit_status(error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("nopal.stages.table.results_table", fail)
    interrupted = error is KeyboardInterrupt
    assert go("table") == (130 if interrupted else 2)
    assert capsys.readouterr().err == f"nopal: {'Stopped; what was written stays.' if interrupted else 'Two words.'}\n"


def test_mistyped(capsys: pytest.CaptureFixture[str]) -> None:
    assert go("fitt photos") == 2
    assert "fitt" in capsys.readouterr().err


def test_help_as_a_command() -> None:
    found = subprocess.run([sys.executable, "-m", "nopal"], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert all(name in found.stdout for name in ("demo", "fit", "predict", "encode", "partition", "train", "evaluate"))


def test_difficulties() -> None:
    assert parse_difficulty("20x5") == (20, 5)
    for text in ("5", "5x", "x5", "5 x 1", "-5x1"):
        with pytest.raises(nopal.NopalError, match="is no difficulty"):
            parse_difficulty(text)


def test_a_number_of_tasks_that_makes_no_sense_is_refused_before_a_folder_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOPAL_TASKS_AT_ONCE", "many")
    assert run(["run", "sinusoids-maml", "--steps", "1", "--out", str(tmp_path / "run")]) == 2
    assert "NOPAL_TASKS_AT_ONCE is 'many'; expected a whole number" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("asked", ["two", "0", "-1", "1.5"])
def test_a_number_of_devices_that_is_none_is_refused(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOPAL_DEVICES", asked)
    with pytest.raises(nopal.NopalError, match=f"NOPAL_DEVICES is '{asked}'; expected a whole number from 1 on"):
        devices()
    monkeypatch.setenv("NOPAL_DEVICES", "")
    assert devices() >= 1
