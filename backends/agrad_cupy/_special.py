"""CuPyX's special functions on CuPy's arrays. It is imported when the first one is used."""

from __future__ import annotations

from collections.abc import Callable

from agrad._typing import Array

_NAMES = (
    "erf",
    "erfc",
    "erfcx",
    "ndtr",
    "log_ndtr",
    "gammaln",
    "digamma",
    "xlogy",
    "entr",
    "i0",
    "i1",
)
"""What CuPyX computes well. Of the others its i0e and i1e overflow, its logit and rel_entr lose digits around their
zeros, its betaln where an argument is large, its betainc, fdtr and fdtrc where parameters are, and its xlog1py(0, NaN)
is 0. Its incomplete gamma functions are no more precise than ours."""


def special(name: str) -> Callable[..., Array] | None:
    """CuPyX's function for the primitive `name`; None where this CuPy has none."""
    if name not in _NAMES:
        return None
    import cupyx.scipy.special

    function: Callable[..., Array] | None = getattr(cupyx.scipy.special, name, None)
    return function
