"""Compiled functions against the same functions run eagerly: what is captured, what is an input, what is not frozen."""

from __future__ import annotations

import copy
import gc
import linecache
import math
import random
import sys
import threading
import time
import types
import weakref
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import agrad as ag
import agrad.functional as F
from agrad import Tensor, backend
from agrad._compile import _compiled
from agrad.backend import find_device
from agrad.losses import binary_cross_entropy, cross_entropy, mean_squared_error
from agrad.nn import Model
from agrad.optim import SGD, Adam, AdamW

rng = np.random.default_rng(20240229)


def data(*shape: int, device: str = "cpu", dtype: Any = None, leaf: bool = False) -> Tensor:
    return Tensor(rng.normal(size=shape), device=device, dtype=dtype, requires_grad=leaf)


class Network(Model):
    def __init__(self, device: str, dtype: Any = None, hidden: int = 5) -> None:
        self.A = data(2, hidden, device=device, dtype=dtype, leaf=True)
        self.layers = [data(hidden, hidden, device=device, dtype=dtype, leaf=True)]
        self.out = {"weight": data(hidden, 1, device=device, dtype=dtype, leaf=True)}
        self.bias = data(1, device=device, dtype=dtype, leaf=True)

    def forward(self, x: Tensor) -> Tensor:
        hidden = ag.tanh(x @ self.A)
        for layer in self.layers:
            hidden = ag.tanh(hidden @ layer)
        return F.sigmoid(hidden @ self.out["weight"] + self.bias)


def problem(device: str, dtype: Any = None) -> tuple[Tensor, Tensor]:
    xs = data(30, 2, device=device, dtype=dtype)
    return xs, ag.astype(data(30, 1, device=device, dtype=dtype) > 0, xs.dtype)


def training(model: Model, xs: Tensor, ys: Tensor) -> Any:
    def step(lr: float) -> Tensor:
        loss = binary_cross_entropy(model(xs), ys)
        loss.backward()
        model.gradient_update(lr)
        return loss

    return step


def tolerance(x: Tensor) -> float:
    return 1e-3 if "32" in str(x.dtype) else 1e-10


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    assert ours.device == theirs.device
    scale = np.max(np.abs(theirs.numpy()), initial=1e-30)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=tolerance(theirs) * scale)


def assert_same_parameters(ours: Model, theirs: Model) -> None:
    for name, parameter in theirs.parameters().items():
        assert_same(ours.parameters()[name], parameter)


def assert_captured(step: Any, times: int = 1) -> None:
    report = step.report()
    assert report.captured, str(report)
    assert report.reason is None
    assert len(report.programs) == times, str(report)


def assert_eager(step: Any, reason: str) -> None:
    assert not step.report().captured
    assert reason in str(step.report().reason), str(step.report())


# Training ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_training_step_gives_what_it_gives_eagerly(device: str, dtype: str) -> None:
    model = Network(device, dtype)
    twin = copy.deepcopy(model)
    xs, ys = problem(device, dtype)
    eager, step = training(twin, xs, ys), ag.compile(training(model, xs, ys))
    for i in range(60):
        rate = 0.3 / (1 + i)
        assert_same(step(rate), eager(rate))
    assert_same_parameters(model, twin)
    assert_captured(step)


