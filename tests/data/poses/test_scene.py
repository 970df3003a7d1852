"""The drawn object stands, lies and turns where a pinhole camera written down here sees it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from nopal.data.poses.meshes import Mesh
from nopal.data.poses.scene import Camera, SceneOptions, Stage, averaged, rotation
from nopal.errors import NopalError

SIZE = 96
ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)


@pytest.fixture(scope="module")
def draw(opengl: str) -> Iterator[object]:
    """Images of a mesh at some rotations (angles, or quaternions), in one place that is opened for each option."""
    stages: dict[SceneOptions, Stage] = {}

    def drawn(mesh: Mesh, turns: np.ndarray, **options: object) -> np.ndarray:
        chosen = SceneOptions(size=SIZE, **{"samples": 1, "shadows": 0} | options)
        stage = stages.get(chosen) or stages.setdefault(chosen, Stage(chosen, opengl))
        return stage.draw(mesh, turns if turns.ndim == 2 else about_z(turns), "thing")

    yield drawn
    for stage in stages.values():
        stage.close()


def turned_about_z(angles: np.ndarray) -> Rotation:
    return Rotation.from_rotvec(angles[:, None] * [0, 0, 1])


def about_z(angles: np.ndarray) -> np.ndarray:
    return turned_about_z(angles).as_quat(scalar_first=True)


def pinhole(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Columns and rows of points, seen with MuJoCo's field of view of 45 degrees."""
    azimuth, elevation = np.radians([camera.azimuth, camera.elevation])
    ahead = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    right = np.array([np.sin(azimuth), -np.cos(azimuth), 0])
    up = np.cross(right, ahead)
    seen = points - (np.array(camera.lookat) - camera.distance * ahead)
    focus = SIZE / 2 / np.tan(np.radians(45) / 2)
    return np.stack(
        [SIZE / 2 + focus * (seen @ right) / (seen @ ahead), SIZE / 2 - focus * (seen @ up) / (seen @ ahead)], axis=-1
    )


def silhouette(points: np.ndarray, camera: Camera) -> np.ndarray:
    """The pixels in which two boxes of eight corners each are seen."""
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    middles = np.stack([columns.ravel(), rows.ravel()], axis=1)
    mask = np.zeros(SIZE * SIZE, bool)
    for box in np.split(pinhole(points, camera), 2):
        mask |= Outline(box[ConvexHull(box).vertices]).contains_points(middles)
    return mask.reshape(SIZE, SIZE)


def agreement(images: np.ndarray, masks: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """For each view the pixels that both the image and the mask show the object in, as a share of those where one does;
    `empty` is the scene without it."""
    shown = images != empty
    return (shown & masks).sum(axis=(1, 2)) / (shown | masks).sum(axis=(1, 2))


@pytest.fixture
def empty(draw, crumbs: Mesh, camera: Camera) -> np.ndarray:
    """The table alone: what most views of two crumbs show in each pixel."""
    return np.median(draw(crumbs, ANGLES, camera=camera), axis=0)


@pytest.mark.parametrize("centre", ["true", "published"])
@pytest.mark.parametrize("camera", [Camera(), Camera((0.4, 0.1, -0.2), 5.0, 130.0, -60.0)])
def test_an_object_is_seen_where_a_pinhole_camera_sees_it(
    draw, empty: np.ndarray, marked: Mesh, centre: str, camera: Camera
) -> None:
    images = draw(marked, ANGLES, centre=centre, camera=camera)
    scale = 1.2 / 6  # the longest side is from -2 to 4
    middle = scale * np.array([1, 0.3, 5])  # of the bottom of the bounding box
    masks = []
    for turn in turned_about_z(ANGLES):
        turned = turn.apply(scale * marked.vertices - (middle if centre == "true" else 0))
        stands = np.add(turned, [0.5, 0, -0.324]) - (0 if centre == "true" else middle)
        masks.append(silhouette(stands, camera))
    assert agreement(images, np.array(masks), empty).min() > 0.9
    assert agreement(images, np.roll(masks, 1, axis=0), empty).max() < 0.8  # 15 degrees more are no match


@pytest.mark.parametrize("camera", [Camera()])
def test_any_rotation_keeps_the_lowest_point_on_the_table(
    draw, empty: np.ndarray, marked: Mesh, camera: Camera
) -> None:
    turns = Rotation.random(24, rng=1)
    images = draw(marked, turns.as_quat(scalar_first=True), rotation="all")
    masks = []
    for turn in turns:
        turned = turn.apply(0.2 * (marked.vertices - [1, 0.3, 5.75]))
        masks.append(silhouette(np.add(turned, [0.5, 0, -0.324 - turned[:, 2].min()]), camera))
    agreed = agreement(images, np.array(masks), empty)
    assert np.median(agreed) > 0.99
    assert (agreed > 0.9).sum() > 21  # a side can be as bright as the table behind it


def test_rotations_are_those_of_scipy() -> None:
    turns = Rotation.random(5, rng=0)
    for turn in turns:
        np.testing.assert_allclose(rotation(turn.as_quat(scalar_first=True)), turn.as_matrix(), atol=1e-12)


def test_the_same_rotation_gives_the_same_image(draw, marked: Mesh) -> None:
    first, second = draw(marked, ANGLES[[3, 3]], shadows=128)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, draw(marked, ANGLES[[3]], shadows=128)[0])


