"""One paper, one file: everything that adapts to a support set and then predicts."""

from nopal.learners.cluster_matching import ClusterMatching
from nopal.learners.from_scratch import FromScratch
from nopal.learners.learner import Learner, MetaLearner
from nopal.learners.logistic import Logistic
from nopal.learners.maml import MAML
from nopal.learners.mlp_head import MLPHead, MLPStoppedOnQueries
from nopal.learners.nearest_neighbour import NearestNeighbour
from nopal.learners.protonet import ProtoNet

__all__ = [
    "MAML",
    "ClusterMatching",
    "FromScratch",
    "Learner",
    "Logistic",
    "MLPHead",
    "MLPStoppedOnQueries",
    "MetaLearner",
    "NearestNeighbour",
    "ProtoNet",
]
