"""agrad.special: values against SciPy's and against exact ones, the tails, the corners, and how libraries find it.

On NumPy the functions compute by SciPy. `plain` asks for the code of the rule book, which computes on every device
whose library has no special functions.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import agrad as ag
import agrad_numpy._special
from agrad import DeviceError, DTypeError, GraphError, Tensor, special
from agrad.backend import Functions, find_device
from agrad.testing import check_gradients

scipy_special = pytest.importorskip("scipy.special")

INF, NAN = math.inf, math.nan
ONE = (
    *("erf", "erfc", "erfcx", "ndtr", "log_ndtr", "gammaln", "digamma", "logit", "entr"),
    *("i0", "i1", "i0e", "i1e"),
)
TWO = ("xlogy", "xlog1py", "rel_entr", "betaln")
ORDERED = ("polygamma", "iv", "ive")


def doubles(data: Any, device: str) -> Tensor:
    return Tensor(np.array(data, dtype="float64"), device=device)


def plain(name: str, device: str = "cpu") -> Callable[..., Any]:
    """The forward function of the rule book on raw arrays."""
    primitive = Functions.primitives[name]
    where = find_device(device)
    return where.entering(lambda *arguments: primitive.forward(where.xp, *arguments))


def slopes(f: Callable[..., Tensor], *xs: Tensor) -> list[Any]:
    with np.errstate(all="ignore"):
        y, pullback = ag.vjp(f, *xs)
        return [g.numpy() for g in pullback(ag.ones_like(y))]


EVERYWHERE = np.concatenate([np.linspace(-9, 9, 500), np.geomspace(1e-300, 25, 100), -np.geomspace(1e-300, 25, 100)])
RIGHT = np.concatenate([np.linspace(0.01, 30, 600), np.geomspace(1e-300, 1e300, 200)])
LEFT = -np.random.default_rng(5).uniform(0, 30, 200)
POINTS = {
    "erf": EVERYWHERE,
    "erfc": EVERYWHERE,
    "erfcx": np.concatenate([EVERYWHERE, np.geomspace(1, 1e300, 100)]),
    "ndtr": np.concatenate([EVERYWHERE, np.linspace(-37, -9, 50)]),
    "log_ndtr": np.concatenate([EVERYWHERE, -np.geomspace(1, 1e150, 100), np.linspace(9, 37, 50)]),
    "gammaln": np.concatenate([RIGHT, LEFT]),
    "digamma": np.concatenate([RIGHT, LEFT]),
    "logit": np.concatenate([np.linspace(0.001, 0.999, 501), np.geomspace(1e-300, 0.1, 50)]),
    "entr": RIGHT,
    **dict.fromkeys(("i0", "i1"), np.linspace(-700, 700, 1401)),
    **dict.fromkeys(("i0e", "i1e"), np.concatenate([np.linspace(-100, 100, 401), np.geomspace(100, 1e300, 50)])),
}
# Where a function crosses 0, what is left has as many digits as the numbers that cancel there.
ABSOLUTE = {"gammaln": 1e-14, "digamma": 1e-14, "rel_entr": 1e-16, "betaln": 1e-12}


@pytest.mark.parametrize("name", ONE)
def test_values(name: str, device: str) -> None:
    """Far in the tails SciPy's functions of erfc lose a few digits, so the tests below look there for themselves."""
    expected = getattr(scipy_special, name)(POINTS[name])
    found = plain(name, device)(doubles(POINTS[name], device).value)
    np.testing.assert_allclose(Tensor(found).numpy(), expected, rtol=3e-13, atol=ABSOLUTE.get(name, 0))
    np.testing.assert_allclose(
        getattr(special, name)(doubles(POINTS[name], device)).numpy(), expected, rtol=3e-13, atol=ABSOLUTE.get(name, 0)
    )


@pytest.mark.parametrize("name", TWO)
def test_values_of_two(name: str, device: str) -> None:
    rng = np.random.default_rng(7)
    x, y = np.exp(rng.normal(size=(2, 500)) * 3)
    y[:50] = x[:50] * (1 + 1e-7 * y[:50])
    expected = getattr(scipy_special, name)(x, y)
    found = plain(name, device)(doubles(x, device).value, doubles(y, device).value)
    np.testing.assert_allclose(Tensor(found).numpy(), expected, rtol=2e-13, atol=ABSOLUTE.get(name, 0))