@pytest.mark.parametrize(
    "make",
    [
        lambda m: SGD(m, lr=0.1),
        lambda m: SGD(m, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
        lambda m: Adam(m, lr=0.01),
        lambda m: AdamW(m, lr=0.01, betas=(0.8, 0.95)),
    ],
    ids=["sgd", "momentum", "adam", "adamw"],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_optimisers_compile_with_their_states_and_rates(device: str, dtype: str, make: Any) -> None:
    model = Network(device, dtype)
    twin = copy.deepcopy(model)
    xs, ys = problem(device, dtype)

    def training(model: Model, optimizer: Any) -> Any:
        def step() -> Tensor:
            loss = mean_squared_error(model(xs), ys)
            loss.backward()
            optimizer.step()
            return loss

        return step

    ours, theirs = make(model), make(twin)
    step, eager = ag.compile(training(model, ours)), training(twin, theirs)
    for i in range(30):
        ours.lr = theirs.lr = 0.01 * (1 + i % 7)
        assert_same(step(), eager())
    assert_same_parameters(model, twin)
    assert ours.state.keys() == theirs.state.keys()
    assert all(ours.state[name].get("step") == state.get("step") for name, state in theirs.state.items())
    assert ours.lr == theirs.lr
    assert type(ours.lr) is float
    assert len(step.report().programs) <= 2
    assert_captured(step, len(step.report().programs))


def test_a_complex_parameter_trains_with_adam(device: str) -> None:
    start = rng.normal(size=3) + 1j * rng.normal(size=3)
    z, twin = Tensor(start, device=device), Tensor(start, device=device)
    target = Tensor(rng.normal(size=3) + 1j, device=device, requires_grad=False)

    def training(z: Tensor) -> Any:
        optimizer = Adam({"z": z}, lr=0.1)

        def step() -> Tensor:
            loss = ag.sum(ag.abs(z - target) ** 2)
            loss.backward()
            optimizer.step()
            return loss

        return step

    step, eager = ag.compile(training(z)), training(twin)
    for _ in range(6):
        assert_same(step(), eager())
    assert_same(z, twin)
    assert_captured(step)


def test_cross_entropy_looks_at_its_labels_in_every_call(device: str) -> None:
    if find_device(device).backend.asynchronous:
        pytest.skip("labels are not looked at where that would wait for the device")
    w = data(4, 3, device=device, leaf=True)
    xs = data(6, 4, device=device)

    @ag.compile
    def step(labels: Tensor) -> Tensor:
        loss = cross_entropy(xs @ w, labels)
        loss.backward()
        w.gradient_update(0.1)
        return loss

    right = ag.asarray([0, 1, 2, 2, 1, 0], device=device)
    first = step(right)
    assert float(step(right)) < float(first)
    before = w.numpy()
    with pytest.raises(ag._errors.OperandError, match="labels are from 0 to 2"):
        step(ag.asarray([0, 1, 2, 3, 1, 0], device=device))
    assert (w.numpy() == before).all()
    step(right)
    assert_captured(step)


# What is an input ----------------------------------------------------------------------------------------------------


def test_arguments_are_inputs(device: str) -> None:
    @ag.compile
    def f(x: Tensor, options: dict[str, Any], *more: Any, rate: float = 2.0) -> Any:
        return {"sum": x + options["y"] * rate, "rest": [more[0] * options["z"], rate * 3]}

    for rate in (0.5, 0.25, 0.125):
        x, y, z = data(3, device=device), data(2, 3, device=device), rate / 3
        given = f(x, {"y": y, "z": z}, rate + 1, rate=rate)
        np.testing.assert_allclose(given["sum"].numpy(), x.numpy() + y.numpy() * rate)
        assert given["rest"] == [(rate + 1) * z, rate * 3]
    assert_captured(f)


def test_a_rate_does_not_widen(device: str) -> None:
    f = ag.compile(lambda x, rate: x * rate + (1 - rate) ** 2)
    x = data(3, device=device, dtype="float32")
    for rate in (0.1, np.float64(0.2), 0.3):
        assert f(x, rate).dtype == x.dtype
        np.testing.assert_allclose(f(x, rate).numpy(), x.numpy() * rate + (1 - rate) ** 2, rtol=1e-6)
    assert_captured(f)


def test_equal_floats_are_different_inputs() -> None:
    f = ag.compile(lambda x, a, b: x * a + b)
    x = ag.asarray([1.0, 2.0])
    assert f(x, 0.5, 0.5).numpy().tolist() == [1.0, 1.5]
    assert f(x, 0.5, 0.25).numpy().tolist() == [0.75, 1.25]
    assert_captured(f)


def test_raw_arrays_are_inputs(device: str) -> None:
    outside = ag.asarray(rng.normal(size=3), device=device).value
    f = ag.compile(lambda x, y: x * y + x * outside)
    for _ in range(3):
        x, y = data(3, device=device), data(3, device=device)
        np.testing.assert_allclose(f(x, y.value).numpy(), (x * y + x * outside).numpy())
    assert_captured(f)


def test_an_array_that_is_written_to_is_read_again() -> None:
    outside, t = np.array([1.0, 2.0]), Tensor([1.0, 2.0], requires_grad=False)
    f = ag.compile(lambda x: x * outside + (1 - t))
    x = ag.asarray([1.0, 1.0])
    f(x)
    outside[0] = 5.0
    t.value[1] = -1.0
    assert f(x).numpy().tolist() == [5.0, 4.0]
    assert_captured(f)


def test_a_tensor_that_is_read_may_get_another_value(device: str) -> None:
    t = data(3, device=device)
    f = ag.compile(lambda x: x + t * 2)
    x = data(3, device=device)
    f(x)
    t.value = data(3, device=device).value
    assert_same(f(x), x + t * 2)
    t[0] = 4.0
    assert_same(f(x), x + t * 2)
    assert_captured(f)
    t.value = data(2, 3, device=device).value
    assert_same(f(x), x + t * 2)
    assert_captured(f, 2)


# What is guarded -----------------------------------------------------------------------------------------------------


def test_new_shapes_dtypes_and_values_are_recorded_anew(device: str) -> None:
    @ag.compile
    def f(x: Tensor, times: int, name: str = "add") -> Tensor:
        for _ in range(times):
            x = x + x if name == "add" else x * x
        return x

    x = data(3, device=device)
    for arguments in [(x, 1), (x, 2), (x, 2, "mul"), (data(2, 2, device=device), 1), (ag.astype(x, "float32"), 1)]:
        for _ in range(2):
            given = f(*arguments)
            assert_same(given, f._function(*arguments))
    assert_captured(f, 5)


SCALE = 2.0


class Settings:
    offset = 1.0

    def __init__(self) -> None:
        self.power = 2
        self.factors = [1.0, 2.0]
        self.unused = 0


settings = Settings()


@ag.compile
def settled(x: Tensor) -> Tensor:
    return (x * SCALE + settings.offset) ** settings.power * settings.factors[1]


def test_globals_attributes_and_items_are_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    x = ag.asarray([1.0, 2.0])

    def expected() -> list[float]:
        return ((x.numpy() * SCALE + settings.offset) ** settings.power * settings.factors[1]).tolist()

    def check() -> None:
        for _ in range(2):
            np.testing.assert_allclose(settled(x).numpy(), expected())

    check()
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    check()
    monkeypatch.setattr(settings, "power", 3)
    check()
    monkeypatch.setattr(Settings, "offset", 0.5)
    check()
    settings.factors[1] = 4.0
    check()
    programs = len(settled.report().programs)
    settings.unused += 1
    settings.factors[1] = 4.0
    check()
    assert_captured(settled, programs)


def test_closures_are_guarded() -> None:
    factor = 2.0
    helper = lambda x: x * factor  # noqa: E731

    @ag.compile
    def f(x: Tensor) -> Tensor:
        return helper(x) + 1

    x = ag.asarray([1.0])
    assert f(x).item() == 3
    factor = 5.0
    assert f(x).item() == 6
    helper = lambda x: x - factor  # noqa: E731
    assert f(x).item() == -3
    assert_captured(f, 3)


def test_another_parameter_of_the_model_is_noticed(device: str) -> None:
    model = Network(device)
    xs, ys = problem(device)
    step = ag.compile(training(model, xs, ys))
    step(0.1)
    step(0.1)
    model.A = data(2, 5, device=device, leaf=True)
    twin = copy.deepcopy(model)
    assert_same(step(0.1), training(twin, xs, ys)(0.1))
    model.layers.append(data(5, 5, device=device, leaf=True))
    twin = copy.deepcopy(model)
    assert_same(step(0.1), training(twin, xs, ys)(0.1))
    assert_same_parameters(model, twin)
    assert_captured(step, 3)


def test_a_method_compiles_and_each_object_has_its_own_program(device: str) -> None:
    class Trainer:
        def __init__(self) -> None:
            self.w = data(3, device=device, leaf=True)
            self.rate = 0.5
            self.epochs = 0

        @ag.compile
        def step(self) -> Tensor:
            loss = ag.sum(self.w * self.w)
            loss.backward()
            self.w.gradient_update(self.rate)
            return loss

        def train(self) -> None:
            for _ in range(3):
                self.epochs += 1
                self.step()

    one, two = Trainer(), Trainer()
    one.train()
    two.train()
    assert (one.w.numpy() == 0).all()
    assert (two.w.numpy() == 0).all()
    assert_captured(one.step, 2)


def test_state_that_each_call_changes_is_not_frozen() -> None:
    class Counter:
        calls = 0

    counter = Counter()

    @ag.compile
    def f(x: Tensor) -> Tensor:
        counter.calls += 1
        return x * counter.calls

    x = ag.asarray([1.0])
    assert [f(x).item() for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    assert_eager(f, "counter.calls is changed by the call itself, in each of 3 calls")


def test_a_tensor_that_is_replaced_in_each_call_is_not_frozen() -> None:
    state = {"mean": ag.asarray([0.0])}

    @ag.compile
    def f(x: Tensor) -> Tensor:
        state["mean"] = state["mean"] * 0.5 + x
        return state["mean"]

    x = ag.asarray([1.0])
    assert [f(x).item() for _ in range(5)] == [1.0, 1.5, 1.75, 1.875, 1.9375]
    assert_eager(f, "state['mean'] is changed by the call itself")


def test_too_many_signatures_run_eagerly() -> None:
    f = ag.compile(lambda x, n: x * n)
    x = ag.asarray([1.0])
    assert [f(x, n).item() for n in range(40)] == list(range(40))
    assert_eager(f, "were different in each of 16 recorded calls; the last one was (x: float64[1], n=16)")


def test_one_compiled_step_trains_many_models_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    @ag.compile
    def step(model: Model, x: Tensor) -> Tensor:
        loss = ag.sum(model(x))
        loss.backward()
        model.gradient_update(0.1)
        return loss

    gone, x = [], data(4, 2)
    for i in range(20):
        model = Network("cpu")
        twin = copy.deepcopy(model)
        if i % 2:
            assert_same(step.repeat(3, model, x), ag.stack([step._function(twin, x).detach() for _ in range(3)]))
        else:
            for _ in range(3):
                assert_same(step(model, x), step._function(twin, x))
        gone.append(weakref.ref(model))
    assert_captured(step, 16)
    del model, twin
    assert sum(model() is not None for model in gone) <= 17
    monkeypatch.setattr(_compiled, "RECORDS", 20)
    step(Network("cpu"), x)
    assert_eager(step, "were different in each of 20 recorded calls; the last one was (model=<")
    gc.collect()
    assert not any(model() is not None for model in gone)


def test_what_nobody_can_guard_runs_eagerly() -> None:
    numbers = iter([1.0, 2.0, 3.0, 4.0])
    f = ag.compile(lambda x: x * next(numbers))
    x = ag.asarray([1.0])
    assert [f(x).item() for _ in range(3)] == [1.0, 2.0, 3.0]
    assert_eager(f, "it uses numbers, of type list_iterator, of which nobody can tell whether it changes")


def test_arrays_from_elsewhere_run_eagerly() -> None:
    f = ag.compile(lambda x: x + np.arange(2.0))
    x = ag.asarray([1.0, 1.0])
    for _ in range(2):
        assert f(x).numpy().tolist() == [1.0, 2.0]
    assert_eager(f, "it uses an array of shape (2,) that was not made by agrad's functions")


# Values that Python asks for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda x, a: x * 2 if x.sum() > 0 else x * 3,
        lambda x, a: x * (2 if float(x[0]) > 0 else 3),
        lambda x, a: x[int(ag.argmax(x))] * 2,
        lambda x, a: x * float(x.numpy()[0] > 0),
        lambda x, a: x[x > 0].sum(),
        lambda x, a: x * a if a > 0.1 else x,
        lambda x, a: x * round(a, 1),
        lambda x, a: x * float(f"{a:.2f}"),
        lambda x, a: ag.unique_values(x).sum(),
        lambda x, a: x * (repr(x) != ""),
        lambda x, a: x * Tensor(np.asarray(x.value), requires_grad=False),
    ],
)
def test_values_that_decide_run_eagerly(f: Any) -> None:
    compiled = ag.compile(f)
    for numbers in ([1.0, -2.0], [-3.0, 2.0], [3.0, 4.0]):
        for a in (0.05, 0.25):
            x = ag.asarray(numbers)
            assert_same(compiled(x, a), f(x, a))
    assert not compiled.report().captured
    assert any(word in compiled.report().reason for word in ("asks for the value", "depends on data"))


@pytest.mark.parametrize(
    ("f", "captured"),
    [
        (lambda x: sum(v * v for v in x), True),
        (lambda x: x * len(x), True),
        (lambda x: (lambda a, b, c: a + b * c)(*x), True),
        (lambda x: sum(a * b for a, b in zip(x, x + 1, strict=True)), True),
        (lambda x: x * (hash(x) * 0 + 1), True),
        (lambda x: np.sin(x) * np.sum(x), True),
        (lambda x: np.where(x > 1, x, 0.0) + np.add.reduce(x), True),
        (lambda x: (f"{x.sum():.2f}", x * 2)[1], False),
        (lambda x: (str(x), x * 2)[1], False),
        (lambda x: x if not x[0] > 5 else -x, False),
        (lambda x: x * 2 if 1.0 in x else x, False),
        (lambda x: x * sum(range(int(x[0]) + 2)), False),
        (lambda x: x * math.exp(x[0]), False),
        (lambda x: x * [1.0, 2.0, 3.0, 4.0][int(x[0]) % 4], False),
        (lambda x: x * sorted(x)[0] * max(x), False),
        (lambda x: x * 2 if (x == x).all() else x, False),
        (lambda x: x * x.tolist()[0], False),
        (lambda x: x * complex(x[0]).real, False),
    ],
)
def test_what_python_does_with_tensors(f: Any, captured: bool) -> None:
    compiled = ag.compile(f)
    for numbers in ([1.0, 2.0, 3.0], [2.0, 0.0, 1.0], [-1.0, 5.0, 0.5], [6.0, 1.0, 1.0]):
        for _ in range(2):
            x = ag.asarray(numbers)
            assert_same(compiled(x), f(x))
    assert compiled.report().captured is captured, str(compiled.report())
    assert captured or "Python asks for the value of a tensor" in compiled.report().reason


def test_values_that_are_the_same_in_every_call_may_decide(device: str) -> None:
    def f(x: Tensor) -> Tensor:
        numbers = ag.asarray([2.0, 3.0], device=device) * 2
        y = x * 2 if numbers[0] > 3 else x * 3
        for number in numbers:
            y = y * float(number)
        return y + int(ag.asarray(5, device=device)) + float(f"{numbers[1].item():.1f}")

    compiled = ag.compile(f)
    for _ in range(3):
        x = data(3, device=device)
        assert_same(compiled(x), f(x))
    assert_captured(compiled)


def test_arrays_of_several_libraries_in_one_program() -> None:
    pytest.importorskip("array_api_strict")
    other = "array_api_strict:device1"
    w = data(3, device=other, leaf=True)
    twin = copy.deepcopy(w)

    def training(w: Tensor) -> Any:
        def step(x: Tensor, y: Tensor) -> Any:
            loss = ag.sum(w * y) + ag.sum((x * x).to(other) * w * w)
            loss.backward()
            w.gradient_update(0.1)
            again = loss.detach().to("cpu") * x
            return (
                loss,
                again,
                x * 1,
                x * 1,
                y * 1,
                y * 1,
                ag.conj(y) + 1,
                ag.conj(x) + 1,
                ag.ones_like(x),
                ag.ones_like(y),
            )

        return step

    step, eager = ag.compile(training(w)), training(twin)
    for _ in range(4):
        x, y = data(3), data(3, device=other)
        for ours, theirs in zip(step(x, y), eager(x, y), strict=True):
            assert_same(ours, theirs)
    assert_same(w, twin)
    assert_captured(step)


def test_a_device_that_the_function_is_the_first_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("array_api_strict")
    monkeypatch.delitem(backend._devices, "array_api_strict:device2", raising=False)
    f = ag.compile(lambda x: (x.to("array_api_strict:device2") * 2).to("cpu"))
    for _ in range(3):
        x = data(3)
        assert_same(f(x), x * 2)
    assert_captured(f)


def test_foreign_randomness_runs_eagerly() -> None:
    generator = np.random.default_rng(1)
    draws = [
        lambda: random.random(),
        lambda: random.gauss(0, 1),
        lambda: float(np.random.rand()),
        lambda: float(generator.normal()),
    ]
    for draw in draws:
        f = ag.compile(lambda x, draw=draw: x * draw())
        x = ag.asarray([1.0])
        assert len({f(x).item() for _ in range(4)}) == 4
        assert_eager(
            f, "it uses generator, of type Generator" if draw is draws[-1] else "draws from a foreign generator"
        )


weight = Tensor([1.0, 2.0])
optimizer = SGD({"weight": weight}, lr=0.1, momentum=0.5)
many = [[i] for i in range(30_000)]


def _reset_gradient(x: Tensor) -> Tensor:
    weight.grad = None
    return x + 1


def _reset_state(x: Tensor) -> Tensor:
    optimizer.lr = 0.2
    return x + 1


def _write_out(x: Tensor) -> Tensor:
    return ag.asarray(np.add(x.value, 1.0, out=np.zeros(1)))


def _keep_a_graph(x: Tensor) -> Tensor:
    global weight
    weight *= 2.0
    return x + 1


@pytest.mark.parametrize(
    ("f", "reason"),
    [
        (lambda x: x * eval("2.0"), "it uses eval(), which can read anything"),
        (lambda x: x * len(many), "more than 20000 objects are within its reach"),
        (lambda x: x * min(1.0, time.time()), "it asks for something from outside Python (time)"),
        (lambda x: (x + 1, Tensor(x.value)), "it returns a new leaf"),
        (_reset_gradient, "the gradient of weight is set by hand"),
        (_reset_state, "the state 'lr' of an optimiser is set by hand"),
        (_write_out, "add(…, out=…) writes into an array"),
        (_keep_a_graph, "weight takes part in a graph after the call"),
        (lambda x: x * float(np.from_dlpack(x.value)[0]), "that it computes or reads (DLPack: from_dlpack)"),
        (lambda x: x * float(np.asarray(x.value)[0]), "that it computes or reads (numpy.asarray)"),
        (lambda x: x * x.value.mean(), "it can't be recorded: AttributeError: 'Placeholder' object has no attribute"),
        (lambda x: (x, np.ones(2)), "the result is given an array that agrad's functions did not make"),
        (
            lambda x: (types.FunctionType(compile("lambda: 2.0", "f", "eval").co_consts[0], {})(), x)[1],
            "it runs <lambda>",
        ),
    ],
)
def test_reasons(f: Any, reason: str) -> None:
    global weight
    weight = Tensor([1.0, 2.0])
    weight.backwards_grad = [1.0, 1.0]
    compiled = ag.compile(f)
    for _ in range(3):
        compiled(ag.asarray([1.0]))
    assert_eager(compiled, reason)


def test_a_float_argument_that_decides_is_named() -> None:
    f = ag.compile(lambda x, rate: x * rate if rate > 0.5 else x)
    f(ag.ones(1), 0.25)
    assert_eager(
        f, "Python asks for the value of a float argument, or of an optimiser's number, 0.25 (comparison: greater)"
    )


def test_tensors_that_belong_to_a_graph_outside_are_no_reason_for_ever() -> None:
    leaf, x = Tensor([1.0, 2.0]), ag.ones(2)
    outside = leaf * 2
    f = ag.compile(lambda x: (x * outside).detach())
    assert_same(f(x), (x * outside).detach())
    assert "not recorded yet: a tensor that it reads is part of a graph outside: it just ran" in str(f.report())
    outside = ag.asarray([3.0, 4.0])
    for _ in range(2):
        assert_same(f(x), x * outside)
    assert_captured(f)


def test_arrays_whose_elements_cannot_be_seen_run_eagerly() -> None:
    torch = pytest.importorskip("torch")
    table = torch.ones(2, dtype=torch.bfloat16)
    f = ag.compile(lambda x: x * table.ndim)
    f(ag.ones(2))
    assert_eager(f, "it uses table, of dtype torch.bfloat16, of which nobody can tell whether it changes")


def test_what_a_module_draws_while_it_is_imported_is_no_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "random")

    @ag.compile
    def f(x: Tensor) -> Tensor:
        import random  # noqa: F401

        return x * 2

    x = ag.asarray([1.0])
    for _ in range(2):
        assert_same(f(x), x * 2)
    assert_captured(f)


