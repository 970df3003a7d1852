"""Where the poses of the recipes come from: a file, or CAD models that are rendered once."""

from __future__ import annotations

from nopal.data.download import cache_folder, data_folder
from nopal.data.poses.arrays import PoseSet, load_poses
from nopal.errors import NopalError

FILES = ("poses.npz", "train_data_ins.pkl", "train_data.pkl")
MODELS = "pascal3d_cad.zip"


def find_poses() -> PoseSet:
    """The poses of the data folder: those of a file, else of CAD models, which are rendered and kept in the cache
    folder. Raises `NopalError` where there is neither."""
    folder = data_folder()
    for name in FILES:
        if (folder / name).is_file():
            return load_poses(folder / name)
    models = folder / MODELS
    if not models.is_file():
        raise NopalError(
            f"There is neither {FILES[0]} nor {MODELS} in {folder}: render CAD models of your own by `nopal poses "
            f"render CAD_DIR {folder / FILES[0]}`, or put the PASCAL3D+ models there, a folder a class in one zip file."
        )
    stamp = models.stat()
    rendered = cache_folder() / f"poses-{stamp.st_size}-{stamp.st_mtime_ns}.npz"
    if not rendered.is_file():
        from nopal.commands.poses import render

        render(models, rendered)
    return load_poses(rendered)
