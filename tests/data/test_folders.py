"""Folders of images as people have them."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nopal.data import folder, load_image
from nopal.errors import NopalError

RED, GREY = (200, 40, 30), (90, 90, 90)


@pytest.fixture
def put(tmp_path):
    """Saves an image (or its one colour, at 4 x 4) below the folder, under any name."""

    def write(name, image=GREY, **options):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = image if isinstance(image, Image.Image) else Image.new("RGB", (4, 4), image)
        image.save(path, **options)
        return tmp_path / "photos"

    return write


def only(root, **options) -> np.ndarray:
    """The one image of a folder, whose pixels load_image must read in the same way."""
    read = folder(root, **options)
    assert len(read) == 1
    np.testing.assert_array_equal(load_image(root / read.files[0], read.shape), read.images[0])
    return read.images[0]


def test_class_folders_become_labels(put):
    for name in ("b/2.png", "b/deep/1.jpg", "a/9.bmp", "c/x.PNG"):
        root = put(name)
    read = folder(root)
    assert read.files == ("a/9.bmp", "b/2.png", "b/deep/1.jpg", "c/x.PNG")
    assert read.classes == ("a", "b", "c")
    assert read.need_labels().tolist() == [0, 1, 1, 2]


def test_flat_and_mixed_folders_have_no_labels(put):
    put("2.png")
    root = put("10.png")
    assert folder(root).labels is None
    put("a/1.png")
    put("b/1.png")
    read = folder(root)
    assert read.labels is None
    assert read.files == ("10.png", "2.png", "a/1.png", "b/1.png")


def test_one_subfolder_is_a_class_only_on_request(put):
    root = put("2023/1.png")
    assert folder(root).labels is None
    assert folder(root, labelled=True).classes == ("2023",)


def test_labels_can_be_left_out(put):
    put("a/1.png")
    assert folder(put("b/1.png"), labelled=False).labels is None


def test_classes_that_cannot_be_right_are_refused(put):
    root = put("a/1.png")
    (root / "empty").mkdir()
    with pytest.raises(NopalError, match=r"class folder .*empty holds no image"):
        folder(root, labelled=True)
    put("b/1.png")
    assert folder(root).classes == ("a", "b")
    put("loose.png")
    with pytest.raises(NopalError, match=r"loose\.png lies beside the class folders"):
        folder(root, labelled=True)


def test_hidden_and_other_files_are_passed_over(put):
    put(".hidden.png")
    put(".thumbs/1.png")
    root = put("1.png")
    (root / "notes.txt").write_text("not an image")
    (root / "labels.csv").write_text("")
    assert folder(root).files == ("1.png",)


def test_links_are_followed_but_not_in_circles(put, tmp_path):
    root = put("a/1.png")
    (root / "b").symlink_to(root / "a")
    (root / "a" / "up").symlink_to(root)
    assert folder(root).files == ("a/1.png", "b/1.png")


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(NopalError, match=r"There is no folder .*nowhere"):
        folder(tmp_path / "nowhere")
    with pytest.raises(NopalError, match=r"The folder .* is empty"):
        folder(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(NopalError, match=r"None of the 1 files in .* is an image \(notes\.txt for one\)"):
        folder(tmp_path)
    with pytest.raises(NopalError, match=r"notes\.txt is a file; expected a folder"):
        folder(tmp_path / "notes.txt")


def test_the_first_odd_size_is_named(put):
    put("1.png")
    put("3.png", Image.new("L", (7, 5)))
    root = put("2.png", Image.new("L", (6, 5)))
    with pytest.raises(NopalError, match=r"2\.png is 5 x 6 pixels .* but 1\.png is 4 x 4: give a size"):
        folder(root)
    assert folder(root, size=3).shape == (3, 3, 1)
    assert folder(root, size=(2, 3)).shape == (2, 3, 1)
    with pytest.raises(NopalError, match="The size is 0"):
        folder(root, size=0)


def test_unreadable_files_are_named_and_skipped_on_request(put, capsys):
    root = put("a.png", RED)
    whole = (root / "a.png").read_bytes()
    (root / "b.png").write_bytes(b"no image")
    (root / "c.png").write_bytes(whole[:50])
    with pytest.raises(NopalError, match=r"The image .*b\.png can't be read"):
        folder(root)
    assert capsys.readouterr().err == ""
    assert folder(root, skip_unreadable=True).files == ("a.png",)
    assert capsys.readouterr().err == f"Left out, for they can't be read: 2 ({root}/b.png, {root}/c.png).\n"
    (root / "a.png").unlink()
    with pytest.raises(NopalError, match=r"None of the 2 images in .* can be read, b\.png for one"):
        folder(root, skip_unreadable=True)


def test_colour_is_kept_where_there_is_any(put):
    root = put("1.png", GREY)
    assert folder(root).images.tolist() == np.full((1, 4, 4, 1), 90).tolist()
    put("2.png", RED)
    kept = folder(root)
    assert kept.images[0, 0, 0].tolist() == list(GREY)
    assert kept.images[1, 0, 0].tolist() == list(RED)
    np.testing.assert_array_equal(folder(root, color="rgb").images, kept.images)
    # 0.299 * 200 + 0.587 * 40 + 0.114 * 30 = 86.7
    assert folder(root, color="grey").images[:, 0, 0].tolist() == [[90], [87]]


def test_turned_photos_are_set_upright(put):
    sideways = Image.new("L", (6, 4))
    sideways.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    upright = only(put("1.png", sideways, exif=exif))
    assert upright.shape == (6, 4, 1)
    assert upright[0, 3, 0] == 255


def test_palettes_show_their_colours(put):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, *RED])
    assert only(put("1.gif", image))[0, 0].tolist() == list(RED)


def test_a_transparent_palette_becomes_white(put):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, *RED])
    image.putpixel((2, 0), 0)
    assert only(put("1.png", image, transparency=bytes([0, 255])))[0, 1:3].tolist() == [list(RED), [255] * 3]


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("RGBA", (200, 40, 30, 0), [255]),
        ("RGBA", (*RED, 255), [*RED]),
        ("RGBA", (0, 100, 200, 51), [204, 224, 244]),  # 255 * 0.8 + 0.2 * value
        ("LA", (100, 51), [224]),
        ("1", 1, [255]),
        ("1", 0, [0]),
    ],
)
def test_transparent_parts_become_white_and_bits_become_bytes(put, mode, value, expected):
    assert only(put("1.png", Image.new(mode, (4, 4), value)))[0, 0].tolist() == expected


@pytest.mark.parametrize("name", ["1.png", "1.tif", "1.pgm"])
def test_sixteen_bits_are_scaled_not_clipped(put, name):
    values = np.array([[0, 257, 25700, 65535]], np.uint16)
    assert only(put(name, Image.fromarray(values)))[0, :, 0].tolist() == [0, 1, 100, 255]


def test_fractions_are_scaled_and_other_numbers_refused(put):
    root = put("1.tif", Image.fromarray(np.array([[0, 0.2, 1]], np.float32)))
    assert only(root)[0, :, 0].tolist() == [0, 51, 255]
    put("2.tif", Image.fromarray(np.array([[0, 0.2, 3]], np.float32)))
    with pytest.raises(NopalError, match=r"2\.tif .* \(its values go from 0 to 3; expected 0 to 1\); scale them or"):
        folder(root)


def test_cmyk_is_read_as_colour(put):
    image = only(put("1.tif", Image.new("CMYK", (4, 4), (0, 255, 255, 0))))
    assert image[0, 0].tolist() == [255, 0, 0]


def test_load_image_brings_any_photo_to_the_shape(put):
    root = put("1.png", Image.new("RGB", (40, 20), RED))
    assert load_image(root / "1.png", (5, 5, 1)).tolist() == np.full((5, 5, 1), 87).tolist()
    assert load_image(root / "1.png", (30, 30, 3))[0, 0].tolist() == list(RED)
    with pytest.raises(NopalError, match=r"There is no image file .*2\.png"):
        load_image(root / "2.png", (5, 5, 1))
    with pytest.raises(NopalError, match="2 channels"):
        load_image(root / "1.png", (5, 5, 2))
    (root / "3.png").write_bytes(b"")
    with pytest.raises(NopalError, match=r"3\.png can't be read"):
        load_image(root / "3.png", (5, 5, 1))


def test_progress_is_shown_on_request(put, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    root = put("1.png")
    folder(root)
    assert capsys.readouterr().err == ""
    folder(root, progress=True)
    shown = capsys.readouterr().err
    assert "Reading" in shown
    assert "100%" in shown


def test_an_error_comes_after_the_last_of_the_progress(put, capsys):
    root = put("[/red]/a.png") / "[/red]"
    (root / "b.png").write_bytes(b"no image")
    with pytest.raises(NopalError) as raised:
        folder(root, progress=True)
    print(f"nopal: {raised.value}", file=sys.stderr)
    del raised  # and with it the frames in which the progress was shown
    assert capsys.readouterr().err.splitlines()[-1].startswith("nopal: The image")


def test_folders_that_cannot_be_opened_are_named_and_skipped_on_request(put, monkeypatch, capsys):
    put("open/1.png")
    root = put("closed/2.png")
    listed = Path.iterdir

    def iterdir(path):
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(NopalError, match=r"The folder .*photos/closed can't be opened \(Permission denied\)"):
        folder(root)
    assert folder(root, skip_unreadable=True).files == ("open/1.png",)
    assert f"1 ({root}/closed)" in capsys.readouterr().err
    with pytest.raises(NopalError, match=r"The folder .*photos/closed can't be opened"):
        folder(root / "closed", skip_unreadable=True)


@pytest.mark.parametrize("read", [folder, lambda path: load_image(path, (4, 4, 1))])
def test_names_that_are_too_long_are_refused(tmp_path, read):
    with pytest.raises(NopalError, match=r"can't be opened \(File name too long\); check its name"):
        read(tmp_path / ("a" * 300))


def test_names_may_be_any_bytes(put):
    root = put(os.fsdecode(b"latin\xff.png"))
    assert folder(root).files == ("latin\udcff.png",)
