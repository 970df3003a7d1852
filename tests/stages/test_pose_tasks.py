"""Pose rows: where their tasks come from, and that every one of them makes a learner that takes a step."""

from __future__ import annotations

import dataclasses
import functools
import math
import shutil
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.data.poses import PoseSet
from nopal.data.poses.collecting import RenderOptions
from nopal.data.poses.opengl import find_backend
from nopal.data.poses.scene import SceneOptions
from nopal.data.poses.split import pascal3d
from nopal.errors import NopalError
from nopal.options.experiment import Experiment, TrainingOptions
from nopal.options.plain import from_plain, to_plain
from nopal.options.tasks import PoseTasks
from nopal.recipes.poses import CNP, ROWS
from nopal.stages import pose_data
from nopal.stages.pose_data import find_poses, own_of
from nopal.stages.task_sources import open_tasks, pose_tasks
from nopal.tasks import Augmented
from nopal.tasks.circle import Circular

TRAINING = TrainingOptions(way=1, shot=2, query=2)


@pytest.fixture
def poses() -> PoseSet:
    """Six objects, of which each view's first pixel tells the object: two to train, two held back, two for the test."""
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (6, 20, 16, 16), dtype=np.uint8)
    images[:, :, 0, 0] = np.arange(6)[:, None]
    angles = random.uniform(0, 2 * math.pi, (6, 20)).astype(np.float32)
    place, held_back = np.zeros((6, 20), np.float32), np.array([False, False, True, True, False, False])
    names = tuple(f"thing/{i}" for i in range(6))
    return PoseSet(images, angles, place, place, names, ("train",) * 4 + ("test",) * 2, held_back)


def objects(tasks: object, count: int = 40) -> set[int]:
    """Which objects the tasks show."""
    drawn = jax.vmap(lambda i: tasks.sample(jax.random.key(i)).query.x[0, 0, 0, 0])(jnp.arange(count))  # type: ignore[attr-defined]
    return {round(255 * float(value)) for value in drawn}


def test_objects_of_the_test_are_seen_in_no_other_part(poses: PoseSet) -> None:
    source = pose_tasks(PoseTasks(), poses)
    assert source.shape == (16, 16, 1)
    assert objects(source.train(TRAINING)) == {0, 1, 2, 3}
    assert objects(source.test((0, 2))) == {4, 5}
    choosing = pose_tasks(PoseTasks(choosing=True), poses)
    assert objects(choosing.train(TRAINING)) == {0, 1}
    assert objects(choosing.test((0, 2))) == {2, 3}
    # A learner is tried on objects that it does not know, or on none.
    assert source.validation(TRAINING) is None
    validation = choosing.validation(TRAINING)
    assert validation is not None
    assert objects(validation) == {2, 3}


def test_augmentation_is_for_meta_training_alone(poses: PoseSet) -> None:
    source = pose_tasks(PoseTasks(angle="circular", augmented=True), poses)
    assert isinstance(source.train(TRAINING), Augmented)
    assert not isinstance(source.test((0, 2)), Augmented)
    assert isinstance(source.test((0, 2)).target, Circular)


def test_a_test_task_has_fifteen_queries_and_as_many_points_as_asked_for(poses: PoseSet) -> None:
    episode = pose_tasks(PoseTasks(), poses).test((0, 5)).sample(jax.random.key(0))
    assert len(episode.support.x) == 5
    assert len(episode.query.x) == 15


