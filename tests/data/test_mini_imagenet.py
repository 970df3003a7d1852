"""miniImageNet in every way in which it is passed on, whole and broken."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from nopal.data import mini_imagenet
from nopal.errors import NopalError

PARTS = {"train": ("n2", "n1"), "val": ("n3",), "test": ("n4",)}
VALUES = {f"{owner}_{i}": 20 * int(owner[1]) + i for names in PARTS.values() for owner in names for i in range(2)}


def png(value, size=(4, 4)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (value, 0, 0)).save(stream, "png")
    return stream.getvalue()


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Writes files by name below `miniimagenet`, or into a zip there; two images a class are a whole data set."""
    monkeypatch.setenv("NOPAL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NOPAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mini_imagenet, "_CLASSES", {part: len(names) for part, names in PARTS.items()})
    monkeypatch.setattr(mini_imagenet, "_IMAGES", 2)
    root = tmp_path / "data" / "miniimagenet"
    root.mkdir(parents=True)

    def write(files: dict[str, bytes], packed: str | None = None):
        if packed:
            with zipfile.ZipFile(root / packed, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
        for name, content in {} if packed else files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return root

    return write


def in_class_folders(part: str) -> dict[str, bytes]:
    return {f"{part}/{name.split('_')[0]}/{name}.png": png(v) for name, v in VALUES.items() if name[:2] in PARTS[part]}


def lists() -> dict[str, bytes]:
    lines = {p: [f"{n}.png,{n[:2]}" for n in reversed(VALUES) if n[:2] in PARTS[p]] for p in PARTS}
    return {f"{part}.csv": "\n".join(["filename,label", *rows]).encode() for part, rows in lines.items()}


@pytest.mark.parametrize("form", ["zips", "folders", "lists and a zip", "lists and a folder"])
def test_every_form_gives_the_same(put, form):
    flat = {f"images/{name}.png": png(value) for name, value in VALUES.items()}
    if form == "zips":
        for part in PARTS:
            put({f"__MACOSX/{part}/n2/._x.png": b"", "read.me": b""} | in_class_folders(part), f"{part}.zip")
    elif form == "folders":
        put({".DS_Store": b"", "train/notes.txt": b""})
        for part in PARTS:
            put(in_class_folders(part))
    else:
        put(lists())
        put(flat, "images.zip" if form.endswith("zip") else None)
    train, validation, test = mini_imagenet.load(size=4)
    assert (train.classes, validation.classes, test.classes) == (("n1", "n2"), ("n3",), ("n4",))
    assert train.need_labels().tolist() == [0, 0, 1, 1]
    assert train.images[:, 0, 0].tolist() == [[20, 0, 0], [21, 0, 0], [40, 0, 0], [41, 0, 0]]
    assert test.images[:, 3, 3, 0].tolist() == [80, 81]
    assert [name.split("/")[-1] for name in train.files] == ["n1_0.png", "n1_1.png", "n2_0.png", "n2_1.png"]


def test_other_sizes_are_cut_and_averaged(put):
    for part in PARTS:
        put({name: png(7, (12, 8)) for name in in_class_folders(part)})
    assert mini_imagenet.load(size=4).train.images.tolist() == [[[[7, 0, 0]] * 4] * 4] * 4
    with pytest.raises(NopalError, match="The size is 0"):
        mini_imagenet.load(size=0)


def test_what_was_read_is_kept_until_a_file_changes(put, monkeypatch):
    for part in PARTS:
        root = put(in_class_folders(part), f"{part}.zip")
    first = mini_imagenet.load(size=4).train.images
    reading = mini_imagenet._read
    monkeypatch.setattr(mini_imagenet, "_read", lambda *_: pytest.fail("the cache was not read"))
    np.testing.assert_array_equal(mini_imagenet.load(size=4).train.images, first)
    monkeypatch.setattr(mini_imagenet, "_read", reading)
    put(in_class_folders("train") | {"train/n1/n1_0.png": png(99)}, "train.zip")
    assert mini_imagenet.load(size=4).train.images[0, 0, 0, 0] == 99
    assert {path.name for path in root.iterdir()} == {"train.zip", "val.zip", "test.zip"}


def test_nothing_there(put):
    with pytest.raises(NopalError, match=r"miniimagenet holds neither train\.zip nor a folder train nor train\.csv"):
        mini_imagenet.load()


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"train/n1/n1_1.png": None}, "train has 2 classes and 3 images; .* 2 classes of 2 images each"),
        ({"train/n2/n2_0.png": None, "train/n2/n2_1.png": None}, "train has 1 classes and 2 images"),
        ({"train/n1/n1_0.png": b"no image"}, r"n1_0\.png can't be read \(it is no image"),
        ({"train/n1/n1_0.png": png(1)[:50]}, r"n1_0\.png can't be read"),
    ],
)
def test_incomplete_and_broken_folders_are_named(put, files, sentence):
    root = put(in_class_folders("train") | {name: content or b"" for name, content in files.items()})
    for name, content in files.items():
        if content is None:
            (root / name).unlink()
    with pytest.raises(NopalError, match=sentence):
        mini_imagenet.load(size=4)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_broken_zips_are_named(put, damage):
    path = put(in_class_folders("train"), "train.zip") / "train.zip"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[60:90] = bytes(30)
    path.write_bytes(content[:-10] if damage == "cut" else content)
    with pytest.raises(NopalError, match=r"train\.zip is damaged"):
        mini_imagenet.load(size=4)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,class\na.png,n1", r"train\.csv begins with \['file', 'class'\]; expected the columns"),
        ("", r"train\.csv begins with None"),
        ("filename,label\nb.png,n1", r"b\.png, which .*train\.csv names, is not in .*images"),
        ("filename,label", r"train\.csv has 0 classes and 0 images"),
        ("filename,label\na.png", r"train\.csv has a line without a filename or a label"),
        ("filename,label\na.png,n1\na.png,n1", r"train\.csv names a file twice"),
        ("filename,label\nc.png,n1", r"names c\.png, but .*images has images/(x|y)/c\.png and images/(x|y)/c\.png"),
        ("filename,label\na\xe9.png,n1", r"train\.csv is no text"),
    ],
)
def test_lists_that_lead_nowhere(put, text, sentence):
    put({"train.csv": text.encode("latin1")} | {f"images/{name}.png": png(1) for name in ("a", "x/c", "y/c")})
    with pytest.raises(NopalError, match=sentence):
        mini_imagenet.load(size=4)


