"""`nopal recipes` and what the help of commands names, as a person reads them."""

from __future__ import annotations

import inspect
import re

import pytest

from nopal.cli import run
from nopal.commands.rows import steps_text
from nopal.commands.stages import encode
from nopal.recipes.catalogue import RECIPES
from nopal.stages.sources import NAMED
from nopal.terminal import console


def test_recipes_and_sweeps_are_listed_within_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "width", 80)
    assert run(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    first = {line.split()[0] for line in lines if line.strip()}
    assert first >= RECIPES.keys()
    assert first >= {"omniglot-nme-1-shot-figure-10", "poses-figure-2-mr-maml", "poses-figure-2-mr-cnp"}


def test_each_budget_has_its_number_of_steps() -> None:
    for name, steps in {
        "omniglot-raw-knn": "no training",
        "omniglot-untrained-knn": "no training",
        "omniglot-from-scratch": "no training",
        "omniglot-acai-knn": "encoder: 300, 25,000, 262,144",
        "omniglot-acai-cactus-maml": "100, 5,000, 30,000\nencoder: 300, 25,000, 262,144",
        "sinusoids-cnp": "3,000, 30,000, 30,000",
        "poses-mr-cnp-w": "50, 3,000, 100,000",
        "omniglot-nme-1-shot-maml": "50, 2,000, – (30,000)",
        "omniglot-nme-1-shot-fine-tuning": "encoder: 100, 5,000, – (30,000)",
    }.items():
        assert steps_text(RECIPES[name]) == steps


def test_the_help_of_encode_names_all_data_sets() -> None:
    assert set(re.findall(r"[\w-]+", inspect.getdoc(encode) or "")) >= NAMED.keys()
