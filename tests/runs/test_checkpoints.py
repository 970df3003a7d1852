"""A state comes back bit for bit, or not at all and in one sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import PyTree

from nopal.errors import NopalError
from nopal.runs import Checkpoints


def training_state(seed: int = 0, width: int = 8) -> PyTree:
    """A network with activation functions among its leaves, Adam's moments, and leaves of every awkward kind."""
    net = eqx.nn.MLP(3, 2, width, 2, key=jax.random.key(seed))
    return {
        "net": net,
        "adam": optax.adam(1e-3).init(eqx.filter(net, eqx.is_array)),
        "key": jax.random.key(seed + 7),
        "keys": jax.random.split(jax.random.key(seed, impl="rbg"), 3),
        "half": jnp.linspace(0, 1, 5, dtype=jnp.bfloat16),
        "yes": jnp.asarray([True, False]),
        "none": jnp.zeros((0, 3)),
        "odd/name'": jnp.asarray([np.inf, -0.0, 1e-42]),
        "host": np.arange(4),
        "note": "not an array",
    }


def bits(state: PyTree) -> list[tuple[str, bytes]]:
    """Type and bytes of every array."""
    leaves = [leaf for leaf in jax.tree.leaves(state) if isinstance(leaf, jax.Array | np.ndarray)]
    plain = [jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in leaves]
    return [(f"{x.dtype}{x.shape}", np.asarray(y).tobytes()) for x, y in zip(leaves, plain)]


def largest_file(folder: Path) -> Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    state = training_state(seed=0)
    Checkpoints(tmp_path / "c").save(12, state)
    other = training_state(seed=1) | {"note": "of like"}
    restored = Checkpoints(tmp_path / "c").restore(other)
    assert bits(restored) == bits(state) != bits(other)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert restored["note"] == "of like"
    assert restored["net"].activation is other["net"].activation
    assert isinstance(restored["host"], np.ndarray)
    assert jax.random.bits(restored["key"]) == jax.random.bits(state["key"])


def test_the_order_of_fields_may_have_changed_since(tmp_path: Path) -> None:
    class Before(eqx.Module):
        weights: jax.Array
        key: jax.Array
        half: jax.Array

    class Now(eqx.Module):
        half: jax.Array
        weights: jax.Array
        key: jax.Array

    def made(kind: type, seed: int) -> PyTree:
        key = jax.random.key(seed)
        return kind(weights=jax.random.normal(key, (2, 3)), key=key, half=jnp.full(3, seed, jnp.bfloat16))

    state = made(Before, 4)
    Checkpoints(tmp_path).save(1, state)
    restored = Checkpoints(tmp_path).restore(made(Now, 5))
    for name in ("weights", "half", "key"):
        assert bits(getattr(restored, name)) == bits(getattr(state, name))


def test_restored_arrays_may_go_to_any_device(tmp_path: Path) -> None:
    one, two = jax.devices()[:2]
    mesh = jax.make_mesh((2,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    x = jax.device_put(jnp.arange(3.0), everywhere)
    Checkpoints(tmp_path).save(1, {"x": x})
    restored = Checkpoints(tmp_path).restore({"x": x})["x"]
    assert not restored.committed
    assert restored.devices() == {one}
    assert jax.jit(jnp.add)(restored, jax.device_put(jnp.ones(3), two)).tolist() == [1, 2, 3]


def test_the_last_few_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.latest() is None
    for step in (5, 10, 15):
        checkpoints.save(step, {"x": jnp.asarray(step)})
    assert checkpoints.latest() == 15
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "15"]
    assert checkpoints.restore({"x": jnp.asarray(0)}, 10)["x"] == 10
    with pytest.raises(NopalError, match=r"no checkpoint of step 5 .* \[10, 15\]"):
        checkpoints.restore({"x": jnp.asarray(0)}, 5)


def test_going_on_from_an_earlier_step_drops_the_later_ones(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        Checkpoints(tmp_path).save(step, {"x": jnp.asarray(step)})
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(15, checkpoints.restore({"x": jnp.asarray(0)}, 10))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "15"]
    assert checkpoints.restore({"x": jnp.asarray(0)})["x"] == 10


def test_what_a_killed_process_left_behind_is_ignored(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(1, {"x": jnp.asarray(1.0)})
    half = tmp_path / "2.orbax-checkpoint-tmp"
    shutil.copytree(tmp_path / "1", half)
    largest_file(half).unlink()
    assert Checkpoints(tmp_path, read_only=True).latest() == 1
    assert half.exists()  # a reader tidies nothing: the writer may still be at it
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest() == 1
    checkpoints.save(2, {"x": jnp.asarray(2.0)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "removed"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    like = {"x": jnp.zeros(1000), "y": jnp.zeros(3)}
    for step in (1, 2):
        Checkpoints(tmp_path).save(
            step, {"x": jax.random.normal(jax.random.key(step), 1000), "y": jnp.full(3, float(step))}
        )
    file = largest_file(tmp_path / "2")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content[:99] if damage == "cut" else content)
    if damage == "removed":
        file.unlink()
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest() == 1
    assert checkpoints.restore(like)["y"].tolist() == [1, 1, 1]
    with pytest.raises(NopalError, match=r"checkpoint .*2 is damaged .* remove that folder"):
        checkpoints.restore(like, 2)
    checkpoints.save(2, like)  # the run that went on from step 1 gets here again
    assert Checkpoints(tmp_path).restore(like, 2)["x"].tolist() == [0] * 1000
    shutil.rmtree(tmp_path / "1")
    largest_file(tmp_path / "2").write_bytes(b"")
    with pytest.raises(NopalError, match="damaged"):
        Checkpoints(tmp_path).latest()
    assert capfd.readouterr() == ("", "")


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(3, training_state(width=8))
    with pytest.raises(
        NopalError,
        match=r"step 3 .* has float32\[8, 3\] at .*mu\.layers\[0\]\.weight where float32\[16, 3\] is expected",
    ):
        Checkpoints(tmp_path).restore(training_state(width=16))
    Checkpoints(tmp_path / "ab").save(1, {"a": jnp.zeros(2), "b": jnp.zeros(2)})
    with pytest.raises(NopalError, match=r"has float32\[2\] at \['b'\] where nothing is expected"):
        Checkpoints(tmp_path / "ab").restore({"a": jnp.zeros(2)})


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_nan_is_never_saved(tmp_path: Path, dtype: type) -> None:
    checkpoints = Checkpoints(tmp_path / "c")
    with pytest.raises(NopalError, match=r"after step 4 holds NaN at \['w'\]"):
        checkpoints.save(4, {"i": jnp.arange(3), "w": jnp.asarray([1, jnp.nan], dtype)})
    assert checkpoints.latest() is None


def test_nan_in_a_state_that_is_one_array(tmp_path: Path) -> None:
    with pytest.raises(NopalError, match="holds NaN"):
        Checkpoints(tmp_path).save(1, jnp.asarray(jnp.nan))


def test_nothing_to_restore(tmp_path: Path) -> None:
    with pytest.raises(NopalError, match="no checkpoint in"):
        Checkpoints(tmp_path).restore({})
    with pytest.raises(NopalError, match="keep is 0"):
        Checkpoints(tmp_path, keep=0)
    Checkpoints(tmp_path / "empty").save(1, {"f": jnp.tanh})
    assert Checkpoints(tmp_path / "empty").restore({"f": jnp.sin}) == {"f": jnp.sin}


def test_an_unwritable_place_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NopalError, match="checkpoint of step 1 cannot be written"):
        Checkpoints(tmp_path / "file" / "c").save(1, {"x": jnp.zeros(1)})