def test_a_list_beside_class_folders_tells_files_of_one_name_apart_by_their_folders(put):
    for part, owners in PARTS.items():
        names = [f"{owner}/{i}.png" for owner in owners for i in range(2)]
        rows = "".join(f"{name[3:]},{name[:2]}\n" for name in names)
        put({f"{part}/{n}": png(20 * int(n[1]) + int(n[3])) for n in names})
        put({f"{part}.csv": b"filename,label\n" + rows.encode()})
    splits = mini_imagenet.load(size=4)
    assert splits.train.images[:, 0, 0, 0].tolist() == [20, 21, 40, 41]


def test_a_class_of_two_parts_is_refused(put):
    for part in PARTS:
        put(in_class_folders(part))
    root = put({f"test/n3/{i}.png": png(i) for i in range(2)})
    for file in (root / "test" / "n4").iterdir():
        file.unlink()
    with pytest.raises(NopalError, match="The class n3 is in two parts"):
        mini_imagenet.load(size=4)


def test_a_zip_that_asks_for_a_password_is_named(put):
    path = put(in_class_folders("train"), "train.zip") / "train.zip"
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # of every file, in its own header and in the list
        at = content.find(mark)
        while at >= 0:
            content[at + flags] |= 1
            at = content.find(mark, at + 1)
    path.write_bytes(content)
    with pytest.raises(NopalError, match=r"train\.zip is damaged .*password"):
        mini_imagenet.load(size=4)


def test_real_mini_imagenet(real_data, monkeypatch):
    """One part in full would take half a minute and a gigabyte: the names, and ten images."""
    if not (real_data / "miniimagenet").is_dir():
        pytest.skip("NOPAL_DATA holds no miniImageNet")
    classes = set()
    for part, count in {"train": 64, "val": 16, "test": 20}.items():
        files, listed = mini_imagenet._find(part)
        entries = sorted(mini_imagenet._listed(files, listed) if listed else mini_imagenet._sorted_into_folders(files))
        owners, counts = np.unique([owner for owner, _ in entries], return_counts=True)
        assert (len(owners), set(counts.tolist())) == (count, {600})
        assert not classes & set(owners.tolist())
        classes |= set(owners.tolist())
    images = mini_imagenet._images(files, [name for _, name in entries[::1200]], 84)
    assert images.shape == (10, 84, 84, 3)
    assert 60 < images.mean() < 170
