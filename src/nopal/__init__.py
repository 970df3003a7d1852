"""Nopal learns to learn from few examples: without labels, and without memorising."""

from nopal import data, distributed, encoders, learners, nets, partitions, tasks
from nopal.errors import NopalError
from nopal.evaluation import Scores, evaluate
from nopal.meter import read_meter
from nopal.prediction import predict
from nopal.seeds import train_seeds
from nopal.stages.loading import load
from nopal.training import calibrate, train
from nopal.tuning import tune

__all__ = [
    "NopalError",
    "Scores",
    "calibrate",
    "data",
    "distributed",
    "encoders",
    "evaluate",
    "learners",
    "load",
    "nets",
    "partitions",
    "predict",
    "read_meter",
    "tasks",
    "train",
    "train_seeds",
    "tune",
]
