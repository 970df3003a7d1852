"""What learners on vectors share: rows of numbers, and the refusal of what is no classification task."""

from __future__ import annotations

from jaxtyping import Array, Float, Shaped

from nopal.data.images import as_float
from nopal.errors import NopalError
from nopal.tasks.episode import Examples
from nopal.tasks.target import Categorical


def as_rows(x: Shaped[Array, "m ..."]) -> Float[Array, "m d"]:
    """Vectors as they are, images as the numbers of their pixels."""
    return as_float(x).reshape(len(x), -1)


def need_classes(support: Examples | None, who: str) -> Examples:
    """The support set; raises `NopalError` where there is none, or none with classes."""
    if support is None:
        raise NopalError(f"{who} predicts nothing without a support set; give at least one example a class.")
    if not isinstance(support.target, Categorical):
        raise NopalError(f"{who} needs classes, but this task predicts {support.target}.")
    return support
