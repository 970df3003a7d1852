"""One paper, one file: everything that adapts to a support set and then predicts."""

from nopal.learners.learner import Learner, MetaLearner
from nopal.learners.maml import MAML
from nopal.learners.nearest_neighbour import NearestNeighbour
from nopal.learners.protonet import ProtoNet

__all__ = ["MAML", "Learner", "MetaLearner", "NearestNeighbour", "ProtoNet"]
