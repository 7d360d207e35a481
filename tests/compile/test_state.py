"""What a compiled function leaves behind: tensors, results, memory; after errors and interrupts, and among threads."""

from __future__ import annotations

import copy
import gc
import linecache
import signal
import sys
import threading
import traceback
import tracemalloc
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import agrad as ag
from agrad import Tensor
from agrad.backend import find_device
from agrad.nn import Model
from agrad.optim import SGD, Adam

rng = np.random.default_rng(20240301)


def same(ours: Tensor, theirs: Tensor) -> None:
    assert ours.dtype == theirs.dtype
    assert ours.device == theirs.device
    scale = np.max(np.abs(theirs.numpy()), initial=1.0)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=1e-10 * scale)


class Layer(Model):
    """A parameter with two names, and one in a list."""

    def __init__(self, device: str = "cpu", seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.first = Tensor(draw.normal(size=(4, 4)), device=device)
        self.tied = self.first
        self.rest = [self.first, Tensor(draw.normal(size=(4, 4)), device=device)]

    def forward(self, x: Tensor) -> Tensor:
        for w in (self.first, self.tied.T, *self.rest):
            x = ag.tanh(x @ w)
        return ag.sum(x * x)


def training(model: Model, x: Tensor, optimizer: Any) -> Callable[[], Tensor]:
    def step() -> Tensor:
        loss = model(x)
        loss.backward()
        optimizer.step()
        return loss

    return step


# Parameters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda m: SGD(m, lr=0.1, momentum=0.9), lambda m: Adam(m, lr=0.01)])
def test_tied_parameters(device: str, make: Any) -> None:
    model = Layer(device)
    twin, x = copy.deepcopy(model), ag.asarray(rng.normal(size=(6, 4)), device=device)
    step, eager = ag.compile(training(model, x, make(model))), training(twin, x, make(twin))
    for _ in range(6):
        same(step(), eager())
    assert model.tied is model.first is model.rest[0]
    same(model.first, twin.first)
    same(model.rest[1], twin.rest[1])
    assert step.report().captured


def test_two_compiled_steps_share_a_parameter_and_an_optimiser(device: str) -> None:
    def steps(w: Tensor) -> list[Any]:
        optimizer = Adam({"w": w}, lr=0.1)

        def one(x: Tensor) -> Tensor:
            loss = ag.sum(w * x)
            loss.backward()
            optimizer.step()
            return loss

        def other(x: Tensor) -> Tensor:
            loss = ag.sum(w * w * x)
            loss.backward()
            w.gradient_update(0.1)
            return loss

        return [one, other]

    w = Tensor(rng.normal(size=3), device=device)
    twin, x = copy.deepcopy(w), ag.asarray(rng.normal(size=3), device=device)
    compiled, eager = [ag.compile(f) for f in steps(w)], steps(twin)
    for i in range(9):
        for ours, theirs in zip(compiled, eager, strict=True):
            same(ours(x), theirs(x))
        if i % 3 == 0:
            same(compiled[0]._function(x), eager[0](x))
    same(w, twin)
    assert all(f.report().captured for f in compiled)


def test_an_optimisers_settings_and_state_may_be_changed(device: str) -> None:
    w = Tensor(rng.normal(size=3), device=device)
    twin, x = copy.deepcopy(w), ag.asarray(rng.normal(size=3), device=device)

    def make(w: Tensor) -> Any:
        return SGD({"w": w}, lr=0.1, momentum=0.9)

    def stepping(w: Tensor, optimizer: Any) -> Any:
        def step() -> Tensor:
            loss = ag.sum(w * w * x)
            loss.backward()
            optimizer.step()
            return loss

        return step

    ours, theirs = make(w), make(twin)
    step, eager = ag.compile(stepping(w, ours)), stepping(twin, theirs)
    kept = None
    for i in range(14):
        same(step(), eager())
        for optimizer in (ours, theirs):
            optimizer.lr *= 0.9
            if i == 4:
                optimizer.momentum = 0.5
            if i == 7:
                optimizer.weight_decay = 0.1
            if i == 11:
                optimizer.state.clear()
        if i == 5:
            kept = copy.deepcopy(ours.state), copy.deepcopy(theirs.state)
        if i == 9:
            assert kept is not None
            ours.state, theirs.state = kept
    same(w, twin)
    assert step.report().captured
    assert type(ours.lr) is float


# Results -------------------------------------------------------------------------------------------------------------


def test_a_tensor_returned_twice_is_one_tensor(device: str) -> None:
    @ag.compile
    def f(x: Tensor) -> Any:
        y = x * 2
        return [y, (y, {"y": y}), y.detach(), x, x]

    for _ in range(3):
        x = ag.asarray(rng.normal(size=3), device=device)
        first, (second, third), other, same_x, again = f(x)
        assert first is second is third["y"]
        assert other is not first
        assert same_x is again is x
    assert f.report().captured


def test_a_parameter_that_is_returned_in_every_way(device: str) -> None:
    w = Tensor(rng.normal(size=3), device=device)

    @ag.compile
    def step(x: Tensor) -> Any:
        ag.sum(w * x).backward()
        w.gradient_update(0.1)
        return w, w.detach(), w.value, [w]

    x = ag.ones(3, device=device)
    kept = []
    for _ in range(4):
        parameter, constant, array, (again,) = step(x)
        assert parameter is again is w
        kept += [(constant, constant.numpy()), (ag.asarray(array), constant.numpy())]
    assert all((tensor.numpy() == values).all() for tensor, values in kept)
    assert step.report().captured


@pytest.mark.parametrize("make", [lambda m: SGD(m, lr=0.01, momentum=0.9), lambda m: Adam(m, lr=0.01)])
def test_repeat_with_changes_between(device: str, make: Any) -> None:
    model = Layer(device)
    twin, x = copy.deepcopy(model), ag.asarray(rng.normal(size=(6, 4)), device=device)
    ours, theirs = make(model), make(twin)
    step, eager = ag.compile(training(model, x, ours)), training(twin, x, theirs)
    for rate, times in ((0.02, 5), (0.01, 4), (0.03, 1)):
        ours.lr = theirs.lr = rate
        same(step.repeat(times), ag.stack([eager().detach() for _ in range(times)]))
    same(model.first, twin.first)
    assert step.report().captured


def test_repeat_carries_whatever_is_stored_and_records_whatever_is_returned(device: str) -> None:
    def make() -> Any:
        w = Tensor([8.0, 4.0], device=device)
        a, b, before = (ag.asarray([float(i), 0.0], device=device) for i in range(3))

        def step(x: Tensor) -> Any:
            before.value = w.detach().value
            a.value, b.value = b.value, a.value
            ag.sum(w * w * x).backward()
            w.gradient_update(0.1)
            a[1] += 1.0
            return before, w, (a * 1, {"b": b, "x": x}), before.detach()

        return step, [w, a, b, before]

    (f, ours), (eager, theirs) = make(), make()
    step, x = ag.compile(f), ag.ones(2, device=device)
    got = step.repeat(6, x)
    wanted = []
    for _ in range(6):
        one, two, (three, more), last = eager(x)
        wanted.append([y.numpy() for y in (one, two, three, more["b"], more["x"], last)])
    flat = [got[0], got[1], got[2][0], got[2][1]["b"], got[2][1]["x"], got[3]]
    for tensor, values in zip(flat, zip(*wanted, strict=True), strict=True):
        np.testing.assert_allclose(tensor.numpy(), np.stack(values), rtol=1e-12)
    for one, other in zip(ours, theirs, strict=True):
        same(one, other)
    assert step.report().captured


def test_an_error_in_repeat_leaves_the_last_finished_call() -> None:
    w = Tensor([8.0, 4.0])

    @ag.compile
    def step(x: Tensor) -> Tensor:
        ag.sum(w * x).backward()
        w.gradient_update(0.1)
        return ag.log(w.detach())

    x = ag.asarray([20.0, 1.0])
    step(x)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        step.repeat(10, x)
    np.testing.assert_allclose(w.numpy(), [2.0, 3.7])


@pytest.mark.parametrize("keep_grads", [False, True])
def test_an_error_in_the_first_turn_of_repeat_leaves_the_first_call(keep_grads: bool) -> None:
    w = Tensor([8.0, 4.0])

    @ag.compile(keep_grads=keep_grads)
    def step(x: Tensor) -> Tensor:
        ag.sum(w * w * x).backward()
        w.gradient_update(0.1)
        return ag.log(w.detach() - x)

    small, large = ag.asarray([0.1, 0.1]), ag.asarray([4.0, 1.0])
    step(small)
    assert step.repeat(1, small).shape == (1, 2)
    w.value = np.asarray([8.0, 4.0])
    step(small)
    before = w.numpy()
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        step.repeat(5, large)
    assert (w.numpy() == before).all()


# Checks --------------------------------------------------------------------------------------------------------------


def test_check_with_the_state_of_an_optimiser(device: str) -> None:
    model = Layer(device)
    twin, x = copy.deepcopy(model), ag.asarray(rng.normal(size=(6, 4)), device=device)
    step = ag.compile(training(model, x, Adam(model, lr=0.01)), check=2)
    eager = training(twin, x, Adam(twin, lr=0.01))
    for _ in range(7):
        same(step(), eager())
    same(model.first, twin.first)
    assert step.report().captured


# Memory --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_collector() -> Any:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_a_step_that_is_dropped_frees_everything_at_once() -> None:
    def train() -> list[Any]:
        model, x = Layer(), ag.asarray(rng.normal(size=(6, 4)))
        step = ag.compile(training(model, x, Adam(model, lr=0.01)))
        for _ in range(4):
            step()
        step.repeat(3)
        return [weakref.ref(x) for x in (model, model.first, x, step, model.first.value)]

    files = len(linecache.cache)
    assert [reference() for reference in train()] == [None] * 5
    assert len(linecache.cache) == files


def test_a_recorded_call_keeps_none_of_its_arrays() -> None:
    w, x, raw = Tensor(np.ones(100)), ag.asarray(np.ones(100)), np.ones(100)
    made = []

    @ag.compile
    def step(x: Tensor, raw: Any) -> Tensor:
        y = w * x * raw
        made.append(weakref.ref(y)) if not made else None
        loss = ag.sum(y * y)
        loss.backward()
        w.gradient_update(0.01)
        return loss

    step(x, raw)
    step(x, raw)
    references = [weakref.ref(array) for array in (x.value, raw, w.value)]
    for _ in range(2):
        step(ag.asarray(np.ones(100)), np.ones(100))
    del x, raw
    gc.collect()
    assert [reference() for reference in references] == [None] * 3
    assert step.report().captured


def test_ten_thousand_calls_take_no_more_memory_than_one() -> None:
    w = Tensor(np.ones(5))
    optimizer = Adam({"w": w}, lr=0.01)

    @ag.compile
    def step(x: Tensor, rate: float) -> Any:
        loss = ag.sum(w * x * rate)
        loss.backward()
        optimizer.step()
        return loss, w.detach()

    for _ in range(10):
        step(ag.ones(5), 0.1)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for i in range(10_000):
            step(ag.ones(5), 0.1 + i)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
    finally:
        tracemalloc.stop()
    assert step.report().captured


# Errors and interrupts -----------------------------------------------------------------------------------------------


class Stop(BaseException):
    """What an interrupt raises."""


@pytest.fixture
def interrupts() -> Any:
    """What calls a function and interrupts it after some time."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        pytest.skip("needs signals")

    def stop(*_: Any) -> None:
        raise Stop

    def call(f: Callable[[], Any], seconds: float) -> bool:
        tracer = sys.gettrace()
        sys.settrace(None)  # one that measures coverage has a lock, which an interrupt would leave locked
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                f()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Stop:
            return True
        finally:
            sys.settrace(tracer)
        return False

    before = signal.signal(signal.SIGALRM, stop)
    yield call
    signal.signal(signal.SIGALRM, before)


def many(optimised: bool) -> tuple[list[Tensor], Any, Any]:
    """A step that changes many parameters alike."""
    parameters = [Tensor(np.ones(3)) for _ in range(8)]
    x = ag.asarray([0.01, 0.02, 0.03])
    optimizer = Adam({str(i): w for i, w in enumerate(parameters)}, lr=0.01)

    @ag.compile
    def step() -> Tensor:
        loss = ag.sum(ag.stack([w * x for w in parameters]))
        loss.backward()
        if optimised:
            optimizer.step()
        else:
            for w in parameters:
                w.gradient_update(0.1)
        return loss

    return parameters, step, optimizer


def are_whole(parameters: list[Tensor], optimizer: Any) -> bool:
    states = {str({k: np.asarray(x).tolist() for k, x in state.items()}) for state in optimizer.state.values()}
    return len({w.numpy().tobytes() for w in parameters}) == 1 and len(states) <= 1


@pytest.mark.usefixtures("no_collector")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # interrupted callbacks of others
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one that comes in a generator's end
@pytest.mark.parametrize("optimised", [False, True])
def test_an_interrupt_leaves_a_replay_undone_or_done(interrupts: Any, optimised: bool) -> None:
    parameters, step, optimizer = many(optimised)
    for _ in range(3):
        step()
    stopped = 0
    for i in range(400):
        stopped += interrupts(lambda: [step() for _ in range(4)], 2e-5 + (i % 97) * 4e-6)
        assert are_whole(parameters, optimizer)
        programs = len(step.report().programs)
        step()  # a program that still thought that it was running would run eagerly for ever
        assert step._replays[0]((), {}) is not None
    assert stopped
    assert step.report().captured
    assert len(step.report().programs) == programs


@pytest.mark.usefixtures("no_collector")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # interrupted callbacks of others
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one that comes in a generator's end
@pytest.mark.parametrize("optimised", [False, True])
def test_an_interrupt_leaves_a_recording_undone_or_done(interrupts: Any, optimised: bool) -> None:
    device = find_device("cpu")
    parts = [device.xp, device.backend, device.forward, device.backward, device._ones]
    stopped = 0
    for i in range(25):
        parameters, step, optimizer = many(optimised)
        stopped += interrupts(step, 2e-4 + i * 8e-4)
        assert are_whole(parameters, optimizer)
        assert all(type(w.value) is np.ndarray for w in parameters)
        assert type(optimizer.lr) is float
        now = [device.xp, device.backend, device.forward, device.backward, device._ones]
        assert all(one is other for one, other in zip(now, parts, strict=True))
        assert sys.getprofile() is None
    assert stopped


def test_an_error_that_a_check_of_the_function_raises() -> None:
    w = Tensor([1.0, 2.0])

    settings = types.SimpleNamespace(refused=False)

    @ag.compile
    def step(x: Tensor) -> Tensor:
        loss = ag.sum(w * x)
        loss.backward()
        w.gradient_update(0.1)
        if settings.refused:
            raise KeyboardInterrupt
        return loss

    x = ag.ones(2)
    step(x)
    before, settings.refused = w.numpy(), True
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            step(x)
        assert (w.numpy() == before).all()
    settings.refused = False
    step(x)
    assert step.report().captured
    assert len(step.report().programs) == 1


@pytest.mark.parametrize("make", [lambda w: SGD(w, lr=0.1, momentum=0.9), lambda w: Adam(w, lr=0.01)])
def test_an_error_after_an_update_leaves_model_and_optimiser_as_they_were(device: str, make: Any) -> None:
    w = Tensor(rng.normal(size=3), device=device)
    twin, x = copy.deepcopy(w), ag.asarray(rng.normal(size=3), device=device)

    def stepping(w: Tensor, optimizer: Any) -> Any:
        def step(fail: bool) -> Tensor:
            loss = ag.sum(w * w * x)
            loss.backward()
            optimizer.step()
            if fail:
                raise ValueError("on purpose")
            return loss

        return step

    ours, theirs = make({"w": w}), make({"w": twin})
    step, eager = ag.compile(stepping(w, ours)), stepping(twin, theirs)
    for _ in range(4):
        before, state = w.numpy(), copy.deepcopy(ours.state)
        with pytest.raises(ValueError, match="on purpose"):
            step(True)
        assert (w.numpy() == before).all()
        assert str(ours.state) == str(state)
        same(step(False), eager(False))
        same(w, twin)
    assert step.report().captured


def test_a_traceback_shows_the_line_of_the_program() -> None:
    step = ag.compile(lambda x: ag.log(x) * 2)
    x = ag.zeros(3)
    with np.errstate(all="ignore"):
        step(x)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError) as error:
        step(x)
    text = "".join(traceback.format_exception(error.value))
    assert 'File "agrad.compile(<lambda>) #' in text
    assert "_log(x" in text


# Threads -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [0.005, 1e-6])
def test_threads_train_models_of_their_own_with_one_compiled_step(interval: float) -> None:
    @ag.compile
    def step(model: Model, x: Tensor, rate: float) -> Tensor:
        loss = model(x)
        loss.backward()
        model.gradient_update(rate)
        return loss

    models = [Layer(seed=i) for i in range(5)]
    twins = copy.deepcopy(models)
    xs = [ag.asarray(rng.normal(size=(3 + i, 4))) for i in range(5)]
    errors: list[BaseException] = []
    together = threading.Barrier(5)

    def work(i: int) -> None:
        together.wait()
        try:
            for _ in range(100):
                step(models[i], xs[i], 0.01)
        except BaseException as error:
            errors.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        threads = [threading.Thread(target=work, args=(i,)) for i in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not errors
    assert step.report().reason is None
    for model, twin, x in zip(models, twins, xs, strict=True):
        for _ in range(100):
            step._function(twin, x, 0.01)
        same(model.first, twin.first)
        same(model.rest[1], twin.rest[1])
