"""Two processes on one machine do the work of one; they stop, die and go on together."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest

import nopal
from nopal.cli import run
from nopal.distributed import LOST, agree, from_first, is_first, join, leave, several

OPTIONS = (
    "--every 5 --training.way 3 --training.query 2 --training.tasks-per-step 3 --training.steps 20 "
    "learner:protonet --learner.filters 4 --learner.downsample stride --learner.readout mean"
)
COMMAND = """
import os, sys
import jax
from nopal.stages import watching

class Trouble(watching.NaNGuard):
    def __call__(self, moment):
        if moment.step == step and jax.process_index() == process:
            os.kill(os.getpid(), number)

process, number, step = map(int, sys.argv.pop(1).split(","))
watching.NaNGuard = Trouble
from nopal.__main__ import main
main()
"""


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


def launch(scripts: Sequence[list[str]]) -> list[tuple[int, str, str]]:
    """Exit status, output and errors of Python processes that run side by side, none for longer than five minutes, of
    which a busy machine of two cores may need one."""
    environment = os.environ | {"NOPAL_DEVICES": "1", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    processes = [
        subprocess.Popen(
            [sys.executable, *script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        for script in scripts
    ]
    try:
        texts = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [(process.returncode, *text) for process, text in zip(processes, texts)]


def train_in_two(place: Path, out: str, more: str = "", trouble: str = "9,9,9") -> list[tuple[int, str, str]]:
    """`trouble` is a process, the signal it gets, and at which step."""
    together = f"--coordinator 127.0.0.1:{free_port()} --processes 2 --silence 6 --process"
    line = f"train {place}/letters.npz labels {place / out} {more}"
    return launch([["-c", COMMAND, trouble, *f"{line} {together} {i} {OPTIONS}".split()] for i in range(2)])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, and the run of one process on two devices."""
    place = tmp_path_factory.mktemp("place")
    labels = np.repeat(np.arange(6), 8)
    images = np.random.default_rng(0).integers(0, 100, (48, 8, 8, 1)) + 25 * labels[:, None, None, None]
    np.savez(place / "letters.npz", X=images.astype(np.uint8), Y=labels)
    assert run(f"train {place}/letters.npz labels {place}/whole {OPTIONS}".split()) == 0
    return place


