"""Networks: `Model`, a function with parameters."""

from ._model import Model

__all__ = ["Model"]
