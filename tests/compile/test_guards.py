"""What a compiled function reads besides its arguments: whatever changes there is seen in the next call."""

from __future__ import annotations

import collections
import configparser
import dataclasses
import functools
import os
import sys
import threading
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agrad as ag
from agrad import Tensor
from agrad.nn import Model
from agrad.scalar import Scalar

X = ag.asarray([1.0, 2.0, 3.0])


def same(ours: Any, theirs: Any) -> None:
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


def follows(f: Callable[..., Any], *changes: Callable[[], Any], captured: bool = True, arguments: Any = ()) -> Any:
    """Whether `f` compiled gives what it gives eagerly, before and after each change; the compiled function."""
    compiled = ag.compile(f)
    for change in (lambda: None, *changes):
        change()
        for _ in range(2):
            same(compiled(X, *arguments), f(X, *arguments))
    assert compiled.report().captured is captured, str(compiled.report())
    return compiled


def reason(compiled: Any) -> str:
    return str(compiled.report().reason)


# The same array in two places ----------------------------------------------------------------------------------------


def test_one_array_may_be_two_inputs(device: str) -> None:
    x, a, b = (ag.asarray([float(i), 2.0], device=device) for i in range(3))
    f = ag.compile(lambda x, a, b: x * a + b)
    for first, second in ((a.value, a.value), (a.value, b.value), (b.value, a.value)):
        same(f(x, first, second), x * first + second)
    assert len(f.report().programs) == 1


def test_an_argument_may_be_an_array_that_is_read_elsewhere_too(device: str) -> None:
    kept, other = ag.asarray([1.0, 2.0], device=device).value, ag.asarray([5.0, 6.0], device=device).value
    f = ag.compile(lambda x: ag.asarray(x) * 3 + ag.asarray(kept))
    for x in (kept, other, kept):
        same(f(x), ag.asarray(x) * 3 + ag.asarray(kept))
    assert len(f.report().programs) == 1


def test_an_array_that_a_tensor_had_is_still_itself(device: str) -> None:
    array = ag.asarray([1.0, 2.0], device=device).value
    tensor, x = ag.asarray(array, copy=False), ag.ones(2, device=device)
    f = ag.compile(lambda x, a: x + tensor * 2 + x * array * a)
    for a in (array, ag.asarray([7.0, 8.0], device=device).value):
        same(f(x, a), x + tensor * 2 + x * array * a)
    tensor.value = ag.asarray([9.0, 9.0], device=device).value
    same(f(x, array), x + tensor * 2 + x * array * array)
    assert len(f.report().programs) == 1


def test_an_argument_may_be_a_tensor_that_is_read_elsewhere_too(device: str) -> None:
    kept = ag.asarray([1.0, 2.0], device=device)
    f = ag.compile(lambda x: x * 2 + kept)
    for x in (kept, ag.asarray([5.0, 5.0], device=device), kept):
        for _ in range(2):
            same(f(x), x * 2 + kept)
    assert f.report().captured


def test_a_swap_and_shared_values(device: str) -> None:
    a, b = ag.asarray([1.0, 2.0], device=device), ag.asarray([3.0, 4.0], device=device)

    @ag.compile
    def swap() -> None:
        a.value, b.value = b.value, a.value

    @ag.compile
    def share() -> None:
        a.value = b.value

    for i in range(4):
        swap()
        assert a.numpy().tolist() == ([1.0, 2.0] if i % 2 else [3.0, 4.0])
        assert b.numpy().tolist() == ([3.0, 4.0] if i % 2 else [1.0, 2.0])
    for i in range(3):
        share()
        a[0] = 9.0
        assert b.numpy().tolist() == [3.0, 4.0 + 10 * i]
        b[1] += 10.0
    assert swap.report().captured
    assert share.report().captured


# Numbers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        (0.5, 2.5),
        (np.float64(0.5), np.float64(2.5)),
        (np.float32(0.5), np.float32(2.5)),
        (np.float16(0.5), np.float16(2.5)),
        (3, 4),
        (np.int64(3), np.int64(4)),
        (np.int8(3), np.int8(4)),
        (True, False),
        (np.bool_(True), np.bool_(False)),
        (2 + 1j, 3j),
        (np.complex128(2 + 1j), np.complex128(3j)),
        (np.complex64(2 + 1j), np.complex64(3j)),
        (float("nan"), float("inf"), -0.0, 0.0),
    ],
    ids=lambda values: type(values[0]).__name__,
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex64"])
def test_numbers_of_every_kind_as_arguments_and_outside(values: Any, dtype: str) -> None:
    holder = types.SimpleNamespace(a=values[0])
    f = lambda x, a: 1 / (x * a + 0.25) + a  # noqa: E731
    g = lambda x: 1 / (x * holder.a + 0.25) + holder.a  # noqa: E731
    x = ag.astype(X, dtype)
    functions = [ag.compile(f), ag.compile(g)]
    with np.errstate(all="ignore"):
        for a in (*values, *values):
            holder.a = a
            same(functions[0](x, a), f(x, a))
            same(functions[1](x), g(x))
    assert all(f.report().captured for f in functions)
    inputs = isinstance(values[0], float | np.floating)
    assert len(functions[0].report().programs) == (1 if inputs else len(values))


