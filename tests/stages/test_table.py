"""The page of results: measured beside published, in the order of the recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from nopal import NopalError
from nopal.options.plain import to_plain
from nopal.recipes.catalogue import RECIPES, find_recipe
from nopal.recipes.omniglot_published import OMNIGLOT
from nopal.recipes.poses import _FIGURE_2
from nopal.recipes.recipe import Published
from nopal.runs import Score, make_record, read_records, write_record
from nopal.runs.files import write_json
from nopal.stages.sweeps import sweeps_of
from nopal.stages.table import results_table


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
    assert names.index("kNN on BiGAN") < names.index("from scratch") < names.index("the row omniglot-oracle-maml")
    later = names.index("the row omniglot-acai-cactus-maml-round-2")
    assert names.index("CACTUs-MAML on ACAI") == later - 1
    assert "61.5 ± 0.5 (98.83 [IMG])" in lines[names.index("the row omniglot-oracle-maml")]
    scratch = lines[names.index("from scratch")]
    assert "| – (52.5 [MEM]) | – (74.78 [IMG]) | – (24.91 [IMG]) | – (47.62 [MEM]) |  | not run |" in scratch
    assert "the row demo" not in names
    assert "kNN on PCA-64" not in names  # neither measured nor published
    [waiting] = [line for line in results_table("omniglot", results, None).splitlines() if "were not run here" in line]
    assert "`omniglot-pca-knn`" in waiting
    assert not any(name in waiting for name in ("omniglot-pca-linear", "omniglot-from-scratch", "mnist"))
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


def write(
    results: Path, recipe: str, data: str, mean: float, steps: int = 100, seed: int = 0, ci95: float = 0.5
) -> None:
    """The record of a run of poses, 100 test tasks."""
    score = Score("squared_error", mean, ci95, 100, "none", points=15, diverged=seed)
    made = make_record(
        recipe=recipe,
        learner=find_recipe(recipe).title,
        data=data,
        seed=seed,
        config=to_plain(find_recipe(recipe).at("demo", seed, steps)),
        steps=steps,
        published_steps=30_000,
        scores=[score],
        wall_seconds=1.0,
    )
    write_record(results, made, f"{data} {steps} {seed}")


def test_the_points_of_a_sweep(tmp_path: Path) -> None:
    """Two seeds at beta 0, one at .1 by a row of the table that does the same, one at 1 at another budget."""
    write(tmp_path, "poses-figure-2-mr-maml-0", "poses", 4.0)
    write(tmp_path, "poses-figure-2-mr-maml-0", "poses", 5.0, seed=1)
    write(tmp_path, "poses-mr-maml-w", "poses", 2.5)
    write(tmp_path, "poses-figure-2-mr-maml-1", "poses", 6.0, steps=30_000)
    write(tmp_path, "poses-figure-2-mr-cnp-0", "poses-validation", 3.0)
    write(tmp_path, "poses-cnp", "poses", 3.0)
    records = read_records(tmp_path)
    ((sweep, figure, published),) = sweeps_of("poses", records)
    assert (sweep.name, sweep.over) == ("poses-figure-2-mr-maml", "beta")
    marks = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    rings = {line.get_fillstyle(): line for line in marks}["none"]
    assert dict(zip(rings.get_xdata(), rings.get_ydata())) == _FIGURE_2["mr-maml"]
    dots = {(line.get_xdata()[0], line.get_ydata()[0]) for line in marks if line is not rings}
    assert dots == {(0.0, 4.5), (0.1, 2.5), (1.0, 6.0)}
    assert figure.axes[0].collections[0].get_segments()[0][:, 1] == pytest.approx([4.5 - 0.5**0.5, 4.5 + 0.5**0.5])
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:2] == ["100 of 30,000 steps", "30,000 of 30,000 steps"]
    ((held_back, figure, rings_of_held_back),) = sweeps_of("poses-validation", records)
    assert (held_back.name, published, rings_of_held_back) == ("poses-figure-2-mr-cnp", True, False)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["100 of 30,000 steps"]
    assert sweeps_of("omniglot-nme", records) == []


def test_sweeps_stand_below_their_table(tmp_path: Path) -> None:
    write(tmp_path / "results", "poses-figure-2-mr-maml-0", "poses", 4.0)
    write(tmp_path / "results", "poses-figure-2-mr-cnp-0", "poses-validation", 3.0)
    page = results_table(None, tmp_path / "results", tmp_path / "page.md")
    assert "### MR-MAML (W), figure 2\n\nDots are measured" in page
    assert "![MR-MAML (W), figure 2, by beta](page-poses-figure-2-mr-maml.svg)" in page
    assert "](page-poses-figure-2-mr-cnp-validation.svg)" in page.split("## poses-validation")[1]
    assert "published" in (tmp_path / "page-poses-figure-2-mr-maml.svg").read_text()
    assert sorted(path.name for path in tmp_path.glob("*-figure-*")) == [
        "page-poses-figure-2-mr-cnp-validation.svg",
        "page-poses-figure-2-mr-maml.svg",
    ]
    assert "### MR-MAML" not in results_table("poses", tmp_path / "results", None)


def test_where_a_gain_comes_from(tmp_path: Path) -> None:
    for name, mean in (("maml-encoder", 7.0), ("maml-encoder-augmented", 5.0)):
        write(tmp_path, f"poses-{name}", "poses", mean)
    page = results_table("poses", tmp_path, None)
    assert "### Where the gain comes from\n\nOnly rows of one kind" in page
    assert "| MAML, encoder not adapted, meta-augmentation | no | none | – | none | linear | yes | 15 |" in page
    assert "| 5.000 ± 0.500 | -2.000 ± 0.707 |  | 100 of 30,000 steps |" in page
    assert "### Where the gain" not in results_table("sinusoids", tmp_path, None)


def test_scores_by_test_steps(tmp_path: Path) -> None:
    run = {"run": "one", "recipe": None, "meta_training_steps": 9, "metric": "squared_error", "seed": 0}
    scores = [{"steps": k, "mean": 4.0 - k, "ci95": 0.5, "diverged": 0} for k in (0, 1)]
    for name, points in (("a", 5), ("b/c", 10)):
        found = {"kind": "nopal steps 1", "data": "sinusoids", "points": points, "runs": [run | {"scores": scores}]}
        write_json(tmp_path / "results" / f"{name}.json", found)
    page = results_table("sinusoids", tmp_path / "results", tmp_path / "page.md")
    assert "### Scores by test steps, 5 points\n\nThe same learners" in page
    assert "![By steps, 10 points](page-sinusoids-steps-10-points.svg)" in page
    assert "steps on the support set" in (tmp_path / "page-sinusoids-steps-5-points.svg").read_text()
    assert "test steps" not in results_table("poses", tmp_path / "results", tmp_path / "page.md")


def test_unknown_data(results: Path, tmp_path: Path) -> None:
    with pytest.raises(NopalError, match=r"no rows of 'omniglott'; expected one of omniglot, mnist, sinusoids, "):
        results_table("omniglott", results, tmp_path / "page.md")
    assert not (tmp_path / "page.md").exists()


def test_every_published_number_of_omniglot_has_a_recipe() -> None:
    assert {f"omniglot-{name}" for name in OMNIGLOT} <= set(RECIPES)


def test_the_page_in_docs_is_what_the_records_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    (tmp_path / "results").symlink_to(root / "results")
    monkeypatch.setattr("nopal.stages.table.as_svg", lambda figure: "")
    page = results_table(None, tmp_path / "results", tmp_path / "docs" / "results.md")
    assert page == (root / "docs" / "results.md").read_text(encoding="utf-8"), "write it anew with nopal table"
    pictures = {path.name for path in (tmp_path / "docs").glob("*.svg")}
    assert pictures == {path.name for path in (root / "docs").glob("results-*.svg")}