def test_elements_that_python_takes_out_of_an_array_are_not_frozen() -> None:
    array = np.asarray([1.0, math.nan])
    f = ag.compile(lambda x: x * float(array[0]))
    x = ag.asarray([3.0, 4.0])
    for value in (2.0, 2.0, 5.0):
        array[0] = value
        for _ in range(2):
            assert_same(f(x), x * value)
    assert_captured(f, 2)

    @ag.compile
    def counting(x: Tensor) -> Tensor:
        array[0] += 1
        return x * array[0]

    for i in range(4):
        assert_same(counting(x), x * (6.0 + i))
    assert_eager(counting, "array is changed by the call itself")


def test_a_tensor_that_moves_runs_eagerly() -> None:
    class Holder(Model):
        def __init__(self) -> None:
            self.w = Tensor([1.0])

        def forward(self, x: Tensor) -> Tensor:
            return x

    holder = Holder()

    @ag.compile
    def f(x: Tensor) -> Tensor:
        holder.to("array_api_strict:device1")
        return x + 1

    pytest.importorskip("array_api_strict")
    assert f(ag.asarray([1.0])).item() == 2.0
    assert holder.w.device == "array_api_strict:device1"
    assert holder.w.numpy().tolist() == [1.0]
    assert_eager(f, "holder.w is moved to another device")


