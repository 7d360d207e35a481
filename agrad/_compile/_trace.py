"""The tracing namespace: what a function asks of arrays is done for real once, and written down.

A `Placeholder` is a real array with the `Var` that stands for it in the program; a `Number` is the same for a number
of the host, such as a learning rate. While a `Trace` is open, the devices' namespaces, primitives and backends are
replaced by ones that record (`recording`), so the rest of agrad runs over placeholders without knowing of them.
Other threads, which see the same devices, pass through. Where a value leaves for Python, the trace fails with a reason
and everything goes on with real values.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sys import getprofile, setprofile
from threading import RLock, active_count, get_ident
from time import sleep
from typing import Any, ClassVar

from .. import backend as backends
from .._graph import Primitive
from .._tensor import Tensor
from .._typing import Array, Namespace
from ..backend import DTYPES, EXTENSIONS, Device, Special, backend_of, transfer

_arrays: dict[type, bool] = {}


def is_number(value: Any) -> bool:
    """Whether `value` is a library's scalar that counts as Python's number: an integer, a truth value, complex."""
    return is_array(value) and type(backend_of(value).number(value)) in (int, bool, complex)  # type: ignore[union-attr]


def is_array(value: Any) -> bool:
    """Whether `value` is an array of some library, or a scalar of it; a placeholder is not."""
    kind = type(value)
    found = _arrays.get(kind)
    if found is None:
        # Asked of the type, since an object may answer by a __getattr__ of its own.
        named = hasattr(kind, "dtype") and hasattr(kind, "shape")
        ours = named and issubclass(kind, Tensor | Placeholder | Number)
        found = _arrays[kind] = named and not ours and backend_of(value) is not None
    return found


class Var:
    """A value of a program: an input, a constant, or what an operation gives. Numbers of the host have no dtype."""

    __slots__ = ("dtype", "index", "is_constant", "op", "shape", "value")

    def __init__(self, index: int, value: Any, op: Op | None = None, is_constant: bool = False) -> None:
        self.index = index
        self.value = value
        """What it was at capture."""
        self.op = op
        self.is_constant = is_constant
        self.shape: Any = getattr(value, "shape", ())
        self.dtype: Any = getattr(value, "dtype", None)

    def __repr__(self) -> str:
        return f"v{self.index}"


class Op:
    """One call of a function: `function(*args, **kwargs)`, with Vars in the place of values.

    An `impure` one is kept, as often and in the order in which it was called; `quiet` says that warnings are off;
    `several` is the type of the sequence where the function gives several arrays.
    """

    __slots__ = ("_used", "args", "function", "impure", "kwargs", "name", "outs", "quiet", "several")

    def __init__(
        self, name: str, function: Callable[..., Any], args: Any, kwargs: dict[str, Any], impure: bool, quiet: bool
    ) -> None:
        self.name = name
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.impure = impure
        self.quiet = quiet
        self.outs: list[Var] = []
        self.several: Any = None
        self._used: list[Var] | None = None

    def uses(self) -> list[Var]:
        """The Vars among the arguments, one used twice twice."""
        if self._used is None:
            self._used = []
            _collect(self.args, self._used)
            if self.kwargs:
                _collect(self.kwargs, self._used)
        return self._used

    def give(self, args: Any, kwargs: dict[str, Any]) -> None:
        """Other arguments."""
        self.args, self.kwargs, self._used = args, kwargs, None

    def __repr__(self) -> str:
        return f"{self.outs} = {self.name}({self.args}, {self.kwargs})"


def _collect(tree: Any, found: list[Var]) -> None:
    kind = type(tree)
    if kind is Var:
        found.append(tree)
    elif kind is tuple or kind is list:
        for item in tree:
            _collect(item, found)
    elif kind is dict:
        for item in tree.values():
            _collect(item, found)


def substitute(tree: Any, replace: Callable[[Var], Any]) -> Any:
    """`tree`, arguments of an operation, with every Var replaced."""
    kind = type(tree)
    if kind is Var:
        return replace(tree)
    if kind is tuple or kind is list:
        return kind([substitute(item, replace) for item in tree])
    if kind is dict:
        return {key: substitute(item, replace) for key, item in tree.items()}
    return tree


class Trace:
    """The record of one run: its operations in order, and which value is which Var."""

    def __init__(self, fused: frozenset[str]) -> None:
        self.fused = fused
        """Primitives that are recorded as one operation, since the executor has a better way than their rules."""
        self.ops: list[Op] = []
        self.count = 0
        self.known: dict[int, Var] = {}
        """Arrays that came from outside, by id; `kept` keeps them, so that the ids stay theirs."""
        self.kept: list[Any] = []
        self.placeholders: list[Placeholder] = []
        self.ones: list[_Ones] = []
        self.reason: str | None = None
        self.quiet = 0
        self.owner = get_ident()
        self.open = True
        self.busy = False

    def here(self) -> bool:
        """Whether what this thread does is being recorded."""
        return get_ident() == self.owner and self.open and not self.busy and self.reason is None

    def mine(self) -> bool:
        """Whether this thread may have placeholders in its hands."""
        return self.open and get_ident() == self.owner

    def fail(self, reason: str) -> None:
        """Give the record up. The run goes on."""
        if self.here():
            self.reason = reason

    def var(self, value: Any, op: Op | None = None, is_constant: bool = False) -> Var:
        self.count += 1
        return Var(self.count, value, op, is_constant)

    def input(self, value: Any) -> Var:
        """The Var of an array from outside."""
        found = self.known.get(id(value))
        if found is None:
            found = self.known[id(value)] = self.var(value)
            self.kept.append(value)
        return found

    def call(
        self, name: str, function: Callable[..., Any], args: Any, kwargs: dict[str, Any], impure: bool = False
    ) -> Any:
        """Call a function with the real values, and record that."""
        if not self.here():
            return function(*real(args), **real(kwargs))
        profile = getprofile()
        setprofile(None)  # what the function does inside is its own affair, and what is done here is ours
        self.busy = True
        try:
            plain = [x._real if type(x) is Placeholder or type(x) is Number else real(x) for x in args]
            result = _placed(function, args)(*plain, **(real(kwargs) if kwargs else kwargs))
            self.busy = False
            lifted = self._lifted(kwargs) if kwargs else kwargs
            used = tuple([x._var if type(x) is Placeholder or type(x) is Number else self._lifted(x) for x in args])
            op = Op(name, function, used, lifted, impure, self.quiet > 0)
            if not _arrays.get(type(result)):
                return self._lowered(result, op)
            out = self.var(result, op, _gives_a_constant(op))  # what most functions give
            op.outs.append(out)
            self.ops.append(op)
            return self.placeholder(result, out)
        finally:
            self.busy = False
            setprofile(profile)

    def aside(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function with real values, of which nothing is recorded."""
        if not self.here():
            return function(*real(args), **kwargs)
        profile = getprofile()
        setprofile(None)  # as in `call`: CuPy compiles kernels, for which it reads the environment
        self.busy = True
        try:
            return function(*real(args), **kwargs)
        finally:
            self.busy = False
            setprofile(profile)

    def _lifted(self, tree: Any) -> Any:
        kind = type(tree)
        if kind is Placeholder or kind is Number:
            return tree._var
        if kind is tuple or kind is list:
            return kind([self._lifted(item) for item in tree])
        if kind is dict:
            return {key: self._lifted(item) for key, item in tree.items()}
        if kind in _PLAIN or not is_array(tree):
            return tree
        found = self.known.get(id(tree))
        if found is None:
            self.fail(
                f"it uses an array of shape {tuple(tree.shape)} that was not made by agrad's functions, and is in no "
                f"argument, closure, global or attribute that could be read again"
            )
            return self.input(tree)
        return found

    def _lowered(self, result: Any, op: Op) -> Any:
        """Placeholders for what a function gave, which is recorded if that is arrays or numbers."""
        if isinstance(result, tuple | list):
            op.several = type(result)
            op.outs = [self.var(item, op, _gives_a_constant(op)) for item in result]
            self.ops.append(op)
            items = [self.placeholder(item, out) for item, out in zip(result, op.outs, strict=True)]
            return op.several(*items) if hasattr(result, "_fields") else op.several(items)
        if is_array(result):
            out = self.var(result, op, _gives_a_constant(op))
            op.outs.append(out)
            self.ops.append(op)
            return self.placeholder(result, out)
        if type(result) in (int, float, complex) and op.uses():
            op.outs.append(self.var(result, op))
            self.ops.append(op)
            return Number(result, self, op.outs[0])
        return result

    def placeholder(self, value: Any, var: Var) -> Placeholder:
        result = Placeholder(value, self, var)
        self.placeholders.append(result)
        return result

    def constant(self, value: Array) -> Any:
        """The placeholder of an array that is the same in every call."""
        return self.placeholder(value, self.var(value, is_constant=True)) if self.here() else value

    def lift(self, tree: Any) -> Any:
        """`tree`, arguments of a primitive, with placeholders in the place of raw arrays."""
        if type(tree) in (tuple, list):
            return type(tree)([self.lift(item) for item in tree])
        if type(tree) in _PLAIN or type(tree) in (Placeholder, Number) or not is_array(tree):
            return tree
        var = self._lifted(tree)
        return self.placeholder(tree, var)

    def alias(self, x: Placeholder) -> Any:
        """Another placeholder of the same value."""
        return self.placeholder(x._real, x._var) if self.here() else x._real

    def close(self) -> None:
        """Record no more. Placeholders that somebody still holds compute with real values from now on."""
        self.open = False
        for ones in self.ones:
            ones.clear()

    def forget(self) -> None:
        """Let go of the arrays of the run, which would have to wait for the cyclic garbage collection."""
        for op in self.ops:
            for out in op.outs:
                out.value = None
        self.kept.clear()
        self.placeholders.clear()


