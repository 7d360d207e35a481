"""Transforms: functions that make functions, nested, with closures and structures. The rules are tested elsewhere."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

import agrad as ag
from agrad import DeviceError, DTypeError, GraphError, ShapeError, Tensor
from tests.conftest import STRICT


def on(values, device, **options):
    return Tensor(values, device=device, **options)


def same(tensor, expected):
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-5)
    return True


# grad ----------------------------------------------------------------------------------------------------------------


def test_grad(device):
    gradient = ag.grad(lambda x: (x * x * x).sum())(on([1.0, 2.0], device))
    assert isinstance(gradient, Tensor)
    assert gradient.device == on(1.0, device).device
    same(gradient, [3.0, 12.0])


def test_grad_leaves_the_arguments_as_they_are(device):
    x = on([1.0, 2.0], device)
    (x * 5.0).sum().backward()
    ag.grad(lambda x: (x * x).sum())(x)
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), [5.0, 5.0])
    x.gradient_update(1.0)
    same(x, [-4.0, -3.0])


def test_grad_of_arrays_and_numbers(device):
    square = ag.grad(lambda x: (x * x).sum())
    same(square(on([1.0, 2.0], device).value), [2.0, 4.0])
    same(square(3), 6.0)
    same(square(3.0), 6.0)
    same(square(np.float64(3.0)), 6.0)


def test_grad_keeps_the_dtype(device):
    x = on([1.0, 2.0], device, dtype="float32")
    assert ag.grad(lambda x: (x.mean() * 2.0) ** 2)(x).dtype == x.dtype


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_grad_nests(device, depth):
    f = lambda x: x**5 + ag.sin(x)  # noqa: E731
    for _ in range(depth):
        f = ag.grad(f)
    x = 0.7
    powers = {1: 5 * x**4, 2: 20 * x**3, 3: 60 * x**2, 4: 120 * x}
    sines = {1: np.cos(x), 2: -np.sin(x), 3: -np.cos(x), 4: np.sin(x)}
    same(f(on(x, device)), powers[depth] + sines[depth])
    same(f(on(x, device, requires_grad=False)), powers[depth] + sines[depth])


def test_nested_variables_are_not_confused():
    # d/dx (x · d/dy (x + y)) = 1, not 2: the perturbations of x and y are different ones.
    same(ag.grad(lambda x: x * ag.grad(lambda y: x + y)(1.0))(1.0), 1.0)
    same(ag.grad(lambda x: ag.grad(lambda y: x * y * y)(x))(3.0), 12.0)


def test_a_gradient_can_be_differentiated_by_backward(device):
    w = on([1.0, 2.0], device)
    gradient = ag.grad(lambda x: (x**3).sum())(w)
    assert gradient.requires_grad
    gradient.sum().backward()
    np.testing.assert_allclose(Tensor(w.grad).numpy(), [6.0, 12.0], rtol=1e-6)


def test_closures_over_tracked_tensors(device):
    w = on([2.0, 3.0], device)
    x = on([1.0, 4.0], device, requires_grad=False)
    value, gradient = ag.value_and_grad(lambda x: (w * x * x).sum())(x)
    same(gradient, [4.0, 24.0])
    assert value.requires_grad and gradient.requires_grad
    (gradient * gradient).sum().backward()
    np.testing.assert_allclose(Tensor(w.grad).numpy(), 8 * np.array([2.0, 3.0]) * np.array([1.0, 16.0]), rtol=1e-6)
    value.backward()
    np.testing.assert_allclose(Tensor(w.grad).numpy(), [1.0, 16.0])


def test_without_anything_tracked_the_results_are_constants(device):
    x = on([1.0, 2.0], device, requires_grad=False)
    value, gradient = ag.value_and_grad(lambda x: (x * x).sum())(x)
    y, pullback = ag.vjp(lambda x: x * x, x)
    assert not any(t.requires_grad for t in (value, gradient, y, *pullback(ag.ones_like(x))))


def test_what_the_function_ignores_has_zeros(device):
    x, y = on([1.0, 2.0], device), on([[3.0]], device, dtype="float32")
    first, second = ag.grad(lambda x, y: (x * x).sum(), argnums=(0, 1))(x, y)
    same(first, [2.0, 4.0])
    same(second, [[0.0]])
    assert (second.shape, second.dtype, second.device) == (y.shape, y.dtype, y.device)
    same(ag.grad(lambda x: on(1.0, device) * 2.0)(x), [0.0, 0.0])
    same(ag.grad(lambda x: ag.stop_gradient(x).sum())(x), [0.0, 0.0])


def test_argnums():
    f = lambda x, y, z: x * y * y * z * z * z  # noqa: E731
    at = (2.0, 3.0, 5.0)
    same(ag.grad(f)(*at), 9.0 * 125.0)
    same(ag.grad(f, argnums=1)(*at), 2 * 2.0 * 3.0 * 125.0)
    same(ag.grad(f, argnums=-1)(*at), 3 * 25.0 * 18.0)
    gradients = ag.grad(f, argnums=(2, 0))(*at)
    assert isinstance(gradients, tuple)
    same(gradients[0], 3 * 25.0 * 18.0)
    same(gradients[1], 9.0 * 125.0)
    (only,) = ag.grad(f, argnums=(1,))(*at)
    same(only, 2 * 2.0 * 3.0 * 125.0)


@pytest.mark.parametrize("argnums", [3, -4, (0, 3)])
def test_argnums_that_are_not_there(argnums):
    with pytest.raises(TypeError, match=r"grad: there is no positional argument -?\d among 3"):
        ag.grad(lambda x, y, z: x, argnums=argnums)(1.0, 2.0, 3.0)


def test_keyword_arguments_are_handed_on():
    same(ag.grad(lambda x, *, power: x**power)(2.0, power=3), 12.0)


Point = namedtuple("Point", ["x", "y"])


def test_structures_of_arguments(device):
    parameters = {
        "w": on([2.0, 3.0], device),
        "rest": [on(4.0, device), (on(5.0, device), Point(on(1.0, device), 7.0))],
    }

    def f(p):
        a, (b, point) = p["rest"]
        return (p["w"] * p["w"]).sum() * a + b * point.x * point.y

    if device != "cpu":
        parameters["rest"][1] = (parameters["rest"][1][0], Point(on(1.0, device), on(7.0, device)))
    gradient = ag.grad(f)(parameters)
    assert list(gradient) == ["w", "rest"]
    same(gradient["w"], [16.0, 24.0])
    a, (b, point) = gradient["rest"]
    same(a, 13.0)
    same(b, 7.0)
    assert type(point) is Point
    same(point.x, 35.0)
    same(point.y, 5.0)
    assert isinstance(gradient["rest"], list) and isinstance(gradient["rest"][1], tuple)


def test_value_and_grad_with_aux(device):
    x = on([1.0, 2.0], device, requires_grad=False)

    def f(x):
        y = x * x
        return y.sum(), {"squares": y, "count": 2}

    (value, aux), gradient = ag.value_and_grad(f, has_aux=True)(x)
    same(value, 5.0)
    same(gradient, [2.0, 4.0])
    same(aux["squares"], [1.0, 4.0])
    assert aux["count"] == 2
    assert not value.requires_grad and not aux["squares"].requires_grad
    gradient, aux = ag.grad(f, has_aux=True)(x)
    same(gradient, [2.0, 4.0])
    same(aux["squares"], [1.0, 4.0])


def test_transforms_keep_the_name():
    def loss(x):
        """What is to be small."""
        return x * x

    for transformed in (ag.grad(loss), ag.value_and_grad(loss), ag.custom_gradient(loss)):
        assert (transformed.__name__, transformed.__doc__) == ("loss", "What is to be small.")


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda x: 3.0, DTypeError, "grad: the function has to return a Tensor, not float"),
        (lambda x: None, DTypeError, "grad: the function has to return a Tensor, not NoneType"),
        (lambda x: x * 2.0, ShapeError, r"grad: the function has to return one number, not a tensor of shape \(2,\)"),
    ],
)
def test_results_that_have_no_gradient(f, error, message):
    with pytest.raises(error, match=message):
        ag.grad(f)(Tensor([1.0, 2.0]))


def test_has_aux_needs_a_pair():
    for f in (lambda x: x.sum(), lambda x: (x.sum(), 1, 2), lambda x: [x.sum(), 1]):
        with pytest.raises(DTypeError, match="grad: with has_aux, the function has to return a pair, not"):
            ag.grad(f, has_aux=True)(Tensor([1.0]))


def test_arguments_that_cannot_be_differentiated():
    with pytest.raises(DTypeError, match="int64 tensor can't require a gradient: make it floating-point"):
        ag.grad(lambda x: x.sum())(Tensor([1, 2]))
    with pytest.raises(DTypeError, match="an array, a Tensor or a number is needed, not str 'text'"):
        ag.grad(lambda x: x)("text")


def test_complex_gradients(device):
    z = on([1.0 + 2.0j, -1.0j], device)
    f = lambda z: ag.real(z * ag.conj(z)).sum()  # noqa: E731
    same(ag.grad(f)(z), 2 * np.array([1.0 + 2.0j, -1.0j]))
    same(ag.grad(f)(z.detach()), 2 * np.array([1.0 + 2.0j, -1.0j]))


# vjp -----------------------------------------------------------------------------------------------------------------


def test_vjp(device):
    x, y = on([1.0, 2.0], device), on([3.0, 4.0], device)
    value, pullback = ag.vjp(lambda x, y: x * y * y, x, y)
    same(value, [9.0, 32.0])
    for cotangent, scale in ((on([1.0, 10.0], device), [1.0, 10.0]), (on([2.0, 1.0], device).value, [2.0, 1.0])):
        first, second = pullback(cotangent)
        same(first, np.array([9.0, 16.0]) * scale)
        same(second, np.array([6.0, 16.0]) * scale)


def test_vjp_is_linear_in_its_cotangent_and_differentiable_in_it(device):
    x = on([1.0, 2.0], device, requires_grad=False)
    _, pullback = ag.vjp(lambda x: x**3, x)
    jacobian = ag.grad(lambda v: (pullback(v)[0] * on([1.0, 10.0], device)).sum())(on([5.0, 5.0], device))
    same(jacobian, [3.0, 120.0])


def test_vjp_of_structures_and_unused_arguments():
    value, pullback = ag.vjp(lambda p, q: p["a"] * 2.0, {"a": Tensor([1.0]), "b": Tensor([1.0, 2.0])}, 3.0)
    structure, unused = pullback(Tensor([10.0]))
    same(structure["a"], [20.0])
    same(structure["b"], [0.0, 0.0])
    same(unused, 0.0)
    assert value.shape == (1,)


def test_vjp_errors():
    with pytest.raises(DTypeError, match="vjp: the function has to return a Tensor, not float"):
        ag.vjp(lambda x: 3.0, 1.0)
    _, pullback = ag.vjp(lambda x: x * 2.0, Tensor([1.0, 2.0]))
    with pytest.raises(ShapeError, match=r"vjp: a cotangent of shape \(3,\) for a result of shape \(2,\)"):
        pullback(Tensor([1.0, 2.0, 3.0]))


def test_vjp_of_another_device():
    pytest.importorskip("array_api_strict")
    _, pullback = ag.vjp(lambda x: x * 2.0, Tensor([1.0, 2.0]))
    with pytest.raises(DeviceError, match=f"vjp: one operand is on device 'cpu', another on '{STRICT}'"):
        pullback(Tensor([1.0, 2.0], device=STRICT))


# stop_gradient and custom_gradient -----------------------------------------------------------------------------------


def test_stop_gradient(device):
    x = on([1.0, 2.0], device)
    same(ag.grad(lambda x: (ag.stop_gradient(x) * x).sum())(x), [1.0, 2.0])
    (ag.stop_gradient(x * 3.0) * x).sum().backward()
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), [3.0, 6.0])
    assert not ag.stop_gradient([Tensor(1.0)][0]).requires_grad
    assert not ag.stop_gradient(2.0).requires_grad


@ag.custom_gradient
def cube(x):
    return x * x * x, lambda g: g * 3.0 * x * x


@ag.custom_gradient
def product(x, y):
    return x * y, lambda g: (g * y, g * x)


@ag.custom_gradient
def straight_through(x):
    return ag.round(x), lambda g: g


def test_a_custom_rule_in_first_order(device):
    x = on([1.5, -2.0], device)
    (cube(x) * on([1.0, 10.0], device)).sum().backward()
    np.testing.assert_allclose(Tensor(x.grad).numpy(), [6.75, 120.0])
    same(ag.grad(lambda x: cube(x).sum())(x), [6.75, 12.0])
    same(ag.grad(lambda x: straight_through(x * 2.0).sum())(x), [2.0, 2.0])


@pytest.mark.parametrize("leaf", [True, False])
def test_a_custom_rule_in_higher_order(device, leaf):
    x = on(1.5, device, requires_grad=leaf)
    same(ag.grad(ag.grad(cube))(x), 9.0)
    same(ag.grad(ag.grad(ag.grad(lambda x: cube(x * 1.0))))(x), 6.0)
    mixed = ag.grad(lambda x: ag.grad(lambda y: product(x, product(y, y)))(x))
    same(mixed(x), 2 * 1.5 * 2)


def test_a_custom_rule_of_several_arguments(device):
    x, y = on([1.0, 2.0], device), on([[3.0], [4.0]], device)
    (product(x, y) * on([[1.0, 2.0], [3.0, 4.0]], device)).sum().backward()
    np.testing.assert_allclose(Tensor(x.grad).numpy(), [15.0, 22.0])
    np.testing.assert_allclose(Tensor(y.grad).numpy(), [[5.0], [11.0]])
    same(product(2.0, on(3.0, device, requires_grad=False)) if device == "cpu" else on(6.0, device), 6.0)


def test_a_custom_rule_is_what_counts():
    @ag.custom_gradient
    def wrong(x):
        return x * x, lambda g: g * 7.0

    x = Tensor(3.0)
    wrong(x).backward()
    assert x.grad == 7.0
    same(ag.grad(ag.grad(lambda x: wrong(x) * x))(3.0), 14.0)


def test_a_custom_rule_for_complex_numbers(device):
    @ag.custom_gradient
    def square(z):
        return z * z, lambda g: g * ag.conj(2.0 * z)

    z = on([1.0 + 2.0j, -1.0j], device)
    ag.real(square(z)).sum().backward()
    rule = Tensor(z.grad).numpy()
    ag.real(z * z).sum().backward()
    np.testing.assert_allclose(rule, Tensor(z.grad).numpy())


def test_what_a_custom_rule_gives_is_not_aliased():
    kept = Tensor([1.0, 2.0], requires_grad=False)

    @ag.custom_gradient
    def constant(x):
        return x * 2.0, lambda g: kept

    x = Tensor([1.0, 1.0])
    constant(x).backward()
    x.grad[0] = 99.0
    np.testing.assert_array_equal(kept.value, [1.0, 2.0])


@pytest.mark.parametrize("result", [lambda x: x, lambda x: (x, 3), lambda x: (3.0, lambda g: g), lambda x: (x,)])
def test_a_custom_function_has_to_return_a_pair(result):
    def f(x):
        return result(x)

    with pytest.raises(GraphError, match="custom_gradient: f has to return a pair: a Tensor, and a function"):
        ag.custom_gradient(f)(Tensor(1.0))


@pytest.mark.parametrize("parts", [None, 3.0, (Tensor(1.0),), [Tensor(1.0), Tensor(1.0)]])
def test_a_custom_rule_has_to_return_tensors(parts):
    @ag.custom_gradient
    def f(x, y):
        return x * y, lambda g: parts

    with pytest.raises(GraphError, match="custom_gradient: the rule of f has to return 2 Tensors, one for each"):
        f(x := Tensor(1.0), x).backward()


def test_a_custom_function_needs_an_argument():
    with pytest.raises(TypeError, match="custom_gradient: cube needs at least one argument"):
        cube()