def test_agrads_randomness_is_drawn_anew(device: str) -> None:
    def f(x: Tensor) -> Tensor:
        noise = ag.random.normal((3,), device=device)
        ag.random.uniform((2,), device=device)  # nobody uses it, and it is drawn all the same
        return x + noise * ag.random.uniform((3,), 1.0, 2.0, device=device)

    x = data(3, device=device)
    ag.random.seed(3)
    expected = [f(x) for _ in range(4)]
    ag.random.seed(3)
    compiled = ag.compile(f)
    for wanted in expected:
        assert_same(compiled(x), wanted)
    assert_captured(compiled)


def test_a_function_that_seeds_runs_eagerly(device: str) -> None:
    def f(x: Tensor) -> Tensor:
        ag.random.seed(3)
        return x + ag.random.normal((3,), device=device) + Tensor.from_random(3, device=device).detach()

    compiled, x = ag.compile(f), data(3, device=device)
    for _ in range(3):
        assert_same(compiled(x), f(x))
    assert_eager(compiled, "it seeds agrad.random, which a program would not do again")


# Differentiation -----------------------------------------------------------------------------------------------------


def test_transforms_compile(device: str) -> None:
    def f(x: Tensor) -> Tensor:
        return ag.sum(ag.sin(x) * x**3) + ag.prod(x)

    v = data(3, device=device)
    for transformed in (
        ag.grad(f),
        ag.hessian(f),
        ag.value_and_grad(f),
        lambda x: ag.hvp(f, (x,), (v,)),
        lambda x: ag.jvp(f, (x,), (v,)),
        ag.jacobian(lambda x: ag.cumulative_sum(x * x)),
        ag.grad(ag.checkpoint(f)),
    ):
        compiled = ag.compile(transformed)
        for _ in range(3):
            x = data(3, device=device)
            ours, theirs = compiled(x), transformed(x)
            for one, other in zip(*(y if isinstance(y, tuple) else (y,) for y in (ours, theirs)), strict=True):
                if not isinstance(one, tuple):
                    assert_same(one, other)
        assert_captured(compiled)


