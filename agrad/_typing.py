"""The types that the layers share.

Arrays and namespaces of many libraries pass through agrad, and they have no common base class: these protocols name
the little that is asked of them. Nothing here imports anything of agrad.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, runtime_checkable

Array: TypeAlias = Any
"""An array of some backend (numpy.ndarray, cupy.ndarray, …), or a Tensor where a rule is itself recorded."""

Namespace: TypeAlias = Any
"""An array namespace in the sense of the standard: functions, dtypes and constants as attributes."""

DType: TypeAlias = Any
"""A dtype object of some backend."""

Shape: TypeAlias = tuple[int, ...]

Number: TypeAlias = bool | int | float | complex


@runtime_checkable
class Parameter(Protocol):
    """What `agrad.nn.Model` trains: a Tensor, a Scalar, or anything else that can do this."""

    value: Any

    @property
    def backwards_grad(self) -> Any:
        """The gradient that the last backward pass left."""

    def gradient_update(self, lr: float) -> None:
        """Take one step of gradient descent."""
