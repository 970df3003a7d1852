"""The stages of a run: interrupted and resumed as if never stopped, refused without a trace, loaded as it was saved."""

from __future__ import annotations

import signal
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest

import nopal
from nopal.data.images import ImageSet
from nopal.encoders import ACAI, ACAIOptions
from nopal.learners.learner import MetaLearner
from nopal.loop import Moment
from nopal.options.experiment import EncoderOptions, PartitionOptions, TrainingOptions
from nopal.options.learners import ProtoNetOptions
from nopal.options.plain import to_plain
from nopal.partitions import Partitions, from_labels
from nopal.runs import Interrupted, RunFolder, check_writable, load_run
from nopal.stages import pipeline, watching
from nopal.stages.beginning import begin_run
from nopal.stages.encoding import fit_encoder
from nopal.stages.loading import key_of, keys, load, steps_done
from nopal.stages.pipeline import class_tasks, cluster, meta_train

SHAPE = (8, 8, 1)
LEARNER = ProtoNetOptions(filters=4, downsample="stride")
TRAINING = TrainingOptions(way=3, shot=1, query=2, tasks_per_step=2, steps=10)


@pytest.fixture(scope="module")
def images() -> ImageSet:
    """Four classes of six images of noise."""
    return ImageSet(np.random.default_rng(0).integers(0, 256, (24, *SHAPE), np.uint8), np.repeat(np.arange(4), 6))


@pytest.fixture(scope="module")
def partitions(images: ImageSet) -> Partitions:
    return from_labels(images.need_labels())


def begin(path: Path, *, resume: bool = False, training: TrainingOptions = TRAINING) -> RunFolder:
    return begin_run(path, SHAPE, LEARNER, training, made={}, every=5, resume=resume)


def go(run: RunFolder, images: ImageSet, partitions: Partitions) -> MetaLearner:
    return meta_train(run, class_tasks(run, images.images, partitions))


def assert_equal(a: MetaLearner, b: MetaLearner) -> None:
    jax.tree.map(np.testing.assert_array_equal, eqx.filter(a, eqx.is_array), eqx.filter(b, eqx.is_array))


