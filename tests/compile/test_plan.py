"""What the plan leaves out, and what NumPy's executor makes of a plan."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import agrad as ag
from agrad import Tensor
from agrad.functional import sigmoid
from agrad.losses import binary_cross_entropy, cross_entropy
from agrad_numpy._backend import NumpyBackend

rng = np.random.default_rng(5)
SPECIAL = [0.0, -0.0, 1.5, -2.5, float("inf"), -float("inf"), float("nan"), 1e-310]


def left(f: Callable[..., Any], *arguments: Tensor) -> int:
    """How many operations a program has, whose results are those of the function, bit for bit but for a NaN's sign."""
    compiled = ag.compile(f)
    with np.errstate(all="ignore"):
        compiled(*arguments)
        ours, theirs = compiled(*arguments), f(*arguments)
    assert ours.dtype == theirs.dtype
    one, other = ours.numpy(), theirs.numpy()
    np.testing.assert_array_equal(one, other)
    assert ((np.signbit(one) == np.signbit(other)) | np.isnan(other)).all()
    (program,) = compiled.report().programs
    return int(program["operations"])


@pytest.mark.parametrize(
    ("f", "operations"),
    [
        (lambda x, y: x * 1 + y, 1),
        (lambda x, y: x / 1.0 + y, 1),
        (lambda x, y: (x - 0) + y, 1),
        (lambda x, y: (x + 0) + y, 2),  # -0.0 + 0 is 0.0
        (lambda x, y: (x - -0.0) + y, 2),
        (lambda x, y: ag.negative(-x) + y, 1),
        (lambda x, y: +x + y, 1),
        (lambda x, y: x + -y, 1),
        (lambda x, y: -x + y, 1),
        (lambda x, y: x - -y, 1),
        (lambda x, y: -x * -y, 1),
        (lambda x, y: -x / -y, 1),
        (lambda x, y: -x * y, 2),
        (lambda x, y: -x * 3 + y, 2),
        (lambda x, y: -3.5 * -x + y, 2),
        (lambda x, y: -x / 3 + y, 2),
        (lambda x, y: 3 / -x + y, 2),
        (lambda x, y: -x * 0.0 + y, 3),  # -1.0 * 0 is -0.0
        (lambda x, y: -(x * x) / 2 + y, 3),
        (lambda x, y: -1 * x + y, 1),
        (lambda x, y: x * ag.asarray(-1.0) + y, 1),
        (lambda x, y: x / 4, 1),
        (lambda x, y: x / -0.125, 1),
        (lambda x, y: x / 1e-300, 1),
        (lambda x, y: x / float("inf"), 1),
        (lambda x, y: ag.astype(x, "float64") + y, 1),
        (lambda x, y: ag.reshape(x, (2, 4)) + y, 1),
        (lambda x, y: ag.broadcast_to(x[0, :1], (2, 4)) + y, 2),
        (lambda x, y: x.T.T + y, 1),
        (lambda x, y: ag.conj(x) + y, 1),
        (lambda x, y: ag.exp(x) * y + ag.exp(x), 3),
        (lambda x, y: (ag.exp(x * 3) + y, x + y)[1], 1),
        (lambda x, y: x * (ag.ones((2, 4)) * 3 + 2) + y, 2),
        (lambda x, y: x * ag.ones((2, 4)) + y, 1),
        (lambda x, y: x * True + y, 2),
    ],
)
def test_rewritings_are_exact(f: Callable[..., Tensor], operations: int) -> None:
    x = Tensor([SPECIAL[:4], SPECIAL[4:]], requires_grad=False)
    y = Tensor([SPECIAL[3::-1], SPECIAL[:3:-1]], requires_grad=False)
    assert left(f, x, y) <= operations


def test_a_division_by_a_power_of_two_is_a_product() -> None:
    x = Tensor(np.array([5e-324, 1.7e308, 3.0, -1.0, 1e-310]), requires_grad=False)
    for number, dtype in itertools.product((2, 0.25, -8.0, 2.0**64), ("float64", "float32")):
        f = ag.compile(lambda x, n=number: x / n)
        with np.errstate(all="ignore"):
            y = ag.astype(x, dtype)
            f(y)
            ours = f(y).numpy()
            assert ours.tobytes() == (y.numpy() / number).tobytes()
        assert ours.dtype == dtype
        assert "_multiply(" in f.source()
    f = ag.compile(lambda x: x / 3)
    f(x)
    assert "_divide(" in f.source()


def test_what_a_tensor_holds_is_no_constant() -> None:
    t = ag.asarray([1.0, 2.0])
    f = ag.compile(lambda x: x * (1 - t) + ag.sum(ag.asarray([1.0, 2.0])))
    f(ag.ones(2))
    report = f.report().programs[0]
    assert report["operations"] == 3
    assert report["folded"] == 1