def test_more_transforms_compile(device: str) -> None:
    v = data(3, device=device)

    @ag.custom_gradient
    def clipped(x: Tensor) -> Any:
        return x * 2, lambda g: ag.clip(g, -1.0, 1.0) * x

    def f(x: Tensor) -> Tensor:
        return ag.sum(ag.sin(x) * x**3) + ag.prod(x)

    def third(x: Tensor) -> Tensor:
        return ag.grad(lambda y: ag.sum(ag.grad(lambda z: ag.sum(ag.grad(f)(z) ** 2))(y)))(x)

    def pulled(x: Tensor) -> Any:
        y, pullback = ag.vjp(lambda x: ag.exp(x) * x, x)
        return y, pullback(v * y)

    def pushed(x: Tensor) -> Any:
        y, pushforward = ag.linearize(lambda x: ag.exp(x) * x, x)
        return y, pushforward(v), pushforward(v * 2)

    for g in (
        third,
        pulled,
        pushed,
        ag.grad(lambda x: ag.sum(clipped(x) * 3)),
        ag.grad(ag.compile(f)),
        ag.hessian(lambda x: ag.compile(f)(x)),
        lambda x: ag.grad(lambda a, b: f(a["x"] * b[0]), argnums=(0, 1))({"x": x}, [x + 1]),
    ):
        compiled = ag.compile(g)
        for _ in range(3):
            x = data(3, device=device)
            for ours, theirs in zip(_leaves(compiled(x)), _leaves(g(x)), strict=True):
                assert_same(ours, theirs)
        assert_captured(compiled)


