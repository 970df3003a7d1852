"""Arrays in files: read as they were meant, or refused."""

import os
import zipfile

import numpy as np
import pytest

from nopal.data import ImageSet, load_arrays, load_vectors, save_arrays
from nopal.errors import NopalError


@pytest.fixture
def save(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "set.npz", **arrays)
        return tmp_path / "set.npz"

    return write


def numbered(*shape: int) -> np.ndarray:
    return (np.arange(np.prod(shape)) % 256).astype(np.uint8).reshape(shape)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((5, 4, 6), None),
        ((5, 4, 6, 1), (0, 1, 2, 3)),
        ((5, 4, 6, 3), (0, 1, 2, 3)),
        ((5, 1, 4, 6), (0, 2, 3, 1)),
        ((5, 3, 4, 6), (0, 2, 3, 1)),
    ],
)
def test_channels_come_last(save, shape, axes):
    x = numbered(*shape)
    read = load_arrays(save(X=x)).images
    np.testing.assert_array_equal(read, x.transpose(axes) if axes else x.reshape(5, 4, 6, 1))
    assert read.flags.c_contiguous


@pytest.mark.parametrize("x", [numbered(5, 3, 4, 1), numbered(5, 4, 4, 2), numbered(5, 4), numbered(5, 4, 4) / 255])
def test_other_shapes_and_types_are_refused(save, x):
    with pytest.raises(NopalError, match=r"images X of .*set\.npz have shape .* expected bytes"):
        load_arrays(save(X=x))


def test_labels_are_numbered_from_zero_and_named_after_themselves(save):
    read = load_arrays(save(X=numbered(4, 2, 2), Y=np.array([30, -7, 30, 101])))
    assert read.need_labels().tolist() == [1, 0, 1, 2]
    assert read.classes == ("-7", "30", "101")
    assert load_arrays(save(X=numbered(2, 2, 2), Y=np.array(["b", "a"]))).classes == ("a", "b")
    assert load_arrays(save(X=numbered(2, 2, 2))).labels is None


@pytest.mark.parametrize("y", [np.arange(3), np.zeros((4, 2), int), np.arange(4) / 2, np.zeros(4, bool)])
def test_labels_that_do_not_fit_are_refused(save, y):
    with pytest.raises(NopalError, match=r"labels Y of .*set\.npz have shape .* each of the 4 images X"):
        load_arrays(save(X=numbered(4, 2, 2), Y=y))


def test_what_is_saved_is_read_again(tmp_path):
    images = ImageSet(numbered(3, 2, 4, 3), np.array([2, 0, 2]), ("a", "none of these", "c"), ("x/1.png", "2", "3"))
    path = tmp_path / "new" / "set.npz"
    save_arrays(path, images, np.arange(6.0).reshape(3, 2))
    read = load_arrays(path)
    np.testing.assert_array_equal(read.images, images.images)
    assert read.need_labels().tolist() == [2, 0, 2]
    assert (read.classes, read.files) == (images.classes, images.files)
    assert load_vectors(path).tolist() == [[0, 1], [2, 3], [4, 5]]
    assert os.listdir(path.parent) == ["set.npz"]
    save_arrays(path, images.without_labels())
    assert load_arrays(path).labels is None


def test_what_cannot_be_saved_leaves_nothing(tmp_path):
    images = ImageSet(numbered(3, 2, 2, 1))
    with pytest.raises(NopalError, match="2 vectors for 3 images"):
        save_arrays(tmp_path / "a.npz", images, np.zeros((2, 5)))
    with pytest.raises(NopalError, match="row 1 is the first of 2"):
        save_arrays(tmp_path / "a.npz", images, np.array([[0.0], [np.nan], [np.inf]]))
    (tmp_path / "file").write_text("")
    with pytest.raises(NopalError, match="can't be written"):
        save_arrays(tmp_path / "file" / "a.npz", images)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["Z", "Z_raw", "vectors"])
def test_vectors_have_three_names(save, name):
    path = save(**{name: np.array([[1.5, 2.5]]), "other": np.zeros(3)})
    read = load_vectors(path)
    assert read.dtype == np.float32
    assert read.tolist() == [[1.5, 2.5]]


def test_vectors_may_lie_alone(tmp_path):
    np.save(tmp_path / "z.npy", np.eye(2))
    assert load_vectors(tmp_path / "z.npy").tolist() == [[1, 0], [0, 1]]


def test_vectors_of_a_npy_file_are_mapped_into_memory_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("nopal.data.arrays.BLOCK", 8)
    z = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    np.save(tmp_path / "z.npy", z)
    found = load_vectors(tmp_path / "z.npy")
    assert isinstance(found, np.memmap)
    assert (found == z).all()
    z[[4, 6], 1] = np.inf
    np.save(tmp_path / "z.npy", z)
    with pytest.raises(NopalError, match="row 4 is the first of 2"):
        load_vectors(tmp_path / "z.npy")
    with pytest.raises(NopalError, match="holds one array without a name; images are expected under the name X"):
        load_arrays(tmp_path / "z.npy")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_the_first_row_that_is_not_finite_is_named(save, bad):
    z = np.zeros((9, 3))
    z[[4, 6], 2] = bad
    with pytest.raises(NopalError, match="row 4 is the first of 2"):
        load_vectors(save(Z=z))


@pytest.mark.parametrize("z", [np.zeros(3), np.zeros((3, 2), int), np.zeros((0, 2)), np.zeros((3, 2), complex)])
def test_vectors_of_another_shape_or_type_are_refused(save, z):
    with pytest.raises(NopalError, match=r"vectors Z of .*set\.npz have shape .*; expected floating-point numbers"):
        load_vectors(save(Z=z))


def test_rows_must_be_as_many(save):
    with pytest.raises(NopalError, match="holds 3 vectors Z but 4 rows Y"):
        load_vectors(save(Z=np.zeros((3, 2)), Y=np.arange(4)))
    with pytest.raises(NopalError, match="holds 3 vectors Z but 4 rows X"):
        load_vectors(save(Z=np.zeros((3, 2)), X=numbered(4, 2, 2)))


def test_missing_names_say_what_is_there(save):
    path = save(images=numbered(2, 2, 2), z=np.zeros((2, 2)))
    with pytest.raises(NopalError, match="holds images and z; images are expected under the name X"):
        load_arrays(path)
    with pytest.raises(NopalError, match="vectors are expected under the name Z, Z_raw or vectors"):
        load_vectors(path)


def test_python_objects_are_never_unpickled(save):
    with pytest.raises(NopalError, match=r"set\.npz can't be read"):
        load_arrays(save(X=np.array([{}, {}], object)))


@pytest.mark.parametrize("read", [load_arrays, load_vectors])
def test_damaged_and_missing_files_are_named(save, tmp_path, read):
    path = save(X=numbered(50, 8, 8), Z=np.ones((50, 64)))
    whole = path.read_bytes()
    inside = bytearray(whole)
    inside[1000:1100] = bytes(100)
    inside[-8000:-7900] = bytes(100)
    for content in (b"", b"something else", whole[:-200], bytes(inside)):
        path.write_bytes(content)
        with pytest.raises(NopalError, match=r"set\.npz can't be read as NumPy arrays; it is damaged, of"):
            read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", b"cut")
        archive.writestr("Z.npy", b"cut")
    with pytest.raises(NopalError, match=r"set\.npz can't be read"):
        read(path)
    with pytest.raises(NopalError, match="There is no file"):
        read(tmp_path / "none.npz")
    with pytest.raises(NopalError, match=r"can't be opened \(Is a directory\)"):
        read(tmp_path)