def spiral_step() -> tuple[Any, list[Tensor]]:
    xs = ag.asarray(rng.normal(size=(400, 2)))
    ys = ag.asarray((rng.random((400, 1)) > 0.5) * 1.0)
    weights = [Tensor(rng.normal(size=shape)) for shape in ((2, 8), (8, 8), (8, 1))]

    @ag.compile
    def step() -> Tensor:
        a, b, c = weights
        loss = binary_cross_entropy(sigmoid(ag.tanh(ag.tanh(xs @ a) @ b) @ c), ys)
        loss.backward()
        for weight in weights:
            weight.gradient_update(0.1)
        return loss

    step()
    step()
    return step, weights


def test_a_training_step_in_few_calls_and_buffers() -> None:
    step, _ = spiral_step()
    (figures,) = step.report().programs
    assert figures["recorded"] > 50
    assert figures["calls"] <= 36
    assert figures["bytes"] < 5 * 400 * 8 * 8
    source = step.source()
    assert "_multiply(c" in source  # the three gradients times the rate, in one call
    assert source.count("_log(") == 1  # of p and of 1 - p
    assert source.count("_divide(") == 1  # of the labels by these, and of 1 - the labels
    assert ".dot(" in source
    assert "_exp" in source


def source_of(f: Callable[..., Tensor], *arguments: Tensor) -> str:
    """The program for a function, which gives in three calls what the function gives."""
    compiled = ag.compile(f)
    for _ in range(3):
        np.testing.assert_allclose(compiled(*arguments).numpy(), f(*arguments).numpy(), rtol=1e-12)
    return str(compiled.source())


def test_what_was_not_made_in_its_place_is_copied_there() -> None:
    n, x, y = ag.asarray([1, 2, 3]), ag.asarray([1.0, 2.0, 3.0]), ag.asarray([4.0, 5.0, 6.0])
    source = source_of(lambda n, x, y: ag.log(n * x) * 2 - ag.log(n * y), n, x, y)
    assert source.count("_log(") == 1
    assert source.count("[...] = ") == 2  # products of two dtypes are made by the operator


def test_pairs_of_arrays_are_put_side_by_side() -> None:
    x, y = ag.asarray(rng.random(5) + 1), ag.asarray(rng.random(5) + 1)

    def f(x: Tensor, y: Tensor) -> Tensor:
        one, other = ag.log(x + 1), ag.log(y * y + 1)
        return ag.max(x / one) + ag.max((1 - y) / other)

    source = source_of(f, x, y)
    assert source.count("_divide(") == 1
    assert source.count("[...] = args_0") + source.count("[...] = x") == 1
    assert source_of(lambda x, y: ag.tanh(x / ag.exp(y)) + ag.tanh(y / ag.exp(x)), x, y).count("_divide(") == 2


def test_sums_of_products_are_dot_products() -> None:
    x, y = ag.asarray(rng.normal(size=(7, 5))), ag.asarray(rng.normal(size=(7, 5)))
    for f in (
        lambda x, y: ag.sum(x * y),
        lambda x, y: ag.mean(x * y - y * y),
        lambda x, y: ag.mean(ag.exp(x @ y.T) * ag.exp(y @ x.T)),
        lambda x, y: ag.sum(ag.tanh(x) * y - ag.tanh(y) * x + x * x, axis=(0, 1)),
    ):
        source = source_of(f, x, y)
        assert "vdot" in source or "_dot(" in source
        assert "_add_reduce" not in source
    for g in (lambda x, y: ag.sum(x * y + x), lambda x, y: ag.sum(x * 2.0), lambda x, y: ag.max(x * y)):
        assert "dot" not in source_of(g, x, y)
    wide = ag.asarray(rng.normal(size=(7, 1)))
    assert "dot" not in source_of(lambda x, y: ag.sum(x * y), x, wide)

    def kept(x: Tensor, y: Tensor) -> Tensor:
        z = x * y
        return ag.sum(z) * z

    assert "dot" not in source_of(kept, x, y)


def test_a_sum_of_products_is_one_where_these_are_side_by_side() -> None:
    p, t = ag.asarray(rng.random((9, 1))), ag.asarray((rng.random((9, 1)) > 0.5) * 1.0)
    source = source_of(lambda p, t: ag.sum(ag.log(p + 1) * t + ag.log((p * p) + 1) * (1 - t)), p, t)
    assert source.count("_dot(") == 1
    assert source.count("_log(") == 1
    two = source_of(lambda p, t: ag.sum(ag.log(p + 1) * t - ag.log((p * p) + 1) * (1 - t)), p, t)
    assert two.count("dot(") == 2


