"""The code of the benchmarks at tiny sizes, and counts that must not grow. Nothing here is timed."""

import importlib
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal import evaluate, learners, loop, nets
from nopal.tasks import Sinusoids

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True, scope="module")
def _importable():
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def workload(_importable):
    return importlib.import_module("workload")


def program(work_of, work):
    """The compiled program of one meta-step."""
    step, state, key = work_of.step_of(work, 1)
    return loop._chunk.lower((step, key, jnp.asarray(0), 1), state).compile().compiled


def test_the_sinusoids_are_compared_with_plain_jax(workload):
    """From handing over to the ratio; the peer has found the same meta-loss and the same norm of the gradient."""
    harness, measures = (importlib.import_module(name) for name in ("harness", "measures"))
    options = harness.Options(cores=1, turns=1)
    found = measures.meta_step(
        options, work=lambda: workload.sinusoids(2), peers=(harness.JAX,), steps=1, chunk=2, target=1.0
    )
    assert set(found["times"]) == {"Nopal", "plain JAX"}
    assert found["ratio_to_jax"] > 0
    assert found["versions"] == {"jax": jax.__version__}


def test_what_is_handed_over_is_the_work(workload, tmp_path):
    work = workload.maml(2, way=3, shot=2, query=1, filters=2, classes=6)
    workload.hand_over(work, tmp_path / "episodes.npz")
    arrays = np.load(tmp_path / "episodes.npz")
    assert arrays["support.x"].shape == (2, 6, 28, 28, 1)
    assert arrays["query.y"].tolist() == [[0, 1, 2]] * 2
    np.testing.assert_array_equal(arrays["blocks.3.kernel"], work.learner.network.blocks[3].kernel)


def test_sides_that_disagree_are_not_compared(workload):
    agree = importlib.import_module("harness").agree
    agree("other", {"loss": 1.0, "norm": 2.0}, {"loss": 1.0, "norm": 2.00001})
    with pytest.raises(SystemExit, match=r"The norm is 2.0 here and 2.1 in other"):
        agree("other", {"loss": 1.0, "norm": 2.0}, {"loss": 1.0, "norm": 2.1})


def test_the_linear_baselines_agree(workload):
    linear, key = importlib.import_module("bench_linear"), jax.random.key(0)
    tasks = linear.make_tasks()
    theirs, _ = linear.by_scikit_learn(tasks, key, 3)
    assert 0.6 < theirs < 0.9
    assert evaluate(learners.Logistic(linear.STRENGTH), tasks, key=key, episodes=3).mean == pytest.approx(
        theirs, abs=4e-3
    )


def test_the_reference_of_streamed_clustering_is_a_pass_of_the_algorithm(workload, tmp_path, monkeypatch):
    streaming = importlib.import_module("bench_streaming")
    monkeypatch.setattr(streaming, "ROWS", 300)
    groups = streaming.write_rows(tmp_path / "z.npy", 1000)
    z = np.load(tmp_path / "z.npy", mmap_mode="r")
    centres = np.stack([z[groups == group].mean(0) for group in range(streaming.GROUPS)])
    np.testing.assert_allclose(streaming.one_pass(z, centres), centres, atol=1e-5)


def test_the_cuda_build_is_never_drawn(workload, tmp_path, monkeypatch):
    environments = importlib.import_module("peers.environments")
    monkeypatch.setenv("NOPAL_CACHE", str(tmp_path))
    monkeypatch.setattr(environments.venv, "create", lambda folder, with_pip: None)
    monkeypatch.setattr(environments, "_pip", lambda *_: '{"install": [{"metadata": {"name": "nvidia-cublas"}}]}')
    with pytest.raises(environments.NoEnvironment, match="pip would install the CUDA build"):
        environments.python_of("higher")
    assert not list(tmp_path.rglob("whole"))
    monkeypatch.setattr(environments, "_pip", lambda *_: '{"install": [{"metadata": {"name": "torch"}}]}')
    environments._refuse_cuda(tmp_path, environments.REQUIREMENTS / "torch.txt")


def test_tables_are_made_from_the_record_and_leave_the_text_around_them(workload, tmp_path):
    records = importlib.import_module("records")
    record, page = tmp_path / "record.json", tmp_path / "performance.md"
    times = {"Nopal": {"least_ms": 50.0, "median_ms": 55.0}, "higher": {"least_ms": 612.3, "median_ms": 700.0}}
    records.add(record, "W8", {"times": times, "ratio": 12.25, "target": 4.0, "versions": {"higher": "0.2.1"}}, 2)
    page.write_text(f"# Mine\n{records.BEGIN}\nold\n{records.END}\nAlso mine.\n")
    records.write_tables(record, page)
    text = page.read_text()
    assert text.startswith("# Mine\n")
    assert text.endswith("\nAlso mine.\n")
    assert "old" not in text
    assert "| W(8) | 50.0 | 612 | **12.25** | 4.0 |" in text
    assert "higher 0.2.1" in text
    records.write_tables(record, page)
    assert page.read_text() == text


@pytest.mark.parametrize("rematerialise", [True, False])
def test_memory_hardly_grows_with_the_inner_steps(workload, rematerialise):
    """Unless everything is kept."""

    def bytes_of(inner_steps):
        network = nets.MLP(1, 1, key=jax.random.key(0))
        learner = learners.MAML(network, inner_rate=0.01, inner_steps=inner_steps, rematerialise=rematerialise)
        work = workload.Work(learner, Sinusoids(shot=500, query=1), 1, {})
        return program(workload, work).memory_analysis().temp_size_in_bytes

    growth = bytes_of(10) / bytes_of(2)
    assert growth < 1.5 if rematerialise else growth > 3


def test_a_meta_step_computes_no_more_than_it_did(workload):
    """Floating-point operations of W(1), where XLA counts the inner loop once: a pass too many would add a fifth."""
    step, state, key = workload.step_of(workload.maml(1, classes=20), 1)
    lowered = loop._chunk.lower((step, key, jnp.asarray(0), 1), state).lowered
    assert 0.5e9 < lowered.cost_analysis()["flops"] < 0.8e9
