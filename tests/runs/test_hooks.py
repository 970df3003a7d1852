"""What happens between chunks: at the right steps, and never too late."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from nopal.errors import NopalError
from nopal.loop import Moment, run
from nopal.runs import Checkpointer, Checkpoints, Every, Interrupted, Interrupts, NaNGuard


def count(state: dict[str, Array], key: Array) -> tuple[dict[str, Array], dict[str, Array]]:
    """A step that counts; its loss is NaN in step 13 (counted from 1) and later."""
    n = state["n"] + 1
    return {"n": n}, {"loss": jnp.where(n < 13, 1.0, jnp.nan)}


def go(steps: int, *hooks: object, start: int = 0, chunk: int = 5) -> None:
    run(count, {"n": jnp.asarray(float(start))}, jax.random.key(0), steps, start=start, chunk=chunk, hooks=hooks)  # type: ignore[arg-type]


@pytest.fixture
def handlers() -> Iterator[list[object]]:
    """The handlers of the two signals, which a test must leave as they were."""
    # A shell starts what it puts into the background with Ctrl-C ignored; these tests need Python's own handler.
    found = signal.signal(signal.SIGINT, signal.default_int_handler)
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield before
    assert [signal.getsignal(number) for number in numbers] == before
    signal.signal(signal.SIGINT, found)


@pytest.mark.parametrize(("every", "expected"), [(1, [5, 10, 12]), (5, [5, 10]), (4, [5, 10, 12]), (7, [10]), (13, [])])
def test_every_few_steps(every: int, expected: list[int]) -> None:
    seen: list[int] = []
    go(12, Every(every, lambda moment: seen.append(moment.step)))
    assert seen == expected


def test_every_counts_from_the_beginning_after_a_resume() -> None:
    seen: list[int] = []
    go(12, Every(8, lambda moment: seen.append(moment.step)), start=10)
    assert seen == []
    with pytest.raises(NopalError, match="every 0 steps"):
        Every(0, seen.append)


def test_checkpoints_at_multiples_and_at_the_end(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=9)
    go(12, Checkpointer(checkpoints, every=10, last=12))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "12"]
    assert checkpoints.restore({"n": jnp.asarray(0.0)}, 10)["n"] == 10


def test_nan_names_its_step_and_is_not_saved(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(NopalError, match="became nan at step 13; lower the learning rate"):
        go(30, NaNGuard(), Checkpointer(checkpoints, every=5))
    assert checkpoints.latest() == 10
    with pytest.raises(NopalError, match="became -inf at step 3;"):
        NaNGuard()(Moment(4, None, {"loss": np.array([1, -np.inf, np.nan])}))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_chunk_and_stops(
    tmp_path: Path, handlers: list[object], number: signal.Signals, code: int
) -> None:
    checkpoints = Checkpoints(tmp_path)
    with (
        pytest.raises(Interrupted, match="Stopped at step 10; go on with --resume") as caught,
        Interrupts(checkpoints) as interrupts,
    ):
        go(12, Every(10, lambda moment: os.kill(os.getpid(), number)), interrupts)
    assert (caught.value.step, caught.value.exit_code) == (10, code)
    assert checkpoints.latest() == 10


def test_a_signal_in_a_run_without_a_folder(handlers: list[object]) -> None:
    with pytest.raises(Interrupted, match=r"^Stopped at step 5\.$"), Interrupts() as interrupts:
        go(12, Every(5, lambda moment: signal.raise_signal(signal.SIGINT)), interrupts)


def test_the_second_ctrl_c_stops_at_once(tmp_path: Path, handlers: list[object]) -> None:
    seen: list[int] = []

    def twice(moment: Moment) -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # schedulers repeat themselves
        seen.append(moment.step)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), Interrupts(Checkpoints(tmp_path)) as interrupts:
        go(12, twice, interrupts)
    assert seen == [5]
    assert list(tmp_path.iterdir()) == []


def test_a_signal_after_the_last_chunk_is_not_lost(handlers: list[object]) -> None:
    with pytest.raises(KeyboardInterrupt), Interrupts():
        signal.raise_signal(signal.SIGINT)


def test_other_threads_are_left_alone(handlers: list[object]) -> None:
    done: list[int] = []

    def work() -> None:
        with Interrupts() as interrupts:
            go(5, interrupts)
        done.append(5)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [5]