def test_a_value_is_not_made_where_a_view_of_another_is_read() -> None:
    def f(x: Tensor, y: Tensor) -> Tensor:
        a, b = x + 1, y + 1
        row = a[:1, :]
        return (1 - ag.tanh(a)) * (1 - ag.tanh(b)) * row

    source_of(f, ag.asarray(rng.normal(size=(4, 3))), ag.asarray(rng.normal(size=(4, 3))))


def test_nothing_that_leaves_is_a_buffer() -> None:
    step, weights = spiral_step()
    names = step._programs[0].writer.names
    buffers = [value for name, value in names.items() if type(value) is np.ndarray and name[0] in "bj"]
    assert len(buffers) > 10
    for _ in range(3):
        loss = step()
        leaving = [loss.value, *[weight.value for weight in weights]]
        assert not any(np.may_share_memory(array, buffer) for array in leaving for buffer in buffers)


def test_a_sigmoid_does_not_warn() -> None:
    f = ag.compile(lambda x: sigmoid(x) * 2)
    for _ in range(3):
        x = ag.asarray([-1000.0, 0.0, 1000.0])
        assert f(x).numpy().tolist() == [0.0, 1.0, 2.0]
    with pytest.warns(RuntimeWarning, match="overflow encountered in exp"):
        ag.compile(lambda x: ag.exp(x))(ag.asarray([1000.0]))


def test_a_where_is_as_quiet_as_it_is_eagerly() -> None:
    f = ag.compile(ag.grad(lambda x: ag.sum(ag.where(x > 0, ag.sqrt(x), x))))
    with np.errstate(invalid="ignore"):
        for _ in range(3):
            assert f(ag.asarray([4.0, -1.0])).numpy().tolist() == [0.25, 1.0]


@pytest.mark.parametrize("shape", [(400, 3), (3, 400), (7, 7), (1, 9), (9, 1)])
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128", "int64"])
def test_products_in_every_layout(shape: tuple[int, int], dtype: str) -> None:
    def f(x: Tensor, w: Tensor) -> Tensor:
        y = x @ w
        z = (y * 2 + 1) @ w.mT
        return (z * z).mT @ x + ag.sum(y) + (y[:, :1] * x[:1, :]) @ w

    m, n = shape
    f_square = ag.compile(f)
    for _ in range(3):
        x = ag.astype(ag.asarray(rng.normal(size=(m, n)) * 4), dtype)
        w = ag.astype(ag.asarray(rng.normal(size=(n, n)) * 4), dtype)
        if m != n:
            g = ag.compile(lambda x, w: ((x @ w) * 2 + x).mT @ (x @ w) + ag.max(ag.abs(x @ w), axis=0))
            for _ in range(2):
                np.testing.assert_allclose(
                    g(x, w).numpy(), g._function(x, w).numpy(), rtol=1e-4 if "32" in dtype else 1e-11
                )
        else:
            np.testing.assert_allclose(f_square(x, w).numpy(), f(x, w).numpy(), rtol=1e-3 if "32" in dtype else 1e-10)


def test_equal_operations_on_arrays_that_are_made_in_other_ways() -> None:
    """A product with True, or of other dtypes, is no ufunc into a buffer; its sigmoid is computed beside another's."""
    single = ag.asarray(rng.normal(size=(3, 4)), dtype="float32")
    for other in (lambda x: x * True, lambda x: x * single, lambda x: ag.astype(x, "float32") * x):
        f = ag.compile(lambda x, y, other=other: ag.tanh(other(x)) * 2 + ag.tanh(y * 3).T[0, 0] + ag.tanh(x + 1) * 2)
        for _ in range(4):
            x, y = ag.asarray(rng.normal(size=(3, 4))), ag.asarray(rng.normal(size=(5, 2)))
            np.testing.assert_allclose(f(x, y).numpy(), f._function(x, y).numpy(), rtol=1e-12)
        assert f.report().captured


def test_large_results_are_used_again_when_nobody_holds_them() -> None:
    w = Tensor(rng.normal(size=(200, 100)))

    @ag.compile
    def step() -> Tensor:
        loss = ag.sum(w * w)
        loss.backward()
        w.gradient_update(0.1)
        return loss

    for _ in range(3):
        step()
    seen = {w.value.ctypes.data}
    for _ in range(6):
        step()
        seen.add(w.value.ctypes.data)
    assert len(seen) == 2
    held, part = w.value, w.value[3:5, 1:]
    wanted, wanted_part = held.copy(), part.copy()
    del held
    for _ in range(4):
        step()
    assert (part == wanted_part).all()
    assert (wanted[3:5, 1:] == wanted_part).all()
    assert not np.may_share_memory(part, w.value)


