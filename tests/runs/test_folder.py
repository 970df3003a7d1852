"""A run folder is new, or the same run; all else is refused before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import jax.numpy as jnp
import pytest

from nopal.errors import NopalError
from nopal.runs import load_run, open_run

CONFIG = {"learner": {"name": "maml", "inner_rate": 0.25, "names": ("a", "b")}, "steps": 100, "seed": None}


def test_a_new_run_says_what_it_is_made_with(tmp_path: Path) -> None:
    run = open_run(tmp_path / "runs" / "a", CONFIG)
    assert json.loads((run.path / "config.json").read_text()) == run.config == load_run(run.path).config
    assert run.config["learner"]["names"] == ["a", "b"]
    facts = json.loads((run.path / "environment.json").read_text())
    assert facts.keys() == {"hardware", "versions", "commit"}
    assert facts["versions"].keys() == {"python", "jax", "equinox", "optax", "nopal"}
    assert sorted(path.name for path in run.path.iterdir()) == ["config.json", "environment.json"]


def test_a_run_is_resumed_by_the_same_configuration_only(tmp_path: Path) -> None:
    open_run(tmp_path, CONFIG).checkpoints.save(7, {"x": jnp.ones(2)})
    with pytest.raises(NopalError, match="already holds a run; go on with it by --resume"):
        open_run(tmp_path, CONFIG)
    run = open_run(tmp_path, CONFIG, resume=True)
    assert run.checkpoints.latest() == load_run(tmp_path).checkpoints.latest() == 7

    other = CONFIG | {"learner": CONFIG["learner"] | {"inner_rate": 0.5}}  # type: ignore[operator]
    with pytest.raises(NopalError, match=r"learner\.inner_rate = 0\.25 and not 0\.5"):
        open_run(tmp_path, other, resume=True)
    with pytest.raises(NopalError, match=r"extra = 'absent' and not 1"):
        open_run(tmp_path, CONFIG | {"extra": 1}, resume=True)
    with pytest.raises(NopalError, match=r"seed = None and not 'absent'"):
        open_run(tmp_path, {name: value for name, value in CONFIG.items() if name != "seed"}, resume=True)
    assert load_run(tmp_path).config["learner"]["inner_rate"] == 0.25

    open_run(tmp_path, CONFIG | {"steps": 200}, resume=True, may_differ=["steps"])
    assert load_run(tmp_path).config["steps"] == 200


def test_resume_begins_where_there_is_nothing_yet(tmp_path: Path) -> None:
    assert open_run(tmp_path / "new", CONFIG, resume=True).checkpoints.latest() is None


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_other_things_is_refused(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(NopalError, match=r"holds other things \('thesis\.tex'\)"):
        open_run(tmp_path, CONFIG, resume=resume)


def test_an_unwritable_folder_is_found_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run", Path("/proc/nopal-run")):
        with pytest.raises(NopalError, match="choose another folder"):
            open_run(path, CONFIG)


@pytest.mark.parametrize("value", [float("nan"), Path("x"), jnp.zeros(2)])
def test_a_configuration_that_json_cannot_hold(tmp_path: Path, value: object) -> None:
    with pytest.raises(NopalError, match="configuration cannot be written as JSON"):
        open_run(tmp_path / "run", {"value": value})
    assert not (tmp_path / "run").exists()


def test_reading_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(NopalError, match="There is no folder"):
        load_run(tmp_path / "absent")
    with pytest.raises(NopalError, match=r"can't be opened \(File name too long\)"):
        load_run(tmp_path / ("a" * 300))
    with pytest.raises(NopalError, match=r"holds no config\.json"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(NopalError, match="cannot be read"):
        load_run(tmp_path)
