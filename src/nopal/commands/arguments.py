"""Arguments that several commands have."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Annotated

from tyro.conf import arg, subcommand

from nopal.errors import NopalError
from nopal.options.learners import MAMLOptions, ProtoNetOptions, RidgeOptions
from nopal.terminal import console

LearnerChoice = (
    Annotated[ProtoNetOptions, subcommand("protonet")]
    | Annotated[MAMLOptions, subcommand("maml")]
    | Annotated[RidgeOptions, subcommand("ridge")]
)
Source = Annotated[str, arg(metavar="SOURCE")]
Run = Annotated[Path, arg(metavar="RUN")]
Out = Annotated[Path, arg(metavar="OUT")]


@dataclasses.dataclass(frozen=True)
class Processes:
    """Several processes at work on one run, see docs/distributed.md."""

    coordinator: str | None = os.environ.get("NOPAL_COORDINATOR")
    """address of process 0, such as node1:1234, or auto to ask Slurm or Open MPI; NOPAL_COORDINATOR by default"""
    processes: str | None = os.environ.get("NOPAL_PROCESSES")
    """how many there are; NOPAL_PROCESSES by default"""
    process: str | None = os.environ.get("NOPAL_PROCESS")
    """number of this one, from 0 on; NOPAL_PROCESS by default"""
    patience: int = 300
    """seconds to wait for the others at the beginning"""
    silence: int = 30
    """seconds after which a process that is not heard of counts as dead"""

    def join(self) -> None:
        """Meet the others; all but the first are silent from then on."""
        from nopal import distributed

        numbers = {"processes": self.processes, "process": self.process}
        for name, text in numbers.items():
            if text is not None and not re.fullmatch(r"-?\d+", text):
                raise NopalError(f"The choice {name} is {text!r}; expected a whole number.")
        processes, process = (None if text is None else int(text) for text in numbers.values())
        distributed.join(self.coordinator, processes, process, patience=self.patience, silence=self.silence)
        console.quiet = not distributed.is_first()


Together = Annotated[Processes, arg(name="")]


def parse_difficulty(text: str, *, points: bool = False) -> tuple[int, int]:
    """(way, shot) of a text such as 5x1; with `points` a number alone is one of points, and the way 0."""
    found = re.fullmatch(r"(?:(\d+)x)?(\d+)", text)
    if not found or not (points or found[1]):
        others = ", or points, for instance 10" if points else ""
        raise NopalError(f"{text!r} is no difficulty; expected way x shot, for instance 5x1{others}.")
    return int(found[1] or 0), int(found[2])
