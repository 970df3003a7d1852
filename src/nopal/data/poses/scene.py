"""The scene of Yin et al. (ICLR 2020): an object on a grey table under a lamp, seen from above at an angle.

Everything in it is as published, but for what cannot be seen: the two cylinders in their scene are transparent, and the
arm, the joints and the masses that gym's Pusher asks for move nothing.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, UInt8

from nopal.data.poses.meshes import Centre, Mesh, stand
from nopal.errors import NopalError

LUMA = np.array([0.299, 0.587, 0.114])


@dataclasses.dataclass(frozen=True)
class Camera:
    """Where the object is seen from. The defaults are those of the viewer of gym's Pusher, which looks at the median of
    all positions in the scene."""

    lookat: tuple[float, float, float] = (0.475, -0.025, -0.323)
    """the point in the middle of the image; the object stands at 0.5, 0, -0.324"""
    distance: float = 4.0
    """from that point"""
    azimuth: float = 90.0
    """degrees: 90 looks along y, 0 along x"""
    elevation: float = -45.0
    """degrees: -90 looks straight down"""


@dataclasses.dataclass(frozen=True)
class SceneOptions:
    """What an image looks like."""

    size: int = 128
    """pixels a side"""
    samples: int = 2
    """an image is drawn at so many times its size and averaged: 1 leaves jagged edges, 4 is very smooth"""
    shadows: int = 512
    """side of the shadow map in texels: fewer make coarser shadows and faster images, 0 makes none; MuJoCo's own
    default is 4096"""
    color: bool = False
    """three channels instead of grey"""
    centre: Centre = "true"
    """true: an object turns about the middle of its bounding box; published: about the origin of its file, so that
    it moves as well, as in the published data"""
    rotation: Literal["z", "all"] = "z"
    """z: on the table, by an angle; all: by any rotation, the lowest point on the table's height"""
    camera: Camera = Camera()

    def check(self) -> None:
        """Raises `NopalError` for numbers that make no image."""
        if not (self.size >= 1 and self.samples >= 1 and self.size * self.samples <= 4096):
            raise NopalError(
                f"The size is {self.size} and the samples are {self.samples}; expected at least 1 each and at most "
                "4096 multiplied."
            )
        if not 0 <= self.shadows <= 16384:
            raise NopalError(f"The side of the shadow map is {self.shadows}; expected 0 (no shadows) to 16384.")
        numbers = (*self.camera.lookat, self.camera.distance, self.camera.azimuth, self.camera.elevation)
        if not (np.isfinite(numbers).all() and self.camera.distance > 0):
            raise NopalError(f"The camera is {self.camera}; expected finite numbers and a distance above 0.")


class Stage:
    """A place where objects are drawn, one after another, with one OpenGL context.

    The variables of `opengl.environment(backend)` must have been set; a process has but one backend.
    """

    def __init__(self, options: SceneOptions, backend: str):
        options.check()
        named = backend in ("egl", "osmesa")  # or else MuJoCo's own choice
        library = importlib.import_module(f"mujoco.{backend}" if named else "mujoco.gl_context")
        side = options.size * options.samples
        self.options = options
        self._context = library.GLContext(side, side)

    def draw(
        self, mesh: Mesh, quaternions: Float[np.ndarray, "views 4"], name: str = ""
    ) -> UInt8[np.ndarray, "views h w *c"]:
        """An image of the object for each rotation (w, x, y, z; unit length). Raises `NopalError` where MuJoCo refuses
        the mesh."""
        import mujoco

        self._context.make_current()
        options = self.options
        mesh, place = stand(mesh, options.centre)
        try:
            model = describe(mesh, options).compile()
            data, scene = mujoco.MjData(model), mujoco.MjvScene(model, maxgeom=16)
            drawer = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        except (ValueError, RuntimeError, mujoco.FatalError) as error:  # the latter two where memory runs out
            reason = str(error).partition("\n")[0]
            raise NopalError(
                f"MuJoCo refuses the model {name} ({reason}); repair it, make it smaller or take it away."
            ) from None
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, drawer)
        scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = options.shadows > 0
        camera, seen = mujoco.MjvCamera(), mujoco.MjvOption()
        for field, value in dataclasses.asdict(options.camera).items():
            setattr(camera, field, value)
        side = options.size * options.samples
        frame, pixels = mujoco.MjrRect(0, 0, side, side), np.empty((side, side, 3), np.uint8)
        shape = (options.size, options.size, 3) if options.color else (options.size, options.size)
        images = np.empty((len(quaternions), *shape), np.uint8)
        lying = options.rotation == "all"
        try:
            for image, quaternion in zip(images, quaternions):
                data.mocap_quat[0] = quaternion
                data.mocap_pos[0] = _lifted(mesh, quaternion, place) if lying else place
                mujoco.mj_kinematics(model, data)
                mujoco.mj_camlight(model, data)
                mujoco.mjv_updateScene(model, data, seen, None, camera, mujoco.mjtCatBit.mjCAT_ALL, scene)
                mujoco.mjr_render(frame, scene, drawer)
                mujoco.mjr_readPixels(pixels, None, frame, drawer)
                image[:] = averaged(pixels, options.samples, options.color)[::-1]
        finally:
            drawer.free()
        return images

    def close(self) -> None:
        """Free the OpenGL context."""
        self._context.free()


