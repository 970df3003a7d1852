"""Which objects are for what is fixed by name."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from nopal.data.poses.meshes import find_models
from nopal.data.poses.split import divide, pascal3d, shuffled


def test_the_real_models_divide_as_committed(real_data: Path) -> None:
    models, _, _ = find_models(real_data / "pascal3d_cad.zip")
    names = [model.name for model in models]
    parts, held_back = divide(names)
    assert Counter(parts) == {"train": 46, "test": 15}
    assert sum(held_back) == 8
    assert all(part == "train" for part, back in zip(parts, held_back) if back)
    order = sorted(names)
    random.Random(1).shuffle(order)
    assert {name for name, part in zip(names, parts) if part == "test"} == set(order[-15:])
    assert {name for name, back in zip(names, held_back) if back} == set(order[-23:-15])


def test_the_committed_list_has_every_object_of_the_release_once() -> None:
    parts = Counter(pascal3d().values())
    assert parts == {"train": 38 + 6, "validation": 8, "test": 15}
    assert all(pascal3d()[name] == "train" for name in ("car/02", "car/10", "motorbike/04"))


def test_other_objects_are_shuffled_by_name_whatever_their_order() -> None:
    names = [f"thing/{i}" for i in range(24)]
    parts, held_back = divide(names)
    assert Counter(parts) == {"train": 18, "test": 6}
    assert sum(held_back) == 3
    backwards, _ = divide(names[::-1])
    assert backwards[::-1] == parts
    assert shuffled(["a"]) == {"a": "train"}


def test_a_few_objects_that_the_list_knows_are_shuffled_where_none_would_be_for_the_test() -> None:
    tests = [name for name, part in pascal3d().items() if part == "test"]
    assert "train" in divide(tests)[0]
    assert set(divide(tests, "pascal3d")[0]) == {"test"}
    assert divide([*pascal3d(), "car/99"], "pascal3d")[0][-1] == "train"
