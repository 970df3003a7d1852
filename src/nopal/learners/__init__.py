"""One paper, one file: everything that adapts to a support set and then predicts."""

from nopal.learners.angular_ridge import AngularRidge
from nopal.learners.attentive_neural_process import AttentiveNeuralProcess
from nopal.learners.bayes_by_backprop import BayesByBackprop
from nopal.learners.closed_form import ClosedFormLearner
from nopal.learners.cluster_matching import ClusterMatching
from nopal.learners.conditional_neural_process import ConditionalNeuralProcess
from nopal.learners.cross_validated import CrossValidated
from nopal.learners.fine_tuning import FineTuning
from nopal.learners.from_scratch import FromScratch
from nopal.learners.learner import CoupledLearner, Learner, MetaLearner, NormalisingLearner, WrappingLearner
from nopal.learners.logistic import Logistic
from nopal.learners.maml import MAML
from nopal.learners.meta_regularisation import MetaRegularised
from nopal.learners.mirrored import Mirrored
from nopal.learners.mlp_head import MLPHead, MLPStoppedOnQueries
from nopal.learners.nearest_neighbour import NearestNeighbour
from nopal.learners.neural_process import NeuralProcess
from nopal.learners.protonet import ProtoNet
from nopal.learners.ridge import Ridge
from nopal.learners.taml import TAML

__all__ = [
    "MAML",
    "TAML",
    "AngularRidge",
    "AttentiveNeuralProcess",
    "BayesByBackprop",
    "ClosedFormLearner",
    "ClusterMatching",
    "ConditionalNeuralProcess",
    "CoupledLearner",
    "CrossValidated",
    "FineTuning",
    "FromScratch",
    "Learner",
    "Logistic",
    "MLPHead",
    "MLPStoppedOnQueries",
    "MetaLearner",
    "MetaRegularised",
    "Mirrored",
    "NearestNeighbour",
    "NeuralProcess",
    "NormalisingLearner",
    "ProtoNet",
    "Ridge",
    "WrappingLearner",
]