def test_a_recycled_result_is_not_seen_through_a_view() -> None:
    f = ag.compile(lambda x: x + 1)
    x = ag.asarray(rng.normal(size=(300, 300)))
    kept = [memoryview(f(x).value), f(x).mT, ag.reshape(f(x), (-1,)), f(x).numpy(), f(x).value[::2]]
    for _ in range(5):
        f(x * 2)
    wanted = x.numpy() + 1
    assert (np.asarray(kept[0]) == wanted).all()
    assert (kept[1].numpy() == wanted.T).all()
    assert (kept[2].numpy() == wanted.ravel()).all()
    assert (kept[3] == wanted).all()
    assert (kept[4] == wanted[::2]).all()


def test_the_reference_executor_is_the_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    def losses(executor: bool) -> tuple[list[float], str]:
        global rng
        rng = np.random.default_rng(11)
        with monkeypatch.context() as patch:
            if not executor:
                patch.setattr(NumpyBackend, "executor", lambda self, plan, device: None)
            step, _ = spiral_step()
            return [float(step()) for _ in range(20)], step.source()

    (ours, fast), (theirs, plain) = losses(True), losses(False)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert "b0" in fast
    assert "b0" not in plain
    assert "del v" in plain


def test_a_gradient_is_in_the_memory_that_the_parameter_takes_over() -> None:
    x = ag.asarray(rng.normal(size=(50, 200)))
    w = Tensor(rng.normal(size=(200, 100)))
    twin = Tensor(w.numpy())

    def training(w: Tensor) -> Any:
        def step(rate: float) -> Tensor:
            loss = ag.sum((x @ w) ** 2) / 100
            loss.backward()
            w.gradient_update(rate)
            return loss

        return step

    step, eager = ag.compile(training(w)), training(twin)
    for i in range(5):
        np.testing.assert_allclose(float(step(1e-3 * i)), float(eager(1e-3 * i)), rtol=1e-12)
        np.testing.assert_allclose(w.numpy(), twin.numpy(), rtol=1e-11)
    (figures,) = step.report().programs
    assert figures["bytes"] < w.value.nbytes
    kept = [w.value for _ in range(4) if step(1e-3) is not None]
    for array in kept:
        eager(1e-3)
        np.testing.assert_allclose(array, twin.numpy(), rtol=1e-11)
    np.testing.assert_allclose(step.repeat(6, 1e-3).numpy(), [float(eager(1e-3)) for _ in range(6)], rtol=1e-10)
    np.testing.assert_allclose(w.numpy(), twin.numpy(), rtol=1e-10)


def test_a_gradient_that_somebody_gets_too_is_not_written_over() -> None:
    w = Tensor(rng.normal(size=(200, 100)))

    @ag.compile
    def step() -> list[Tensor]:
        loss = ag.sum(w * w * w)
        loss.backward()
        gradient = ag.asarray(w.grad) * 2
        w.gradient_update(0.01)
        return [gradient, gradient.mT[:3], gradient - 1]

    for _ in range(4):
        before = w.numpy().copy()
        gradient, part, less = step()
        np.testing.assert_allclose(gradient.numpy(), 6 * before**2, rtol=1e-12)
        np.testing.assert_allclose(part.numpy(), 6 * before.T[:3] ** 2, rtol=1e-12)
        np.testing.assert_allclose(less.numpy(), 6 * before**2 - 1, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(w.numpy(), before - 0.03 * before**2, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_elements_that_are_named_once_are_added_to_at_once(dtype: str) -> None:
    labels = ag.asarray([2, 0, 1, 1])
    logits = Tensor(rng.normal(size=(4, 3)), dtype=dtype, requires_grad=False)
    gradient = ag.grad(lambda x, y: cross_entropy(x * 2, y))
    f = ag.compile(gradient)
    for _ in range(3):
        np.testing.assert_allclose(f(logits, labels).numpy(), gradient(logits, labels).numpy(), rtol=1e-5)
        labels = ag.asarray(rng.integers(0, 3, 4))
    assert "_index_add" not in f.source()
    weighted = ag.grad(lambda x, y, w: ag.sum(ag.take_along_axis(x, y, axis=1) * w))
    g = ag.compile(weighted)
    for _ in range(3):
        arguments = logits, labels[:, None], ag.asarray(rng.normal(size=(4, 1)), dtype=dtype)
        np.testing.assert_allclose(g(*arguments).numpy(), weighted(*arguments).numpy())


def test_elements_that_are_named_twice_are_added_to_twice() -> None:
    rows = ag.asarray([0, 1, 1, -1])
    gradient = ag.grad(lambda x: ag.sum(x[rows, ag.asarray([0, 1, 1, 0])] * ag.asarray([1.0, 2.0, 3.0, 4.0])))
    f = ag.compile(gradient)
    for _ in range(2):
        assert f(ag.ones((3, 2))).numpy().tolist() == [[1.0, 0.0], [0.0, 5.0], [4.0, 0.0]]