_PLAIN = {int, float, bool, complex, str, type(None), slice, type(Ellipsis), type}


def real(tree: Any) -> Any:
    """`tree` with real values in the place of placeholders."""
    kind = type(tree)
    if kind is Placeholder or kind is Number:
        return tree._real
    if kind is tuple or kind is list:
        return kind([real(item) for item in tree])
    if kind is dict:
        return {key: real(item) for key, item in tree.items()}
    return tree


def _gives_a_constant(op: Op) -> bool:
    """Whether an operation gives the same in every call, so that Python may look at it."""
    return not op.impure and all(var.is_constant for var in op.uses())


def _leaving(how: str, convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A method that gives Python a value, which ends the record."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not self._var.is_constant:
            self._trace.fail(self._leaves(how))
        return self._trace.aside(convert, self._real, *args, **kwargs)

    return method


class _Recorded:
    """What placeholders and numbers share: operators that are recorded, and conversions that end the record."""

    __slots__ = ("_real", "_trace", "_var")

    __array_priority__ = 2000.0
    __hash__ = object.__hash__

    def __init__(self, value: Any, trace: Trace, var: Var) -> None:
        self._real = value
        self._trace = trace
        self._var = var

    def _leaves(self, how: str) -> str:
        raise NotImplementedError

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Called by a library with this protocol: its own function is recorded, but where it is to write."""
        if any(isinstance(x, Tensor) for x in inputs):
            return NotImplemented
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if options.get("out") is not None:
            self._trace.fail(f"{ufunc.__name__}(…, out=…) writes into an array")
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        return self._trace.call(name, function, inputs, options)

    __bool__ = _leaving("bool()", bool)
    __float__ = _leaving("float()", float)
    __int__ = _leaving("int()", int)
    __complex__ = _leaving("complex()", complex)
    __index__ = _leaving("index()", operator.index)
    __repr__ = _leaving("repr()", repr)
    __str__ = _leaving("str()", str)
    __format__ = _leaving("format()", format)  # type: ignore[assignment]
    __round__ = _leaving("round()", round)


class Placeholder(_Recorded):
    """A real array, and the Var that it is in the program. It has what the standard's arrays have."""

    __slots__ = ("dtype", "shape")

    def __init__(self, value: Any, trace: Trace, var: Var) -> None:
        self._real = value
        self._trace = trace
        self._var = var
        self.shape = var.shape
        self.dtype = var.dtype

    def _leaves(self, how: str) -> str:
        return f"Python asks for the value of a tensor that it computes or reads ({how})"

    @property
    def ndim(self) -> int:
        return len(self._real.shape)

    @property
    def size(self) -> Any:
        return self._real.size

    @property
    def device(self) -> Any:
        return self._real.device

    @property
    def T(self) -> Any:
        return self._trace.call("transpose", operator.attrgetter("T"), (self,), {})

    @property
    def mT(self) -> Any:
        return self._trace.call("matrix_transpose", operator.attrgetter("mT"), (self,), {})

    def __array_namespace__(self, *, api_version: str | None = None) -> Namespace:
        return backends.find_device(_device_name(self)).xp

    def __len__(self) -> int:
        return int(self._real.shape[0])

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if _selects(index):
            self._trace.fail(_MASKED)
        return self._trace.call("getitem", operator.getitem, (self, index), {})

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._var.is_constant:
            self._trace.fail(self._leaves("numpy.asarray"))
        return self._trace.aside(backend_of(self._real).to_numpy, self._real)  # type: ignore[union-attr]

    def __dlpack__(self, **kwargs: Any) -> Any:
        self._trace.fail(self._leaves("DLPack: from_dlpack"))
        return self._real.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self._real.__dlpack_device__()


def _selects(index: Any) -> bool:
    """Whether an index has a mask in it that may be another one in the next call."""
    parts = index if isinstance(index, tuple) else (index,)
    return any("bool" in str(getattr(part, "dtype", "")) and _varies(part) for part in parts)


def _varies(x: Any) -> bool:
    """Whether `x` is an array that may hold something else in the next call."""
    return not x._var.is_constant if type(x) is Placeholder else is_array(x)


_MASKED = "an index of booleans: the shape of the result depends on data"


class Number(_Recorded):
    """A number of the host that is an input, such as a learning rate, or computed from one. It never widens."""

    __slots__ = ()

    def _leaves(self, how: str) -> str:
        return f"Python asks for the value of a float argument, or of an optimiser's number, {self._real!r} ({how})"


_BINARY = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "pow": operator.pow,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "matmul": operator.matmul,
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "lshift": operator.lshift,
    "rshift": operator.rshift,
}
_COMPARING = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
_UNARY: dict[str, Callable[..., Any]] = {
    "neg": operator.neg,
    "pos": operator.pos,
    "abs": operator.abs,
    "invert": operator.invert,
}
STANDARD = {
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "neg": "negative",
    "pos": "positive",
    "invert": "bitwise_invert",
}
"""The standard's functions by the names of Python's operators, where these differ."""