def test_poses_lie_in_the_data_folder(poses: PoseSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOPAL_DATA", str(tmp_path))
    with pytest.raises(NopalError, match=r"neither poses\.npz nor pascal3d_cad\.zip in .*nopal poses render"):
        find_poses()
    poses.save(tmp_path / "poses.npz")
    assert find_poses().names == poses.names
    assert open_tasks("poses", Experiment(CNP, training=TRAINING, tasks=PoseTasks())).shape == (16, 16, 1)


def test_variants_come_from_models_or_from_a_file_that_has_them(
    poses: PoseSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOPAL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NOPAL_CACHE", str(tmp_path / "cache"))
    file = poses.save(tmp_path / "data" / "poses.npz")
    for asked in (None, file):
        with pytest.raises(NopalError, match=r"holds 0 free variants .* but 2 are asked for; render it .*--variants 2"):
            find_poses(asked, variants=2)
    rendered: list[RenderOptions] = []
    names = ("thing/0", "thing/1", "thing/0~1", "thing/0~2", "thing/4", "thing/5~7")
    varied = dataclasses.replace(poses, names=names, made={"variants": 2})

    def render(models: Path, out: Path, options: RenderOptions, partial: Path) -> None:
        rendered.append(options)
        varied.save(out)

    monkeypatch.setattr("nopal.stages.pose_data.render_file", render)
    with zipfile.ZipFile(tmp_path / "data" / "pascal3d_cad.zip", "w") as archive:
        archive.writestr("thing/0.off", "OFF")
    for _ in range(2):
        assert find_poses(variants=2).names == names
    assert rendered == [RenderOptions(variants=2)]
    assert find_poses(variants=0).names == poses.names
    varied.save(file)
    assert find_poses(variants=2).names == names
    assert len(rendered) == 1
    assert find_poses(variants=2, warp="symmetric").names == names
    assert rendered[1:] == [RenderOptions(variants=2, warp="symmetric")]
    with pytest.raises(NopalError, match=r"holds 0 symmetric variants .* --variants 1 --warp symmetric"):
        find_poses(file, variants=1, warp="symmetric")
    assert find_poses(variants=1).names == ("thing/0", "thing/1", "thing/0~1", "thing/4", "thing/5~7")
    fewest = find_poses(file)
    assert (fewest.variants, fewest.names) == (0, ("thing/0", "thing/1", "thing/4", "thing/5~7"))


def test_models_of_a_folder_or_a_zip_file_are_rendered_once(
    poses: PoseSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again when one of them has changed; other files that come and go are of no account."""
    monkeypatch.setenv("NOPAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    rendered: list[tuple[str, Path]] = []

    def render(models: Path, out: Path, options: RenderOptions, partial: Path) -> None:
        rendered.append((models.name, partial))
        poses.save(out)

    monkeypatch.setattr("nopal.stages.pose_data.render_file", render)
    model = tmp_path / "cad" / "thing" / "0.off"
    model.parent.mkdir(parents=True)
    model.write_text("OFF")
    shutil.make_archive("packed", "zip", "cad")
    for source in ("cad", str(tmp_path / "cad"), "packed.zip", "packed.zip"):
        assert find_poses(Path(source)).names == poses.names
    (tmp_path / "cad" / "thing" / "notes.txt").touch()
    find_poses(Path("cad"))
    assert [name for name, _ in rendered] == ["cad", "packed.zip"]
    model.write_text("OFF, changed")
    find_poses(Path("cad"))
    assert [name for name, _ in rendered] == ["cad", "packed.zip", "cad"]
    assert rendered[2] == rendered[0] != rendered[1]
    for wrong in ("none.zip", "cache"):
        with pytest.raises(NopalError, match=f"There is no (folder or zip file|model in) .*{wrong}"):
            find_poses(Path(wrong))


def test_of_models_in_a_folder_only_repaired_ones_are_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        find_backend()
    except NopalError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("NOPAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pose_data, "RenderOptions", functools.partial(RenderOptions, views=1))
    monkeypatch.setattr(pose_data, "render_file", functools.partial(pose_data.render_file, processes=1))
    whole = "OFF\n4 4 0\n0 0 0\n2 0 0\n0 3 0\n0 0 4\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
    models = [tmp_path / "cad" / "thing" / f"{number}.off" for number in range(3)]
    models[0].parent.mkdir(parents=True)
    for model, content in zip(models, (whole, "OFF", whole)):
        model.write_text(content)
    assert find_poses(tmp_path / "cad").names == ("thing/0", "thing/2")
    (partial,) = (tmp_path / "cache").glob("*.partial")
    assert f"stays in {partial}" in capsys.readouterr().out
    kept = [file.stat().st_mtime_ns for file in partial.iterdir()]
    assert len(kept) == 2
    models[1].write_text(whole)
    models[2].write_text("OFF")
    assert find_poses(tmp_path / "cad").names == ("thing/0", "thing/1")
    assert {file.stat().st_mtime_ns for file in partial.iterdir()} > set(kept)
    models[2].write_text(whole)
    poses = find_poses(tmp_path / "cad")
    assert (poses.names, poses.made["source"]) == (("thing/0", "thing/1", "thing/2"), "cad")
    assert not partial.exists()


def test_names_are_unique() -> None:
    assert len({recipe.name for recipe in ROWS}) == len(ROWS)


@pytest.mark.parametrize("recipe", ROWS, ids=lambda recipe: recipe.name)
def test_every_row_makes_a_learner(recipe) -> None:
    experiment = recipe.at("hour", seed=1)
    learner = experiment.learner
    assert from_plain(type(learner), to_plain(learner)) == learner
    built = jax.eval_shape(lambda: learner.build((128, 128, 1), experiment.tasks.target(), jax.random.key(0)))
    assert built.shape == (128, 128, 1)
    assert experiment.training.tasks_per_step == recipe.batches.get("hour", 10)


def test_only_the_committed_models_drawn_as_usual_are_those_of_the_recipes(poses: PoseSet) -> None:
    parts = pascal3d()
    count = len(parts)
    usual = RenderOptions()
    made = {"source": "a.zip", "views": usual.views, "seed": usual.seed, "options": dataclasses.asdict(SceneOptions())}
    images, zeros = np.zeros((count, 1, 2, 2), np.uint8), np.zeros((count, 1), np.float32)
    split = tuple("test" if part == "test" else "train" for part in parts.values())
    held_back = np.array([part == "validation" for part in parts.values()])
    ours = PoseSet(images, zeros, zeros, zeros, tuple(parts), split, held_back, made=made)
    assert own_of(ours) is None
    assert own_of(ours.of(np.arange(count)[::-1])) is None
    usual_part = [name for name, part in parts.items() if part == "train"]
    names = tuple(f"{usual_part[1]}~1" if name == usual_part[0] else name for name in ours.names)
    variants = dataclasses.replace(ours, names=names, made=made | {"variants": 1})
    for other in (
        poses,
        ours.of(np.arange(40)),
        ours.of(np.flatnonzero(np.array(split) == "train")),
        ours.of(np.array([i for i, part in enumerate(parts.values()) if i != list(parts.values()).index("test")])),
        dataclasses.replace(ours, validation=~held_back),
        dataclasses.replace(ours, names=("spoon/1", *ours.names[1:])),
        dataclasses.replace(ours, made=made | {"seed": 1}),
        dataclasses.replace(ours, made=made | {"options": made["options"] | {"centre": "published"}}),
        dataclasses.replace(ours, made={"pickles": ["train_data.pkl"]}),
        dataclasses.replace(variants, made=variants.made | {"strength": 0.3}),
    ):
        assert set(own_of(other)) >= {"digest"}
    for warp in ({}, {"warp": "symmetric"}):
        assert own_of(dataclasses.replace(variants, made=variants.made | {"strength": usual.strength} | warp)) is None
    assert own_of(poses)["digest"] == poses.digest() != poses.of(np.arange(len(poses))[::-1]).digest()