def _leaves(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    return [x for item in (tree.values() if isinstance(tree, dict) else tree) for x in _leaves(item)]


def test_inside_a_differentiation_it_just_runs(device: str) -> None:
    f = ag.compile(lambda x: ag.sum(ag.exp(x) * x))
    x = data(3, device=device)
    f(x)
    f(x)
    assert_same(ag.grad(f)(x), ag.exp(x) * (1 + x))
    assert_same(ag.grad(lambda x: f(x * 2))(x), ag.exp(2 * x) * (1 + 2 * x) * 2)
    leaf = data(3, device=device, leaf=True)
    f(leaf * 2).backward()
    with ag.keep_graph():
        assert f(leaf).prevs
    assert_captured(f)


def test_a_function_whose_result_can_be_differentiated_is_not_compiled(device: str) -> None:
    w = data(3, device=device, leaf=True)
    f = ag.compile(lambda x: ag.sum(x * w))
    x = data(3, device=device)
    f(x)
    f(x).backward()
    np.testing.assert_allclose(ag.asarray(w.grad).numpy(), x.numpy())
    assert_eager(f, "its result takes part in a graph, which somebody may differentiate")
    g = ag.compile(lambda x: ag.sum(x * w))
    with ag.no_grad():
        for _ in range(2):
            assert_same(g(x), ag.sum(x * w))
    assert_captured(g)
    h = ag.compile(lambda x: ag.sum(x * w).detach())
    assert_same(h(x), ag.sum(x * w).detach())
    assert_captured(h)


def test_the_result_says_that_it_has_no_graph(device: str) -> None:
    model = Network(device)
    xs, ys = problem(device)
    step = ag.compile(training(model, xs, ys))
    step(0.1)
    loss = step(0.1)
    with pytest.raises(ag.GraphError, match="this tensor came out of a compiled function, which keeps no graph"):
        (loss * 2).backward()
    with pytest.raises(ag.GraphError, match="a compiled step does not keep those that it computes"):
        _ = loss.grad


def test_gradients_are_kept_if_asked_for(device: str) -> None:
    w = data(3, device=device, leaf=True)

    def step(x: Tensor) -> Tensor:
        loss = ag.sum(w * w * x)
        loss.backward()
        return loss

    without, kept = ag.compile(step), ag.compile(step, keep_grads=True)
    for _ in range(3):
        x = data(3, device=device)
        without(x)
        with pytest.raises(ag.GraphError, match=r"agrad.compile\(step, keep_grads=True\) does"):
            _ = w.grad
        with pytest.raises(ag.GraphError, match="has no gradient"):
            w.gradient_update(0.1)
        kept(x)
        np.testing.assert_allclose(ag.asarray(w.grad).numpy(), 2 * w.numpy() * x.numpy())
        before = w.numpy()
        w.gradient_update(0.1)
        np.testing.assert_allclose(w.numpy(), before - 0.1 * 2 * before * x.numpy())
    assert kept.report().captured
    assert without.report().captured
    copy.deepcopy(w)


def test_gradients_from_before_are_not_frozen(device: str) -> None:
    def accumulate(w: Tensor) -> Any:
        def step(x: Tensor) -> Tensor:
            loss = ag.sum(w * x)
            loss.backward(zero_grad=False)
            return loss

        return step

    w, twin = data(3, device=device, leaf=True), None
    twin = copy.deepcopy(w)
    step, eager = ag.compile(accumulate(w), keep_grads=True), accumulate(twin)
    for _ in range(3):
        x = data(3, device=device)
        step(x)
        eager(x)
        np.testing.assert_allclose(ag.asarray(w.grad).numpy(), ag.asarray(twin.grad).numpy())
    assert_eager(step, "adds to a gradient of w from before the call" if device == "cpu" else "")


def test_two_passes_inside_one_step_add_up(device: str) -> None:
    def training(w: Tensor) -> Any:
        def step(x: Tensor) -> Tensor:
            first, second = ag.sum(w * x), ag.sum(w * w)
            first.backward()
            second.backward(zero_grad=False)
            w.gradient_update(0.1)
            return first + second

        return step

    w = data(3, device=device, leaf=True)
    twin = copy.deepcopy(w)
    step, eager = ag.compile(training(w)), training(twin)
    for _ in range(4):
        x = data(3, device=device)
        assert_same(step(x), eager(x))
    assert_same(w, twin)
    assert_captured(step)


# Effects on tensors --------------------------------------------------------------------------------------------------


def test_rebinding_an_argument_or_a_tensor_from_outside(device: str) -> None:
    total = ag.zeros_like(data(3, device=device))

    @ag.compile
    def f(x: Tensor, y: Tensor) -> Tensor:
        nonlocal_total = total
        nonlocal_total += y
        x[0] = y[1] * 2
        x *= 3
        return x

    for _ in range(4):
        x, y = data(3, device=device), data(3, device=device)
        wanted = ag.asarray([float(y[1]) * 2, float(x[1]), float(x[2])], device=device, dtype=x.dtype) * 3
        sum_before = total.numpy()
        assert f(x, y) is x
        assert_same(x, wanted)
        np.testing.assert_allclose(total.numpy(), sum_before + y.numpy())
    assert_captured(f)


def test_the_same_tensor_twice_is_another_signature(device: str) -> None:
    def f(x: Tensor, y: Tensor) -> Tensor:
        x += 1
        return x * y

    compiled = ag.compile(f)
    for _ in range(2):
        x, y = data(3, device=device), data(3, device=device)
        wanted = (x + 1) * y
        assert_same(compiled(x, y), wanted)
        wanted = (x + 1) * (x + 1)
        assert_same(compiled(x, x), wanted)
    assert_captured(compiled, 2)


def test_what_a_call_returns_is_never_written_to(device: str) -> None:
    f = ag.compile(lambda x: {"y": ag.exp(x) + 1, "t": ag.exp(x).T, "x": x.T, "same": x})
    kept, wanted = [], []
    for _ in range(5):
        x = data(4, 3, device=device)
        result = f(x)
        kept.append(result)
        wanted.append({key: value.numpy() for key, value in result.items()})
        assert result["same"] is x
    for result, values in zip(kept, wanted, strict=True):
        assert all((result[key].numpy() == values[key]).all() for key in values)
    assert_captured(f)


def test_old_values_of_parameters_are_never_written_to(device: str) -> None:
    model = Network(device)
    xs, ys = problem(device)
    step = ag.compile(training(model, xs, ys))
    arrays, values = [], []
    for _ in range(5):
        arrays.append(model.A.value)
        values.append(model.A.numpy())
        step(0.1)
    for array, value in zip(arrays, values, strict=True):
        assert (ag.asarray(array).numpy() == value).all()


def test_a_graph_from_before_an_update_is_still_that_of_the_old_value(device: str) -> None:
    w = data(3, device=device, leaf=True)

    @ag.compile
    def step() -> Tensor:
        loss = ag.sum(w * w)
        loss.backward()
        w.gradient_update(0.25)
        return loss

    step()
    step()
    before = w.numpy()
    y = ag.sum(w**3)
    step()
    y.backward()
    np.testing.assert_allclose(ag.asarray(w.grad).numpy(), 3 * before**2)
    step()
    assert_captured(step, 2)  # one for a tensor whose gradient waits for an update


def test_tensors_that_are_put_away_are_real_ones() -> None:
    kept: list[Any] = []

    @ag.compile
    def f(x: Tensor) -> Tensor:
        y = x * 2
        Settings.put_away = y
        return y + 1

    try:
        f(ag.asarray([1.0]))
        assert type(Settings.put_away.value) is np.ndarray
    finally:
        del Settings.put_away
    g = ag.compile(lambda x: kept.append(x * 3) or x + 1)
    for _ in range(4):
        g(ag.asarray([1.0]))
    assert all(type(x.value) is np.ndarray for x in kept)
    assert len(kept) == 4
    assert_eager(g, "kept is changed by the call itself")


def test_assignments_inside_and_between_replays_write_to_nobody_elses_array(device: str) -> None:
    """What a replay stores in a tensor is not taken for a copy that an assignment made, which may be written to."""

    def run(compiled: Any) -> tuple[list[Any], list[Any]]:
        x = ag.zeros(4, device=device)
        x[0] = 1.0  # x has a copy of its own from now on

        def step(v: float) -> Tensor:
            x[1:3] = v
            x[0] = x[1] * 2
            return x + 0

        functions = [compiled(f) for f in (step, lambda: x[1:], lambda: ag.reshape(x, (2, 2)), lambda: x.detach())]
        values = []
        for i in range(5):
            before, was = x.detach(), x.numpy()
            given = [functions[0](float(i)), *[f() for f in functions[1:]]]
            then = [y.numpy() for y in given]
            x[3] = 10.0 + i
            x[1] = ag.asarray(5.0, device=device)
            assert all((y.numpy() == value).all() for y, value in zip(given, then, strict=True))
            now = x.numpy()
            for y in given:
                y[0] = -1.0
            assert (x.numpy() == now).all()
            assert (before.numpy() == was).all()
            values += [now, *then]
        return values, functions

    wanted, _ = run(lambda f: f)
    found, functions = run(ag.compile)
    assert all((one == other).all() for one, other in zip(found, wanted, strict=True))
    for f in functions:
        assert_captured(f)


def test_assignments_in_the_graph(device: str) -> None:
    def run(compiled: Any) -> tuple[list[Any], Any]:
        w, factors = Tensor([1.0, 2.0, 3.0], device=device), ag.zeros(3, device=device)

        @compiled
        def step(rate: float) -> Tensor:
            h = w * w
            h[1] = h[0] * 3
            h[ag.asarray([0, 2], device=device)] = h[1] * w[:2]
            h[h > 20.0] = 0.0
            loss = (h * factors).sum() + (w[[0, 0, 1]] * h).sum()
            loss.backward()
            w.gradient_update(rate)
            return loss

        values = []
        for i in range(5):
            values += [step(0.01 + i * 0.001).numpy(), w.numpy()]
            factors[1] = float(i)
        return values, step

    wanted, _ = run(lambda f: f)
    found, step = run(ag.compile)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert_captured(step)


def test_special_functions_of_the_library_are_one_operation() -> None:
    f = ag.compile(ag.grad(lambda x: ag.special.betainc(2.0, 3.0, x) + ag.special.gammaln(x)))
    for x in (0.25, 0.5, 0.75):
        wanted = 12 * x * (1 - x) ** 2 + float(ag.special.digamma(x))
        np.testing.assert_allclose(float(f(ag.asarray(x))), wanted, rtol=1e-12)
    assert_captured(f)
    assert "digamma" in f.source()


def test_shapes_that_constants_decide(device: str) -> None:
    def f(x: Tensor) -> Any:
        mask = ag.asarray([True, False, True], device=device)
        return x[mask], ag.repeat(x, [2, 0, 1])

    compiled = ag.compile(f)
    for _ in range(3):
        x = data(3, device=device)
        for one, other in zip(compiled(x), f(x), strict=True):
            assert_same(one, other)
    assert_captured(compiled)
    kept = np.asarray([True, False, True])
    masked = ag.compile(lambda x: x[kept])
    x = ag.asarray([1.0, 2.0, 3.0])
    assert_same(masked(x), ag.asarray([1.0, 3.0]))
    assert_eager(masked, "the shape of the result depends on data")


def test_results_are_arrays_of_their_own() -> None:
    """Also those that the program does not compute: somebody may write to them."""
    w = Tensor([1.0, 2.0])

    @ag.compile(keep_grads=True)
    def f(x: Tensor) -> Any:
        ag.sum(w * x).backward()
        return x * 1, x + 1, x + 1, ag.ones(2)

    x = ag.asarray([3.0, 4.0])
    for _ in range(3):
        given = f(x)
        assert (w.grad == x.value).all()
        arrays = [x.value, w.grad, *[y.value for y in given]]
        assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])
        for array in arrays[1:]:
            array[:] = 7.0
    assert x.numpy().tolist() == [3.0, 4.0]
    assert [y.numpy().tolist() for y in f(x)] == [[3.0, 4.0], [4.0, 5.0], [4.0, 5.0], [1.0, 1.0]]
    assert_captured(f, 2)


