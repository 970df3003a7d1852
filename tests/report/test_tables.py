import io

import pytest
from rich.console import Console

from nopal.errors import NopalError
from nopal.report.results_page import results_page, time_text
from nopal.report.rows import OVER_GROUPS, Row, averaged, budget_order, budget_text, diverged_of, rows_of, unmeasured
from nopal.report.tables import html_table, markdown_table, table_legend, text_table


def score(way=5, shot=1, mean=62.64, ci95=0.82, statistics="support", **others):
    accuracy = {"way": way, "shot": shot, "metric": "accuracy", "mean": mean, "ci95": ci95, "tasks": 1000}
    return accuracy | {"statistics": statistics, "transductive": statistics == "transductive"} | others


def record(**others):
    plain = {"recipe": "omniglot", "learner": "MAML", "data": "Omniglot", "seed": 3, "scores": [score()]}
    budget = {"steps": 3000, "published_steps": 30000}
    return (
        plain | {"budget": budget, "hardware": "2 cores", "wall_seconds": 671.2, "file": "omniglot/maml.json"} | others
    )


ROWS = [
    Row("chance", [score(20, 1, 5.0, 0.0, "none"), score(5, 1, 20.0, 0.0, "none")], "none"),
    Row(
        "MAML | first order",
        [score(published=68.84, published_source="a README [2ND]")],
        "support",
        {"budget": "3,000 of 30,000 steps"},
    ),
]


def printed(table, width=100):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


def test_markdown_has_a_column_for_each_way_and_shot_with_published_numbers_beside_own():
    assert markdown_table(ROWS) == (
        "| learner | 5-way 1-shot | 20-way 1-shot | statistics | budget |\n"
        "| --- | ---: | ---: | --- | --- |\n"
        "| chance | 20.0 | 5.0 | none |  |\n"
        "| MAML \\| first order | 62.6 ± 0.8 (68.84 [2ND]) |  | support | 3,000 of 30,000 steps |"
    )


def test_other_metrics_have_three_digits_and_their_name_in_the_heading():
    error = {"points": 10, "way": None, "shot": None, "metric": "squared_error", "mean": 0.0712, "ci95": 0.0149}
    table = markdown_table([Row("MR-MAML", [error], "none")])
    assert table.splitlines()[0] == "| learner | 10 points, squared error | statistics |"
    assert table.splitlines()[2] == "| MR-MAML | 0.071 ± 0.015 | none |"


def test_the_terminal_shows_published_numbers_below_own():
    lines = [" ".join(line.split()) for line in printed(text_table(ROWS, "On [new] scripts")).splitlines()]
    assert lines[0] == "On [new] scripts"
    at = lines.index("MAML | first order 62.6 ± 0.8 support 3,000 of 30,000 steps")
    assert lines[at + 1] == "(68.84)"
    assert "chance 20.0 5.0 none" in lines


def test_html_is_escaped_and_draws_accuracies_as_shares():
    table = html_table([Row("<b>MAML & co</b>", [score(published=68.84)], "support", {"note": "<i>"})])
    assert '<th scope="row">&lt;b&gt;MAML &amp; co&lt;/b&gt;</th>' in table
    assert '62.6<small> ± 0.8</small><i style="--share:62.6%"></i><small>(68.84)</small></td>' in table
    assert "<td>support</td><td>&lt;i&gt;</td></tr>" in table


def test_columns_are_in_the_order_of_the_row_that_has_most():
    rows = [Row("a", [score()], "none", {"time": "1 s"}), Row("b", [score()], "none", {"reliance": "1", "time": "2 s"})]
    heading, _, first, _ = markdown_table(rows).splitlines()
    assert heading.endswith("| reliance | time |")
    assert first.endswith("|  | 1 s |")


def test_the_legend_explains_what_is_used_and_nothing_else():
    legend = " ".join(table_legend(ROWS))
    assert "[2ND] read in a third party's copy" in legend
    assert "Support: taken from the labelled examples of the task, for the queries too; none: not used." in legend
    assert "[IMG]" not in legend
    assert "transductive" not in legend
    assert "published" not in " ".join(table_legend(ROWS[:1]))


def test_a_record_has_a_row_for_each_kind_of_statistics():
    support, batch = rows_of(record(scores=[score(), score(20, 1), score(statistics="transductive")]))
    assert (support.name, support.statistics, len(support.scores)) == ("MAML", "support", 2)
    assert (batch.name, batch.statistics, len(batch.scores)) == ("MAML", "transductive", 1)
    assert support.details == {"budget": "3,000 of 30,000 steps"}


@pytest.mark.parametrize("others", [{"statistics": None}, {"statistics": "batch"}, {"transductive": True}])
def test_a_score_must_say_which_statistics_it_used(others):
    with pytest.raises(NopalError, match=r"A score of MAML has statistics .* and transductive .*; expected one of"):
        rows_of(record(scores=[score() | others]))


def test_no_score_hides_another():
    with pytest.raises(NopalError, match="The row 'MAML' has two scores for 5-way 1-shot"):
        markdown_table([Row("MAML", [score(), score(mean=50.0)], "support")])