def assert_same_result(one: Path, other: Path) -> None:
    numbers = [np.loadtxt(path / "metrics.csv", delimiter=",", skiprows=1) for path in (one, other)]
    np.testing.assert_allclose(*numbers, rtol=1e-4)
    kernels = [
        [leaf for leaf in jax.tree.leaves(eqx.filter(nopal.load(path), eqx.is_array)) if leaf.ndim == 4]
        for path in (one, other)
    ]
    for a, b in zip(*kernels, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_both_stop_where_one_is_told_to_and_go_on_to_the_result_of_one_process(place: Path) -> None:
    first, second = train_in_two(place, "stopped", trouble=f"1,{int(signal.SIGTERM)},10")
    assert (first[0], second[0]) == (143, 143), first[2] + second[2]
    assert first[2].splitlines()[-1] == "nopal: Stopped at step 10; go on with --resume."
    assert sorted(path.name for path in (place / "stopped" / "checkpoints").iterdir()) == ["10", "5"]
    first, second = train_in_two(place, "stopped", "--resume")
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert f"The learner: {place / 'stopped'}" in first[1]
    assert "The learner" not in second[1]
    assert_same_result(place / "stopped", place / "whole")


def test_where_one_is_killed_the_other_ends_and_one_process_alone_goes_on(place: Path) -> None:
    first, second = train_in_two(place, "killed", trouble=f"1,{int(signal.SIGKILL)},10")
    assert (first[0], second[0]) == (3, -signal.SIGKILL), first[2]
    assert first[2].splitlines()[-1] == f"nopal: {LOST}"
    assert run(f"train {place}/letters.npz labels {place}/killed --resume {OPTIONS}".split()) == 0
    assert_same_result(place / "killed", place / "whole")


TALK = """
import os, signal, sys
import numpy as np
from nopal.distributed import agree, check_same, from_first, is_first, join
from nopal.errors import NopalError

process = int(sys.argv[2])
join(sys.argv[1], 2, process, silence=6)
found = from_first(lambda: {"long": np.arange(300_000) + process, "text": f"of {process}"})
print(is_first(), found["long"][-1], found["text"], agree(7 * process), flush=True)

def refuse():
    raise NopalError(f"Not with {process}.")

for work in (lambda: from_first(refuse), lambda: check_same(np.arange(3 + process), "images")):
    try:
        work()
    except NopalError as error:
        print(error, flush=True)
agree(0)
if is_first():
    os.kill(os.getpid(), signal.SIGKILL)
agree(0)
"""


def test_what_processes_tell_each_other_and_that_none_waits_for_a_dead_first_one() -> None:
    address = f"127.0.0.1:{free_port()}"
    first, second = launch([["-c", TALK, address, number] for number in "01"])
    spoken = [[line for line in said.splitlines() if "Gloo" not in line] for _, said, _ in (first, second)]
    assert spoken[0] == ["True 299999 of 0 7", "Not with 0."]
    assert spoken[1] == [
        "False 299999 of 0 7",
        "Not with 0.",
        "Process 1 has other images than process 0; give every process the same data.",
    ]
    assert (first[0], second[0]) == (-signal.SIGKILL, 3), second[2]
    assert second[2].splitlines()[-1] == f"nopal: {LOST}"


def test_two_processes_with_one_number() -> None:
    script = "import sys; from nopal.distributed import join; join(sys.argv[1], 3, int(sys.argv[2]), patience=2)"
    address = f"127.0.0.1:{free_port()}"
    for status, _, errors in launch([["-c", script, address, number] for number in "011"]):
        assert status == 3
        assert len(errors.splitlines()) == 1
        assert "The 3 processes did not all meet" in errors
        assert "a number of its own" in errors


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"processes": 2, "process": 1}, "no coordinator is named"),
        ({"coordinator": "node1", "processes": 2, "process": 1}, "The coordinator is 'node1'; expected a host and a"),
        ({"coordinator": "node1:1234"}, "There are to be an untold number of processes, and this is none of them"),
        ({"coordinator": "node1:1234", "processes": 2, "process": 2}, "This is process 2 of 2; expected a number from"),
        ({"coordinator": "node1:1234", "processes": 2, "process": -1}, "This is process -1 of 2"),
        ({"coordinator": "127.0.0.1:PORT", "processes": 2, "process": 1}, "Nobody answers at 127.0.0.1:"),
        (
            {"coordinator": "127.0.0.1:PORT", "processes": 2, "process": 1, "silence": 0},
            "The patience is 0",
        ),
        ({"processes": 2}, "There are to be 2 processes, but no coordinator is named"),
        ({"coordinator": "nowhere.invalid:1234", "processes": 2, "process": 1}, "Nobody answers at nowhere.invalid"),
    ],
)
def test_numbers_and_addresses_that_are_not_possible(options: dict, sentence: str) -> None:
    port = str(free_port())
    options = {name: value.replace("PORT", port) if name == "coordinator" else value for name, value in options.items()}
    with pytest.raises(nopal.NopalError, match=re.escape(sentence)):
        join(**{"coordinator": None} | options, patience=0)


def test_a_port_that_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(nopal.NopalError, match=f"Port {port} of the coordinator can't be used here"):
            join(f"127.0.0.1:{port}", 2, 0, patience=0)


def test_where_jax_has_begun_it_is_too_late() -> None:
    jax.devices()
    with pytest.raises(nopal.NopalError, match=r"could not join others .*; join before JAX"):
        join("auto")


def test_a_process_alone_waits_for_nobody() -> None:
    assert not several()
    assert is_first()
    assert agree(7) == 7
    assert from_first(lambda: {"a": 1}) == {"a": 1}
    leave(2)


def test_numbers_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "omniglot-oracle-maml", "--processes", "two"]) == 2
    assert "The choice processes is 'two'; expected a whole number" in capsys.readouterr().err
    assert run(["run", "omniglot-oracle-maml", "--seeds", "0"]) == 2
    assert "The number of seeds is 0; expected at least 1" in capsys.readouterr().err
