"""The glyphs: distinct letters of disjoint scripts, the same on every call, at Omniglot's difficulty."""

import unicodedata

import numpy as np
import pytest

from nopal.data import glyphs
from nopal.data.images import ImageSet, Splits
from nopal.errors import NopalError


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> Splits:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOPAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        return glyphs.load()


@pytest.fixture(scope="module")
def letters() -> dict[str, list[glyphs.Letter]]:
    return glyphs.letters()


def by_class(part: ImageSet) -> np.ndarray:
    return part.images.reshape(len(part.classes), -1, *part.images.shape[1:3]).astype(np.float32)


def test_there_are_over_a_thousand_classes_of_twenty_in_three_splits(splits):
    sizes = np.array([len(part.classes) for part in splits])
    assert sizes.sum() >= 1000
    np.testing.assert_allclose(sizes / sizes.sum(), [0.7, 0.1, 0.2], atol=0.05)
    for part in splits:
        assert part.shape == (28, 28, 1)
        np.testing.assert_array_equal(np.bincount(part.labels), 20)


def test_scripts_and_letters_are_disjoint_across_splits(splits):
    scripts = [{name.split("/")[0] for name in part.classes} for part in splits]
    assert not scripts[0] & scripts[1]
    assert not scripts[0] & scripts[2]
    assert not scripts[1] & scripts[2]
    names = [name for part in splits for name in part.classes]
    assert len(set(names)) == len(names)


def test_a_class_name_gives_script_character_and_code_point(splits):
    assert "greek/α U+03B1" in splits.train.classes
    assert "hebrew/א U+05D0" in splits.test.classes
    for name in splits.train.classes:
        script, rest = name.split("/", 1)
        character, code = rest.split(" U+")
        assert ord(character) == int(code, 16)
        assert unicodedata.name(character).startswith(script.upper())


def test_letters_that_look_alike_are_one_class(letters):
    kept = {letter.character for part in letters.values() for letter in part}
    for lookalikes in ("AΑАꓮ", "OoΟοОоՕ", "TΤТꓔ", "BΒВꓐ", "sѕSЅՏ"):
        assert len(kept & set(lookalikes)) <= 1
    assert set("ЖΩßאقქᐊ") <= kept


def test_no_two_paths_are_near_each_other(letters):
    """Chamfer distance, which the selection doesn't use: some pixel of one path is always away from the other path."""
    paths = np.stack([letter.path for part in letters.values() for letter in part])
    near = np.pad(paths, ((0, 0), (1, 1), (1, 1)))
    near = np.any([near[:, y : y + 64, x : x + 64] for y in range(3) for x in range(3)], axis=0)
    flat, near = paths.reshape(len(paths), -1).astype(np.float32), near.reshape(len(paths), -1).astype(np.float32)
    far = flat.sum(1)[:, None] - flat @ near.T  # pixels of i that are more than a pixel away from j
    either = np.maximum(far, far.T) + 10 * np.eye(len(far))
    assert either.min() >= 1


def test_paths_are_thin_and_centred(letters):
    for letter in letters["test"]:
        rows, columns = np.nonzero(letter.path)
        blocks = sum(letter.path[y : y + 63, x : x + 63].astype(int) for y in (0, 1) for x in (0, 1))
        assert (blocks == 4).sum() <= 3  # hardly any 2x2 block of ink
        assert abs(rows.min() + rows.max() - 63) <= 8
        assert abs(columns.min() + columns.max() - 63) <= 8


def test_thinning_wears_a_bar_down_to_a_line_and_keeps_pieces_and_holes():
    bar = np.zeros((1, 64, 64), bool)
    bar[0, 20:27, 10:50] = True
    line = glyphs._thinned(bar)[0]
    assert line.any(0)[14:46].all()
    assert (line.sum(0) <= 1).all()
    ring = np.zeros((1, 64, 64), bool)
    ring[0, 10:40, 10:40] = True
    ring[0, 17:33, 17:33] = False
    ring[0, 50:55, 50:55] = True  # and a dot apart
    thin = glyphs._thinned(ring)[0]
    assert thin[:45, 25].sum() == thin[25, :45].sum() == 2
    assert 1 <= thin[48:, 48:].sum() <= 4


