"""The incomplete gamma and beta functions, which probabilities are made of, and the inverse of the normal distribution.

As in `special`, a backend whose library has a function of the same name computes it by that; the code here serves all
others. It stops when nothing changes any more, and so looks at values now and then. Sections are those of the Digital
Library of Mathematical Functions (DLMF, https://dlmf.nist.gov). Derivatives with respect to parameters have no closed
form.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

from .._errors import GraphError
from .._graph import Primitive
from .._typing import Array, Namespace
from .special import _keep, _polynomial

_STEPS = 5000
"""After so many terms the last digits of what has not converged are not worth the wait."""


def _settled(xp: Namespace, k: int, change: Array, total: Array) -> bool:
    """Whether what the k-th step added is nothing, or NaN, everywhere; asked at each 8th, since a GPU has to answer."""
    return not k % 8 and not bool(xp.any(xp.abs(change) > xp.abs(total) * (2 * xp.finfo(total.dtype).eps)))


# The incomplete gamma function ---------------------------------------------------------------------------------------


def _density_gamma(xp: Namespace, a: Array, x: Array) -> Array:
    """x^(a - 1) exp(-x) / Γ(a), the derivative."""
    return xp.exp(xp.special.xlogy(a - 1, x) - x - xp.special.gammaln(a))


def _gamma_series(xp: Namespace, a: Array, x: Array) -> Array:
    """P(a, x) for x < a + 1: § 8.7.1."""
    term = xp.ones_like(x)
    total = term
    for k in range(1, _STEPS):
        term = term * x / (a + k)
        total = total + term
        if _settled(xp, k, term, total):
            break
    return total * _density_gamma(xp, a, x) * x / a


def _gamma_fraction(xp: Namespace, a: Array, x: Array) -> Array:
    """Q(a, x) for x >= a + 1: § 8.9.2, contracted to its even part, by the method of Lentz (§ 3.10)."""
    b = x + 1 - a
    d = 1 / b
    c = b + 1e30
    total = d
    for k in range(1, _STEPS):
        numerator = (a - k) * k
        b = b + 2
        d = 1 / (numerator * d + b)
        c = b + numerator / c
        before, total = total, total * d * c
        if _settled(xp, k, total - before, total):
            break
    return total * _density_gamma(xp, a, x) * x


def _gamma_parts(xp: Namespace, a: Array, x: Array) -> tuple[Array, Array]:
    """P(a, x) and Q(a, x), each computed where it is not the rest of the other one (§ 8.2.5)."""
    a, x = xp.broadcast_arrays(a, x)
    inside = (a > 0) & (x > 0) & xp.isfinite(x) & xp.isfinite(a)
    a_, x_ = _keep(xp, inside, a, 1.0), _keep(xp, inside, x, 1.0)
    left = x_ < a_ + 1
    below = _gamma_series(xp, a_, _keep(xp, left, x_, 0.5))
    above = _gamma_fraction(xp, _keep(xp, xp.logical_not(left), a_, 0.5), _keep(xp, xp.logical_not(left), x_, 2.0))
    p, q = xp.where(left, below, 1 - above), xp.where(left, 1 - below, above)
    zeros = xp.zeros_like(p)
    edge_p = xp.where((x == 0) | (a == float("inf")), zeros, zeros + 1)
    undefined = (a < 0) | (x < 0) | xp.isnan(a) | xp.isnan(x) | ((a == 0) & (x == 0)) | (xp.isinf(a) & xp.isinf(x))
    edge_p = _keep(xp, xp.logical_not(undefined), edge_p, float("nan"))
    return xp.where(inside, p, edge_p), xp.where(inside, q, 1 - edge_p)


# The incomplete beta function ----------------------------------------------------------------------------------------


def _beta_fraction(xp: Namespace, a: Array, b: Array, x: Array, rest: Array) -> Array:
    """I_x(a, b) for x < (a + 1) / (a + b + 2), `rest` being 1 - x: § 8.17.22, by the method of Lentz (§ 3.10)."""
    d = 1 / (1 - x * (a + b) / (a + 1))
    c = xp.ones_like(d)
    total = d
    for k in range(1, _STEPS):
        before = total
        for numerator in (
            x * (b - k) * k / ((a + (2 * k - 1)) * (a + 2 * k)),
            -(x * (a + k) * (a + b + k)) / ((a + 2 * k) * (a + (2 * k + 1))),
        ):
            d = 1 / (numerator * d + 1)
            c = numerator / c + 1
            total = total * d * c
        if _settled(xp, k, total - before, total):
            break
    return total * xp.exp(a * xp.log(x) + b * xp.log(rest) - xp.special.betaln(a, b)) / a


def _beta(xp: Namespace, a: Array, b: Array, x: Array, rest: Array) -> Array:
    """I_x(a, b), `rest` being 1 - x; beyond the border by § 8.17.4: I_x(a, b) = 1 - I_(1 - x)(b, a)."""
    inside = (a > 0) & (b > 0) & (x > 0) & (rest > 0) & xp.isfinite(a) & xp.isfinite(b)
    a_, b_ = _keep(xp, inside, a, 1.0), _keep(xp, inside, b, 1.0)
    x_, rest_ = _keep(xp, inside, x, 0.5), _keep(xp, inside, rest, 0.5)
    left = x_ < (a_ + 1) / (a_ + b_ + 2)
    pairs = ((a_, b_), (b_, a_), (x_, rest_), (rest_, x_))
    part = _beta_fraction(xp, *[xp.where(left, one, other) for one, other in pairs])
    zeros = xp.zeros_like(part)
    edge = _keep(xp, (a > 0) & (b > 0) & ((x == 0) | (rest == 0)), xp.where(x == 0, zeros, zeros + 1), float("nan"))
    return xp.where(inside, xp.where(left, part, 1 - part), edge)


def _betainc(xp: Namespace, arrays: tuple[Array, Array, Array]) -> Array:
    a, b, x = xp.broadcast_arrays(*arrays)
    return _beta(xp, a, b, x, 1 - x)


def _betainc_rule(xp: Namespace, g: Array, index: int, arrays: tuple[Array, Array, Array]) -> Array:
    if index < 2:
        return _no_derivative("betainc", "a and b")
    a, b, x = arrays
    return g * xp.exp(xp.special.xlogy(a - 1, x) + xp.special.xlog1py(b - 1, -x) - xp.special.betaln(a, b))


# Student's distribution ----------------------------------------------------------------------------------------------


def _stdtr(xp: Namespace, df: Array, t: Array) -> Array:
    """Half of I_x(df / 2, 1 / 2) at x = df / (df + t²) is the tail beyond |t|; of infinite df it is the normal one."""
    df, t = xp.broadcast_arrays(df, t)
    total = df + t * t
    some = xp.isfinite(total)
    total = _keep(xp, some, total, 1.0)
    x, rest = _keep(xp, some, df / total, 0.0), _keep(xp, some, t * t / total, 1.0)
    tail = _beta(xp, df / 2, df * 0 + 0.5, x, rest) / 2
    value = _keep(xp, xp.logical_not(xp.isnan(t)), xp.where(t < 0, tail, 1 - tail), float("nan"))
    return xp.where(df == float("inf"), xp.special.ndtr(t), value)


def _stdtr_t(xp: Namespace, g: Array, df: Array, t: Array) -> Array:
    return g * xp.exp(-(df + 1) / 2 * xp.log1p(t * t / df) - xp.special.betaln(df / 2, df * 0 + 0.5)) / xp.sqrt(df)


def _no_derivative(function: str, parameters: str) -> Any:
    raise GraphError(
        f"special.{function}: the derivative with respect to {parameters} has no closed form, and agrad has no rule "
        f"for it: hand over {parameters} detached, as in x.detach(), if they are to count as constants"
    )


# The normal distribution ---------------------------------------------------------------------------------------------

# Numerators and denominators of Wichura's approximations, highest power first.
_CENTRE = (
    (
        *(2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457),
        *(13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.3871328727963666080),
    ),
    (
        *(5226.4952788528545610, 28729.085735721942674, 39307.895800092710610, 21213.794301586595867),
        *(5394.1960214247511077, 687.18700749205790830, 42.313330701600911252, 1.0),
    ),
)
_TAIL = (
    (
        *(7.74545014278341407640e-4, 0.0227238449892691845833, 0.241780725177450611770, 1.27045825245236838258),
        *(3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734),
    ),
    (
        *(1.05075007164441684324e-9, 5.47593808499534494600e-4, 0.0151986665636164571966, 0.148103976427480074590),
        *(0.689767334985100004550, 1.67638483018380384940, 2.05319162663775882187, 1.0),
    ),
)
_FAR = (
    (
        *(2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.00124266094738807843860, 0.0265321895265761230930),
        *(0.296560571828504891230, 1.78482653991729133580, 5.46378491116411436990, 6.65790464350110377720),
    ),
    (
        *(2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4),
        *(0.0148753612908506148525, 0.136929880922735805310, 0.599832206555887937690, 1.0),
    ),
)


def _quantile(xp: Namespace, q: Array, tail: Array) -> Array:
    """The normal quantile of the probability q + 1/2, of which `tail` is the distance to 0 or 1, whichever is nearer.

    Wichura, "Algorithm AS 241: the percentage points of the normal distribution", 1988.
    """
    central = xp.abs(q) <= 0.425
    r = 0.180625 - q * q
    centre = q * _polynomial(r, _CENTRE[0]) / _polynomial(r, _CENTRE[1])
    r = xp.sqrt(-xp.log(_keep(xp, tail > 0, tail, 0.5)))
    far = r > 5
    near_r, far_r = _keep(xp, xp.logical_not(far), r, 5.0) - 1.6, _keep(xp, far, r, 5.0) - 5
    near_y = _polynomial(near_r, _TAIL[0]) / _polynomial(near_r, _TAIL[1])
    far_y = _polynomial(far_r, _FAR[0]) / _polynomial(far_r, _FAR[1])
    outer = xp.sign(q) * xp.where(far, far_y, near_y)
    infinite = xp.sign(q) * float("inf")
    y = xp.where(central, centre, xp.where(tail > 0, outer, infinite))
    return _keep(xp, tail >= 0, y, float("nan"))


def _ndtri(xp: Namespace, p: Array) -> Array:
    return _quantile(xp, p - 0.5, xp.minimum(p, 1 - p))


def _erfinv(xp: Namespace, x: Array) -> Array:
    return _quantile(xp, x / 2, (1 - xp.abs(x)) / 2) / sqrt(2)


gammainc = Primitive(
    "gammainc",
    lambda xp, a, x: _gamma_parts(xp, a, x)[0],
    a=lambda xp, g: _no_derivative("gammainc", "a"),
    x=lambda xp, g, a, x: g * _density_gamma(xp, a, x),
)
gammaincc = Primitive(
    "gammaincc",
    lambda xp, a, x: _gamma_parts(xp, a, x)[1],
    a=lambda xp, g: _no_derivative("gammaincc", "a"),
    x=lambda xp, g, a, x: -g * _density_gamma(xp, a, x),
)
betainc = Primitive("betainc", _betainc, variadic=True, arrays=_betainc_rule)
stdtr = Primitive("stdtr", _stdtr, df=lambda xp, g: _no_derivative("stdtr", "df"), t=_stdtr_t)
ndtri = Primitive("ndtri", _ndtri, x=lambda xp, g, y: g * (xp.exp(y * y / 2) * sqrt(2 * pi)))
erfinv = Primitive("erfinv", _erfinv, x=lambda xp, g, y: g * (xp.exp(y * y) * (sqrt(pi) / 2)))
