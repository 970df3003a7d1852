"""`nopal poses` as a person uses it."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nopal.cli import run
from nopal.data.poses import load_poses
from nopal.data.poses.opengl import find_backend
from nopal.errors import NopalError
from nopal.recipes.catalogue import RECIPES
from nopal.recipes.recipe import but
from nopal.runs import read_records

TETRAHEDRON = "OFF\n4 4 0\n0 0 0\n2 0 0\n0 3 0\n0 0 4\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"


@pytest.fixture
def cad(tmp_path: Path) -> Path:
    for name in ("mug/a.off", "mug/b.off", "hat/b.off", "cup/a.off", "train/a.off"):
        (tmp_path / "cad" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cad" / name).write_text(TETRAHEDRON)
    (tmp_path / "cad/hat/a.off").write_text("OFF\n")
    (tmp_path / "cad/shoe").mkdir()
    return tmp_path / "cad"


@pytest.fixture
def opengl() -> None:
    """Tests that draw are skipped where there is nothing to draw with."""
    try:
        find_backend()
    except NopalError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("opengl")
def test_from_models_to_poses_pickles_and_a_sheet(
    cad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "poses.npz"
    options = "--views 4 --size 16 --samples 1 --shadows 0 --processes 1 --camera.distance 3 --pickle"
    assert run(["poses", "render", str(cad), str(out), *options.split()]) == 0
    said = capsys.readouterr()
    assert (
        "4 objects in 4 views, 3 for meta-training (1 of them held back for validation) and 1 for the test" in said.out
    )
    assert "The class folder shoe holds no model." in said.out
    assert "1 models could not be rendered: The model hat/a" in said.out
    assert "render  image 16/16" in said.err
    poses = load_poses(out)
    assert poses.made["options"]["camera"]["distance"] == 3
    pickled = load_poses(tmp_path / "train_data.pkl")
    assert pickled.split.count("test") == 1
    assert {image.tobytes() for image in pickled.images} == {image.tobytes() for image in poses.images}
    assert run(["poses", "show", str(tmp_path / "train_data.pkl"), str(tmp_path / "again.png")]) == 0
    sheets = [np.asarray(Image.open(tmp_path / name)).shape for name in ("poses.png", "again.png")]
    assert sheets[0] == sheets[1]
    partial = tmp_path / "poses.npz.partial"
    assert f"What was rendered also stays in {partial}: when models are repaired" in said.out
    assert len(list(partial.iterdir())) == 4
    (cad / "hat/a.off").write_text(TETRAHEDRON)
    assert run(["poses", "render", str(cad), str(out), *options.split()]) == 0
    assert "stays in" not in capsys.readouterr().out
    assert not partial.exists()


@pytest.mark.usefixtures("opengl")
def test_what_was_rendered_stays_until_all_is_written(
    cad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where OUT is below a home folder that the shell hasn't put in its place."""
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.rmtree(cad / "hat")
    options = "--views 2 --size 8 --samples 1 --shadows 0 --processes 1"
    arguments = ["poses", "render", str(cad), "~/poses.npz", *options.split()]
    (tmp_path / "poses.png").mkdir()
    assert run(arguments) == 2
    assert "poses.png cannot be written" in capsys.readouterr().err
    assert len(list((tmp_path / "poses.npz.partial").iterdir())) == 3
    (tmp_path / "poses.png").rmdir()
    assert run(arguments) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"cad", "poses.npz", "poses.png"}