FACTOR = 2.0


def test_a_name_that_is_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    f = ag.compile(lambda x: x * FACTOR)
    x = ag.asarray([1.0])
    assert [f(x).item() for _ in range(2)] == [2.0, 2.0]
    monkeypatch.delitem(globals(), "FACTOR")
    with pytest.raises(NameError, match="FACTOR"):
        f(x)


def test_a_copy_of_a_compiled_function_begins_anew() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.w = Tensor([1.0])
            self.step = ag.compile(self._step, check=5)

        def _step(self) -> Tensor:
            loss = ag.sum(self.w * self.w)
            loss.backward()
            self.w.gradient_update(0.25)
            return loss

    one = Trainer()
    one.step()
    two = copy.deepcopy(one)
    for _ in range(3):
        two.step()
    assert one.w.item() == 0.5
    assert two.w.item() == 0.0625


Pair = namedtuple("Pair", ["first", "second"])


def test_results_have_the_structure_of_the_function(device: str) -> None:
    f = ag.compile(lambda x: Pair([x + 1, None, "text"], {"a": (x * 2, 3), 5: x.shape}))
    x = data(3, device=device)
    for _ in range(2):
        given = f(x)
        assert isinstance(given, Pair)
        assert_same(given.first[0], x + 1)
        assert given.first[1:] == [None, "text"]
        assert_same(given.second["a"][0], x * 2)
        assert given.second["a"][1] == 3
        assert given.second[5] == (3,)
    assert_captured(f)
    g = ag.compile(lambda x: object())
    g(x)
    assert_eager(g, "it returns a object, which can't be made again")


def test_raw_results(device: str) -> None:
    f = ag.compile(lambda x: (ag.sum(x).value, (x * 2).value))
    x = data(3, device=device)
    for _ in range(2):
        total, doubled = f(x)
        assert type(total) is type(x.value)
        np.testing.assert_allclose(ag.asarray(total).numpy(), x.numpy().sum())
        np.testing.assert_allclose(ag.asarray(doubled).numpy(), x.numpy() * 2)
    assert_captured(f)


# Errors, threads -----------------------------------------------------------------------------------------------------


def test_an_error_leaves_the_model_as_it_was(device: str) -> None:
    model = Network(device)
    xs, ys = problem(device)

    @ag.compile
    def step(xs: Tensor, ys: Tensor, fail: bool) -> Tensor:
        loss = binary_cross_entropy(model(xs), ys)
        loss.backward()
        if fail:
            raise RuntimeError("on purpose")
        model.gradient_update(0.1)
        return loss

    step(xs, ys, False)
    before = copy.deepcopy(model)
    with pytest.raises(RuntimeError, match="on purpose"):
        step(xs, ys, True)
    with pytest.raises(ag.ShapeError, match="matmul"):
        step(data(3, 7, device=device), ys, False)
    assert_same_parameters(model, before)
    step(xs, ys, False)
    step(xs, ys, False)
    assert_captured(step)


def test_an_error_in_a_replay_leaves_the_model_as_it_was() -> None:
    w = Tensor([1.0, 2.0])

    @ag.compile
    def step(x: Tensor) -> Tensor:
        loss = ag.sum(w * w) + ag.sum(x)
        loss.backward()
        w.gradient_update(0.1)
        return ag.log(x)

    step(ag.asarray([1.0]))
    before = w.numpy()
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        step(ag.asarray([0.0]))
    assert (w.numpy() == before).all()
    assert_captured(step)


def test_threads(device: str) -> None:
    model = Network(device)
    predict = ag.compile(lambda x: model(x))
    xs = [data(50, 2, device=device) for _ in range(8)]
    with ag.no_grad():
        wanted = [model(x).numpy() for x in xs]
    wrong = []

    def work(i: int) -> None:
        with ag.no_grad():
            for _ in range(30):
                if not np.allclose(predict(xs[i]).numpy(), wanted[i], rtol=1e-5):
                    wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert predict.report().reason is None


def test_other_threads_do_not_notice_a_recording() -> None:
    w = data(3, leaf=True)
    inside, done = threading.Event(), threading.Event()
    seen: list[Any] = []

    def work() -> None:
        inside.wait()
        y = ag.sum(ag.sin(w) * w)
        y.backward()
        seen.extend([w.grad, np.sum(w.value), w.numpy(), y.item(), type(w.value + 1)])
        done.set()

    thread = threading.Thread(target=work)
    thread.start()

    @ag.compile
    def f(x: Tensor) -> Tensor:
        inside.set()
        done.wait()
        return x * w.detach()

    x = data(3)
    assert_same(f(x), x * w.detach())
    thread.join()
    assert type(seen[0]) is np.ndarray
    np.testing.assert_allclose(seen[0], np.cos(w.numpy()) * w.numpy() + np.sin(w.numpy()))
    assert seen[1] == w.numpy().sum()
    assert seen[4] is np.ndarray


def test_a_recording_leaves_nothing_in_the_devices(device: str) -> None:
    """What eager functions are made of when they first run inside a recording, say."""
    where = find_device(device)
    where.forward.clear()
    before = [where.xp, where.backend, where.forward, where.backward]
    f = ag.compile(lambda x: F.softplus(ag.tanh(x)) + ag.random.normal((3,), device=device))
    f(data(3, device=device))
    assert [where.xp, where.backend, where.forward, where.backward] == before
    names = {getattr(getattr(function, "func", function), "__qualname__", "") for function in where.forward.values()}
    assert len(where.forward) >= 2
    assert not any("_Namespace" in name or "recorded" in name for name in names)
    assert all(type(arg).__name__ == "ArrayNamespace" for x in where.forward.values() for arg in getattr(x, "args", ()))
    assert_captured(f)