@pytest.fixture(scope="module")
def whole(
    images: ImageSet, partitions: Partitions, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, MetaLearner]:
    """The folder and the learner of a run that nobody disturbed."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    return path, go(begin(path), images, partitions)


def test_a_stopped_run_goes_on_as_if_never_stopped(
    images: ImageSet,
    partitions: Partitions,
    whole: tuple[Path, MetaLearner],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stopper(watching.Progress):
        def __call__(self, moment: Moment) -> None:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(watching, "Progress", Stopper)
        with pytest.raises(Interrupted) as stopped:
            go(begin(tmp_path / "run"), images, partitions)
    assert (stopped.value.step, stopped.value.exit_code) == (5, 143)
    with pytest.raises(nopal.NopalError, match="has no running statistics yet"):
        load(tmp_path / "run")
    assert_equal(go(begin(tmp_path / "run", resume=True), images, partitions), whole[1])
    metrics = [(path / "metrics.csv").read_text() for path in (tmp_path / "run", whole[0])]
    assert metrics[0] == metrics[1]
    assert [line.split(",")[0] for line in metrics[0].splitlines()] == ["step", "5", "10"]


def test_running_statistics_come_back(whole: tuple[Path, MetaLearner]) -> None:
    found = nopal.load(whole[0])
    assert_equal(found, whole[1])
    assert (found.statistics, found.running is None) == ("running", False)
    assert steps_done(load_run(whole[0])) == 10


def test_a_finished_run_is_not_trained_again(
    images: ImageSet, partitions: Partitions, whole: tuple[Path, MetaLearner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(pipeline, "train")
    assert_equal(go(begin(whole[0], resume=True), images, partitions), whole[1])


def test_resumed_with_other_choices(whole: tuple[Path, MetaLearner]) -> None:
    with pytest.raises(nopal.NopalError, match="has done 10 steps already"):
        begin(whole[0], resume=True, training=TrainingOptions(way=3, query=2, tasks_per_step=2, steps=5))
    with pytest.raises(nopal.NopalError, match=r"training\.way = 3 and not 4"):
        begin(whole[0], resume=True, training=TrainingOptions(way=4, query=2, tasks_per_step=2, steps=10))
    with pytest.raises(nopal.NopalError, match="already holds a run; go on with it by --resume"):
        begin(whole[0])


def test_a_loss_that_is_no_number_stops_the_run(images: ImageSet, partitions: Partitions, tmp_path: Path) -> None:
    training = TrainingOptions(way=3, query=2, tasks_per_step=2, steps=10, outer_rate=1e30)
    with pytest.raises(nopal.NopalError, match=r"The loss became (nan|inf) at step [2-5]; lower the outer"):
        go(begin(tmp_path / "run", training=training), images, partitions)
    with pytest.raises(nopal.NopalError, match="has no checkpoint yet"):
        load(tmp_path / "run")


def test_what_cannot_begin_leaves_nothing(images: ImageSet, tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    with pytest.raises(nopal.NopalError, match="divide 4 rows, but there are 24 images"):
        go(run, images, from_labels(np.arange(4)))
    assert not run.path.exists()
    run = begin(tmp_path / "run")
    with pytest.raises(nopal.NopalError, match="25 clusters were asked for; expected between 1 and 24"):
        pipeline.make_partitions(run, images, EncoderOptions("raw"), PartitionOptions(clusters=25, partitions=1))
    assert not run.path.exists()


def test_a_trained_encoder_outlives_partitions_that_are_refused(
    images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acai = ACAIOptions(steps=1, width=8, latent_width=4, depth=2, latent=3, batch=4)
    encoder = EncoderOptions("acai", acai=acai)

    def make(clusters: int, *, resume: bool = False) -> int:
        options = PartitionOptions(clusters=clusters, partitions=1)
        made = {"encoder": to_plain(encoder), "partitions": to_plain(options)}
        run = begin_run(tmp_path / "run", SHAPE, LEARNER, TRAINING, made=made, resume=resume)
        class_tasks(run, images.images, pipeline.make_partitions(run, images, encoder, options))
        return load_run(run.path).config["made"]["partitions"]["clusters"]

    with pytest.raises(nopal.NopalError, match=r"25 clusters were asked for.* stays: go on with other .* by --resume"):
        make(25)
    monkeypatch.delattr(ACAI, "fit")
    with pytest.raises(nopal.NopalError, match=r"only \d clusters with the 3 members .* stays: go on"):
        make(24, resume=True)
    assert make(3, resume=True) == 3
    with pytest.raises(nopal.NopalError, match=r"has made\.partitions\.clusters = 3 and not 4"):
        make(4, resume=True)


def test_the_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"learner": {"method": "protonet"}}')
    with pytest.raises(nopal.NopalError, match="is not that of a learner"):
        load(tmp_path)


def test_clusters_and_encoder_are_kept(images: ImageSet, tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    made = pipeline.make_partitions(run, images, EncoderOptions("raw"), PartitionOptions(clusters=2, partitions=2))
    again = pipeline.make_partitions(run, images, EncoderOptions("zca"), PartitionOptions(clusters=3, partitions=1))
    np.testing.assert_array_equal(again.members, made.members)
    encode = nopal.encoders.load_encoder(run.path / "encoder.npz")
    np.testing.assert_allclose(encode(images.images), images.images.reshape(24, 64) / 255, rtol=1e-6)


def test_encoders_by_name(images: ImageSet) -> None:
    width = {name: fit_encoder(images, EncoderOptions(name, 5)).dimensions for name in ("raw", "pca", "zca")}
    assert width == {"raw": 64, "pca": 5, "zca": 64}
    vectors = fit_encoder(images, EncoderOptions("pca_whitened", 5))(images.images)
    np.testing.assert_allclose(vectors.var(0, ddof=1), 1, rtol=1e-3)


def test_seeds_have_32_bits() -> None:
    with pytest.raises(nopal.NopalError, match=r"The seed is -1; expected a whole number from 0 to 4294967295"):
        cluster(np.zeros((4, 2), np.float32), PartitionOptions(clusters=2, seed=-1))


def test_writable_places(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check_writable(tmp_path / "file")
    check_writable(tmp_path / "new" / "newer" / "file")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    with pytest.raises(nopal.NopalError, match="it is a folder"):
        check_writable(tmp_path)
    with pytest.raises(nopal.NopalError, match="file is no folder"):
        check_writable(tmp_path / "file" / "other")


@pytest.mark.parametrize(
    ("how", "choice", "sentence"),
    [
        ("kmeans", {"margin": 0.5}, "margin is 0.5, which means nothing where .* by kmeans; .* divide them by hyperp"),
        ("kmeans", {"unit": "spread"}, "unit is spread"),
        ("hyperplanes", {"min_kept": 0.5}, "min_kept is 0.5, which means nothing where .* hyperplanes; .* by kmeans"),
        ("hyperplanes", {"repeats": 3}, "repeats is 3"),
        ("random", {"reach": 0.0}, "reach is 0.0, which means nothing where .* by random"),
    ],
)
def test_choices_of_another_way_to_divide_are_refused(how: str, choice: dict, sentence: str) -> None:
    with pytest.raises(nopal.NopalError, match=sentence):
        cluster(np.zeros((4, 2), np.float32), PartitionOptions(clusters=2, how=how, **choice))


def test_what_two_stages_draw_is_not_the_same() -> None:
    """Key i of `split` is that of `fold_in` with i, and stages use both."""
    stages = [key_of(3, "partitions"), key_of(3, "encoder"), key_of(3, "baseline"), jax.random.split(key_of(3))[1]]
    drawn = [*keys(3), *(jax.random.fold_in(stage, i) for stage in stages for i in range(4))]
    assert len({tuple(jax.random.key_data(key).tolist()) for key in drawn}) == len(drawn)