def test_betaln_of_large_numbers(device: str) -> None:
    """Where the gamma functions' logarithms cancel all but nothing of each other; the values are those of mpmath."""
    a = [1e12, 440623.6427773573, 1e5, 3.0, -0.8008116879742495]
    b = [1.0, 0.10089007484703671, 1e5, 2e9, 556881399094.5267]
    expected = [-27.631021115928548, 0.93231277607917955, -138633.92706134806, -63.556091873459124, 23.408942107607446]
    found = plain("betaln", device)(doubles(a, device).value, doubles(b, device).value)
    np.testing.assert_allclose(Tensor(found).numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
def test_values_of_an_order(n: int, device: str) -> None:
    x = np.concatenate([np.linspace(0.1, 60, 300), LEFT[:50]])
    found = special.polygamma(n, doubles(x, device)).numpy()
    np.testing.assert_allclose(found, scipy_special.polygamma(n, x), rtol=1e-11, atol=1e-13)
    x = np.linspace(-120, 120, 401)
    for name in ("iv", "ive"):
        found = getattr(special, name)(n, doubles(x, device)).numpy()
        np.testing.assert_allclose(found, getattr(scipy_special, name)(n, x), rtol=2e-13)


def positive_pairs(n: int) -> tuple[Any, Any]:
    """Parameters, small and large, and points around them."""
    rng = np.random.default_rng(11)
    a = 10 ** rng.uniform(-1, 2.5, n)
    return a, a * 10 ** rng.uniform(-1, 1, n)


@pytest.mark.parametrize("name", ["gammainc", "gammaincc", "betainc", "stdtr", "ndtri", "erfinv", "fdtr", "fdtrc"])
def test_values_of_probabilities(name: str, device: str) -> None:
    a, x = positive_pairs(400)
    share = np.random.default_rng(12).uniform(0, 1, 400)
    arguments = {
        "betainc": (a, x[::-1], share),
        "stdtr": (a, np.concatenate([x[:200], -x[:150], x[:50] * 1e-9])),
        "ndtri": (np.concatenate([share, share * 1e-12, 1e-300 + share[:9] * 0]),),
        "erfinv": (np.concatenate([2 * share - 1, share * 1e-12]),),
        **dict.fromkeys(("fdtr", "fdtrc"), (a, a[::-1], x / a)),
    }.get(name, (a, x))
    expected = getattr(scipy_special, name)(*arguments)
    options: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-290}
    found = getattr(special, name)(*[doubles(x, device) for x in arguments])
    np.testing.assert_allclose(found.numpy(), expected, **options)
    if name in Functions.primitives:
        raw = [doubles(x, device).value for x in arguments]
        by_hand = plain(name, device)(*[tuple(raw)] if name == "betainc" else raw)
        np.testing.assert_allclose(Tensor(by_hand).numpy(), expected, **options)


PROBABILITIES_FAR_OUT: dict[str, list[tuple[float, ...]]] = {
    "gammainc": [(0, 0), (0, 1), (1, 0), (1, INF), (INF, 1), (-1, 1), (1, -1), (NAN, 1), (1, NAN)],
    "betainc": [(2, 3, 0), (2, 3, 1), (2, 3, 1.1), (2, 3, -0.1), (2, 3, NAN), (NAN, 3, 0.5)],
    "stdtr": [(3, INF), (3, -INF), (3, 0), (INF, 1), (-1, 1), (0, 1), (3, NAN), (NAN, 1)],
    "ndtri": [(0,), (1,), (-0.1,), (1.1,), (0.5,), (NAN,)],
    "erfinv": [(-1,), (1,), (1.5,), (0,), (NAN,)],
}


@pytest.mark.parametrize("name", PROBABILITIES_FAR_OUT)
def test_probabilities_far_out(name: str, device: str) -> None:
    points = np.array(PROBABILITIES_FAR_OUT[name], dtype=float).T
    with np.errstate(all="ignore"):
        expected = getattr(scipy_special, name)(*points)
        raw = [doubles(x, device).value for x in points]
        found = plain(name, device)(*[tuple(raw)] if name == "betainc" else raw)
        np.testing.assert_allclose(Tensor(found).numpy(), expected, rtol=1e-14)
        if name == "gammainc":
            found = plain("gammaincc", device)(*raw)
            np.testing.assert_allclose(Tensor(found).numpy(), scipy_special.gammaincc(*points), rtol=1e-14)


