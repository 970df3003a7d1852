"""`nopal recipes`, `run` and `table`: the rows of the published tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import rich.box
import rich.table
from tyro.conf import arg

from nopal.commands.arguments import Processes, Together
from nopal.errors import NopalError
from nopal.recipes.recipe import Budget, Recipe
from nopal.terminal import console, say


def recipes() -> None:
    """List the published rows that can be run by name, with their published numbers, and the sweeps over some of
    them."""
    from nopal.recipes.catalogue import RECIPES

    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    table.add_column("name, learner, steps (demo, hour, published)", no_wrap=True)
    table.add_column("published (way x shot, or points)", min_width=17)
    for recipe in RECIPES.values():
        marks = {at: f"{p.mean:g} {p.source.split()[0]}" for at, p in recipe.published.items()}
        published = "\n".join(f"{n}x{k}: {mark}" if n else f"{k}: {mark}" for (n, k), mark in marks.items())
        table.add_row(f"[bold]{recipe.name}[/bold]\n{recipe.title}\n{steps_text(recipe)}", published or "–")
    console.print(table)
    console.print("– (N): the paper does not say; `--budget published` takes N.", highlight=False)
    sweeps = rich.table.Table("sweep, run by its name", "its rows", box=rich.box.SIMPLE_HEAD)
    for name, title in {recipe.sweep.name: recipe.sweep.title for recipe in RECIPES.values() if recipe.sweep}.items():
        sweeps.add_row(f"[bold]{name}[/bold]", title)
    console.print(sweeps)


def steps_text(recipe: Recipe) -> str:
    """How many steps each budget takes, in a line of its own those of an encoder that is trained."""
    experiments = [recipe.at(budget) for budget in get_args(Budget)]
    lines = {
        "": [at.training.steps for at in experiments if at.training],
        "encoder: ": [at.encoder.steps for at in experiments if at.encoder and at.encoder.steps],
    }
    last = "{:,}" if recipe.steps_published else "– ({:,})"
    told = [what + f"{{:,}}, {{:,}}, {last}".format(*steps) for what, steps in lines.items() if steps]
    return "\n".join(told) or "no training"


def run_recipe(
    name: Annotated[str, arg(metavar="NAME")],
    /,
    *,
    budget: Budget = "demo",
    seed: int = 0,
    seeds: int = 1,
    rounds: int = 1,
    steps: int | None = None,
    partitions: int | None = None,
    out: Path | None = None,
    results: Path = Path("results"),
    episodes: int = 1000,
    encoder: Path | None = None,
    data: Path | None = None,
    validation: bool = False,
    anneal: bool = False,
    resume: bool = False,
    together: Together = Processes(),
) -> None:
    """Go from raw data to a row of a table, beside the published number.

    Args:
        name: a recipe, see `nopal recipes`, or a sweep over some of them
        budget: demo takes minutes; hour a quarter of an hour to two hours on two cores, sinusoids less (where an
            encoder is trained, most of it is for that, which --encoder saves);
            published what the paper took (30,000 steps where it doesn't say)
        seed: of clustering, weights and tasks
        seeds: train as many seeds together, from `seed` on, each in a folder of its own
        rounds: more than 1: embed again with the learner's network, cluster again, meta-train again; a folder and a
            record each
        steps: meta-training steps, in place of the budget's
        partitions: how many times to cluster, in place of the published number
        out: the run folder; runs/NAME-BUDGET-SEED by default, or with rounds runs/NAME-BUDGET-SEED-rounds; OUT-SEED
            where there are several seeds; of a sweep the folder of its run folders
        results: folder for the record
        episodes: test tasks for each difficulty
        encoder: the file of an encoder that was fitted before, such as one that took hours, in place of a new one
        data: for recipes of poses, a file of `nopal poses render`, or a folder or zip file of CAD models, rendered
            once; by default poses.npz of the folder of data sets or, where there is none, its pascal3d_cad.zip
        validation: train without the part that is held back and judge on it in place of the test, to choose
            hyper-parameters
        anneal: let meta-training steps shrink to nothing along half a cosine, for long runs; not as published
        resume: go on with an interrupted run
        together: several processes
    """
    from nopal.recipes.catalogue import annealed, find_recipes, held_back
    from nopal.recipes.recipe import VALIDATION
    from nopal.stages import running
    from nopal.stages.rounds import run_rounds
    from nopal.stages.seeds import run_seeds

    if seeds < 1:
        raise NopalError(f"The number of seeds is {seeds}; expected at least 1.")
    recipes = find_recipes(name)
    if rounds != 1 and (seeds > 1 or len(recipes) > 1):
        raise NopalError(f"{rounds} rounds were asked for with {seeds} seeds; run one seed of one recipe at a time.")
    together.join()
    options: dict[str, Any] = {
        "resume": resume,
        "steps": steps,
        "partitions": partitions,
        "episodes": episodes,
        "encoder": encoder,
        "data": data,
        "console": console,
    }
    for recipe in recipes:
        alone = out if len(recipes) == 1 else None
        told = f"{recipe.name}-{budget}{VALIDATION if validation else ''}"
        base = alone or (out or Path("runs")) / told
        folders = {number: Path(f"{base}-{number}") for number in range(seed, seed + seeds)}
        recipe = held_back(recipe) if validation else recipe
        recipe = annealed(recipe) if anneal else recipe
        if rounds != 1:
            folder = out or Path(f"{base}-{seed}-rounds")
            records = run_rounds(recipe, budget, folder, results, rounds=rounds, seed=seed, **options)
        elif seeds == 1:
            records = [running.run_recipe(recipe, budget, alone or folders[seed], results, seed=seed, **options)]
        else:
            records = run_seeds(recipe, budget, folders.__getitem__, results, seeds=list(folders), **options)
        say(("The record: " if len(records) == 1 else "The records: ") + ", ".join(map(str, records)))


def table(
    data: Annotated[str, arg(metavar="DATA")] = "all",
    /,
    *,
    results: Path = Path("results"),
    out: Path | None = None,
) -> None:
    """Make the page of results from the records, own numbers and published ones side by side.

    Args:
        data: a data set, such as omniglot, whose part of the page is printed; all by default
        results: the folder of records
        out: the Markdown page of all data sets to write, with pictures beside it; where no data set is named, nothing
            is printed then
    """
    from nopal.stages.table import results_table

    if out:
        results_table(None, results, out)
        say(f"The page of all data sets: {out}")
    if data != "all" or out is None:
        print(results_table(None if data == "all" else data, results, None))