@pytest.mark.usefixtures("opengl")
def test_files_of_others_beside_it_are_not_overwritten(
    cad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "poses.npz"
    options = "--views 2 --size 8 --samples 1 --processes 1"
    arguments = ["poses", "render", str(cad), str(out), *options.split()]
    (tmp_path / "train_data.pkl").write_bytes(b"the original")
    assert run([*arguments, "--pickle"]) == 2
    assert "train_data.pkl is there already, and was not made with" in capsys.readouterr().err
    assert run(arguments) == 0
    assert run([*arguments, "--pickle"]) == 2
    assert (tmp_path / "train_data.pkl").read_bytes() == b"the original"
    (tmp_path / "train_data.pkl").unlink()
    assert run([*arguments, "--pickle"]) == run([*arguments, "--pickle"]) == 0
    out.unlink()
    assert run(arguments) == 2
    assert "poses.png is there already" in capsys.readouterr().err
    out.write_bytes(b"of another program")
    assert run(arguments) == 2
    assert "damaged or was not written by Nopal" in capsys.readouterr().err


@pytest.mark.usefixtures("opengl")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_processes_that_are_stopped_leave_what_they_drew(cad: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Two processes draw 30 objects; when the first are there, the command is stopped, and then goes on."""
    shutil.rmtree(cad / "hat")
    for copy in range(30):
        shutil.copy(cad / "mug/a.off", cad / f"cup/{copy:02}.off")
    out, partial = tmp_path / "poses.npz", tmp_path / "poses.npz.partial"
    options = "--views 100 --size 32 --samples 1 --shadows 0 --processes 2"
    arguments = ["poses", "render", str(cad), str(out), *options.split()]
    # A shell lets what it runs in the background ignore Ctrl-C.
    hears = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{hears}; from nopal.cli import run; sys.exit(run())", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (partial.is_dir() and list(partial.glob("*.npz"))):
            time.sleep(0.05)
        process.send_signal(number)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 128 + number
    assert f"nopal: Stopped; what was rendered stays in {partial}: the same command goes on from there.\n" in said
    assert "Traceback" not in said
    assert "leaked" not in said
    kept = {path.name: path.stat().st_mtime_ns for path in partial.iterdir()}
    assert 0 < len(kept) < 33
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0
    assert len(load_poses(out)) == 33


@pytest.mark.usefixtures("opengl")
def test_one_command_from_models_to_a_meta_regularised_neural_process(
    cad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one draw of the weights at a test, not ten, to save time."""
    shutil.rmtree(cad / "hat")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOPAL_CACHE", str(tmp_path / "cache"))
    recipe = RECIPES["poses-mr-cnp-w"]
    experiment = but(recipe.experiment, learner=but(recipe.experiment.learner, samples=1))
    monkeypatch.setitem(RECIPES, recipe.name, but(recipe, experiment=experiment))
    assert run(["run", "poses-mr-cnp-w", "--steps", "2", "--episodes", "4", "--data", str(cad)]) == 0
    said = capsys.readouterr().out
    assert "3 objects in 100 views" in said
    assert "MR-CNP (W), 15 points: " in said
    (record,) = read_records(tmp_path / "results")
    assert record["config"]["own"]["source"] == "cad"
    assert np.isfinite(record["scores"][0]["mean"])


@pytest.mark.usefixtures("opengl")
def test_names_of_other_scripts_are_no_warning(cad: Path, tmp_path: Path) -> None:
    (cad / "mug/a.off").rename(cad / "mug/\u676f\u5b50.off")
    options = "--views 2 --size 8 --samples 1 --shadows 0 --processes 1"
    assert run(["poses", "render", str(cad), str(tmp_path / "poses.npz"), *options.split()]) == 0


def test_bad_input_is_one_sentence(cad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        ([str(tmp_path / "none"), "out.npz"], "There is no folder or zip file"),
        ([str(cad), "out.h5"], r"The file to write is out\.h5; expected a name that ends in \.npz"),
        ([str(cad), str(tmp_path / "out.npz"), "--size", "0"], "The size is 0"),
    ):
        assert run(["poses", "render", *arguments]) == 2
        assert re.fullmatch(f"nopal: {said}.*\\.\n", capsys.readouterr().err)


def test_pictures_take_no_other_files_place(cad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "poses.npz"
    for arguments, said in (
        (["show", str(out), str(out)], "expected a name that ends in .png"),
        (["show", str(tmp_path / "a.png"), str(tmp_path / "a.png")], "is the one to read; choose another name"),
        (["show", str(cad), str(tmp_path / "a.png")], "cad is a folder; a .npz file of 'nopal poses 1' was expected"),
    ):
        assert run(["poses", *arguments]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.usefixtures("opengl")
def test_pickles_need_both_parts(cad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("mug", "hat", "cup"):
        shutil.rmtree(cad / name)
    (cad / "bowl").mkdir()
    (cad / "bowl/a.off").write_text(TETRAHEDRON)
    options = "--views 2 --size 8 --samples 1 --shadows 0 --processes 1 --pickle"
    assert run(["poses", "render", str(cad), str(tmp_path / "poses.npz"), *options.split()]) == 2
    said = capsys.readouterr()
    assert "Models of the class train, which --drop leaves out: 1." in said.out
    assert "1 objects in 2 views" in said.out
    assert "there are no objects for the test; render more of them" in said.err
    assert (tmp_path / "poses.npz").exists()
    assert not (tmp_path / "train_data.pkl").exists()
