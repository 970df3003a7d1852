"""A record is complete, the same after reading, and silent about the machine's paths."""

from __future__ import annotations

import dataclasses
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from nopal.errors import NopalError
from nopal.runs import Score, environment, make_record, read_records, write_record, write_scores_csv

SCORE = Score("accuracy", 68.4, 0.9, 1000, "support", way=5, shot=1, published=68.84, published_source="[SRC] A7.2")


def a_record(**changes: Any) -> dict[str, Any]:
    made = make_record(
        recipe="omniglot/cactus-maml",
        learner="CACTUs-MAML",
        data="Omniglot",
        seed=0,
        config={"inner_rate": 0.25, "files": ["a.npz"]},
        steps=3000,
        published_steps=30_000,
        scores=[SCORE, Score("squared_error", 0.5, 0.1, 100, "transductive", points=10, group_means=[0.25, None])],
        wall_seconds=12.345,
    )
    return made | changes


def test_a_record_comes_back(tmp_path: Path) -> None:
    record = a_record()
    path = write_record(tmp_path, record)
    assert path == tmp_path / "omniglot-cactus-maml" / "cactus-maml-3000-steps-seed-0.json"
    assert list(json.loads(path.read_text())) == sorted(record)
    write_record(tmp_path, a_record(seed=1), run="another")
    first, second = sorted(read_records(tmp_path), key=lambda record: record["seed"])
    assert first == record | {"file": "omniglot-cactus-maml/cactus-maml-3000-steps-seed-0.json"}
    assert second["file"] == "omniglot-cactus-maml/another.json"
    assert [score["transductive"] for score in first["scores"]] == [False, True]
    assert first["budget"] == {"steps": 3000, "published_steps": 30_000}
    assert first["wall_seconds"] == 12.3
    write_record(tmp_path, first)
    assert read_records(tmp_path)[1] == first


def test_a_record_of_another_configuration_loses_nothing(tmp_path: Path) -> None:
    names = []
    for rate in (0.25, 0.5, 0.25, 0.5, 1.0):
        names.append(write_record(tmp_path, a_record(config={"inner_rate": rate, "steps": (1, 2)})).name)
    first, second, third = (f"cactus-maml-3000-steps-seed-0{number}.json" for number in ("", "-2", "-3"))
    assert names == [first, second, first, second, third]
    assert len(read_records(tmp_path)) == 3
    (tmp_path / "omniglot-cactus-maml" / first).write_text("the power went")
    assert write_record(tmp_path, a_record()).name == "cactus-maml-3000-steps-seed-0-4.json"


def test_a_name_that_is_given_loses_nothing_either(tmp_path: Path) -> None:
    names = []
    for folder, config in (("猫", {}), ("Кот", {}), ("猫", {"way": 5}), ("Cafe\u0301_1", {}), ("猫", {}), ("!", {})):
        names.append(write_record(tmp_path, a_record(config=config), run=folder).stem)
    assert names == ["猫", "кот", "猫-2", "café-1", "猫", "unnamed"]


def test_a_record_may_have_a_whole_reading_of_the_meter(tmp_path: Path) -> None:
    scores = {"right": 99.0, "before": None, "shuffled": 98.0, "foreign": 20.0, "guess": 20.0}
    reading = scores | {"metric": "accuracy", "tasks": 100, "reliance": 0.01, "low": 0.0, "high": 0.02}
    write_record(tmp_path, a_record(meter=reading))
    assert read_records(tmp_path)[0]["meter"] == reading
    del reading["high"]
    with pytest.raises(NopalError, match=r"has no field 'meter\.high', but a meter"):
        write_record(tmp_path, a_record(meter=reading))


@pytest.mark.parametrize("field", ["schema", "recipe", "data", "scores", "commit", "wall_seconds", "date"])
def test_a_missing_field_is_named(tmp_path: Path, field: str) -> None:
    record = a_record()
    del record[field]
    with pytest.raises(NopalError, match=f"The record has no field '{field}'"):
        write_record(tmp_path, record)
    (tmp_path / "x.json").write_text(json.dumps(record))
    with pytest.raises(NopalError, match=rf"x\.json has no field '{field}'"):
        read_records(tmp_path)


def test_wrong_values_are_named(tmp_path: Path) -> None:
    score = SCORE.as_dict()
    for changes, sentence in [
        ({"seed": "0"}, "seed = '0'; expected int"),
        ({"schema": 2}, "schema 2; this Nopal reads schema 1"),
        ({"budget": {"steps": 1}}, r"no field 'budget\.published_steps'"),
        ({"scores": [{**score, "transductive": True}]}, "statistics 'support' and transductive True"),
        ({"scores": [score, {"way": 5}]}, "score 1 has no field 'metric'"),
        ({"config": {"data": ["/home/me/data"]}}, "names a path of this machine, '/home/me/data'"),
        ({"config": {"data": "C:\\data"}}, "names a path of this machine"),
        ({"wall_seconds": float("nan")}, "cannot hold this value"),
    ]:
        with pytest.raises(NopalError, match=sentence):
            write_record(tmp_path, a_record(**changes))
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"statistics": "batch"}, "'batch'; expected one of support, transductive, running, none"),
        ({"shot": None}, "way 5, shot None, points None"),
        ({"points": 10}, "expected way and shot, or points"),
        ({"mean": 684.0}, "accuracy is 684.0; expected percent"),
    ],
)
def test_a_score_that_says_too_little_or_too_much(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NopalError, match=sentence):
        dataclasses.replace(SCORE, **changes)


def test_damaged_or_absent_records(tmp_path: Path) -> None:
    with pytest.raises(NopalError, match="no folder"):
        read_records(tmp_path / "absent")
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(NopalError, match=r"a\.json holds a list"):
        read_records(tmp_path)
    (tmp_path / "a.json").write_text('{"schema"')
    with pytest.raises(NopalError, match=r"a\.json cannot be read"):
        read_records(tmp_path)


def test_scores_as_a_table(tmp_path: Path) -> None:
    path = write_scores_csv(tmp_path / "out" / "scores.csv", [a_record()])
    head, first, second = path.read_text().splitlines()
    assert head.startswith("recipe,learner,data,seed,steps,metric,mean,ci95,tasks,statistics,way,shot,points,published")
    assert (
        first
        == "omniglot/cactus-maml,CACTUs-MAML,Omniglot,0,3000,accuracy,68.4,0.9,1000,support,5,1,,68.84,[SRC] A7.2,"
        "0,False,"
    )
    assert (
        second
        == "omniglot/cactus-maml,CACTUs-MAML,Omniglot,0,3000,squared_error,0.5,0.1,100,transductive,,,10,,,0,True,"
    )


def test_the_environment_names_no_place() -> None:
    facts = environment()
    assert "cores" in facts["hardware"]
    assert str(Path.home()) not in json.dumps(facts)
    assert socket.gethostname() not in facts["hardware"].split()
    assert facts["versions"]["python"].startswith("3.")
    assert facts["commit"] is None or facts["commit"].removesuffix("-dirty").isalnum()


def test_somebody_else_s_repository_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nopal.runs.provenance.SOURCE", tmp_path)
    assert environment()["commit"] is None