def test_results_page_has_a_table_for_each_data_set():
    records = [
        record(),
        record(data="MNIST", hardware="one GPU", seed=0),
        record(hardware="one GPU", wall_seconds=5106),
    ]
    page = results_page(records, "Results", "Made by a command.")
    assert page.startswith("# Results\n\nMade by a command.\n\n* Each number is a mean over test tasks")
    assert page.endswith(
        "## Omniglot\n\n"
        "| learner | 5-way 1-shot | statistics | budget | tasks | seed | time | record |\n"
        "| --- | ---: | --- | --- | --- | --- | --- | --- |\n"
        "| MAML | 62.6 ± 0.8 | support | 3,000 of 30,000 steps | 1,000 | 3 | 11 min <sup>1</sup> "
        "| [`omniglot`](../results/omniglot/maml.json) |\n"
        "| MAML | 62.6 ± 0.8 | support | 3,000 of 30,000 steps | 1,000 | 3 | 1 h 25 min <sup>2</sup> "
        "| [`omniglot`](../results/omniglot/maml.json) |\n\n"
        "<sup>1</sup> 2 cores\\\n<sup>2</sup> one GPU\n\n"
        "## MNIST\n\n"
        "| learner | 5-way 1-shot | statistics | budget | tasks | seed | time | record |\n"
        "| --- | ---: | --- | --- | --- | --- | --- | --- |\n"
        "| MAML | 62.6 ± 0.8 | support | 3,000 of 30,000 steps | 1,000 | 0 | 11 min <sup>1</sup> "
        "| [`omniglot`](../results/omniglot/maml.json) |\n\n"
        "<sup>1</sup> one GPU\n"
    )


def test_a_time_says_that_an_encoder_given_is_not_in_it():
    made = {"encoder": "ACAI", "options": {"steps": 9}}
    for encoder, words in (
        (made, "11 min without the encoder <sup>"),
        (made | {"seconds": 3.0}, "11 min <sup>"),
        ({"encoder": "PCA", "options": {}}, "11 min <sup>"),
        (None, "11 min <sup>"),
    ):
        page = results_page([record(config={"encoder": encoder})], "Results", "Made by a command.")
        assert words in page


def test_seeds_share_a_row_with_the_standard_deviation_between_them():
    """Means 60, 62 and 67: their mean is 63 and their deviation the root of (9 + 1 + 16) / 2."""
    config = {"training": {"steps": 5, "seed": 0}}
    records = [
        record(
            seed=seed,
            scores=[score(mean=mean), score(20, 1, mean=mean / 2)],
            config={"training": {"steps": 5, "seed": seed}},
            wall_seconds=60,
            file=f"omniglot/{seed}.json",
        )
        for seed, mean in [(2, 67.0), (0, 60.0), (1, 62.0)]
    ]
    others = [
        record(seed=3, config={"training": {"steps": 6, "seed": 3}}),
        record(seed=0, config=config, scores=[score(), score(20, 1)], file="again.json"),
    ]
    page = results_page(records + others, "Results", "Made by a command.")
    row, other, again = [line for line in page.splitlines() if line.startswith("| MAML")]
    assert row == (
        "| MAML | 63.0 ± 3.6 | 31.5 ± 1.8 | support | 3,000 of 30,000 steps | 1,000 | 0, 1, 2 | 3 min <sup>1</sup> "
        "| `omniglot` [0](../results/omniglot/0.json), [1](../results/omniglot/1.json), "
        "[2](../results/omniglot/2.json) |"
    )
    assert "| 62.6 ± 0.8 |" in other
    assert "| 0 |" in again
    assert "A row with several seeds has the mean over them, ± the standard deviation between them" in page


def test_readings_of_the_meter_are_averaged_over_seeds():
    readings = [{"metric": "accuracy", "reliance": r, "before": b} for r, b in ((0.25, 90.0), (None, 98.0))]
    records = [record(seed=seed, meter=reading) for seed, reading in enumerate(readings)]
    page = results_page([*records, record(learner="other")], "Results", "")
    assert "| reliance | before adapting |" in page
    row, other = [line for line in page.splitlines() if line.startswith(("| MAML", "| other"))]
    assert "| 0.25 | 94.0 ± 5.7 |" in row
    assert "|  |  |" in other
    assert "([the meter](meter.md))" in page
    assert "meter" not in results_page([record()], "Results", "")


def test_what_was_published_before_adapting_stands_beside_what_the_meter_read():
    before = {"published": 20.0, "published_source": "[PDF] table 5"}
    measured = record(meter={"metric": "accuracy", "reliance": 0.25, "before": 38.64}, before=before)
    missing = unmeasured("row", "TAML", "Omniglot", {(5, 1): (26.1, "[PDF]")}) | {"before": before}
    lines = results_page([measured, missing], "Results", "").splitlines()
    row, other = [line for line in lines if line.startswith(("| MAML", "| TAML"))]
    assert "| 0.25 | 38.6 (20 [PDF]) |" in row
    assert "| – (26.1 [PDF]) |  | not run |  | – (20 [PDF]) |" in other


