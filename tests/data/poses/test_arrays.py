"""Poses in files: Nopal's own and the original pickles."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from nopal.data.poses import PoseSet, load_poses, pickles
from nopal.data.poses.arrays import tables_of
from nopal.data.poses.pickles import write_pickle
from nopal.errors import NopalError


@pytest.fixture
def poses() -> PoseSet:
    random = np.random.default_rng(0)
    return PoseSet(
        random.integers(0, 256, (4, 3, 5, 6), np.uint8),
        random.uniform(0, 2 * np.pi, (4, 3)).astype(np.float32),
        np.full((4, 3), 0.5, np.float32),
        np.zeros((4, 3), np.float32),
        ("a/1", "a/2", "b/1", "b/2"),
        ("train", "test", "train", "train"),
        np.array([False, False, True, False]),
        made={"seed": 3},
    )


def test_what_is_saved_is_loaded(poses: PoseSet, tmp_path: Path) -> None:
    turned = dataclasses.replace(poses, quaternions=np.ones((4, 3, 4)) / 2)
    for held in (poses, turned):
        loaded = load_poses(held.save(tmp_path / "poses.npz"))
        for name, value in vars(held).items():
            np.testing.assert_array_equal(getattr(loaded, name), value, err_msg=name)


def test_parts_follow_the_split_and_what_is_held_back(poses: PoseSet) -> None:
    names = {part: poses.part(part).names for part in ("train", "test", "validation", "fitting")}
    assert names == {
        "train": ("a/1", "b/1", "b/2"),
        "test": ("a/2",),
        "validation": ("b/1",),
        "fitting": ("a/1", "b/2"),
    }
    np.testing.assert_array_equal(poses.part("validation").images, poses.images[[2]])
    np.testing.assert_array_equal(poses.part("fitting").angles, poses.angles[[0, 3]])
    with pytest.raises(NopalError, match="None of the 1 objects is for validation"):
        poses.part("test").part("validation")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"angles": np.full((4, 3), 6.4, np.float32)}, "radians from 0 to below 2 pi"),
        ({"x": np.full((4, 3), np.nan, np.float32)}, "The x have shape"),
        ({"split": ("train",) * 3 + ("dev",)}, "splits that say train or test"),
        ({"names": ("a",)}, "expected as many"),
    ],
)
def test_what_does_not_fit_together_is_refused(poses: PoseSet, changes: dict, said: str) -> None:
    with pytest.raises(NopalError, match=said):
        dataclasses.replace(poses, **changes)


def test_the_original_pickles_are_written_and_read(poses: PoseSet, tmp_path: Path) -> None:
    for part, name in (("train", "train_data.pkl"), ("test", "val_data.pkl")):
        write_pickle(tmp_path / name, tables_of(poses.part(part)))
    images, labels = pickle.loads((tmp_path / "train_data.pkl").read_bytes())
    assert isinstance(images[0], list)
    assert images[0][0].dtype == np.uint8
    np.testing.assert_allclose(labels[1][2], [0.5, 0.5, poses.angles[2, 2] / (2 * np.pi)], rtol=1e-6)
    both = load_poses(tmp_path / "train_data.pkl")
    assert both.split == ("train", "train", "train", "test")
    np.testing.assert_array_equal(both.images, poses.images[[0, 2, 3, 1]])
    np.testing.assert_allclose(both.angles, poses.angles[[0, 2, 3, 1]], rtol=1e-6)
    np.testing.assert_allclose(both.x, 0.5)
    np.testing.assert_allclose(both.y, 0, atol=1e-7)
    assert set(load_poses(tmp_path / "val_data.pkl").split) == {"test"}


def test_pickles_of_python_2_are_read(tmp_path: Path) -> None:
    """Written opcode by opcode: arrays of NumPy before its second version, bytes as text."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I1\nI2\ntcnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\x07\\xff'\ntb"
    )
    file = tmp_path / "train_data.pkl"
    file.write_bytes(b"((l(l" + array + b"aa(l(l(lF0.5\naF0.5\naF0.25\naaal.")
    poses = load_poses(file)
    np.testing.assert_array_equal(poses.images, [[[[7, 255]]]])
    np.testing.assert_allclose(poses.angles, [[np.pi / 2]])
    assert poses.angles.dtype == np.float32


class Evil:
    def __reduce__(self):
        return os.system, ("touch gotcha",)


def test_pickles_that_would_run_something_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "train_data.pkl"
    file.write_bytes(pickle.dumps([[Evil()], []]))
    with pytest.raises(NopalError, match=r"it wants \w+\.system, where only NumPy arrays and lists are admitted"):
        load_poses(file)
    assert not (tmp_path / "gotcha").exists()