def test_a_compiled_function_inside_a_compiled_function(device: str) -> None:
    for inner_first in (False, True):
        inner = ag.compile(lambda x: ag.exp(x))
        outer = ag.compile(lambda x, inner=inner: inner(x) + inner(x * 2))
        if inner_first:
            inner(data(3, device=device))
        for _ in range(3):
            x = data(3, device=device)
            assert_same(outer(x), ag.exp(x) + ag.exp(x * 2))
            assert_same(inner(x), ag.exp(x))
        assert_captured(outer)
        assert_captured(inner)


# The face ------------------------------------------------------------------------------------------------------------


def test_repeat_gives_what_the_calls_give(device: str) -> None:
    model = Network(device)
    twin = copy.deepcopy(model)
    xs, ys = problem(device)
    ours, theirs = Adam(model, lr=0.01), Adam(twin, lr=0.01)

    def training(model: Model, optimizer: Any) -> Any:
        def step(rate: float) -> Any:
            loss = binary_cross_entropy(model(xs), ys) * rate
            loss.backward()
            optimizer.step()
            return loss, {"noise": ag.random.normal((2,), device=device)}

        return step

    step, eager = ag.compile(training(model, ours)), training(twin, theirs)
    ag.random.seed(1)
    losses, rest = step.repeat(12, 0.5)
    ag.random.seed(1)
    wanted = [eager(0.5) for _ in range(12)]
    assert_same(losses, ag.stack([loss.detach() for loss, _ in wanted]))
    assert_same(rest["noise"], ag.stack([more["noise"] for _, more in wanted]))
    assert_same_parameters(model, twin)
    assert step.report().captured
    assert not losses.requires_grad


def turns(step: Any) -> tuple[str, str]:
    """What the loop of a compiled function does before its first turn, and what it does in each."""
    loop = step._programs[0].loop()
    lines = linecache.getlines(loop.__code__.co_filename, loop.__globals__)
    before, _, rest = "".join(lines).partition("for _ in range(turns):")
    return before.rpartition("finished = False")[2], rest.partition("finally:")[0]


def test_repeat_computes_once_what_stays_the_same(device: str) -> None:
    weights = Tensor([[1.0], [2.0]], device=device)
    x = ag.asarray([[1.0, 2.0]] * 6, device=device)

    def step(rate: float, labels: Tensor) -> Tensor:
        wanted = ag.exp(-labels * 0.5)
        loss = ag.sum((x @ weights - wanted) ** 2) * (rate * 2)
        loss.backward()
        weights.gradient_update(rate)
        return loss

    labels = ag.asarray([[1.0]] * 6, device=device)
    compiled = ag.compile(step)
    twin = copy.deepcopy(weights)
    losses = compiled.repeat(4, 0.01, labels)
    ours, weights.value = weights.numpy(), twin.value
    np.testing.assert_allclose(losses.numpy(), [float(step(0.01, labels)) for _ in range(4)], rtol=1e-12)
    np.testing.assert_allclose(ours, weights.numpy(), rtol=1e-12)
    if device.startswith("cuda"):
        return  # the values are right; CuPy's program has all of its kernels in every turn
    before, turn = turns(compiled)
    assert "exp(" in before
    assert "exp(" not in turn
    assert "rate * 2" in before
    assert "rate * 2" not in turn


def test_what_stays_the_same_in_a_loop_is_computed_anew_in_the_next() -> None:
    w, labels = Tensor(1.0), ag.asarray([1.0, 2.0])

    @ag.compile
    def step() -> Tensor:
        loss = w * ag.sum(ag.exp(labels))
        loss.backward()
        w.gradient_update(0.0)
        return loss

    for value in (0.0, 1.0):
        labels.value[...] = value
        assert step.repeat(3).numpy() == pytest.approx([2 * math.exp(value)] * 3)
        assert float(step()) == pytest.approx(2 * math.exp(value))


def test_what_the_loop_confirms_comes_before_what_needs_it(device: str) -> None:
    logits = Tensor(np.zeros((2, 3)), device=device)
    labels = ag.asarray([0, 2], device=device)

    @ag.compile
    def step() -> Tensor:
        loss = cross_entropy(logits, labels)
        loss.backward()
        logits.gradient_update(0.5)
        return loss

    assert step.repeat(3).shape == (3,)
    if device.startswith("cuda"):
        return  # the values are right; CuPy's program has all of its kernels in every turn
    before, turn = turns(step)
    assert "return _MISS" in before
    assert "_MISS" not in turn


def test_a_loop_without_anything_that_changes(device: str) -> None:
    x = ag.asarray([1.0, 2.0], device=device)
    double = ag.compile(lambda: x * 2)
    assert double.repeat(3).numpy().tolist() == [[2.0, 4.0]] * 3


def test_repeat_without_a_program() -> None:
    w = Tensor([8.0])

    @ag.compile
    def step() -> Tensor:
        if float(w.sum()) > 1:
            w.value = w.value / 2
        return w.detach()

    assert step.repeat(5).numpy().tolist() == [[4.0], [2.0], [1.0], [1.0], [1.0]]
    with pytest.raises(ValueError, match="repeat: a positive number of times is needed, not 0"):
        step.repeat(0)
    with pytest.raises(TypeError, match="repeat: the function has to return tensors to be recorded, not int"):
        ag.compile(lambda: 1).repeat(2)


def test_check_compares_with_the_function(device: str) -> None:
    model = Network(device)
    twin = copy.deepcopy(model)
    xs, ys = problem(device)
    step, eager = ag.compile(training(model, xs, ys), check=3), training(twin, xs, ys)
    for _ in range(10):
        assert_same(step(0.1), eager(0.1))
    assert_same_parameters(model, twin)
    assert_captured(step)

    wrong = ag.compile(lambda x: x * 2, check=2)
    wrong(ag.ones(2, device=device))
    wrong._replays = (lambda args, kwargs: args[0] * 3,)
    with pytest.raises(ag.CompileError, match=r"call 2: the program gives .* for the result, and the function"):
        wrong(ag.ones(2, device=device))


def test_the_face_of_compile() -> None:
    def f(x: Tensor) -> Tensor:
        """What f does."""
        return x * 2 + 0 * x

    compiled = ag.compile(f)
    assert compiled.__name__ == "f"
    assert compiled.__doc__ == "What f does."
    assert compiled.__wrapped__ is f
    assert "compiled" in repr(compiled)
    assert "is not recorded yet" in str(compiled.report())
    with pytest.raises(ag.CompileError, match=r"source\(\): there is no program"):
        compiled.source()
    compiled(ag.ones(3))
    report = compiled.report()
    assert "(x: float64[3]): 3 operations recorded" in str(report)
    assert report.programs[0]["recorded"] == 3
    assert compiled.source().startswith("def replay(args, kwargs):")
    assert isinstance(ag.compile(check=2)(f), type(ag.compile(f, check=2)))
    for wrong in (-1, 0.5):
        with pytest.raises(TypeError, match="compile: check is a natural number"):
            ag.compile(f, check=wrong)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="compile: a function is needed, not 3"):
        ag.compile(3)  # type: ignore[call-overload]
