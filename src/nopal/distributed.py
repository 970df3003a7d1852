"""Several processes at work on one run: each runs the same program on its own devices; the first alone writes files.

What must be the same everywhere though machines differ (a checkpoint, clusters, the step at which to stop) the first
process gives to the others through the coordination service of `jax.distributed`, which, unlike a collective operation
of devices, waits for as long as it takes.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import itertools
import os
import signal
import socket
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from nopal.errors import NopalError

LOST = "Another process of this run has ended, and so does this one; go on with --resume."
EXIT_LOST = 3
PART = 2**20
_WEEK_MS = 7 * 24 * 3600 * 1000
_turn = itertools.count()


def join(
    coordinator: str | None,
    processes: int | None = None,
    process: int | None = None,
    *,
    patience: int = 300,
    silence: int = 30,
) -> None:
    """Become process `process` of `processes`, which meet at `coordinator`, an address such as "node1:1234" on the
    machine of process 0; "auto" asks Slurm or Open MPI.

    A process that ends otherwise than all together ends the others: within a step at once, between steps and where a
    whole machine falls silent after `silence` seconds. JAX must not have begun. Raises `NopalError` where the numbers
    are not possible or nobody answers within `patience` seconds.
    """
    if coordinator is None:
        if processes not in (None, 1) or process not in (None, 0):
            raise NopalError(
                f"There are to be {'several' if processes is None else processes} processes"
                f"{'' if process is None else f', of which this is {process}'}, but no coordinator is named; give the "
                "address of process 0, such as node1:1234."
            )
        return
    if patience < 0 or silence < 1:
        raise NopalError(f"The patience is {patience} and the silence {silence}; expected seconds, from 0 and 1 on.")
    if coordinator != "auto":
        _check(coordinator, processes, process)
        _reach(coordinator, process == 0, patience)
    where = "as the scheduler says" if coordinator == "auto" else f"at {coordinator}"
    failure = (
        f"The {processes or 'other'} processes did not all meet {where} within {patience} seconds; give each the same "
        "coordinator and number of processes, and a number of its own, from 0 on."
    )
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM away from `Interrupts`
    with _silent() as console:
        _say_at_abort(failure, console)
        try:
            jax.distributed.initialize(
                None if coordinator == "auto" else coordinator,
                processes,
                process,
                initialization_timeout=max(patience, 1),
                heartbeat_timeout_seconds=silence,
            )
        except (RuntimeError, ValueError) as error:
            signal.signal(signal.SIGABRT, signal.SIG_DFL)
            raise NopalError(
                f"This process could not join others ({str(error).strip().splitlines()[0][:200]}); join before JAX "
                "begins and, where the coordinator is auto, within Slurm or Open MPI."
            ) from None
    _say_at_abort(LOST, 2)


def _check(coordinator: str, processes: int | None, process: int | None) -> None:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise NopalError(f"The coordinator is {coordinator!r}; expected a host and a port, such as node1:1234.")
    if processes is None or process is None or processes < 1:
        raise NopalError(
            f"There are to be {'an untold number of' if processes is None else processes} processes, and this is "
            f"{'none' if process is None else process} of them; expected both numbers beside the coordinator, the "
            "first at least 1."
        )
    if not 0 <= process < processes:
        raise NopalError(f"This is process {process} of {processes}; expected a number from 0 to {processes - 1}.")


def _reach(coordinator: str, first: bool, patience: int) -> None:
    """Whether the port is free where this is the first process, and answers where it is not; JAX would abort."""
    host, _, port = coordinator.rpartition(":")
    if first:
        with socket.socket(socket.AF_INET) as trial:
            try:
                trial.bind(("", int(port)))
            except OSError as error:
                raise NopalError(
                    f"Port {port} of the coordinator can't be used here ({error.strerror}); choose another one, and "
                    "let one process alone be process 0."
                ) from None
        return
    end = time.monotonic() + patience
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=min(patience, 5)).close()
            return
        except OSError as error:
            if time.monotonic() > end or isinstance(error, socket.gaierror):
                raise NopalError(
                    f"Nobody answers at {coordinator} ({error.strerror or error}); check the address of the "
                    "coordinator, and whether process 0 runs there."
                ) from None
            time.sleep(0.2)


@contextlib.contextmanager
def _silent() -> Iterator[int]:
    """Standard error goes nowhere, for JAX would fill a page; gives a way to it nevertheless."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield kept
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)