def _give_operators() -> None:
    """Give placeholders and numbers Python's operators."""
    known = {Placeholder, Number, int, float, bool, complex}

    def binary(name: str, function: Callable[..., Any]) -> tuple[Any, Any]:
        def forward(self: Any, other: Any) -> Any:
            if type(other) in known or is_array(other):
                return self._trace.call(name, function, (self, other), {})
            return NotImplemented

        def reflected(self: Any, other: Any) -> Any:
            if type(other) in known or is_array(other):
                return self._trace.call(name, function, (other, self), {})
            return NotImplemented

        return forward, reflected

    def comparing(name: str, function: Callable[..., Any]) -> Any:
        def compare(self: Number, other: Any) -> Any:
            if type(other) not in known and not is_array(other):
                return NotImplemented
            if type(other) is Placeholder or is_array(other):
                return self._trace.call(name, function, (self, other), {})
            self._trace.fail(self._leaves(f"comparison: {name}"))
            return function(self._real, real(other))

        return compare

    def unary(name: str, function: Callable[..., Any]) -> Any:
        return lambda self: self._trace.call(name, function, (self,), {})

    for short, function in _BINARY.items():
        forward, reflected = binary(STANDARD.get(short, short), function)
        setattr(_Recorded, f"__{short}__", forward)
        setattr(_Recorded, f"__r{short}__", reflected)
    for short, of_one in _UNARY.items():
        setattr(_Recorded, f"__{short}__", unary(STANDARD.get(short, short), of_one))
    for short, function in _COMPARING.items():
        setattr(Placeholder, f"__{short}__", binary(STANDARD[short], function)[0])
        setattr(Number, f"__{short}__", comparing(STANDARD[short], function))


