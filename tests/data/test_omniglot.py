"""The committed lists, the real files where there are any, and damaged ones."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from nopal.data import omniglot
from nopal.errors import NopalError


def png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "png")
    return stream.getvalue()


@pytest.fixture
def zips(tmp_path, monkeypatch):
    """Two characters, one in each zip: paper with one black square."""
    monkeypatch.setenv("NOPAL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NOPAL_CACHE", str(tmp_path / "cache"))
    lists = {"cactus": {"train": ["B/character01"], "validation": [], "test": ["A/character01"]}}
    lists["background"] = {"train": ["A/character01"], "test": ["B/character01"]}
    monkeypatch.setattr(omniglot, "class_lists", lambda: lists)
    folder = tmp_path / "data" / "omniglot"
    folder.mkdir(parents=True)
    for alphabet, name in zip("AB", ("images_background", "images_evaluation")):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for i in reversed(range(20)):
                drawing = np.full((105, 105), 255, np.uint8)
                drawing[: 15 * (alphabet == "A") + 30, :15] = 0
                archive.writestr(f"{name}/{alphabet}/character01/0001_{i + 1:02}.png", png(drawing))
    return folder


def damage(path):
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)


def test_committed_lists_are_the_recipe():
    lists = omniglot.class_lists()
    everything = lists["background"]["train"] + lists["background"]["test"]
    assert lists["cactus"] == omniglot.cactus_split(everything)
    assert [len(names) for names in lists["cactus"].values()] == [1100, 100, 423]
    assert [len(names) for names in lists["background"].values()] == [964, 659]
    assert len(set(everything)) == 1623
    assert not {n.split("/")[0] for n in lists["background"]["train"]} & {
        n.split("/")[0] for n in lists["background"]["test"]
    }


def test_the_recipe_does_not_depend_on_the_order_of_a_listing():
    names = [f"A/character{i}" for i in range(1623)]
    assert omniglot.cactus_split(names) == omniglot.cactus_split(reversed(names))


def test_characters_to_memorise_are_those_of_cactus_and_choices_are_not_made_on_the_test():
    cactus, final, choice = (omniglot.characters_of(split) for split in ("cactus", "nme", "nme-validation"))
    assert [len(names) for names in final.values()] == [1200, 423]
    assert set(final["train"]) == set(cactus["train"]) | set(cactus["validation"])
    assert final["test"] == cactus["test"]
    assert choice == {"train": cactus["train"], "validation": cactus["validation"], "test": cactus["validation"]}
    assert not set(choice["train"]) & set(choice["validation"])


def test_ink_is_bright_and_averaged(zips):
    train, validation, test = omniglot.load("background", size=7)
    expected = np.zeros((7, 7))
    expected[:3, 0] = 255
    np.testing.assert_array_equal(train.images[19, :, :, 0], expected)
    assert test.images[0, :, 0, 0].tolist() == [255, 255, 0, 0, 0, 0, 0]
    assert validation is None
    assert (train.classes, test.classes) == (("A/character01",), ("B/character01",))
    assert train.files[:2] == tuple(f"images_background/A/character01/0001_0{i}.png" for i in (1, 2))


def test_the_cache_is_used_and_made_again(zips, tmp_path, monkeypatch):
    first = omniglot.load(size=7).train.images
    (stored,) = (tmp_path / "cache").iterdir()
    stored.write_bytes(stored.read_bytes()[:100])
    np.testing.assert_array_equal(omniglot.load(size=7).train.images, first)
    monkeypatch.setattr(omniglot, "_read", lambda *_: pytest.fail("the cache was not read"))
    np.testing.assert_array_equal(omniglot.load(size=7).train.images, first)
    assert {path.name for path in zips.iterdir()} == {"images_background.zip", "images_evaluation.zip"}


def test_a_changed_zip_is_read_again(zips):
    omniglot.load(size=7)
    damage(zips / "images_evaluation.zip")
    with pytest.raises(NopalError, match=r"images_evaluation\.zip is damaged"):
        omniglot.load(size=7)


@pytest.mark.parametrize("content", [b"", b"no zip at all"])
def test_what_is_no_zip_is_named(zips, content):
    (zips / "images_background.zip").write_bytes(content)
    with pytest.raises(NopalError, match=r"images_background\.zip is damaged"):
        omniglot.load()


def test_missing_drawings_are_counted(zips):
    with zipfile.ZipFile(zips / "images_background.zip", "w") as archive:
        archive.writestr("images_background/A/character01/0001_01.png", png(np.zeros((105, 105), np.uint8)))
    with pytest.raises(NopalError, match=r"holds 1 drawings of A/character01; expected 20"):
        omniglot.load()


def test_drawings_of_another_size_are_named(zips):
    with zipfile.ZipFile(zips / "images_background.zip", "w") as archive:
        for i in range(20):
            archive.writestr(f"images_background/A/character01/{i}.png", png(np.zeros((100, 105), np.uint8)))
    with pytest.raises(NopalError, match=r"is 100 x 105 instead of 105 x 105"):
        omniglot.load()


def test_sizes_are_checked(zips):
    with pytest.raises(NopalError, match=r"The size is 106; expected 1 to 105"):
        omniglot.load(size=106)


def test_real_omniglot(real_data):
    train, validation, test = omniglot.load()
    assert [len(part) for part in (train, validation, test)] == [22000, 2000, 8460]
    for part in (train, validation, test):
        assert part.shape == (28, 28, 1)
        assert (np.bincount(part.need_labels()) == 20).all()
    assert [part and len(part) for part in omniglot.load("nme")] == [24000, None, 8460]
    lake = omniglot.load("background")
    assert [len(lake.train), len(lake.test)] == [19280, 13180]
    assert 0.05 < lake.train.images.mean() / 255 < 0.12  # ink is rare, so it is the bright one
    row = (
        test.files.index("images_evaluation/ULOG/character26/1623_20.png") if "ULOG/character26" in test.classes else 0
    )
    name = test.files[row]
    with zipfile.ZipFile(real_data / "omniglot" / f"{name.split('/')[0]}.zip") as archive:
        original = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("L"))
    exact = (255 - original.repeat(4, 0).repeat(4, 1).astype(float)).reshape(28, 15, 28, 15).mean((1, 3))
    np.testing.assert_array_equal(test.images[row, :, :, 0], np.floor(exact + 0.5))
    assert name.split("/", 1)[1].startswith(test.classes[test.need_labels()[row]])