def test_parameters_without_a_derivative_are_said_so(device: str) -> None:
    x = doubles([0.3, 0.4], device)
    for f, name, what in (
        (lambda a: special.gammainc(a, 0.5), "gammainc", "a"),
        (lambda a: special.gammaincc(a, 0.5), "gammaincc", "a"),
        (lambda a: special.betainc(a, 2.0, 0.5), "betainc", "a and b"),
        (lambda a: special.betainc(2.0, a, 0.5), "betainc", "a and b"),
        (lambda a: special.fdtr(a, 2.0, 0.5), "betainc", "a and b"),
        (lambda a: special.stdtr(a, 0.5), "stdtr", "df"),
    ):
        assert f(x).requires_grad
        with pytest.raises(
            GraphError, match=rf"^special.{name}: the derivative with respect to {what} has no .*detach"
        ):
            f(x).sum().backward()


def test_erf_and_erfc_to_the_last_digits(device: str) -> None:
    """Python's own are as good as they can be."""
    points = np.concatenate([np.linspace(-7, 26, 4001), np.geomspace(1e-300, 26, 400), [0.5, 4.0, -0.5, -4.0, 26.5]])
    for name, exact in (("erf", math.erf), ("erfc", math.erfc)):
        found = plain(name, device)(doubles(points, device).value)
        np.testing.assert_allclose(Tensor(found).numpy(), [exact(x) for x in points], rtol=3e-15, atol=0)


def test_the_tail_of_the_normal_distribution(device: str) -> None:
    """Values and first two derivatives of log_ndtr from mpmath; the second one tends to -1, the first to -x."""
    x = doubles([-1.0, -10.0, -40.0, -1e4, -1e8, 10.0], device)
    value = [-1.8410216450092634, -53.23128515051247, -804.6084420137538, -50000010.129278913, -5000000000000019.3]
    slope = [1.5251352761609812, 10.098093233962512, 40.02496884720726, 10000.0001, 1e8, 7.694598626706419e-23]
    curve = [-0.80090233443, -0.990554622174, -0.999377331621, -0.99999999, -1.0, -7.69459862671e-22]
    np.testing.assert_allclose(special.log_ndtr(x).numpy()[:5], value, rtol=1e-14)
    np.testing.assert_allclose(slopes(special.log_ndtr, x)[0], slope, rtol=1e-12)
    np.testing.assert_allclose(slopes(ag.grad(lambda x: ag.sum(special.log_ndtr(x))), x)[0], curve, rtol=1e-9)


def test_the_tail_of_erfc(device: str) -> None:
    x = np.array([1.0, 5.0, 10.0, 20.0, 26.0])
    np.testing.assert_allclose(
        slopes(special.erfc, doubles(x, device))[0], [-2 / math.sqrt(math.pi) * math.exp(-t * t) for t in x], rtol=1e-15
    )
    far = doubles([29.9, 30.1, 1e3, 1e100], device)
    expected = [-0.000630021592727524, -0.000621690790042063, -5.64188737265497e-7, -5.6418958354775629e-201]
    np.testing.assert_allclose(slopes(special.erfcx, far)[0], expected, rtol=1e-12)


