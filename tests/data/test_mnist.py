"""Idx files, whole and broken."""

import gzip

import numpy as np
import pytest

from nopal.data import mnist
from nopal.data.mnist import read_idx
from nopal.errors import NopalError


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.astype(np.uint8).tobytes()


@pytest.fixture
def values() -> np.ndarray:
    return np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_bytes_are_read_gzipped_or_not(tmp_path, values):
    (tmp_path / "a").write_bytes(idx(values))
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(values)))
    for name in ("a", "a.gz"):
        np.testing.assert_array_equal(read_idx(tmp_path / name, (2, 3, 4)), values)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda v: idx(v)[:-1], r"digits holds 23 bytes of data where its shape \(2, 3, 4\) needs 24"),
        (lambda v: idx(v) + b"x", r"digits holds 25 bytes"),
        (lambda v: idx(v)[:9], r"digits says that its shape is \(2,\); expected \(2, 3, 4\)"),
        (lambda v: idx(v[:1]), r"digits says that its shape is \(1, 3, 4\); expected \(2, 3, 4\)"),
        (lambda v: idx(v.ravel()), r"digits begins with bytes 00 00 08 01; .* 3 axes begins with 00 00 08 03"),
        (lambda v: b"", r"digits begins with bytes \(none\)"),
    ],
)
def test_broken_files_are_named(tmp_path, values, content, sentence):
    (tmp_path / "digits").write_bytes(content(values))
    with pytest.raises(NopalError, match=sentence):
        read_idx(tmp_path / "digits", (2, 3, 4))


@pytest.mark.parametrize("cut", [5, -9])
def test_cut_archives_are_named(tmp_path, values, cut):
    (tmp_path / "digits.gz").write_bytes(gzip.compress(idx(values))[:cut])
    with pytest.raises(NopalError, match=r"digits\.gz can't be unpacked"):
        read_idx(tmp_path / "digits.gz", (2, 3, 4))


def test_the_last_five_thousand_are_validation(tmp_path, monkeypatch):
    monkeypatch.setenv("NOPAL_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 0, 0] = np.arange(count) % 251
        (tmp_path / "mnist" / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (tmp_path / "mnist" / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(count) % 10))
    train, validation, test = mnist.load()
    assert [len(part) for part in (train, validation, test)] == [55_000, 5_000, 10_000]
    assert validation.images[:, 0, 0, 0].tolist() == [i % 251 for i in range(55_000, 60_000)]
    assert validation.need_labels()[:3].tolist() == [0, 1, 2]
    assert train.shape == (28, 28, 1)
    assert test.classes == tuple("0123456789")


def test_real_mnist(real_data):
    train, validation, test = mnist.load()
    # The published numbers of examples of each digit.
    official = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert (np.bincount(train.need_labels()) + np.bincount(validation.need_labels())).tolist() == official
    assert np.bincount(test.need_labels()).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # and the published mean of the training pixels, 0.1307.
    mean = (55 * train.images.mean() + 5 * validation.images.mean()) / 60 / 255
    assert mean == pytest.approx(0.1307, abs=5e-5)