def test_a_results_page_names_rows_whose_mean_a_few_huge_errors_make():
    at = {"way": None, "shot": None, "points": 5, "metric": "squared_error", "mean": 2.0}
    fine, wild = (record(recipe=name, scores=[score(**at, ci95=ci)]) for name, ci in (("fine", 1.0), ("wild", 1.1)))
    accurate = record(recipe="accurate", scores=[score(mean=1.0, ci95=0.9)])
    missing = unmeasured("missing", "nobody", "omniglot", {(0, 5): (1.0, "[PDF]")})
    page = results_page([fine, wild, accurate, missing], "Results", "")
    told = [line for line in page.splitlines() if "huge" in line]
    assert len(told) == 1
    assert told[0].endswith("more than half of it: `wild`.")


def test_a_results_page_needs_records():
    with pytest.raises(NopalError, match="Found 0 records"):
        results_page([], "Results", "")


def test_budgets_and_times_in_words():
    assert budget_text({"budget": {"steps": 0, "published_steps": None}}) == "no training"
    record = {"budget": {"steps": 1500, "published_steps": None}}
    assert budget_text(record) == "1,500 steps"
    assert budget_text(record | {"config": {"training": {"anneal": True}}}) == "1,500 steps, annealed"
    assert budget_text(record | {"config": {"training": None, "partitions": None}}) == "1,500 steps"
    for count, told in ((1, "1 partition"), (20, "20 partitions")):
        config = {"training": {"way": 5}, "partitions": {"partitions": count}}
        assert budget_text(record | {"config": config}) == f"1,500 steps, {told}"
    longer = {"budget": {"steps": 900, "published_steps": None}}
    assert sorted([record, longer], key=budget_order) == [longer, record]
    trained = {"name": "acai", "acai": {"steps": 2660}}, {"encoder": "ACAI", "options": {"steps": 2660, "width": 32}}
    for encoder in trained:
        config = {"training": {"way": 5}, "encoder": encoder}
        assert budget_text(record | {"config": config}) == "1,500 steps, encoder 2,660 steps"
        assert budget_order(record | {"config": config}) == (2660, 1500, 0)
        assert budget_text(record | {"config": {"training": None, "encoder": encoder}}) == "1,500 steps"
    config = {"training": {"way": 5}, "encoder": {"name": "pca", "dimensions": 64}}
    assert budget_text(record | {"config": config}) == "1,500 steps"
    assert [time_text(s) for s in (45.2, 671.2, 5106.0)] == ["45 s", "11 min", "1 h 25 min"]


def test_budget_with_other_batches() -> None:
    budget = {"steps": 400, "published_steps": 30_000, "tasks_per_step": 4, "published_tasks_per_step": 10}
    assert budget_text({"budget": budget}) == "400 of 30,000 steps, 4 of 10 tasks each"


def test_errors_the_shorter_way_round_stand_behind_the_published_ones_and_are_explained():
    at = {"way": None, "shot": None, "points": 15}
    scores = [score(metric=metric, mean=2.0, **at) for metric in ("squared_arc", "squared_error")]
    rows = [Row("mine", scores, "none")]
    headings = markdown_table(rows).splitlines()[0]
    assert headings.index("15 points, squared error") < headings.index("15 points, squared arc")
    assert any(line.startswith("Squared arc:") for line in table_legend(rows))
    assert not any(line.startswith("Squared arc:") for line in table_legend([Row("mine", scores[1:], "none")]))


def test_the_interval_over_objects_has_a_column_and_is_explained():
    """Means of 1, 2 and 3: t of two degrees of freedom, 4.303, times 1 over the root of 3."""
    at = {"way": None, "shot": None, "points": 15, "metric": "squared_error", "ci95": 0.1}
    objects = [score(mean=2.0, **at, group_means=means) for means in ([1.0, 2.0, 3.0, None], [1.0, 4.0, 7.0, None])]
    rows = [row for of in objects for row in rows_of(record(scores=[of]))]
    headings, _, line, _ = markdown_table(rows).splitlines()
    assert headings == "| learner | 15 points, squared error | statistics | ± over objects | budget |"
    assert "| 2.000 ± 0.100 | support | ± 2.484 |" in line
    assert any(OVER_GROUPS in line for line in table_legend(rows))
    assert not any(OVER_GROUPS in line for line in table_legend(rows_of(record())))
    seeds = [record(seed=seed, scores=[of]) for seed, of in enumerate(objects)]
    assert averaged(seeds)[0].details[OVER_GROUPS] == "± 4.968"


def test_a_task_that_diverged_counts_once_however_its_errors_are_measured():
    at = {"way": None, "shot": None, "points": 15, "diverged": 3}
    scores = [score(metric=metric, mean=2.0, **at) for metric in ("squared_error", "squared_arc")]
    assert diverged_of(scores) == 3
    assert diverged_of([score(diverged=2), score(shot=5, diverged=1)]) == 3