FAR_OUT: dict[str, dict[float, float]] = {
    "erf": {-INF: -1, -1e200: -1, 0: 0, 1e200: 1, INF: 1, NAN: NAN},
    "erfc": {-INF: 2, -1e200: 2, 0: 1, 1e200: 0, INF: 0, NAN: NAN},
    "erfcx": {-INF: INF, -30: INF, 0: 1, INF: 0, NAN: NAN},
    "ndtr": {-INF: 0, -1e200: 0, 0: 0.5, INF: 1, NAN: NAN},
    "log_ndtr": {-INF: -INF, INF: 0, NAN: NAN},
    "gammaln": {-3: INF, -1: INF, 0: INF, 1: 0, 2: 0, INF: INF, NAN: NAN},
    "digamma": {-INF: NAN, -1: NAN, INF: INF, NAN: NAN},
    "logit": {-INF: NAN, -0.5: NAN, 0: -INF, 0.5: 0, 1: INF, 1.5: NAN, NAN: NAN},
    "entr": {-1: -INF, 0: 0, 1: 0, INF: -INF, NAN: NAN},
    "i0": {-720: INF, 0: 1, 720: INF, NAN: NAN},
    "i1": {-720: -INF, 0: 0, 720: INF, NAN: NAN},
    "i0e": {-INF: 0, 0: 1, INF: 0, NAN: NAN},
    "i1e": {-INF: 0, 0: 0, INF: 0, NAN: NAN},
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FAR_OUT)
def test_far_out(name: str, dtype: str, device: str) -> None:
    with np.errstate(all="ignore"):
        points = np.array(list(FAR_OUT[name]), dtype=dtype)
        expected = np.array(list(FAR_OUT[name].values()), dtype=dtype)
        for f in (getattr(special, name), lambda x: Tensor(plain(name, device)(x.value))):
            found = f(Tensor(points, device=device)).numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-6)
            assert found.dtype == dtype


def test_the_sign_at_the_pole_of_digamma(device: str) -> None:
    found = plain("digamma", device)(doubles([0.0, -0.0], device).value)
    np.testing.assert_array_equal(Tensor(found).numpy(), [-INF, INF])
    for n, pole in ((1, INF), (2, -INF), (3, INF)):
        found = special.polygamma(n, doubles([0.0, -0.0, -1.0, -7.0], device)).numpy()
        np.testing.assert_array_equal(found, [pole] * 4)


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_float32_is_close(name: str, device: str) -> None:
    rng = np.random.default_rng(3)
    x = [rng.uniform(0.05, 0.95, (2, 3)), rng.uniform(0.05, 0.95, 3)][: 1 + (name in TWO)]
    exact = getattr(scipy_special, name)(*x)
    single = [Tensor(v, device=device, dtype="float32") for v in x]
    for f in (getattr(special, name), lambda *xs: Tensor(plain(name, device)(*[v.value for v in xs]))):
        found = f(*single).numpy()
        assert found.dtype == "float32"
        np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [*ONE, *TWO, "expit", "logsumexp", *ORDERED])
def test_integers_numbers_and_raw_arrays(name: str, device: str) -> None:
    f = getattr(special, name)
    order = (2,) if name in ORDERED else ()
    if name in TWO:
        f = lambda x, f=f: f(x, 0.5)  # noqa: E731
    ones = ag.ones(2, dtype=ag.int64, device=device)
    with np.errstate(all="ignore"):
        assert f(*order, ones).dtype == ag.zeros(1, device=device).dtype
        as_tensor = f(*order, doubles([0.3], device)).numpy()
        np.testing.assert_array_equal(f(*order, doubles([0.3], device).value).numpy(), as_tensor)
        np.testing.assert_allclose(f(*order, 0.3).numpy(), np.reshape(as_tensor, f(*order, 0.3).shape), rtol=1e-13)


def test_numbers_take_the_dtype_and_the_device_of_the_other(device: str) -> None:
    x = Tensor([0.3, 0.4], device=device, dtype="float32")
    for name in TWO:
        f = getattr(special, name)
        for y in (f(x, 0.5), f(0.5, x), f(x, np.float64(0.5)), f(np.float64(0.5), x), f(2, x)):
            assert (y.dtype, y.device) == (x.dtype, x.device), name
        assert f(0.5, 0.25).device == "cpu"
        assert f(np.asarray([0.5]), 0.25).shape == (1,)


# Corners -------------------------------------------------------------------------------------------------------------


