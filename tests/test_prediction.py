"""Predictions for a person: probabilities that don't depend on the other images, and a file of them."""

from __future__ import annotations

import csv
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import nopal
from nopal.data.images import ImageSet
from nopal.learners.maml import MAML
from nopal.learners.protonet import ProtoNet
from nopal.nets.conv4 import Conv4
from nopal.prediction import Predictions, load_queries, load_support

SHAPE = (8, 8, 1)


def random_images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *SHAPE), np.uint8)


def support(*sizes: int) -> ImageSet:
    """A class with so many images for each of `sizes`."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return ImageSet(random_images(len(labels), 1), labels, tuple(f"class {i}" for i in range(len(sizes))))


def protonet(statistics: str = "support") -> ProtoNet:
    return ProtoNet(Conv4(SHAPE, None, filters=4, key=jax.random.key(0)), statistics=statistics)


@pytest.fixture(scope="module")
def maml() -> MAML:
    """Of way 4."""
    return MAML(Conv4(SHAPE, 4, filters=4, key=jax.random.key(0)), inner_steps=1, first_order=True)


def predict(learner: ProtoNet | MAML, known: ImageSet, images: np.ndarray) -> Predictions:
    return nopal.predict(learner, known, images, [f"{i}.png" for i in range(len(images))])


@pytest.mark.parametrize("statistics", ["support", "transductive"])
def test_a_prediction_does_not_depend_on_the_other_images(statistics: str) -> None:
    images = random_images(3)
    together = predict(protonet(statistics), support(1, 3), images).probabilities
    alone = [predict(protonet(statistics), support(1, 3), image[None]).probabilities[0] for image in images]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-5)


def test_batches_make_no_difference() -> None:
    whole = predict(protonet(), support(2, 2), random_images(4)).probabilities
    names = [str(i) for i in range(4)]
    parts = nopal.predict(protonet(), support(2, 2), random_images(4), names, batch=2).probabilities
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_support_images_are_recognised() -> None:
    known = support(1, 1, 1)
    assert predict(protonet(), known, known.images).probabilities.argmax(1).tolist() == [0, 1, 2]


def test_maml_tells_fewer_classes_apart_than_it_was_trained_for(maml: MAML) -> None:
    found = predict(maml, support(2, 1, 3), random_images(2))
    assert found.probabilities.shape == (2, 3)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-5)


def test_maml_refuses_more_classes(maml: MAML) -> None:
    with pytest.raises(nopal.NopalError, match="5 classes, but the network was meta-trained for 4"):
        predict(maml, support(1, 1, 1, 1, 1), random_images(1))


def test_the_file_holds_every_probability(tmp_path: Path) -> None:
    table = np.array([[0.25, 0.75], [0.9, 0.1]])
    path = Predictions(("a.png", "b, c.png"), ("cat", "dog"), table).write(tmp_path / "new" / "out.csv")
    assert list(csv.reader(path.read_text(encoding="utf-8").splitlines())) == [
        ["file", "class", "probability", "p(cat)", "p(dog)"],
        ["a.png", "dog", "0.7500", "0.2500", "0.7500"],
        ["b, c.png", "cat", "0.9000", "0.9000", "0.1000"],
    ]


def save(path: Path, height: int, width: int, color: tuple[int, int, int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), color).save(path)
    return path


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_brought_to_the_shape_of_the_run(tmp_path: Path, channels: int) -> None:
    one, two = save(tmp_path / "one.png", 20, 30, (9, 9, 9)), save(tmp_path / "more" / "two.png", 5, 4, (200, 0, 0))
    images, files = load_queries([one, tmp_path / "more"], (8, 6, channels))
    assert images.shape == (2, 8, 6, channels)
    assert files == (str(one), str(two))
    assert images[0].max() == images[0].min() == 9
    assert images[1, 0, 0].tolist() == ([60] if channels == 1 else [200, 0, 0])  # 0.299 of the red


def test_support_may_be_unequal(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png", "b/2.jpg"):
        save(tmp_path / name, 9, 9, (0, 0, 0))
    found = load_support(tmp_path, (8, 8, 3))
    assert (found.shape, found.classes, found.need_labels().tolist()) == ((8, 8, 3), ("a", "b"), [0, 1, 1])


def test_one_class_is_no_task(tmp_path: Path) -> None:
    save(tmp_path / "a" / "1.png", 9, 9, (0, 0, 0))
    with pytest.raises(nopal.NopalError, match="has 1 class; expected a subfolder for each of 2 or more"):
        load_support(tmp_path, SHAPE)


def test_no_image_is_no_question() -> None:
    with pytest.raises(nopal.NopalError, match="No image to classify was named"):
        load_queries([], SHAPE)


def test_unreadable_queries_are_left_out_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, more = save(tmp_path / "a.png", 9, 9, (0, 0, 0)), save(tmp_path / "more" / "b.png", 9, 9, (0, 0, 0))
    for name in ("cut.png", "more/cut.png"):
        (tmp_path / name).write_bytes(b"no image")
    paths = [tmp_path / "cut.png", whole, tmp_path / "more"]
    with pytest.raises(nopal.NopalError, match=r"cut\.png can't be read"):
        load_queries(paths, SHAPE)
    images, files = load_queries(paths, SHAPE, skip_unreadable=True)
    assert (len(images), files) == (2, (str(whole), str(more)))
    said = capsys.readouterr().err
    assert f"1 ({tmp_path}/cut.png)" in said
    assert f"1 ({tmp_path}/more/cut.png)" in said
    with pytest.raises(nopal.NopalError, match="None of the 1 images to classify can be read"):
        load_queries(paths[:1], SHAPE, skip_unreadable=True)


def test_the_file_holds_the_bytes_of_names(tmp_path: Path) -> None:
    path = Predictions(("latin\udcff.png",), ("cat", "dog"), np.array([[0.25, 0.75]])).write(tmp_path / "out.csv")
    assert path.read_bytes().splitlines()[1].startswith(b"latin\xff.png,dog")
