"""Poses of objects (Yin et al., ICLR 2020): CAD models in, images with the angle they are seen from out."""

from nopal.data.poses.arrays import PoseSet, load_poses
from nopal.data.poses.scene import Camera, SceneOptions

__all__ = ["Camera", "PoseSet", "SceneOptions", "load_poses"]
