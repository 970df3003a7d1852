"""The command line: a function for each command, its arguments the options, its docstring the help."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from nopal.commands.looking import meter, steps
from nopal.commands.poses import poses
from nopal.commands.practice import demo, fit, predict
from nopal.commands.rows import recipes, run_recipe, table
from nopal.commands.stages import encode, evaluate, partition, report, train
from nopal.errors import NopalError
from nopal.mapping import tasks_at_once
from nopal.runs import Stopped

COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": demo,
    "fit": fit,
    "predict": predict,
    "encode": encode,
    "partition": partition,
    "train": train,
    "evaluate": evaluate,
    "report": report,
    "meter": meter,
    "steps": steps,
    "recipes": recipes,
    "run": run_recipe,
    "table": table,
    "poses": poses,
}


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 2 for bad input, 3 where another process of the run has ended, or what
    the shell expects after a signal."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        tasks_at_once()  # before any folder is begun
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="nopal",
            description="Learn to learn from few examples, without labels. Begin with nopal demo or nopal fit FOLDER.",
            args=arguments or ["--help"],
            config=(tyro.conf.CascadeSubcommandArgs,),
        )
    except SystemExit as stop:  # tyro's own, after --help and mistyped options
        return int(stop.code or 0)
    except NopalError as error:
        print(f"nopal: {error}", file=sys.stderr)
        return 2
    except Stopped as stop:
        print(f"nopal: {stop}", file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print("nopal: Stopped; what was written stays.", file=sys.stderr)
        return 130
    except Exception as error:
        from nopal import distributed

        if distributed.ended_elsewhere(error):
            print(f"nopal: {distributed.LOST}", file=sys.stderr)
            return distributed.EXIT_LOST
        if distributed.several():  # the others wait for this process, which must not wait for them
            traceback.print_exc()
            return 1
        raise
    return 0
