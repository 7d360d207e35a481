"""From the record of a run to a plan: what has to be computed, each thing once, in order.

All that is done here is exact: the numbers are those of the record, bit for bit, but for the sign of a NaN. Constants
are what was made from nothing but Python's numbers and guarded values; what a Tensor or a raw array holds is never one,
since it may be written to.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .._typing import Namespace
from ..backend import backend_of, dtype_name, find_device
from ._trace import Op, Var, substitute


@dataclass
class Plan:
    """A straight-line program: `ops` in order, from `inputs` to `outputs`."""

    xp: Namespace
    ops: list[Op]
    inputs: list[Var]
    outputs: list[Var]
    recorded: int
    folded: int = 0
    shared: int = 0
    simplified: int = 0
    dead: int = 0
    names: dict[Var, str] = field(default_factory=dict)
    """What the inputs are called in the program."""
    fixed: set[Var] = field(default_factory=set)
    """The inputs that are the same in every turn of a loop; none where nothing changes from turn to turn."""
    once: int = 0
    """So many of the operations, the first ones, give the same in every turn."""

    def put_first_what_stays(self, changing: set[Var]) -> None:
        """Say which inputs a turn of a loop changes for the next one; what needs none of these comes first."""
        if not changing:
            return
        self.fixed = set(self.inputs) - changing
        same = set(self.fixed)
        first: list[Op] = []
        rest: list[Op] = []
        confirmed = True
        for op in self.ops:
            stays = confirmed and all(var.is_constant or var in same for var in op.uses())
            if stays and (not op.impure or op.name == "confirm"):
                same.update(op.outs)
                first.append(op)
            else:
                rest.append(op)
                confirmed = confirmed and op.name != "confirm"  # what comes after may need what it confirms
        self.ops, self.once = first + rest, len(first)

    def last_uses(self) -> dict[Var, int]:
        """The number of the operation that uses each Var last; those of outputs are beyond the end."""
        found = {var: i for i, op in enumerate(self.ops) for var in op.uses()}
        return found | {var: len(self.ops) for var in self.outputs}

    def forget(self) -> None:
        """Let go of what came in and went out of the recorded call."""
        for var in (*self.inputs, *self.outputs):
            var.value = None


def make_plan(xp: Namespace, recorded: list[Op], inputs: Iterable[Var], outputs: list[Var]) -> Plan:
    """The plan for `outputs`."""
    plan = Plan(xp, [], [], outputs, len(recorded))
    _Simplifier(plan).run(recorded)
    _drop_dead(plan)
    used = {var for op in plan.ops for var in op.uses()} | set(plan.outputs)
    plan.inputs = [var for var in inputs if var in used]
    return plan


def library_of(var: Var) -> Namespace:
    """The namespace of an array. One program may have arrays of several libraries."""
    backend = backend_of(var.value)
    return find_device(backend.device_name(var.value)).xp  # type: ignore[union-attr]


def _drop_dead(plan: Plan) -> None:
    """Leave out what nothing depends on. What is impure stays."""
    needed = set(plan.outputs)
    kept = []
    for op in reversed(plan.ops):
        if op.impure or not needed.isdisjoint(op.outs):
            needed.update(op.uses())
            kept.append(op)
        else:
            plan.dead += 1
    plan.ops = kept[::-1]


ELEMENTWISE = {
    *("add", "subtract", "multiply", "divide", "floor_divide", "remainder", "pow", "maximum", "minimum", "atan2"),
    *("hypot", "copysign", "logaddexp", "nextafter", "equal", "not_equal", "less", "less_equal", "greater"),
    *("greater_equal", "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor"),
}
"""Functions of two arrays that broadcast."""


class _Simplifier:
    """One pass over the record, in which every operation sees its arguments simplified already."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.stands: dict[Var, Var] = {}
        self.known: dict[Any, list[Var]] = {}
        self.constants: dict[Any, Var] = {}
        self.given: dict[Var, Var] = {}
        self.copies: dict[Var, Var] = {}

    def run(self, recorded: list[Op]) -> None:
        for op in recorded:
            if not self.stands.keys().isdisjoint(op.uses()):
                op.give(substitute(op.args, self.find), substitute(op.kwargs, self.find))
            self.visit(op)
        self.plan.outputs = [self.output(var) for var in self.plan.outputs]

    def output(self, var: Var) -> Var:
        """What goes out for `var`: an array of its own where the function made one, since somebody may write to it."""
        stands = self.find(var)
        if stands.dtype is None:
            return stands
        is_own = self.given.setdefault(stands, var) is var and (stands.op is not None or stands is var)
        if is_own and not stands.is_constant:
            return stands
        if var in self.copies:
            return self.copies[var]
        if stands.is_constant:  # the recorded call gave this very array to the caller
            stands.value = library_of(stands).asarray(stands.value, copy=True)
        op = Op("copy", functools.partial(library_of(stands).asarray, copy=True), (stands,), {}, False, False)
        self.copies[var] = made = Var(-len(self.copies) - 1, var.value, op)
        op.outs.append(made)
        self.plan.ops.append(op)
        return made

    def find(self, var: Var) -> Var:
        """What stands for `var` now."""
        return self.stands.get(var, var)

    def visit(self, op: Op) -> None:
        if op.impure:
            self.plan.ops.append(op)
            return
        if op.name in _OF_SHAPES or _is_constant(op):
            self.plan.folded += 1
            for out in op.outs:
                self.constant(out)
            return
        if not op.several:
            self.rewrite(op)
            alias = self.simpler(op)
            if alias is not None:
                self.plan.simplified += 1
                self.stands[op.outs[0]] = alias
                return
        function = id(op.function) if op.name in _OWN else None
        key = (op.name, function, op.quiet, _key(op.args), _key(op.kwargs) if op.kwargs else None)
        found = self.known.get(key)
        if found is not None:
            self.plan.shared += 1
            self.stands.update(zip(op.outs, found, strict=True))
            return
        self.known[key] = op.outs
        self.plan.ops.append(op)

    def constant(self, out: Var) -> None:
        """`out` is the same in every call; numbers without axes that are equal are one Var."""
        out.is_constant = True
        out.op = None
        if out.shape == ():
            value = float(out.value) if library_of(out).isdtype(out.dtype, "real floating") else out.value
            self.stands[out] = self.constants.setdefault((out.dtype, repr(value)), out)
        if self.stands.get(out) is out:
            del self.stands[out]

    # Exact algebra ---------------------------------------------------------------------------------------------------

    def rewrite(self, op: Op) -> None:
        """Make of an operation a simpler one with the same result."""
        args = op.args
        if op.name in ELEMENTWISE and len(args) == 2 and not op.kwargs and any(map(_is_spread, args)):
            a, b = (self.without_broadcast(args[i], args[1 - i], op.outs[0]) for i in (0, 1))
            if (a, b) != (args[0], args[1]) and _shapes_fit(a, b, op.outs[0]):
                args = (a, b)
                op.give(args, op.kwargs)
                self.plan.simplified += 1
        if op.name not in _NEGATABLE or len(args) != 2:
            return
        a, b = _negated(args[0]), _negated(args[1])
        if op.name == "add":  # a + -b is a - b, -a + b is b - a
            if b is not None:
                self.become(op, "subtract", (args[0], b))
            elif a is not None:
                self.become(op, "subtract", (args[1], a))
        elif op.name == "subtract" and b is not None:  # a - -b is a + b
            self.become(op, "add", (args[0], b))
        elif op.name in ("multiply", "divide"):
            if a is not None and b is not None:  # -a * -b is a * b
                self.become(op, op.name, (a, b))
            else:
                self.scale(op, a, b)

    def scale(self, op: Op, a: Var | None, b: Var | None) -> None:
        """-a * 3 is a * -3, and a / 4 is a * 0.25: products with a number. `a` and `b` are negated in the operands."""
        args, dtype = op.args, op.outs[0].dtype
        for i, negated in ((0, a), (1, b)):
            number, other = self.real_number(args[1 - i]), args[i]
            if not number or type(other) is not Var or not _same_type(other, op.outs[0]):
                continue
            if dtype_name(dtype) not in _REAL:
                return
            if negated is not None:
                number, other = -number, negated
            if op.name == "divide" and i == 0 and abs(math.frexp(number)[0]) == 0.5 and 2**-64 <= abs(number) <= 2**64:
                self.become(op, "multiply", (other, 1 / number))
            elif number == -1 and op.name == "multiply":
                self.become(op, "negative", (other,))
            elif negated is not None:
                self.become(op, op.name, (other, number) if i == 0 else (number, other))
            return

    def real_number(self, x: Any) -> float | None:
        """A constant without axes, or a number of Python, as a finite float that is exactly the same; else None."""
        if type(x) is Var:
            if not x.is_constant or x.shape != () or dtype_name(x.dtype) not in _REAL:
                return None
            x = float(x.value)
        elif type(x) is int and abs(x) < 2**53:
            x = float(x)
        return x if type(x) is float and math.isfinite(x) else None

    def become(self, op: Op, name: str, args: tuple[Any, ...]) -> None:
        op.name, op.function = name, _FUNCTIONS[name]
        op.give(args, op.kwargs)
        self.plan.simplified += 1

    def without_broadcast(self, arg: Any, other: Any, out: Var) -> Any:
        """What `arg` was broadcast from, if the other operand has the shape of the result anyway."""
        full = type(other) is Var and other.shape == out.shape
        while type(arg) is Var and arg.op is not None and full:
            op = arg.op
            source = op.args[0]
            if op.name == "broadcast_to" and type(source) is Var:
                arg = source
            elif op.name == "reshape" and type(source) is Var and _size(source.shape) == 1 and _size(arg.shape) == 1:
                if len(source.shape) > len(out.shape):
                    break
                arg = source
            else:
                break
        return arg

    def simpler(self, op: Op) -> Var | None:
        """The Var that the result is equal to, if there is one already."""
        args, out = op.args, op.outs[0]
        x = args[0] if args and type(args[0]) is Var else None
        if x is not None and _same_type(x, out):
            if op.name in _HANDING_ON and x.shape == out.shape:
                return x
            if op.name == "conj" and not library_of(x).isdtype(x.dtype, "complex floating"):
                return x
            if op.name == "permute_dims" and tuple(_axes(op)) == tuple(range(len(x.shape))):
                return x
            if op.name in ("divide", "pow") and len(args) == 2 and _is_number(args[1], 1) and x.shape == out.shape:
                return x
            if op.name == "subtract" and len(args) == 2 and _is_zero(args[1]) and x.shape == out.shape:
                return x
        if op.name == "multiply" and len(args) == 2:
            for one, other in ((args[0], args[1]), (args[1], args[0])):
                if type(other) is Var and other.shape == out.shape and _same_type(other, out) and self.is_one(one):
                    return other
        if op.name in _INVOLUTIONS and x is not None and x.op is not None and x.op.name == op.name:
            inner = x.op.args[0]
            if type(inner) is Var and inner.shape == out.shape and not x.op.kwargs and not op.kwargs:
                return inner
        return None

    def is_one(self, x: Any) -> bool:
        """Whether `x` is the number 1, or a constant of nothing else."""
        if type(x) is not Var:
            return _is_number(x, 1)
        if not x.is_constant or not _size(x.shape) or x.dtype is None:
            return False
        return bool(library_of(x).all(x.value == 1))