def test_shadows_darken_the_table_and_nothing_else(draw, marked: Mesh) -> None:
    lit, shaded = (draw(marked, ANGLES[[2]], shadows=side)[0].astype(int) for side in (0, 512))
    assert (lit - shaded).max() > 20
    assert (lit - shaded).min() > -3
    assert 0.002 < (lit - shaded > 5).mean() < 0.1


def test_samples_smooth_edges_without_moving_anything(draw, marked: Mesh) -> None:
    coarse, fine = (draw(marked, ANGLES[[5]], samples=samples)[0].astype(float) for samples in (1, 4))
    assert len(np.unique(fine)) > len(np.unique(coarse))
    assert abs(fine.mean() - coarse.mean()) < 1
    edges = np.abs(np.diff(coarse, axis=0)).max(initial=0)
    assert (np.abs(fine - coarse) > edges / 2).mean() < 0.01


def test_colours_are_three_channels_that_average_to_the_grey_ones(draw, marked: Mesh) -> None:
    grey, color = (draw(marked, ANGLES[[1]], color=color)[0] for color in (False, True))
    assert color.shape == (SIZE, SIZE, 3)
    np.testing.assert_array_equal(np.rint(color @ [0.299, 0.587, 0.114]), grey)


@pytest.mark.parametrize(
    "mesh",
    [
        Mesh(np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.0]]), np.array([[0, 1, 2], [0, 2, 3]])),
        Mesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]]), np.array([[0, 1, 2]])),
    ],
    ids=["a square", "a triangle"],
)
def test_meshes_without_volume_are_drawn(draw, mesh: Mesh) -> None:
    images = draw(mesh, ANGLES[:12]).astype(float)
    assert (np.abs(images - np.median(images, axis=0)).max(axis=(1, 2)) > 20).all()


def grid(side: int) -> Mesh:
    """A wavy sheet of so many vertices a side."""
    x, y = (axis.ravel() for axis in np.meshgrid(*2 * [np.linspace(0, 1, side)]))
    at = np.arange(side * side).reshape(side, side)
    a, b, c, d = (corner.ravel() for corner in (at[:-1, :-1], at[1:, :-1], at[:-1, 1:], at[1:, 1:]))
    return Mesh(
        np.stack([x, y, 0.1 * np.sin(9 * x * y)], 1), np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
    )


def test_meshes_are_drawn_that_are_no_surfaces_or_are_huge(draw) -> None:
    """Three triangles at one edge, of which one is there twice, the other way round, and one meets the rest in a point
    alone; and a sheet of 100,000 triangles."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [0.5, 1, 0], [0.5, -1, 0.3], [0.5, 0, 1], [2, 1, 0], [2, 0, 1.0]])
    fans = Mesh(corners, np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4], [1, 0, 4], [1, 5, 6]]))
    for mesh in (fans, grid(225)):
        images = draw(mesh, ANGLES[:12]).astype(float)
        assert (np.abs(images - np.median(images, axis=0)).max(axis=(1, 2)) > 5).all()


def test_rounding_does_not_decide_whether_a_flat_mesh_is_drawn(draw) -> None:
    """In some directions the greatest moment of inertia is by a rounding error more than the sum of the others."""
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 2, 0.0]])
    for turn in Rotation.random(60, rng=0):
        assert len(draw(Mesh(turn.apply(square), np.array([[0, 1, 2], [0, 2, 3]])), ANGLES[:1])) == 1


@pytest.mark.parametrize("part", ["MjSpec", "MjData", "MjvScene", "MjrContext"])
def test_too_little_memory_for_a_model_is_told_by_name(
    draw, marked: Mesh, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MuJoCo has an error of its own for that, and raises `RuntimeError` where it compiles."""
    import mujoco

    error = RuntimeError("Caught an unknown exception!") if part == "MjSpec" else mujoco.FatalError("out of memory")

    def fail(*_: object, **__: object) -> None:
        raise error

    draw(marked, ANGLES[:1])
    with monkeypatch.context() as patch:
        patch.setattr(mujoco, part, fail)
        with pytest.raises(NopalError, match=f"refuses the model thing \\({error}\\)"):
            draw(marked, ANGLES[:1])
    draw(marked, ANGLES[:1])


def test_what_mujoco_refuses_is_told_by_name(draw) -> None:
    line = Mesh(np.array([[0, 0, 0], [1, 0, 0], [2, 0, 1e-30]]), np.array([[0, 1, 2]]))
    with pytest.raises(NopalError, match="MuJoCo refuses the model thing"):
        draw(line, ANGLES[:1])


def test_blocks_of_pixels_are_averaged() -> None:
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[0, 0], pixels[:, 2:] = (200, 100, 40), (9, 9, 9)
    np.testing.assert_array_equal(averaged(pixels, 2, color=True), [[[50, 25, 10], [9, 9, 9]]])
    np.testing.assert_array_equal(averaged(pixels, 2, color=False), [[round(0.299 * 50 + 0.587 * 25 + 1.14), 9]])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 0}, "at least 1 each"),
        ({"size": 4096, "samples": 2}, "at most 4096"),
        ({"shadows": -1}, "shadow map is -1"),
        ({"camera": Camera(distance=0.0)}, "distance above 0"),
        ({"camera": Camera(azimuth=float("nan"))}, "finite"),
    ],
)
def test_options_that_make_no_image_are_refused(options: dict, said: str) -> None:
    with pytest.raises(NopalError, match=said):
        SceneOptions(**options).check()
