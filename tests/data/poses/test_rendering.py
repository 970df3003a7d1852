"""Several processes draw; what they have drawn stays, and is the same however it came about."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nopal.data.poses import PoseSet, SceneOptions, load_poses
from nopal.data.poses import opengl as opengl_module
from nopal.data.poses.collecting import Outcome, RenderOptions, render_poses
from nopal.data.poses.opengl import find_backend
from nopal.data.poses.rendering import Rendered, draw_rotations, load_rendered
from nopal.data.poses.split import divide, shuffled
from nopal.errors import NopalError

TINY = SceneOptions(size=16, samples=1, shadows=64)


def render(
    cad: Path, out: Path, processes: int = 1, watch: Callable = lambda total, rendered: None, **options: Any
) -> Outcome:
    return render_poses(cad, out, RenderOptions(**{"views": 5} | options), TINY, processes=processes, watch=watch)


@pytest.fixture(scope="module")
def whole(opengl: str, cad: Path, tmp_path_factory: pytest.TempPathFactory) -> PoseSet:
    """All models, drawn by one process without interruption."""
    out = tmp_path_factory.mktemp("whole") / "poses.npz"
    outcome = render(cad, out)
    assert outcome.problems == outcome.empty == ()
    assert [path.name for path in out.parent.iterdir()] == ["poses.npz"]
    return load_poses(out)


def test_the_file_holds_what_was_asked_for(whole: PoseSet) -> None:
    assert whole.names == ("hat/a", "mug/a", "mug/b", "shoe/c")
    assert whole.images.shape == (4, 5, 16, 16)
    assert sorted(whole.split) == ["test", "train", "train", "train"]
    assert (whole.x == 0.5).all()
    assert (whole.y == 0).all()
    assert whole.made["options"]["size"] == 16
    for name, angles in zip(whole.names, whole.angles):
        np.testing.assert_array_equal(angles, draw_rotations(name, 5, seed=0)[0])
    assert len(np.unique(whole.images.reshape(20, -1), axis=0)) > 15  # views differ


def test_an_interrupted_run_goes_on_with_other_processes_and_the_same_images(
    whole: PoseSet, cad: Path, tmp_path: Path
) -> None:
    """Stopped after two models, of which one file is then damaged."""
    out, seen = tmp_path / "poses.npz", []

    def stop(total: int, rendered: Rendered | None) -> None:
        seen.append(rendered)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(cad, out, watch=stop)
    assert seen[0] is None
    files = sorted((tmp_path / "poses.npz.partial").iterdir())
    assert {load_rendered(file)["images"].shape for file in files} == {(5, 16, 16)}
    assert len(files) >= 2
    assert not out.exists()
    seen[1].file.write_bytes(b"the power went")
    again: list[Rendered] = []
    render(cad, out, processes=2, watch=lambda total, rendered: again.append(rendered))
    kept = [rendered.name for rendered in again if rendered and rendered.kept]
    assert seen[2].name in kept
    assert seen[1].name not in kept
    resumed = load_poses(out)
    np.testing.assert_array_equal(resumed.images, whole.images)
    np.testing.assert_array_equal(resumed.angles, whole.angles)


def test_bad_models_are_told_and_the_others_stay(
    whole: PoseSet, cad: Path, off: Callable, crumbs: object, tmp_path: Path
) -> None:
    """A damaged and an empty file and a folder without models; then one is repaired, and it alone is drawn."""
    root, out = shutil.copytree(cad, tmp_path / "cad"), tmp_path / "poses.npz"
    (root / "hat/b.stl").write_bytes(b"solid but cut")
    (root / "hat/c.off").touch()
    (root / "cup").mkdir()
    outcome = render(root, out)
    assert [problem.split(" ")[2] for problem in outcome.problems] == ["hat/b", "hat/c"]
    assert all(problem.endswith("; repair it or take it away.") for problem in outcome.problems)
    assert outcome.empty == ("cup",)
    np.testing.assert_array_equal(load_poses(out).images, whole.images)
    (root / "hat/b.stl").unlink()
    (root / "hat/c.off").write_bytes(off(crumbs))
    again: list[Rendered] = []
    outcome = render(root, out, watch=lambda total, rendered: again.append(rendered))
    assert [rendered.name for rendered in again if rendered and not rendered.kept] == ["hat/c"]
    assert outcome.poses.names == ("hat/a", "hat/c", "mug/a", "mug/b", "shoe/c")
    np.testing.assert_array_equal(outcome.poses.part("train").images.shape[1:], (5, 16, 16))
    (tmp_path / "bad/a").mkdir(parents=True)
    for number in range(22):
        (tmp_path / f"bad/a/{number:02}.off").touch()
    with pytest.raises(
        NopalError, match=r"None of the 22 models in .* can be rendered\. .*a/00.*a/19.*\. And 2 more\."
    ):
        render(tmp_path / "bad", tmp_path / "bad.npz")


def test_a_name_that_is_not_unicode_is_a_problem_of_that_model(whole: PoseSet, cad: Path, tmp_path: Path) -> None:
    root, out = shutil.copytree(cad, tmp_path / "cad"), tmp_path / "poses.npz"
    try:
        for name in (b"h\xfct", b"mug/\xe4", b"cup\xff"):
            path = root / os.fsdecode(name)
            path.mkdir() if b"/" not in name else shutil.copy(root / "mug/b.off", path.with_suffix(".off"))
        shutil.copy(root / "hat/a.off", root / os.fsdecode(b"h\xfct/a.off"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    outcome = render(root, out, processes=2)
    assert outcome.problems == tuple(
        f"The model {name} has a name that is not UTF-8; rename its file and folder."
        for name in (r"h\udcfct/a", r"mug/\udce4")
    )
    assert outcome.empty == (r"cup\udcff",)
    np.testing.assert_array_equal(load_poses(out).images, whole.images)


def test_a_broken_model_does_not_move_others_to_another_part(
    opengl: str, tmp_path: Path, off: Callable, crumbs: object
) -> None:
    root = tmp_path / "cad" / "thing"
    root.mkdir(parents=True)
    for number in range(8):
        (root / f"{number}.off").write_bytes(off(crumbs))
    parts = divide([f"thing/{number}" for number in range(8)])
    expected = dict(zip((f"thing/{number}" for number in range(8)), zip(*parts)))
    for broken in ({1, 4}, {0, 7}, set()):
        for number in range(8):
            (root / f"{number}.off").write_bytes(b"" if number in broken else off(crumbs))
        poses = render(tmp_path / "cad", tmp_path / "poses.npz", views=1).poses
        assert len(poses) == 8 - len(broken)
        assert dict(zip(poses.names, zip(poses.split, poses.validation))).items() <= expected.items()


def test_variants_of_models_for_training_are_other_shapes_from_other_angles(
    whole: PoseSet, cad: Path, off: Callable, tmp_path: Path
) -> None:
    """A broken model is told once; where the first objects are drawn already, they are not drawn again."""
    root, out = shutil.copytree(cad, tmp_path / "cad"), tmp_path / "poses.npz"
    (root / "hat/b.stl").write_bytes(b"solid but cut")
    totals: list[int] = []
    outcome = render(root, out, variants=2, watch=lambda total, rendered: totals.append(total))
    parts = shuffled((*whole.names, "hat/b"))
    train = [name for name in whole.names if parts[name] == "train"]
    assert len(train) == 2
    assert len(outcome.problems) == 1
    assert sorted(set(totals)) == [5, 9]
    assert len(totals) == 11
    poses = load_poses(out)
    assert poses.names[:4] == whole.names
    assert poses.names[4:] == tuple(f"{name}~{number}" for name in train for number in (1, 2))
    assert poses.part("fitting").names == (*train, *poses.names[4:])
    np.testing.assert_array_equal(poses.images[:4], whole.images)
    np.testing.assert_array_equal(poses.angles[5], draw_rotations(f"{train[0]}~2", 5, 0)[0])
    assert poses.made["variants"] == 2
    again: list[Rendered] = []
    stronger = render(root, out, variants=2, strength=0.4, watch=lambda _, rendered: again.append(rendered)).poses
    assert [rendered.name for rendered in again if rendered and rendered.kept] == list(whole.names)
    symmetric = render(root, out, variants=2, warp="symmetric").poses
    assert (poses.warp, symmetric.warp, symmetric.made["warp"]) == ("free", "symmetric", "symmetric")
    for other in (stronger, symmetric):
        np.testing.assert_array_equal(other.angles, poses.angles)
        assert (other.images[4:] != poses.images[4:]).any(axis=(2, 3)).any(axis=1).all()


def test_a_model_named_like_a_variant_is_refused_before_any_variant_is_drawn(
    opengl: str, cad: Path, tmp_path: Path
) -> None:
    root, out = shutil.copytree(cad, tmp_path / "cad"), tmp_path / "poses.npz"
    for model in list(root.rglob("*.off")):
        shutil.copy(model, model.with_stem(f"{model.stem}~1"))
    with pytest.raises(NopalError, match=r"~1 in .*cad is named like a variant; rename it"):
        render(root, out, variants=1)
    assert not out.exists()
    assert len(render(root, out).poses) == 8


def test_what_cannot_be_written_stops_the_run(opengl: str, cad: Path, tmp_path: Path) -> None:
    (tmp_path / "poses.npz.partial").write_text("a file where a folder is needed")
    with pytest.raises(NopalError, match=r"cannot be written \(.*\)"):
        render(cad, tmp_path / "poses.npz")
    assert not (tmp_path / "poses.npz").exists()


def test_on_a_full_disk_what_was_rendered_stays(
    whole: PoseSet, cad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full for the second object, and later for the file of all."""
    save, out = np.savez, tmp_path / "poses.npz"

    def full(at: int) -> Callable:
        files = []

        def savez(file: Any, **arrays: Any) -> None:
            files.append(file)
            if len(files) == at:
                raise OSError(errno.ENOSPC, "No space left on device")
            save(file, **arrays)

        return savez

    for at in (2, 4):
        monkeypatch.setattr("nopal.archive.np.savez", full(at))
        with pytest.raises(
            NopalError,
            match=r"No space left on device\); make room there, or .* stays in .*\.partial: the same command",
        ):
            render(cad, out)
        assert not out.exists()
    monkeypatch.undo()
    again: list[Rendered] = []
    render(cad, out, watch=lambda total, rendered: again.append(rendered))
    assert all(rendered.kept for rendered in again if rendered)
    np.testing.assert_array_equal(load_poses(out).images, whole.images)