_OF_SHAPES = {"zeros_like", "ones_like"}
"""Functions for which only the shape and the dtype of an array matter, which belong to the program."""
_OWN = {"asarray", "to_device"}
"""Operations whose function says more than their name."""
_HANDING_ON = {"positive", "asarray", "astype", "reshape", "broadcast_to", "identity"}
_INVOLUTIONS = {"negative", "matrix_transpose", "transpose", "bitwise_invert", "logical_not"}
_NEGATABLE = {"add", "subtract", "multiply", "divide"}
_REAL = {"float32", "float64"}


def _functions() -> dict[str, Callable[..., Any]]:
    import operator

    arithmetic = {"add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv}
    return {**arithmetic, "negative": operator.neg}


_FUNCTIONS = _functions()


def _is_constant(op: Op) -> bool:
    """Whether it gives the same in every call."""
    for var in op.uses():  # noqa: SIM110 - a generator takes three times as long, and all operations come here
        if not var.is_constant:
            return False
    return True


def _is_spread(x: Any) -> bool:
    """Whether `x` may have been broadcast from something."""
    return type(x) is Var and x.op is not None and x.op.name in ("broadcast_to", "reshape")


def _negated(x: Any) -> Any:
    """The y of which `x` is the negative, if that is how it was made."""
    if type(x) is Var and x.op is not None and x.op.name == "negative" and x.dtype is not None:
        return x.op.args[0] if type(x.op.args[0]) is Var else None
    return None


def _same_type(x: Var, out: Var) -> bool:
    return x.dtype is not None and type(x.dtype) is type(out.dtype) and bool(x.dtype == out.dtype)


def _shapes_fit(a: Any, b: Any, out: Var) -> bool:
    return out.shape in (getattr(a, "shape", None), getattr(b, "shape", None))


def _axes(op: Op) -> Any:
    return op.args[1] if len(op.args) > 1 else op.kwargs["axes"]


def _is_number(x: Any, value: int) -> bool:
    if type(x) is Var:
        return x.is_constant and x.shape == () and bool(x.value == value)
    return type(x) in (int, float) and x == value


def _is_zero(x: Any) -> bool:
    """Whether it is 0, but not -0.0: -0.0 - -0.0 is 0.0."""
    return _is_number(x, 0) and "-" not in repr(x.value if type(x) is Var else x)


def _size(shape: Any) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def _key(tree: Any) -> Any:
    """Something hashable that is equal for equal arguments, and for these only."""
    kind = type(tree)
    if kind is Var:
        return tree
    if kind is tuple or kind is list:
        return kind, *[item if type(item) is Var else _key(item) for item in tree]
    if kind is dict:
        return tuple([(key, _key(item)) for key, item in sorted(tree.items())])
    if kind is slice:
        return slice, tree.start, tree.stop, tree.step
    if kind in (int, float, complex, bool, str, type(None)):
        return kind, repr(tree)
    return id(tree)
