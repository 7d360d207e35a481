"""Automatic differentiation with single numbers: the teaching twin of `agrad.Tensor`, in pure Python.

A `Scalar` is a node of a computational graph that can be followed step by step; `functional` has the functions to
apply to it, `losses` the losses to train with. Nothing here needs an array library.

>>> from agrad.scalar import Scalar, sigmoid
>>> x, w = Scalar(2), Scalar(0.5)
>>> loss = (sigmoid(w * x) - 1) ** 2
>>> loss.backward()
>>> w.gradient_update(lr=0.1)
>>> w
Scalar(0.5211508371137067)
"""

from . import functional, losses
from .core import Edge, Scalar
from .functional import cos, exp, log, relu, sigmoid, sin, tanh
from .losses import binary_cross_entropy, mean_squared_error

__all__ = [
    "Edge",
    "Scalar",
    "binary_cross_entropy",
    "cos",
    "exp",
    "functional",
    "log",
    "losses",
    "mean_squared_error",
    "relu",
    "sigmoid",
    "sin",
    "tanh",
]
