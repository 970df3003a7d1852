"""The page of results: measured beside published, in the order of the recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from nopal import NopalError
from nopal.recipes.recipe import Published
from nopal.recipes.running import RECIPES
from nopal.recipes.table import results_table
from nopal.runs import Score, make_record, write_record


@pytest.fixture
def results(tmp_path: Path) -> Path:
    rows = ("omniglot-oracle-maml", "omniglot-pca-linear", "omniglot-acai-cactus-maml-round-2")
    for name, data in (*((row, "omniglot") for row in rows), ("demo", "glyphs")):
        known = RECIPES.get(name)
        published = known.published.get((5, 5)) if known else Published(50.0, "[MEM]")
        score = Score(
            "accuracy",
            61.5,
            0.5,
            1000,
            "none",
            way=5,
            shot=5,
            published=published.mean if published else None,
            published_source=published.source if published else None,
        )
        record = make_record(
            recipe=name,
            learner=f"the row {name}",
            data=data,
            seed=0,
            config={},
            steps=7,
            published_steps=70,
            scores=[score],
            wall_seconds=1.0,
        )
        write_record(tmp_path / "results", record, "run")
    return tmp_path / "results"


def test_published_rows_stand_in_the_order_of_recipes(results: Path) -> None:
    lines = [line for line in results_table("omniglot", results, None).splitlines() if line.startswith("| ")]
    names = [line.split(" | ")[0][2:] for line in lines]
    assert names.index("the row omniglot-pca-linear") < names.index("from scratch")
    assert names.index("from scratch") < names.index("the row omniglot-oracle-maml") < names.index("kNN on BiGAN")
    later = names.index("the row omniglot-acai-cactus-maml-round-2")
    assert names.index("CACTUs-MAML on ACAI") == later - 1
    assert "61.5 ± 0.5 (98.83 [IMG])" in lines[names.index("the row omniglot-oracle-maml")]
    scratch = lines[names.index("from scratch")]
    assert "| – (52.5 [MEM]) | – (74.78 [IMG]) | – (24.91 [MEM]) | – (47.62 [MEM]) |  | not run |" in scratch
    assert "the row demo" not in names
    assert "kNN on PCA-64" not in names  # neither measured nor published
    assert "## glyphs" in results_table(None, results, None)


def test_pages_have_pictures_and_are_the_same_every_time(results: Path, tmp_path: Path) -> None:
    page = results_table(None, results, tmp_path / "docs" / "page.md")
    assert (tmp_path / "docs" / "page.md").read_text() == page
    assert "![Measured and published on omniglot](page-omniglot.svg)" in page
    assert "](../results/omniglot-oracle-maml/run.json)" in page
    picture = (tmp_path / "docs" / "page-omniglot.svg").read_text()
    assert all(words in picture for words in ("20-way 5-shot", "the row omniglot-oracle-maml", "from scratch"))
    assert (tmp_path / "docs" / "page-glyphs.svg").exists()
    assert not (tmp_path / "docs" / "page-mnist.svg").exists()
    results_table(None, results, tmp_path / "docs" / "page.md")
    assert (tmp_path / "docs" / "page-omniglot.svg").read_text() == picture


def test_unknown_data(results: Path, tmp_path: Path) -> None:
    with pytest.raises(NopalError, match="no rows of 'omniglott'; expected one of omniglot, mnist, sinusoids, omni"):
        results_table("omniglott", results, tmp_path / "page.md")
    assert not (tmp_path / "page.md").exists()