@pytest.mark.parametrize(("protocol", "core"), [(2, "core"), (2, "_core"), (3, "core"), (4, "_core"), (5, "_core")])
def test_pickles_of_every_protocol_are_read(protocol: int, core: str, tmp_path: Path) -> None:
    """Views by rows, by columns and with gaps, and a whole object whose axes were swapped; numbers of several kinds."""
    images = np.random.default_rng(0).integers(0, 256, (4, 4, 5, 6), np.uint8)
    nested = [
        list(images[0]),
        [np.asfortranarray(view) for view in images[1]],
        [view.repeat(2, axis=1)[:, ::2] for view in images[2]],
        images[3].swapaxes(0, 1).copy().swapaxes(0, 1),
    ]
    label = np.array([0.5, 0.5, 0.25])
    labels = [
        [label.astype(">f4")] * 4,
        [list(label)] * 4,
        label[None].repeat(4, axis=0),
        [[0.5, np.float32(0.5), 0.25]] * 4,
    ]
    file = tmp_path / "train_data.pkl"
    file.write_bytes(pickle.dumps([nested, labels], protocol).replace(b"numpy._core.", f"numpy.{core}.".encode()))
    poses = load_poses(file)
    np.testing.assert_array_equal(poses.images, images)
    np.testing.assert_allclose(poses.angles, np.full((4, 4), np.pi / 2), rtol=1e-6)


NDARRAY, DTYPE = b"cnumpy\nndarray\n", b"cnumpy\ndtype\n"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(" + NDARRAY + b"(K\0tU\1btR"


def of_type(dtype: bytes, length: int = 8, shape: bytes = b"K\1") -> bytes:
    """An array of so many bytes."""
    return ARRAY + b"(K\1(" + shape + b"t" + dtype + b"I00\nC" + bytes([length]) + b"A" * length + b"tb"


FORGED = [
    b"(" + NDARRAY + b"o",
    NDARRAY + b"(K\1\x85U\1OC\x08AAAAAAAAtR",
    of_type(DTYPE + b"(U\2V8K\0K\1tR(K\4U\1|(U\1ot}U\1o" + DTYPE + b"(U\1OtRK\0\x86sK\x08K\1K?tb"),
    of_type(DTYPE + b"(U\2O8K\0K\1tR(K\3U\1|NNNI-1\nI-1\nK?tb"),
    of_type(DTYPE + b"(U\2u1K\0K\1tR(K\3U\1|NNNI-1\nI-1\nK\0tb", shape=b"J\xff\xff\xff\x7f"),
    of_type(DTYPE + b"(U\2u4K\0K\1tR(K\3U\1<NNNI-1\nI-1\nK\0tb", length=6),
    of_type(DTYPE + b"(U\2u1tR"),
    of_type(DTYPE),
    ARRAY,
    NDARRAY,
    b"c_codecs\nencode\n}U\1aK\1sb",
    b"c_codecs\nencode\nN}U\x08__name__U\1bs\x86b",
    b"cnumpy.core.multiarray\nscalar\n(" + DTYPE + b"(U\1OtRC\x08AAAAAAAAtR",
]


def test_forged_arrays_are_refused(tmp_path: Path) -> None:
    """In a process of its own: what believes such files reads memory that isn't there."""
    for number, forged in enumerate(FORGED):
        (tmp_path / f"{number:02}.pkl").write_bytes(b"\x80\x03](](" + forged + b"e]e.")
    code = """if True:
        import sys, pathlib
        from nopal.data.poses import load_poses
        for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
            try:
                load_poses(file)
            except ValueError as error:
                print(error)
    """
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    said = done.stdout.splitlines()
    assert len(said) == len(FORGED), done
    assert all("is no pickle of poses (ValueError: " in line for line in said), said


def test_small_files_take_little_memory_and_time(tmp_path: Path) -> None:
    nested: list = []
    for _ in range(40):
        nested = [nested, nested]
    file = tmp_path / "train_data.pkl"
    file.write_bytes(pickle.dumps([nested, []], 2))
    with pytest.raises(NopalError, match="it repeats itself"):
        load_poses(file)
    file.write_bytes(b"\x80\x02K\x01r\x00\x00\x80\x00.")  # as many as eight million objects to come back to
    tracemalloc.start()
    with pytest.raises(NopalError, match="is no pickle of poses"):
        load_poses(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def test_a_pickle_leaves_nothing_behind(tmp_path: Path) -> None:
    def attributes() -> dict[str, dict]:
        return {name: dict(vars(thing)) for name, thing in vars(pickles).items() if hasattr(thing, "__dict__")}

    before, file = attributes(), tmp_path / "train_data.pkl"
    file.write_bytes(b"\x80\x03]c_codecs\nencode\n}U\1aK\1sba.")
    with pytest.raises(NopalError, match="is no pickle of poses"):
        load_poses(file)
    assert attributes() == before


@pytest.mark.parametrize("content", [b"", b"nonsense", pickle.dumps([[1, 2], [3]]), pickle.dumps({"images": 1})])
def test_damaged_pickles_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "val_data.pkl").write_bytes(content)
    with pytest.raises(NopalError, match=r"val_data\.pkl (is no pickle of poses|holds images of shape)"):
        load_poses(tmp_path / "val_data.pkl")


def test_other_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", X=np.zeros(3))
    for file in (tmp_path / "other.npz", tmp_path / "none.npz", tmp_path / "none.pkl"):
        with pytest.raises(NopalError, match=file.name):
            load_poses(file)
