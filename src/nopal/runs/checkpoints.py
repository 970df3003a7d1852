"""Training states on disk, whole or not at all (through Orbax)."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import PyTree, UInt8

from nopal.distributed import from_first, is_first, several
from nopal.errors import NopalError
from nopal.runs.packing import compare, describe, find_nan, pack, reordered, unpack


class Checkpoints:
    """The last `keep` states of a run in `folder`, one subfolder a step.

    A state's arrays (PRNG keys too) are saved; its other leaves come from `like` when it is restored. They travel as
    one array of bytes beside a description: Orbax has no checksum for what is in an array, cannot save empty ones, and
    reports damage in several arrays at once to the console. With `read_only` nothing on disk is changed. Of several
    processes the first alone touches the disk, and tells the others what it read.
    """

    def __init__(self, folder: str | Path, keep: int = 3, *, read_only: bool = False):
        if keep < 1:
            raise NopalError(f"The number of checkpoints to keep is {keep}; expected at least 1.")
        self.folder, self.keep, self.read_only = Path(folder).absolute(), keep, read_only
        self._saved: int | None = None

    def save(self, step: int, state: PyTree) -> None:
        """Save the state after `step` steps, then drop all but the last `keep`; saving a step again does nothing.

        Later steps that are there, damaged ones or those of a run that went on from before them, are removed first.
        Raises `NopalError` where the state holds a NaN or the disk refuses.
        """
        if step == self._saved:
            return
        path = find_nan(state)
        if path is not None:
            raise NopalError(
                f"The state after step {step} holds NaN at {path} and was not saved; lower the outer or the inner "
                "learning rate or clip the gradients."
            )
        try:
            if is_first():
                self._write(step, pack(state), describe(state))
        except Exception as error:  # Orbax documents no exceptions of its own
            raise NopalError(
                f"The checkpoint of step {step} cannot be written to {self.folder} ({_brief(error)}); free some space "
                "or choose another folder."
            ) from None
        self._saved = step

    def latest(self) -> int | None:
        """The step of the last whole checkpoint, or None without any; raises `NopalError` where all are damaged."""
        step = int(from_first(lambda: {"step": self._latest()})["step"])
        return None if step < 0 else step

    def _latest(self) -> int:
        failure: NopalError | None = None
        for step in reversed(self._steps()):
            try:
                self._read(step)
                return step
            except NopalError as error:
                failure = failure or error
        if failure:
            raise failure
        return -1

    def restore(self, like: PyTree, step: int | None = None) -> PyTree:
        """The state of `step` (default: the last whole one), with the structure of `like`.

        Raises `NopalError` where that checkpoint is absent, damaged, or of a state with other arrays.
        """
        step = self.latest() if step is None else step

        def read() -> dict[str, Any]:
            if step is None or step not in self._steps():
                raise NopalError(
                    f"There is no checkpoint{'' if step is None else f' of step {step}'} in {self.folder}, only of "
                    f"steps {self._steps()}; name one of those or train first."
                )
            packed, leaves = self._read(step)
            compare(leaves, describe(like), f"The checkpoint of step {step} in {self.folder}")
            return {"bytes": reordered(packed, leaves, like)}

        return unpack(from_first(read)["bytes"], like)

    def _steps(self) -> list[int]:
        return sorted(self._manager.all_steps()) if self.folder.is_dir() else []

    @functools.cached_property
    def _manager(self) -> Any:
        import orbax.checkpoint as ocp  # half a second that --help need not wait for

        if not self.read_only:
            self.folder.mkdir(parents=True, exist_ok=True)  # Orbax does so only where all processes take part
        alone = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0}) if several() else None
        together = {"multiprocessing_options": alone} if alone else {}
        options = ocp.CheckpointManagerOptions(
            max_to_keep=self.keep,
            create=False,
            cleanup_tmp_directories=not self.read_only,
            enable_async_checkpointing=False,
            **together,
        )
        handlers = {
            # Twice as fast as with compression, and weights hardly shrink.
            "state": ocp.PyTreeCheckpointHandler(use_compression=False, **together),
            "about": ocp.JsonCheckpointHandler(**together),
        }
        with _quiet():
            return ocp.CheckpointManager(self.folder, options=options, item_handlers=handlers)

    def _write(self, step: int, packed: UInt8[np.ndarray, "n"], leaves: list[list[str]]) -> None:
        import orbax.checkpoint as ocp

        about = {"leaves": leaves, "crc32": _checksum(packed, leaves)}
        args = ocp.args.Composite(state=ocp.args.PyTreeSave({"bytes": packed}), about=ocp.args.JsonSave(about))
        with _quiet():
            for stale in [other for other in self._steps() if other >= step]:
                self._manager.delete(stale)
            self._manager.save(step, args=args, force=True)

    def _read(self, step: int) -> tuple[UInt8[np.ndarray, "n"], list[list[str]]]:
        import orbax.checkpoint as ocp

        args = ocp.args.Composite(state=ocp.args.PyTreeRestore(), about=ocp.args.JsonRestore())
        try:
            with _quiet():
                found = self._manager.restore(step, args=args)
            packed, leaves = found["state"]["bytes"], found["about"]["leaves"]
            if _checksum(packed, leaves) != found["about"]["crc32"]:
                raise ValueError("its checksum is wrong")
        except Exception as error:  # Orbax documents no exceptions of its own
            raise NopalError(
                f"The checkpoint {self.folder / str(step)} is damaged ({_brief(error)}); remove that folder and go on "
                "from an earlier one."
            ) from None
        return packed, leaves


def _checksum(packed: UInt8[np.ndarray, "n"], leaves: list[list[str]]) -> int:
    return zlib.crc32(json.dumps(leaves).encode(), zlib.crc32(packed.data))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What Orbax logs through absl, Nopal says in its own sentence."""
    logger = logging.getLogger("absl")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _brief(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]