_give_operators()


def _placed(function: Callable[..., Any], args: Any) -> Callable[..., Any]:
    """`function`, run where its first array is: a namespace's functions find that by themselves, operators don't."""
    first = next((arg for arg in args if type(arg) is Placeholder), None) if backends.switching else None
    device = None if first is None else backends.device_of(first._real)
    return function if device is None else device.entering(function)


# What takes the place of a device's parts ----------------------------------------------------------------------------


_STATIC = {"isdtype", "result_type", "can_cast", "finfo", "iinfo", "__array_namespace_info__"}
"""Functions that look at dtypes, not at values."""
_UNSHAPED = {"nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values"}
"""Functions that give a shape that depends on data."""


class _Namespace:
    """A namespace whose functions are recorded."""

    special: Any

    def __init__(self, trace: Trace, library: Namespace, prefix: str = "") -> None:
        self._trace = trace
        self._library = library
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._library, name)
        if name in EXTENSIONS and not self._prefix:
            value = _Namespace(self._trace, value, f"{name}.")
        elif callable(value) and name not in DTYPES:
            value = self._function(name, value)
        self.__dict__[name] = value
        return value

    def _function(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        trace, full = self._trace, self._prefix + name
        if name in _STATIC:
            return lambda *args, **kwargs: function(*real(args), **real(kwargs))

        def recorded(*args: Any, **kwargs: Any) -> Any:
            if name in _UNSHAPED or (name == "repeat" and any(map(_varies, args[1:]))):
                trace.fail(f"{full}(): the shape of the result depends on data")
            return trace.call(full, function, args, kwargs)

        return recorded


class _Forward(dict[Primitive, Callable[..., Any]]):
    """Primitives, recorded: by what they are made of, or as one operation."""

    def __init__(self, trace: Trace, device: Device, xp: _Namespace) -> None:
        self.trace, self.before, self.xp, self.backend = trace, device.forward, xp, device.backend

    def __missing__(self, primitive: Primitive) -> Callable[..., Any]:
        trace, before, xp = self.trace, self.before[primitive], self.xp
        whole = primitive.name in trace.fused or self.backend.special(primitive.name) is not None
        plain = getattr(xp, primitive.name) if primitive.forward is None else None
        is_pure = _is_pure(primitive)

        def forward(*args: Any, **params: Any) -> Any:
            if not trace.here():
                return before(*real(args), **real(params))
            profile = getprofile()
            if is_pure:
                setprofile(None)
            try:
                args = tuple([x if type(x) is Placeholder else trace.lift(x) for x in args])
                if whole:
                    return trace.call(primitive.name, before, args, params)
                return primitive.forward(xp, *args, **params) if plain is None else plain(*args, **params)  # type: ignore[misc]
            finally:
                setprofile(profile)

        self[primitive] = forward
        return forward


class _Backward(dict[Primitive, tuple[Callable[..., Any], ...]]):
    """The plain rules for this thread, whose arrays are placeholders; for others what they had."""

    def __init__(self, trace: Trace, device: Device) -> None:
        self.trace, self.before = trace, device.backward

    def __missing__(self, primitive: Primitive) -> tuple[Callable[..., Any], ...]:
        trace = self.trace
        is_pure = _is_pure(primitive)

        def choose(rule: Callable[..., Any], before: Callable[..., Any]) -> Callable[..., Any]:
            def backward(xp: Namespace, g: Any, node: Any, index: int) -> Any:
                if not trace.mine():
                    return before(xp, g, node, index)
                profile = getprofile()
                if is_pure:
                    setprofile(None)
                try:
                    return rule(xp, g, _lift(trace, node), index)
                finally:
                    setprofile(profile)

            return backward

        pairs = zip(primitive.backward, self.before[primitive], strict=True)
        self[primitive] = chosen = tuple([choose(rule, before) for rule, before in pairs])
        return chosen


class _Ones(dict[Any, Any]):
    """The ones that backward passes begin with: this thread's are placeholders, others use those that there were."""

    def __init__(self, trace: Trace, before: dict[Any, Any]) -> None:
        self.trace, self.before = trace, before

    def get(self, dtype: Any, default: Any = None) -> Any:
        return super().get(dtype, default) if self.trace.here() else self.before.get(dtype, default)

    def __setitem__(self, dtype: Any, one: Any) -> None:
        if self.trace.here():
            super().__setitem__(dtype, one)
        else:
            self.before[dtype] = real(one)


@functools.lru_cache(maxsize=4096)
def _is_pure(primitive: Primitive) -> bool:
    """Whether it is one of agrad's own, which calls nobody else's code, so that nobody has to see what runs."""
    return all(rule.__module__.startswith("agrad.rules.") for rule in primitive.rules.values())


class _Seen:
    """A node whose kept arrays are placeholders, so that what a rule does with them alone is recorded too."""

    __slots__ = ("a", "b", "k1", "k2", "ky", "params")

    def __init__(self, trace: Trace, node: Any) -> None:
        self.a, self.b, self.params = node.a, node.b, node.params
        self.k1, self.k2, self.ky = trace.lift((node.k1, node.k2, node.ky))


def _lift(trace: Trace, node: Any) -> Any:
    for x in (node.k1, node.k2, node.ky):
        if x is not None and type(x) is not Placeholder:
            return _Seen(trace, node) if trace.here() else node
    return node


class _Backend:
    """A backend whose arrays may be placeholders."""

    in_place: ClassVar[bool] = False

    def __init__(self, trace: Trace, before: Any) -> None:
        self._trace, self._before = trace, before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._before, name)

    def asarray(self, value: Any, device: Device, dtype: Any, copy: bool | None) -> Any:
        trace, before = self._trace, self._before
        if not trace.here():
            return before.asarray(real(value), device, dtype, copy)
        if type(value) is Number:
            wanted = device.default_float() if dtype is None and type(value._real) is float else dtype
            return trace.call("asarray", _uploading(before, device, wanted), (value,), {})
        if is_array(value) and backend_of(value).number(value) is None:  # type: ignore[union-attr]
            value = trace.placeholder(value, trace._lifted(value))
        if type(value) is not Placeholder:
            if type(value).__module__ != "builtins":  # its own code runs
                return trace.constant(before.asarray(value, device, dtype, copy))
            return trace.constant(trace.aside(before.asarray, value, device, dtype, copy))
        if _device_name(value) != device.name:
            return trace.call("to_device", transfer, (value, device, dtype), {})
        if dtype is None or dtype == value.dtype:
            return trace.alias(value)
        return trace.call("astype", self._library(device).astype, (value, dtype), {})

    def send(self, array: Any, target: Device, dtype: Any) -> Any:
        if not self._trace.here():
            return self._before.send(real(array), target, dtype)
        return self._trace.call("to_device", transfer, (array, target, dtype), {})

    @property
    def reads(self) -> bool:
        return not self._trace.here() and bool(self._before.reads)

    def index(self, array: Any, index: Any) -> Any:
        trace, before = self._trace, self._before
        parts = real(index)
        taken = before.index(real(array), parts)
        if taken is parts:
            return index
        if not trace.here():
            return taken
        if _selects(index):
            trace.fail(_MASKED)
        return trace.call("index", before.index, (array, index), {})

    def _library(self, device: Device) -> Any:
        return self._before.library(device.native)

    def to_numpy(self, array: Any) -> Any:
        if type(array) is Placeholder and not array._var.is_constant:
            self._trace.fail(array._leaves("float(), bool(), item(), numpy(), print"))
        return self._trace.aside(self._before.to_numpy, array)

    def owned(self, array: Any) -> Any:
        return array if type(array) is Placeholder else self._before.owned(array)

    def present(self, array: Any) -> Any:
        if type(array) is Placeholder and self._trace.mine():
            return array
        return self._before.present(real(array))

    def confirm(self, condition: Any) -> bool:
        if not self._trace.here():
            return bool(self._before.confirm(real(condition)))
        holds = bool(self._before.confirm(real(condition)))
        self._trace.ops.append(
            Op("confirm", self._before.confirm, self._trace._lifted((condition,)), {}, True, self._trace.quiet > 0)
        )
        return holds

    def draw(self, device: Device, method: str, args: Any, dtype: Any) -> Any:
        return self._trace.call("draw", self._before.draw, (device, method, args, dtype), {}, impure=True)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        trace = self._trace
        mine = get_ident() == trace.owner
        trace.quiet += mine
        try:
            with self._before.quiet():
                yield
        finally:
            trace.quiet -= mine