def test_xlogy_of_zero(device: str) -> None:
    def check(f: Callable[..., Tensor], zero: float) -> None:
        x, y = doubles([0.0, 0.0, 0.0, 2.0, 0.0], device), doubles([zero, 1 + zero, 3 + zero, 1 + zero, NAN], device)
        np.testing.assert_array_equal(f(x, y).numpy(), [0, 0, 0, 0, NAN])
        dx, dy = slopes(f, x, y)
        np.testing.assert_allclose(dx[:4], [0, 0, math.log(3), 0], atol=1e-16)
        np.testing.assert_allclose(dy[:4], [0, 0, 0, 2])
        mixed = slopes(ag.grad(lambda y: ag.sum(f(x, y))), y)  # of a constant x
        np.testing.assert_allclose(mixed[0][:4], [0, 0, 0, -2])
        assert float(ag.grad(ag.grad(f, 1))(x[2], y[2])) == pytest.approx(1 / 3)

    check(special.xlogy, 0.0)
    check(special.xlog1py, -1.0)


def test_the_ends_of_logit_and_the_zero_of_entropies(device: str) -> None:
    np.testing.assert_array_equal(slopes(special.logit, doubles([0.0, 1.0], device))[0], [INF, INF])
    np.testing.assert_array_equal(slopes(special.entr, doubles([0.0], device))[0], [INF])
    x, y = doubles([0.0, 0.0, -1.0, 1.0, 1.0], device), doubles([0.5, 0.0, 1.0, 0.0, -1.0], device)
    np.testing.assert_array_equal(special.rel_entr(x, y).numpy(), [0, 0, INF, INF, INF])
    np.testing.assert_array_equal(plain("rel_entr")(np.array([NAN, 1.0]), np.array([1.0, NAN])), [NAN, NAN])


def test_bessel_functions_at_zero_in_every_order(device: str) -> None:
    """The derivatives of i0 at 0 are 1, 0, 1/2, 0, 3/8, 0, 5/16."""
    f: Callable[[Tensor], Tensor] = special.i0
    found = []
    for _ in range(7):
        found.append(float(f(doubles(0.0, device))))
        f = ag.grad(f)
    np.testing.assert_allclose(found, [1, 0, 1 / 2, 0, 3 / 8, 0, 5 / 16], atol=1e-15)


def test_logsumexp_of_infinities(device: str) -> None:
    rows = doubles([[INF, 0.0], [INF, -INF], [-INF, -INF], [1.0, 1.0], [-INF, 2.0]], device)
    found = special.logsumexp(rows, axis=1, keepdims=True).numpy()
    np.testing.assert_allclose(found[:, 0], [INF, INF, -INF, 1 + math.log(2), 2])
    gradient = slopes(lambda x: special.logsumexp(x, axis=-1), rows)[0]
    np.testing.assert_allclose(gradient, [[NAN, 0], [NAN, 0], [0, 0], [0.5, 0.5], [0, 1]])


def test_one_primitive_under_two_names(device: str) -> None:
    x = doubles([-0.3, 0.7], device)
    assert special.psi is special.digamma
    assert special.logsumexp is ag.functional.logsumexp
    assert special.expit(x)._node.primitive is ag.functional.sigmoid(x)._node.primitive


@given(st.floats(-30, 30), st.floats(0.1, 0.9))
def test_first_and_second_order(x: float, p: float) -> None:
    """On what hypothesis finds worth trying; gamma functions away from the poles, where they are too steep."""
    for name in ("erf", "ndtr", "log_ndtr", "i1"):
        check_gradients(getattr(special, name), Tensor([x]), tolerance=1e-5)
    for name in ("gammaln", "digamma"):
        check_gradients(getattr(special, name), Tensor([math.floor(x) + 0.1 + 0.8 * p]), tolerance=1e-5)
    check_gradients(special.logit, Tensor([p]), tolerance=1e-5)
    check_gradients(special.betaln, Tensor([p]), Tensor([abs(x) + 0.5]), tolerance=1e-5)
    check_gradients(special.xlogy, Tensor([x]), Tensor([p]), tolerance=1e-5)


# Errors --------------------------------------------------------------------------------------------------------------


def test_errors(device: str) -> None:
    z = Tensor([1 + 2j], device=device)
    for name in (*ONE, "expit"):
        with pytest.raises(DTypeError, match=rf"^special.{name}: real numbers are needed, not .*complex"):
            getattr(special, name)(z)
    for name in TWO:
        with pytest.raises(DTypeError, match=rf"^special.{name}: real numbers are needed, not .*complex"):
            getattr(special, name)(0.5, z)
    for name in ORDERED:
        for order in (-1, 1.5, [1, 2], ag.asarray([1, 2])):
            with pytest.raises(ValueError, match=rf"^special.{name}: the order is an integer, 0 or more, not "):
                getattr(special, name)(order, doubles([0.5], device))
        assert getattr(special, name)(ag.asarray(2), 0.5).shape == ()
    other = Tensor([1.0], device="array_api_strict:device1" if device == "cpu" else "cpu")
    with pytest.raises(DeviceError, match=r"^xlogy: one operand is on device"):
        special.xlogy(doubles([0.5], device), other)


