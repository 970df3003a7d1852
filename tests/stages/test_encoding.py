"""Trained encoders in their run folders."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from nopal import NopalError
from nopal.data.images import ImageSet
from nopal.encoders import ACAI, ACAIOptions, BiGAN, BiGANOptions, Classifier, ClassifierOptions, load_encoder
from nopal.loop import Moment
from nopal.options.experiment import EncoderOptions
from nopal.runs import Interrupted
from nopal.stages import watching
from nopal.stages.encoding import fit_encoder, train_encoder
from nopal.stages.judging import write_report

SMALL = ACAIOptions(steps=10, width=8, latent_width=4, depth=2, latent=3, batch=4)
OPTIONS = EncoderOptions("acai", acai=SMALL)


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return ImageSet(np.random.default_rng(0).integers(0, 256, (24, 8, 8, 1), np.uint8))


@pytest.fixture(scope="module")
def whole(images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("encoders") / "whole"
    train_encoder(images, OPTIONS, "noise", folder, False, every=5)
    return folder


def test_what_is_left_behind(whole: Path, images: ImageSet) -> None:
    lines = (whole / "metrics.csv").read_text().splitlines()
    assert lines[0] == "step,critic_loss,loss,reconstruction"
    assert [line.split(",")[0] for line in lines[1:]] == ["5", "10"]
    for name in ("reconstructions.png", "interpolations.png"):
        assert (whole / name).read_bytes().startswith(b"\x89PNG")
    encoder = load_encoder(whole / "encoder.npz")
    assert encoder(images.images).shape == (24, 48)
    assert encoder.made["seconds"] == float((whole / "seconds.txt").read_text())


def test_a_report_shows_it(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run" / "encoder")
    (tmp_path / "run" / "config.json").write_text("{}")
    write_report([tmp_path / "run"], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for words in ("What its encoder keeps", "Reconstructions by", "Interpolations by", "Loss of the encoder of"):
        assert words in page


def test_a_report_shows_an_encoder_alone(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "knn" / "encoder")
    for path in (whole, tmp_path / "knn"):
        write_report([path], tmp_path / "page.html")
        assert f"Reconstructions by the encoder of {path}" in (tmp_path / "page.html").read_text(encoding="utf-8")
    (tmp_path / "knn" / "encoder" / "reconstructions.png").write_text("junk")
    with pytest.raises(NopalError, match=r"The picture .*reconstructions\.png can't be read"):
        write_report([tmp_path / "knn"], tmp_path / "page.html")


def test_other_images_of_the_same_shape_are_others(whole: Path, images: ImageSet, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    other = ImageSet(255 - images.images)
    with pytest.raises(NopalError, match="digest"):
        train_encoder(other, OPTIONS, "noise", tmp_path / "run", True, every=5)
    config = json.loads((whole / "config.json").read_text())
    del config["digest"]  # as in folders of before
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    (tmp_path / "run" / "seconds.txt").write_text("")  # as after a full disk
    assert train_encoder(images, OPTIONS, "noise", tmp_path / "run", True, every=5).options.steps == 10


def test_a_loss_that_is_no_number_names_the_encoders_rate(images: ImageSet, tmp_path: Path) -> None:
    wild = EncoderOptions("acai", acai=dataclasses.replace(SMALL, rate=1e30))
    with pytest.raises(NopalError, match=r"at step \d+; lower --encoder\.acai\.rate\."):
        train_encoder(images, wild, "noise", tmp_path / "run", False, every=5)


def test_a_stopped_run_goes_on_as_if_never_stopped(
    whole: Path, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopper(watching.Progress):
        def __call__(self, moment: Moment) -> None:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(watching, "Progress", Stopper)
        with pytest.raises(Interrupted):
            train_encoder(images, OPTIONS, "noise", tmp_path / "run", False, every=5)
    assert not (tmp_path / "run" / "encoder.npz").exists()
    resumed = train_encoder(images, OPTIONS, "noise", tmp_path / "run", True, every=5)
    np.testing.assert_array_equal(resumed(images.images), load_encoder(whole / "encoder.npz")(images.images))
    assert (tmp_path / "run" / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()


def test_a_finished_encoder_is_not_trained_again_but_may_be_trained_further(
    whole: Path, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.delattr(ACAI, "fit")
        train_encoder(images, OPTIONS, "noise", whole, True, every=5)
    more = EncoderOptions("acai", acai=dataclasses.replace(SMALL, steps=15))
    assert train_encoder(images, more, "noise", whole, True, every=5).options.steps == 15
    with pytest.raises(NopalError, match="has done 15 steps already"):
        train_encoder(images, OPTIONS, "noise", whole, True, every=5)


def test_a_bidirectional_gan_has_pictures_and_as_many_steps_as_it_began_with(images: ImageSet, tmp_path: Path) -> None:
    small = BiGANOptions(steps=10, dimensions=3, hidden=6, batch=8)
    options, folder = EncoderOptions("bigan", bigan=small), tmp_path / "run"
    found = train_encoder(images, options, "noise", folder, False, every=5)
    assert isinstance(found, BiGAN)
    lines = (folder / "metrics.csv").read_text().splitlines()
    assert lines[0] == "step,discriminator_accuracy,discriminator_loss,loss"
    for name in ("reconstructions.png", "interpolations.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    again = train_encoder(images, options, "noise", folder, True, every=5)
    assert (again(images.images) == found(images.images)).all()
    more = EncoderOptions("bigan", bigan=dataclasses.replace(small, steps=15))
    with pytest.raises(NopalError, match=r"encoder\.bigan\.steps"):
        train_encoder(images, more, "noise", folder, True, every=5)


def test_bad_choices_leave_nothing_behind(images: ImageSet, tmp_path: Path) -> None:
    bad = EncoderOptions("acai", acai=dataclasses.replace(SMALL, batch=3))
    with pytest.raises(NopalError, match="The batch has 3 images"):
        fit_encoder(images, bad, folder=tmp_path / "run")
    with pytest.raises(NopalError, match="The seed is -1"):
        fit_encoder(images, dataclasses.replace(OPTIONS, seed=-1), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_a_folder(images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = fit_encoder(images, OPTIONS, "noise")
    assert (found.made["encoder"], found.made["data"], list(tmp_path.iterdir())) == ("ACAI", "noise", [])


SUPERVISED = EncoderOptions(
    "classifier", classifier=ClassifierOptions(steps=4, filters=2, downsample="stride", batch=6)
)


def test_a_classifier_is_trained_in_a_folder_too_and_further(images: ImageSet, tmp_path: Path) -> None:
    labelled = ImageSet(images.images, np.repeat([0, 2], 12))
    found = train_encoder(labelled, SUPERVISED, "noise", tmp_path / "run", False, every=2)
    assert isinstance(found, Classifier)
    assert (tmp_path / "run" / "metrics.csv").read_text().startswith("step,loss,score\n2,")
    more = dataclasses.replace(SUPERVISED, classifier=dataclasses.replace(SUPERVISED.classifier, steps=6))
    with pytest.raises(NopalError, match="already holds a run"):
        train_encoder(labelled, more, "noise", tmp_path / "run", False, every=2)
    further = train_encoder(labelled, more, "noise", tmp_path / "run", True, every=2)
    assert (further.made["seconds"] >= found.made["seconds"], further.options.steps) == (True, 6)
    at_once = fit_encoder(labelled, more, "noise")
    np.testing.assert_array_equal(further(images.images), at_once(images.images))
    np.testing.assert_array_equal(load_encoder(tmp_path / "run" / "encoder.npz")(images.images), at_once(images.images))
    others = ImageSet(images.images, np.tile([0, 2], 12))
    with pytest.raises(NopalError, match="labels"):
        train_encoder(others, more, "noise", tmp_path / "run", True, every=2)


def test_a_classifier_needs_labels(images: ImageSet, tmp_path: Path) -> None:
    for folder in (None, tmp_path / "run"):
        with pytest.raises(NopalError, match="These images have no labels, which this needs"):
            fit_encoder(images, SUPERVISED, folder=folder)
    with pytest.raises(NopalError, match="are of 1 class; give at least two"):
        fit_encoder(ImageSet(images.images, np.zeros(24, int)), SUPERVISED, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