_handlers: list[Any] = []


def _say_at_abort(sentence: str, console: int) -> None:
    """JAX aborts a process that loses the others, from a thread where Python can catch nothing: let that be an ordinary
    end with a sentence."""
    if os.name != "posix":
        return

    def speak(_: int) -> None:
        os.write(console, f"nopal: {sentence}\n".encode())
        os._exit(EXIT_LOST)

    _handlers.append(ctypes.CFUNCTYPE(None, ctypes.c_int)(speak))
    ctypes.CDLL(None).signal(int(signal.SIGABRT), _handlers[-1])


def several() -> bool:
    """Whether this process has joined others."""
    return _client() is not None and jax.process_count() > 1


def is_first() -> bool:
    """Whether this process writes files and speaks: the first of several, or the only one."""
    return not several() or jax.process_index() == 0


def from_first(make: Callable[[], Mapping[str, Any] | None]) -> Mapping[str, Any]:
    """What `make` gives in the first process, where alone it is called: arrays, numbers and text by name.

    All processes must call this in the same order, and never within `make`. A `NopalError` is raised in all of them.
    """
    if not several():
        return make() or {}
    name, client = f"nopal/first/{next(_turn)}", _client()
    if jax.process_index() == 0:
        try:
            values = make() or {}
        except NopalError as error:
            client.key_value_set(f"{name}/parts", f"! {error}")
            raise
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **{field: np.asarray(value) for field, value in values.items()})
        packed = file.getvalue()
        for i in range(0, len(packed), PART):
            client.key_value_set_bytes(f"{name}/{i // PART}", packed[i : i + PART])
        client.key_value_set(f"{name}/parts", str(-(-len(packed) // PART)))
        return values
    parts = _when_there(lambda: client.blocking_key_value_get(f"{name}/parts", 1000))
    if parts.startswith("!"):
        raise NopalError(parts[2:])
    read = (client.blocking_key_value_get_bytes(f"{name}/{i}", 60_000) for i in range(int(parts)))
    with np.load(io.BytesIO(b"".join(read)), allow_pickle=False) as file:
        return dict(file)


def _when_there(get: Callable[[], str]) -> str:
    """Waits in short spells, so that Ctrl-C comes through."""
    while True:
        try:
            return get()
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise


def agree(number: int) -> int:
    """The largest of the numbers that the processes give, when all have given theirs."""
    if not several():
        return number
    name, client = f"nopal/agree/{next(_turn)}", _client()
    client.key_value_set(f"{name}/{jax.process_index()}", str(number))
    client.wait_at_barrier(name, _WEEK_MS)
    return max(int(given) for _, given in client.key_value_dir_get(name))


def check_same(array: np.ndarray, what: str) -> None:
    """Raises `NopalError` in a process whose `array` is not that of the first."""
    if several():
        own = zlib.crc32(np.ascontiguousarray(array).data)
        if int(from_first(lambda: {"crc": own})["crc"]) != own:
            raise NopalError(
                f"Process {jax.process_index()} has other {what} than process 0; give every process the same data."
            )


def ended_elsewhere(error: Exception) -> bool:
    """Whether an exception tells that another process is gone."""
    words = ("Gloo", "NCCL", "UNAVAILABLE", "CANCELLED", "ABORTED", "coordination service")
    return (
        several()
        and isinstance(error, RuntimeError | ValueError)
        and not isinstance(error, NopalError)
        and any(word in str(error) for word in words)
    )


def leave(status: int) -> None:
    """End a process that others may wait for, at once: at its usual end JAX would wait for them in turn."""
    if several() and status:
        if is_first():
            time.sleep(1)  # so that the others can say what went wrong, and not only that the first one ended
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _client() -> Any:
    """The coordination service's; JAX has no public name for it."""
    from jax._src import distributed

    return distributed.global_state.client