# Code ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A module of the user's, imported before."""
    package = types.ModuleType("some_package")
    module = types.ModuleType("some_package.settings")
    for each in (package, module):
        each.__file__ = str(tmp_path / "module.py")
        monkeypatch.setitem(sys.modules, each.__name__, each)
    package.settings = module  # type: ignore[attr-defined]
    module.SCALE = 2.0  # type: ignore[attr-defined]
    return module


def test_modules_that_are_imported_inside(settings: Any) -> None:
    def whole(x: Tensor) -> Tensor:
        import some_package.settings

        return x * some_package.settings.SCALE

    def one_name(x: Tensor) -> Tensor:
        from some_package.settings import SCALE

        return x * SCALE

    def renamed(x: Tensor) -> Tensor:
        import math

        import some_package.settings as s

        return x * s.SCALE * math.pi

    namespace: dict[str, Any] = {"__package__": "some_package"}
    exec("def relative(x):\n    from . import settings\n    return x * settings.SCALE", namespace)
    for i, f in enumerate((whole, one_name, renamed, namespace["relative"])):
        follows(f, lambda i=i: setattr(settings, "SCALE", 3.0 + i))


def test_a_module_that_the_first_call_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "late_settings.py").write_text("SCALE = 2.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def f(x: Tensor) -> Tensor:
        import late_settings

        return x * late_settings.SCALE

    compiled = ag.compile(f)
    for scale in (2.0, 2.0, 2.0, 5.0):
        if scale != 2.0:
            sys.modules["late_settings"].SCALE = scale  # type: ignore[attr-defined]
        same(compiled(X), X * scale)
    assert compiled.report().captured
    monkeypatch.delitem(sys.modules, "late_settings")


def test_modules_by_their_names_run_eagerly(settings: Any) -> None:
    def by_table(x: Tensor) -> Tensor:
        return x * sys.modules["some_package.settings"].SCALE

    def by_name(x: Tensor) -> Tensor:
        from importlib import import_module

        return x * import_module("some_package.settings").SCALE

    compiled = follows(by_table, lambda: setattr(settings, "SCALE", 3.0), captured=False)
    assert reason(compiled) == "it uses sys.modules, where it can find anything"
    compiled = follows(by_name, lambda: setattr(settings, "SCALE", 4.0), captured=False)
    assert reason(compiled) == "it uses import_module(), which can read anything"


def test_attributes_of_functions() -> None:
    def f(x: Tensor) -> Tensor:
        return x * f.scale  # type: ignore[attr-defined]

    def set_scale(function: Any, value: float) -> Callable[[], None]:
        return lambda: setattr(function, "scale", value)

    set_scale(f, 2.0)()
    follows(f, set_scale(f, 3.0))

    @ag.compile
    def g(x: Tensor) -> Tensor:
        return x * g.scale  # type: ignore[attr-defined]

    for scale in (2.0, 3.0):
        set_scale(g, scale)()
        for _ in range(2):
            same(g(X), X * scale)
    assert len(g.report().programs) == 2


def test_methods_that_are_replaced() -> None:
    class Base:
        def inherited(self, x: Tensor) -> Tensor:
            return x + 1

    class Layer(Base):
        def plain(self, x: Tensor) -> Tensor:
            return super().inherited(x) * 2

        @staticmethod
        def static(x: Tensor) -> Tensor:
            return x * 3

        @classmethod
        def of_class(cls, x: Tensor) -> Tensor:
            return x * 4

        @property
        def number(self) -> float:
            return 5.0

        def unused(self) -> None: ...

    layer = Layer()

    def f(x: Tensor) -> Tensor:
        return layer.inherited(layer.plain(x)) + layer.static(x) * layer.of_class(x) + layer.number

    def replace(cls: Any, name: str, value: Any) -> Callable[[], None]:
        return lambda: setattr(cls, name, value)

    compiled = follows(
        f,
        replace(Layer, "plain", lambda self, x: x * 20),
        replace(Layer, "static", staticmethod(lambda x: x * 30)),
        replace(Layer, "of_class", classmethod(lambda cls, x: x * 40)),
        replace(Layer, "number", property(lambda self: 50.0)),
        replace(Base, "inherited", lambda self, x: x * 60),
        replace(Layer, "inherited", lambda self, x: x * 70),
    )
    programs = len(compiled.report().programs)
    Layer.unused = lambda self: None  # type: ignore[method-assign]
    compiled(X)
    assert len(compiled.report().programs) == programs


def test_a_models_forward_may_be_replaced() -> None:
    class Line(Model):
        def __init__(self) -> None:
            self.w = Tensor([1.0, 2.0, 3.0])

        def forward(self, x: Tensor) -> Tensor:
            return (x * self.w).detach()

    line = Line()
    follows(lambda x: line(x), lambda: setattr(Line, "forward", lambda self, x: (x - self.w).detach()))


def test_builtins_that_get_another_meaning() -> None:
    namespace: dict[str, Any] = {}
    exec("def f(x):\n    try:\n        return x * max(2, 3) * FLAG\n    except NameError:\n        return x", namespace)
    follows(
        namespace["f"],
        lambda: namespace.update(FLAG=3.0),
        lambda: namespace.update(max=min),
        lambda: namespace.pop("max"),
    )


def test_defaults_that_are_replaced() -> None:
    def f(x: Tensor, a: float = 2.0, *, more: Any = ([1.0],)) -> Tensor:
        return x * a + more[0][0]

    follows(
        f,
        lambda: setattr(f, "__defaults__", (3.0,)),
        lambda: f.__kwdefaults__["more"][0].__setitem__(0, 4.0),
        lambda: f.__kwdefaults__.update(more=([5.0],)),
    )


def test_arguments_may_be_called_what_they_like() -> None:
    class Settings:
        def __init__(self, scale: float) -> None:
            self.scale = scale

    one, two = Settings(2.0), Settings(3.0)
    f = lambda x, a, a_0: x * a[0].scale * a_0.scale  # noqa: E731
    follows(f, lambda: setattr(one, "scale", 4.0), lambda: setattr(two, "scale", 5.0), arguments=([one], two))

    def g(x: Tensor, g: int, replay: int, args: int, v1: int) -> Tensor:
        return x * g + replay * args * v1

    follows(g, arguments=(2, 3, 4, 5))


# Objects -------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Config:
    rate: float
    inner: Any = None


@dataclasses.dataclass(frozen=True)
class Frozen:
    scale: float
    inner: Any = None


@dataclasses.dataclass(slots=True)
class Slotted:
    offset: float
    tensor: Any = None


class Private:
    __slots__ = ("__hidden",)

    def __init__(self) -> None:
        self.set(2.0)

    def set(self, value: float) -> None:
        self.__hidden = value

    def get(self) -> float:
        return self.__hidden


class Checked:
    """A descriptor."""

    def __set_name__(self, owner: Any, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else getattr(instance, self.name)

    def __set__(self, instance: Any, value: float) -> None:
        setattr(instance, self.name, value)


class WithDescriptor:
    scale = Checked()


class Asking:
    """An object that answers for attributes that it does not have, and refuses others in its own way."""

    def __init__(self) -> None:
        self.table = {"scale": 2.0}

    def __getattr__(self, name: str) -> Any:
        return vars(self)["table"][name]


def test_dataclasses_and_what_is_in_them() -> None:
    config = Config(0.5, Frozen(2.0, Slotted(3.0, ag.asarray([1.0, 0.0, 2.0]))))

    def f(x: Tensor) -> Tensor:
        return x * config.rate * config.inner.scale + config.inner.inner.offset + config.inner.inner.tensor

    slotted = config.inner.inner
    compiled = follows(
        f,
        lambda: setattr(config, "rate", 0.25),
        lambda: setattr(config, "inner", Frozen(4.0, slotted)),
        lambda: setattr(slotted, "offset", 5.0),
        lambda: setattr(slotted, "tensor", ag.asarray([6.0, 6.0, 6.0])),
    )
    programs = len(compiled.report().programs)
    slotted.tensor.value = np.asarray([7.0, 7.0, 7.0])
    same(compiled(X), f(X))
    assert len(compiled.report().programs) == programs


def test_objects_of_every_kind() -> None:
    private, described, asking = Private(), WithDescriptor(), Asking()
    described.scale = 2.0
    follows(lambda x: x * private.get(), lambda: private.set(3.0))
    follows(lambda x: x * described.scale, lambda: setattr(described, "scale", 3.0))
    follows(lambda x: x * asking.scale, lambda: asking.table.update(scale=3.0))
    scalar = Scalar(2.0)
    follows(lambda x: x * scalar.value, lambda: setattr(scalar, "value", 3.0))
    table = {(1, 2): 2.0, (3, 4): 3.0}
    follows(lambda x: x * table[1, 2] + table[3, 4], lambda: table.update({(3, 4): 5.0}))
    sentinel = object()
    follows(lambda x, a=sentinel: x * 2 if a is sentinel else x)


def test_the_order_of_a_dict() -> None:
    factors = {"a": 2.0, "b": 3.0}

    def f(x: Tensor) -> Tensor:
        for factor in factors.values():
            x = x * factor + 1
        return x

    follows(f, lambda: factors.update(a=factors.pop("a")))


def test_objects_of_the_standard_library() -> None:
    event, user_dict, parser = threading.Event(), collections.UserDict(a=2.0), configparser.ConfigParser()
    inner = {"a": 2.0}
    chain, parser["a"] = collections.ChainMap({}, inner), {"scale": "2.0"}
    follows(lambda x: x * 2 if event.is_set() else x * 3, event.set)
    follows(lambda x: x * user_dict["a"], lambda: user_dict.update(a=3.0))
    follows(lambda x: x * chain["a"], lambda: inner.update(a=3.0))
    follows(lambda x: x * parser.getfloat("a", "scale"), lambda: parser.set("a", "scale", "3.0"))


def test_weak_references() -> None:
    class Holder:
        scale = 2.0

    holder = Holder()
    reference, proxy = weakref.ref(holder), weakref.proxy(holder)
    follows(lambda x: x * reference().scale, lambda: setattr(holder, "scale", 3.0))
    compiled = follows(lambda x: x * proxy.scale, lambda: setattr(holder, "scale", 4.0), captured=False)
    assert reason(compiled) == "it uses proxy, of type ProxyType, of which nobody can tell whether it changes"


def test_files_and_the_environment_run_eagerly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "numbers"
    path.write_text("1\n2\n3\n4\n")
    with path.open() as file:
        compiled = ag.compile(lambda x: x * float(file.readline()))
        for i in range(4):
            same(compiled(X), X * (i + 1))
    assert reason(compiled) == "it uses file, of type TextIOWrapper, of which nobody can tell whether it changes"
    for f in (lambda x: x * float(os.environ["SCALE"]), lambda x: x * float(os.getenv("SCALE", "1"))):
        monkeypatch.setenv("SCALE", "2")
        compiled = follows(f, lambda: monkeypatch.setenv("SCALE", "3"), captured=False)
        assert reason(compiled) == "it asks for something from outside Python (the environment)"


def test_what_a_cache_keeps_is_not_computed_anew() -> None:
    w = ag.asarray([2.0])

    @functools.lru_cache
    def noise(n: int) -> Tensor:
        return ag.random.normal((n,)) * w

    compiled = ag.compile(lambda x: x + noise(3))
    first = compiled(X)
    w.value = np.asarray([9.0])
    for _ in range(5):
        same(compiled(X), first)
    assert "was not made by agrad's functions" in reason(compiled)

    @functools.lru_cache
    def number(n: int) -> float:
        return 2.0 * n

    compiled = ag.compile(lambda x: x * number(2))
    compiled(X)
    assert "the cache of number is changed by the call itself" in str(compiled.report())
    for _ in range(2):
        same(compiled(X), X * 4)
        number(5)
    assert len(compiled.report().programs) == 1

    class Layer:
        scale = 2.0

        @functools.cached_property
        def table(self) -> Tensor:
            return ag.asarray([self.scale, 1.0, 1.0])

    layer = Layer()
    compiled = ag.compile(lambda x: x * layer.table)
    for _ in range(4):
        same(compiled(X), X * ag.asarray([2.0, 1.0, 1.0]))
        layer.scale = 3.0
    assert compiled.report().captured


def test_agrads_randomness_beside_numpy_is_no_foreign_chance() -> None:
    def f(x: Tensor) -> Tensor:
        return x * np.pi + ag.random.normal((3,))

    compiled = ag.compile(f)
    ag.random.seed(1)
    ours = [compiled(X) for _ in range(3)]
    ag.random.seed(1)
    for one in ours:
        same(one, f(X))
    assert compiled.report().captured
    library = np
    chance = ag.compile(lambda x: x * library.random.normal() + ag.random.normal((3,)))
    chance(X)
    assert "it draws from a foreign generator" in reason(chance)

    def local(x: Tensor) -> Tensor:
        alias = np
        return x * alias.random.normal()

    chance = ag.compile(local)
    assert len({float(chance(X)[0]) for _ in range(4)}) == 4
    assert "it draws from a foreign generator" in reason(chance)


def test_generators_and_coroutines_run_eagerly() -> None:
    @ag.compile
    def numbers(x: Tensor) -> Any:
        yield x * 2

    @ag.compile
    async def later(x: Tensor) -> Tensor:
        return x * 2

    for x in (X, X + 1):
        same(next(numbers(x)), x * 2)
        with pytest.raises(StopIteration) as stop:
            later(x).send(None)
        same(stop.value.value, x * 2)
    assert reason(numbers) == "it returns a generator, which can't be made again"
    assert reason(later) == "it returns a coroutine, which can't be made again"