def describe(mesh: Mesh, options: SceneOptions) -> Any:
    """MuJoCo's description of the scene, with the object on a body that can be put anywhere."""
    import mujoco

    spec = mujoco.MjSpec()
    spec.compiler.balanceinertia = True  # of a flat mesh rounding decides whether its inertia is possible
    side = options.size * options.samples
    spec.visual.global_.offwidth = spec.visual.global_.offheight = side
    spec.visual.quality.offsamples = 0  # averaging a larger image costs less, and smooths textures of light too
    spec.visual.quality.shadowsize = options.shadows or 1
    world = spec.worldbody
    world.add_light(pos=[0, 0, 5], dir=[0, 0, -1], diffuse=[0.5, 0.5, 0.5])
    world.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, pos=[0.5, 0.2, -0.4], size=[1, 1.6, 1], rgba=[0.5, 0.5, 0.5, 1])
    vertices = np.concatenate([mesh.vertices, mesh.vertices[-1:].repeat(max(0, 4 - len(mesh.vertices)), axis=0)])
    spec.add_mesh(
        name="object",
        uservert=vertices.ravel(),
        userface=mesh.faces.ravel(),
        inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,  # of any other kind a flat or an open mesh has none
    )
    world.add_body(mocap=True).add_geom(
        type=mujoco.mjtGeom.mjGEOM_MESH, meshname="object", rgba=[1, 1, 1, 1], contype=0, conaffinity=0
    )
    return spec


def _lifted(mesh: Mesh, quaternion: Float[np.ndarray, "4"], place: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """Where the origin has to be so that the middle of the box is where it was in x and y, and the lowest vertex on the
    height of `place`."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    middle = (low + high) / 2
    turn = rotation(quaternion)
    return np.array([*(place + middle - turn @ middle)[:2], place[2] + low[2] - (mesh.vertices @ turn[2]).min()])


def rotation(quaternion: Float[np.ndarray, "4"]) -> Float[np.ndarray, "3 3"]:
    """The matrix of a unit quaternion (w, x, y, z)."""
    w, x, y, z = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def averaged(
    pixels: UInt8[np.ndarray, "H W 3"], samples: int, color: bool
) -> UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w"]:
    """The means of blocks of samples x samples pixels, in colour or in grey (ITU-R 601)."""
    h, w = (side // samples for side in pixels.shape[:2])
    rows = np.add.reduce(pixels.reshape(h, samples, -1), axis=1, dtype=np.float32)
    if color:
        means = rows.reshape(h, w, samples, 3).sum(axis=2) / samples**2
    else:  # one product for channels and samples: a mean over two axes would cost more than the drawing
        means = rows.reshape(h, w, -1) @ np.tile(LUMA / samples**2, samples).astype(np.float32)
    return np.rint(means).astype(np.uint8)