# How it is found -----------------------------------------------------------------------------------------------------


def test_every_namespace_has_it(device: str) -> None:
    x = doubles([0.5], device)
    xp = x.__array_namespace__()
    np.testing.assert_array_equal(xp.special.erf(x).numpy(), special.erf(x).numpy())
    assert "special" in dir(find_device(device).functions)
    assert "erf" in dir(find_device(device).functions.special)
    assert ag.special.erf is special.erf
    assert (xp.__name__, find_device(device).functions.special.__name__) == ("agrad", "agrad.special")


def test_numpy_computes_by_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the ufuncs themselves; without SciPy by the plain code."""
    backend = find_device("cpu").backend
    for name in agrad_numpy._special._NAMES:
        assert isinstance(backend.special(name), np.ufunc) or name in agrad_numpy._special._OF_THREE, name
        assert name in Functions.primitives
    assert backend.special("exp") is None
    monkeypatch.setattr(agrad_numpy._special, "_scipy_special", lambda: None)
    assert backend.special("erf") is None


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={
            **{name: value for name, value in os.environ.items() if name != "SCIPY_ARRAY_API"},
            "PYTHONPATH": os.pathsep.join(sys.path),
            **environment,
        },
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_scipy_need_not_be_installed() -> None:
    code = """
import sys
sys.modules["scipy"] = None
import agrad as ag
print(ag.special.erf(0.5).item(), ag.grad(ag.special.gammaln)(2.5).item(), ag.functional.gelu(1.0).item())
"""
    expected = [math.erf(0.5), scipy_special.psi(2.5), scipy_special.ndtr(1.0)]
    np.testing.assert_allclose([float(x) for x in run(code).split()], expected, rtol=1e-14)


def test_scipy_is_imported_when_it_is_first_needed() -> None:
    code = """
import sys, agrad as ag
ag.special.expit(0.5), ag.exp(ag.Tensor([1.0]))
print("scipy" in sys.modules)
ag.special.erf(0.5)
print("scipy.special" in sys.modules)
"""
    assert run(code).split() == ["False", "True"]


@pytest.mark.parametrize("place", ["cpu", "array_api_strict:device1"])
def test_scipys_own_functions_on_tensors(place: str) -> None:
    """SciPy looks for a namespace's own special functions, if it was told to look for namespaces."""
    code = f"""
import agrad as ag, scipy.special as sp
for name in {(*(name for name in ONE if name != "digamma"), "psi", "expit")!r}:
    x = ag.Tensor([0.3, 0.7], device={place!r})
    y = getattr(sp, name)(x)
    assert y._node.primitive.name in (name, "digamma", "sigmoid"), name
x = ag.Tensor([0.3, 0.7], device={place!r})
for y in (sp.betaln(x, 2.0), sp.xlog1py(x, x), sp.rel_entr(x, x), sp.polygamma(1, x), sp.xlogy(x, x)):
    y.sum().backward()
    assert y.device == x.device and x.grad.shape == (2,)
"""
    run(code, SCIPY_ARRAY_API="1")


@pytest.mark.parametrize("place", ["cpu", "array_api_strict:device1"])
def test_scipys_ufuncs_on_tensors(place: str) -> None:
    """Also if SciPy was not told: its functions are ufuncs, which ask a Tensor."""
    code = f"""
import agrad as ag, scipy.special as sp
x = ag.Tensor([0.3, 0.7], device={place!r})
for y in (sp.erf(x), sp.psi(x), sp.xlogy(2.0, x), sp.iv(2, x)):
    assert y.device == x.device and y._node is not None
try:
    sp.j0(x)
except ag.UnsupportedFunctionError as error:
    print(error)
"""
    assert "j0 has no counterpart in agrad" in run(code)