def _uploading(backend: Any, device: Device, dtype: Any) -> Callable[..., Any]:
    return lambda value: backend.asarray(value, device, dtype, None)


def _device_name(array: Any) -> str:
    value = real(array)
    return backend_of(value).device_name(value)  # type: ignore[union-attr]


class _Placeholders:
    """The backend that placeholders and numbers say that they are of."""

    def device_name(self, array: Any) -> str:
        return _device_name(array)

    def number(self, value: Any) -> Any:
        return value if type(value) is Number else None


backends._by_type[Placeholder] = backends._by_type[Number] = _Placeholders()  # type: ignore[assignment]

_PARTS = ("backend", "backward", "forward", "xp", "_ones")
lock = RLock()
"""Held while something is captured: one capture at a time."""
active: list[Trace] = []
"""The traces that are open, in any thread."""


@contextmanager
def recording(trace: Trace) -> Iterator[None]:
    """Replace the parts of all devices by ones that record, for this thread, and put them back."""
    with lock:
        devices = list(set(backends._devices.values()))
        before = [[getattr(device, part) for part in _PARTS] for device in devices]
        active.append(trace)
        try:
            for device in devices:
                xp = _Namespace(trace, device.xp)
                backend, backward = _Backend(trace, device.backend), _Backward(trace, device)
                forward = _Forward(trace, device, xp)
                xp.special = Special(forward)
                ones = _Ones(trace, device._ones)
                trace.ones.append(ones)
                for part, value in zip(_PARTS, (backend, backward, forward, xp, ones), strict=True):
                    setattr(device, part, value)
            yield
        finally:
            trace.close()
            try:
                if active_count() > 1:
                    sleep(0.001)  # for a thread that has a placeholder in its hands already
            finally:
                insist(lambda: _put_back(devices, before))
                active.remove(trace)


def _put_back(devices: list[Device], before: list[list[Any]]) -> None:
    for device, values in zip(devices, before, strict=True):
        for part, value in zip(_PARTS, values, strict=True):
            setattr(device, part, value)


def insist(action: Callable[[], Any]) -> Any:
    """Do something to its end, again if an interrupt comes in between, which is raised afterwards."""
    late: BaseException | None = None
    while True:
        try:
            result = action()
        except Exception:
            raise
        except BaseException as interrupt:
            late = interrupt
        else:
            break
    if late is not None:
        raise late
    return result


def is_recording_here() -> bool:
    """Whether this thread is inside a capture."""
    return any(trace.owner == get_ident() for trace in active)