def test_images_are_thin_light_strokes_on_black(splits):
    for part in splits:
        images = part.images
        assert images.any((1, 2, 3)).all()
        assert not images[:, [0, -1]].any(), "ink touches the border"
        assert not images[:, :, [0, -1]].any(), "ink touches the border"
        assert images.max() == 255
        assert 0.06 < images.mean() / 255 < 0.10  # Omniglot at this size: 0.078


def test_examples_of_a_letter_differ(splits):
    images = by_class(splits.test)
    assert all(len(np.unique(letter.reshape(20, -1), axis=0)) == 20 for letter in images)


def test_drawings_depend_on_arguments_alone(letters, splits):
    letter = letters["test"][7]
    drawn = glyphs.drawings(letter, size=28, examples=20, seed=0)
    np.testing.assert_array_equal(drawn, splits.test.images[7 * 20 : 8 * 20])
    assert (drawn != glyphs.drawings(letter, size=28, examples=20, seed=1)).any()


def test_smaller_images_are_area_averages_of_larger_ones(letters):
    letter = letters["train"][3]
    fine, coarse = (glyphs.drawings(letter, size, examples=4, seed=5) for size in (84, 28))
    assert set(np.unique(fine)) == {0, 255}
    means = fine.reshape(4, 28, 3, 28, 3).mean((2, 4))
    np.testing.assert_allclose(coarse[..., 0], means, atol=1)


def test_a_stroke_is_as_wide_as_its_pen():
    points = np.stack([np.zeros(50), np.linspace(-0.5, 0.5, 50)], axis=1)[None].repeat(3, 0)
    drawn = glyphs._inked(points, np.array([1, 3, 5]), glyphs.CANVAS)[..., 0]
    assert [(image > 0).sum(0).max() for image in drawn] == [1, 3, 5]


def test_nearest_neighbours_find_it_about_as_hard_as_omniglot(splits):
    """5-way 1-shot, raw pixels: 42% on Omniglot's evaluation characters."""
    images, random, right = by_class(splits.test), np.random.default_rng(0), []
    for _ in range(300):
        classes = random.choice(len(images), 5, replace=False)
        support, *queries = np.moveaxis(images[classes][:, random.choice(20, 4, replace=False)], 1, 0)
        for query in queries:
            distances = ((query[:, None] - support[None]) ** 2).sum((2, 3))
            right.append(distances.argmin(1) == np.arange(5))
    assert 0.38 < np.mean(right) < 0.55


def test_the_cache_gives_what_was_made_and_a_damaged_one_is_made_again(letters, tmp_path, monkeypatch):
    calls = []
    few = {split: found[:2] for split, found in letters.items()}
    monkeypatch.setenv("NOPAL_CACHE", str(tmp_path))
    monkeypatch.setattr(glyphs, "letters", lambda: calls.append("made") or few)
    made, kept = glyphs.load(examples=3), glyphs.load(examples=3)
    assert len(calls) == 1
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    again = glyphs.load(examples=3)
    assert len(calls) == 2
    glyphs.load(examples=3, seed=1)
    assert len(calls) == 3
    for one, two, three in zip(made, kept, again):
        assert one.classes == two.classes == three.classes
        np.testing.assert_array_equal(one.images, two.images)
        np.testing.assert_array_equal(one.images, three.images)


@pytest.mark.parametrize(
    ("arguments", "found"), [({"size": 7}, "is 7;"), ({"examples": 0}, "with 0 examples"), ({"seed": -1}, "is -1;")]
)
def test_bad_arguments_are_refused_with_the_value_found(arguments, found):
    with pytest.raises(NopalError, match=found):
        glyphs.load(**arguments)