def test_what_another_put_beside_the_objects_stays(opengl: str, cad: Path, tmp_path: Path) -> None:
    partial = tmp_path / "poses.npz.partial"
    partial.mkdir()
    (partial / "notes.txt").write_text("mine")
    (partial / f"{'0' * 32}.npz").write_bytes(b"an object of other options")
    render(cad, tmp_path / "poses.npz", views=1)
    assert [path.name for path in partial.iterdir()] == ["notes.txt"]


def test_more_images_than_fit_into_the_memory_are_refused(cad: Path, tmp_path: Path) -> None:
    with pytest.raises(NopalError, match=r"1,000,000,000 views of up to 4 objects take 954 GiB, and this machine has"):
        render(cad, tmp_path / "poses.npz", views=10**9)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rotation", ["z", "all"])
def test_rotations_depend_on_seed_and_name_alone(rotation: str) -> None:
    angles, quaternions = draw_rotations("car/01", 4000, 7, rotation)
    np.testing.assert_array_equal(angles[:50], draw_rotations("car/01", 4000, 7, rotation)[0][:50])
    assert (angles != draw_rotations("car/01", 4000, 8, rotation)[0]).any()
    assert (angles != draw_rotations("car/02", 4000, 7, rotation)[0]).any()
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1)
    assert angles.dtype == np.float32
    assert 0 <= angles.min() < 0.01
    assert 2 * np.pi - 0.01 < angles.max() < 2 * np.pi
    np.testing.assert_allclose(np.histogram(angles, 8, (0, 2 * np.pi))[0], 500, atol=90)  # four deviations
    if rotation == "z":
        np.testing.assert_allclose(quaternions[:, 0], np.cos(angles / 2), atol=1e-6)
        np.testing.assert_allclose(quaternions[:, 3], np.sin(angles / 2), atol=1e-6)
    else:  # for uniform rotations every component has the mean square 1/4
        np.testing.assert_allclose((quaternions**2).mean(axis=0), 0.25, atol=0.02)


def test_missing_opengl_is_told_with_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opengl_module, "_TRIAL", "raise ImportError('no library of that name')")
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    find_backend.cache_clear()
    with pytest.raises(NopalError, match=r"egl: ImportError: no library.*osmesa: ImportError.*install libosmesa6"):
        find_backend()
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    with pytest.raises(NopalError, match=r"MUJOCO_GL names \(glfw: ImportError: no library.*; unset it"):
        find_backend()
    monkeypatch.setattr(opengl_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NopalError, match=r"takes mujoco, which is not installed: pip install 'nopal\[poses\]'"):
        find_backend()


@pytest.mark.parametrize(
    "bad", [{"processes": -1}, {"views": 0}, {"seed": -1}, {"variants": -1}, {"strength": 0.5}, {"strength": np.nan}]
)
def test_counts_that_make_no_sense_are_refused(bad: dict[str, Any], cad: Path, tmp_path: Path) -> None:
    with pytest.raises(NopalError, match=r"expected (at least 1|a number above 0 and below 0\.5)"):
        render(cad, tmp_path / "poses.npz", **bad)
