"""Compiled plans in NumPy's own way: ufuncs that write into memory kept between calls.

On small arrays the price of a step is that of its calls, on large ones that of its memory. So results go into buffers
(`out=`), in place where an operand is used for the last time; transposes, reshapes and slices of buffers are made once;
numbers are arrays without axes, which ufuncs take quicker than Python's; `dot` and `reduce` are called without their
wrappers. Tall matrices are kept transposed ("feature-major"), which BLAS likes better; and an outer product is quicker
by BLAS than by broadcasting.

What leaves the program is never a buffer. What is not known here is called as it was recorded.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections import Counter
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from sys import getrefcount
from typing import Any, Literal

import numpy as np

from agrad.backend import SIGNS, Body, Device

from ._fast import BITS
from ._together import Products, Together

SAME = {
    **{name: getattr(np, name) for name in ("add", "subtract", "multiply", "divide", "floor_divide", "remainder")},
    **{name: getattr(np, name) for name in ("maximum", "minimum", "hypot", "copysign", "logaddexp", "nextafter")},
    **{name: getattr(np, name) for name in ("negative", "positive", "exp", "expm1", "log", "log1p", "log2", "log10")},
    **{name: getattr(np, name) for name in ("sqrt", "square", "reciprocal", "sin", "cos", "tan", "sinh", "cosh")},
    **{name: getattr(np, name) for name in ("tanh", "sign", "floor", "ceil", "trunc", "bitwise_and", "bitwise_or")},
    **{name: getattr(np, name) for name in ("bitwise_xor", "logical_and", "logical_or", "logical_xor", "logical_not")},
    **{f"a{name}": getattr(np, f"arc{name}") for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "abs": np.absolute,
    "atan2": np.arctan2,
    "pow": np.power,
    "conj": np.conjugate,
    "bitwise_invert": np.invert,
}
"""Ufuncs by the standard's names, whose result has the dtype of the operands."""
ALIKE = SAME.keys() - {"pow", "maximum", "minimum", "positive"}
"""Those that may be done together."""
COMPARING = {
    **{name: getattr(np, name) for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")},
    **{name: getattr(np, name) for name in ("isfinite", "isinf", "isnan", "signbit")},
}
_ARITHMETIC = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
"""The signs of functions that numbers have in Python's way too, which takes a fifth of the time."""
_POWERS = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal}
"""What `x ** number` is to NumPy's operator."""
REDUCING: dict[str, np.ufunc] = {"sum": np.add, "mean": np.add, "max": np.maximum, "min": np.minimum}
REDUCING |= {"all": np.logical_and, "any": np.logical_or}
_VIEWS = {"matrix_transpose", "transpose", "permute_dims", "reshape", "broadcast_to", "getitem", "squeeze"}
_VIEWS |= {"expand_dims", "flip", "moveaxis"}
_TRANSPOSES = {"matrix_transpose", "transpose"}
_MANY = 1 << 11
"""Elements from which on `where` is done by bits: see `_fast.where`."""
_SMALL = 1 << 16
"""Bytes up to which another call costs more than the memory that it looks at."""
_LINE = 64
"""Bytes of a cache line, to which buffers are aligned."""


class Slot:
    """A piece of memory, and the values that live in it."""

    __slots__ = ("live", "memory", "name", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.live: set[Any] = set()
        self.memory = _aligned(size)


class _Joint:
    """Values that are side by side in one slot."""

    def __init__(self, members: list[Any], is_fixed: bool) -> None:
        self.members = members
        self.is_fixed = is_fixed
        """Whether an array that is the same in every turn of a loop is copied to its place before the first."""
        self.slot: Any = None
        self.placed: set[Any] = set()
        """Those that have been put in their places."""
        self.offsets: dict[Any, int] = {}
        self.size = 0
        for var in members:
            self.offsets[var] = self.size
            self.size += var.value.nbytes


def _aligned(size: int) -> Any:
    memory = np.empty(size + _LINE, dtype=np.uint8)
    start = -memory.__array_interface__["data"][0] % _LINE
    return memory[start : start + size]


class Writer:
    """Writes the lines that compute `items`: operations of the plan, some of them together."""

    def __init__(self, plan: Any, device: Device, items: list[Any]) -> None:
        self.plan = plan
        self.device = device
        self.outputs = set(plan.outputs)
        self.items = items
        self.at = 0
        self.last = {var: i for i, item in enumerate(self.items) for var in item.uses()}
        self.last.update(dict.fromkeys(plan.outputs, len(self.items)))
        self.once = self._how_many_once()
        """How many items are the same in every turn of a loop."""
        self.setup: list[str] | None = None
        """Their lines, when these are written."""
        self.joints: dict[Any, _Joint] = {}
        """The values that are to be side by side with others."""
        for item in self.items:
            if isinstance(item, Together | Products):
                for side in item.sides:
                    joint = self.joints.get(side[0]) or _Joint(side, any(map(self.is_fixed, side)))
                    self.joints.update(dict.fromkeys(side, joint))
        self.names: dict[str, Any] = {}
        self.lines: list[str] = []
        self.text: dict[Any, str] = dict(plan.names)
        """What a value is called."""
        self.arrays: dict[Any, Any] = {}
        """The arrays of values that are in buffers, which are the same in every call."""
        self.slots: dict[Any, list[Slot]] = {}
        """The memory that a value is in or may be in."""
        self.pool: list[Slot] = []
        self.free: list[Slot] = []
        self.constants: dict[Any, str] = {}
        self.filled: set[str] = set()
        self.calls = 0
        self.numbers, self.counter = itertools.count(), itertools.count()
        """Of the names of buffers, and of others."""
        self.row_major = self._row_major()
        self.becoming = self._becoming()
        """The output that a value is made into, in whose memory it is."""
        self.handed_on: set[Any] = set()
        """Values whose memory, and name, has become another one's."""
        self.dots: Counter[Any] = Counter()
        """In how many products a matrix is that comes in, or its transpose."""
        for op in plan.ops:
            if op.name in ("matmul", "multiply") and len(op.outs[0].shape) == 2:
                self.dots.update({x for var in op.uses() for x in ((var,) if var.op is None else var.op.uses())})

    def run(self) -> None:
        """Write the lines."""
        quiet = 0  # up to which line all is inside a block in which warnings are off
        for i, op in enumerate(self.items):
            if i == self.once:
                self.setup, self.lines, quiet = self.lines, [], 0
            first = len(self.lines)
            self.at = i
            if isinstance(op, Together):
                self.emit_together(op)
            elif isinstance(op, Products):
                self.emit_products(op)
            else:
                self.emit(op)
            if op.quiet and len(self.lines) > first:
                self.names["_quiet"] = self.device.backend.quiet
                lines = [f"    {line}" for line in self.lines[first:]]
                self.lines[first:] = lines if quiet and quiet == first else ["with _quiet():", *lines]
                quiet = len(self.lines)
            self.let_go(op, i)

    def body(self) -> Body:
        """The body of a program."""
        self.run()
        results = {}
        for var in self.plan.outputs:
            results[var] = self.result(var)
        size = sum(slot.size for slot in self.pool)
        setup = self.setup or []
        return Body([*setup, *self.lines], self.names, results, len(self.pool), size, self.calls, len(setup))

    def result(self, var: Any) -> str:
        """An output: an array of its own."""
        return self.value(var)

    # What is the same in every turn of a loop ------------------------------------------------------------------------

    def _how_many_once(self) -> int:
        """The number of leading items that are; what they give to others is then never overwritten."""
        same = set(self.plan.ops[: self.plan.once])
        once = 0
        while once < len(self.items) and same.issuperset(_operations(self.items[once])):
            once += 1
        made = {var for item in self.items[:once] for var in item.outs}
        used = {var for item in self.items[once:] for var in item.uses()}
        self.last.update(dict.fromkeys(made & used, len(self.items)))
        return once

    def is_fixed(self, var: Any) -> bool:
        """Whether it is an input that is the same in every turn."""
        return var in self.plan.fixed

    def before(self, var: Any) -> list[str]:
        """The lines to which one can be added that only needs `var`, an input."""
        return self.setup if self.setup is not None and self.is_fixed(var) else self.lines

    # Layout ----------------------------------------------------------------------------------------------------------

    def _row_major(self) -> set[Any]:
        """The shapes of tall matrices that are not kept transposed: one that comes in would be mixed with them."""
        found = set()
        for op in self.plan.ops:
            if op.name in SAME or op.name in COMPARING:
                for var in op.uses():
                    if var.op is None and not var.is_constant and _is_tall(var.shape) and var.shape[1] > 1:
                        found.add(var.shape)
        return found

    def order(self, shape: Any) -> Literal["C", "F"]:
        """How arrays of a shape are laid out."""
        return "F" if _is_tall(shape) and shape not in self.row_major else "C"

    def _becoming(self) -> dict[Any, Any]:
        """What will be written over by a large array that leaves the program, such as a gradient by what it updates.

        So there is no third array besides the old parameter and the new one.
        """
        found: dict[Any, Any] = {}
        large = [out for out in self.outputs if out.dtype is not None and out.value.nbytes > _SMALL]
        makers = {out: i for i, item in enumerate(self.items) for out in item.outs} if large else {}
        for out in large:
            var: Any = out if self.order(out.shape) == "C" else None
            while var in makers:
                i = makers[var]
                fitting = [x for x in self.items[i].uses() if self.last[x] == i and x not in found and _alike(x, var)]
                fitting = [x for x in fitting if x in makers and x not in self.joints and _is_written(x.op)]
                var = fitting[0] if _is_written(var.op) and fitting else None
                if var is not None:
                    found[var] = out
        return found

    # Memory ----------------------------------------------------------------------------------------------------------

    def buffer(self, var: Any, taken: list[Any], order: Literal["C", "F"] | None = None) -> str:
        """A place for `var`: that of an operand in `taken` that is used for the last time, or free memory."""
        shape, dtype = var.shape, var.value.dtype
        order = order or self.order(shape)
        joint = self.joints.get(var)
        if joint is not None:
            slot = joint.slot = joint.slot or self.memory(joint.size, joint.members, joint.is_fixed)
            memory = slot.memory[joint.offsets[var] :].data
            joint.placed.add(var)
            return self.place(var, slot, np.ndarray(shape, dtype, memory, order=order), None)
        if var in self.becoming and order == "C":
            if not self.take_over(var, self.becoming[var], taken):
                self.assign(var, self.recycled(self.becoming[var], order))
                slot = Slot(0)  # it stands for the memory of the output
                slot.live.add(var)
                self.slots[var] = [slot]
            return self.text[var]
        for operand in taken:
            array = self.arrays.get(operand)
            slots = self.slots.get(operand, ())
            if array is None or len(slots) != 1 or slots[0].live != {operand}:
                continue
            if array.shape == shape and array.dtype == dtype and array.strides == _strides(shape, dtype, order):
                return self.place(var, slots[0], array, self.text[operand])
        slot = self.memory(max(var.value.nbytes, 1), (), self.is_fixed(var))
        array = np.ndarray(shape, dtype, slot.memory.data, order=order)
        return self.place(var, slot, array, None)

    def take_over(self, var: Any, output: Any, taken: list[Any]) -> bool:
        """Give `var`, which is the output or becomes it, the memory of an operand that becomes it too."""
        for operand in taken:
            slots = self.slots.get(operand, [])
            if self.becoming.get(operand) is output and len(slots) == 1 and slots[0].live == {operand}:
                self.text[var] = self.text[operand]
                self.handed_on.add(operand)
                self.shares(var, [operand])
                return True
        return False

    def memory(self, size: int, members: Iterable[Any], is_fixed: bool = False) -> Slot:
        """A free piece of memory, in which `members` will live; one that is for nothing else if it `is_fixed`."""
        fitting = [slot for slot in self.free if slot.size >= size and slot.size <= 4 * size]
        if fitting and not is_fixed:
            slot = min(reversed(fitting), key=lambda slot: slot.size)
            self.free.remove(slot)
        else:
            slot = Slot(size)
            self.pool.append(slot)
        slot.live.update(members)
        if is_fixed:
            slot.live.add("what comes in")  # stays, whatever uses it last
        return slot

    def place(self, var: Any, slot: Slot, array: Any, name: str | None) -> str:
        slot.live.add(var)
        self.slots[var] = [slot]
        self.arrays[var] = array
        if name is None:
            name = f"b{next(self.numbers)}"
            self.names[name] = array
        self.text[var] = name
        return name

    def let_go(self, op: Any, i: int) -> None:
        """Free the memory of what operation `i` used last."""
        for var in {var for var in (*op.uses(), *op.outs) if self.last.get(var, i) <= i}:
            for slot in self.slots.pop(var, ()):
                slot.live.discard(var)
                if not slot.live and slot not in self.free:
                    self.free.append(slot)
            own = self.text.get(var) == _name(var) and var.op is not None and var not in self.handed_on
            if own and var.dtype is not None and var.value.nbytes > 4096:
                self.lines.append(f"del {_name(var)}")

    def dying(self, op: Any) -> list[Any]:
        """The operands that are used for the last time."""
        return [var for var in op.uses() if self.last.get(var) == self.at]

    # Operations ------------------------------------------------------------------------------------------------------

    def emit(self, op: Any) -> None:
        out = op.outs[0] if op.outs else None
        if op.name == "confirm":
            self.calls += 1
            self.lines.append(f"if not {self.plain(op)}: return _MISS")
        elif out is None or op.several:
            self.generic(op)
        elif out.dtype is None:
            self.lines.append(f"{_name(out)} = {self.host(op)}")
            self.text[out] = _name(out)
        elif op.name == "sigmoid":
            self.sigmoid(op, out)
        else:
            done = self.ufunc(op, out) or self.view(op, out) or self.product(op, out) or self.reduction(op, out)
            if not done and not self.choice(op, out) and not self.cast(op, out) and not self.scatter(op, out):
                self.generic(op)

    def emit_together(self, group: Together) -> None:
        """One call for several operations, on the memory in which their operands are side by side."""
        op, dtype = group.ops[0], group.outputs[0].value.dtype
        given = {column[0]: self.side_by_side(column) for column in group.columns}
        made = self.joints[group.outputs[0]]
        for column in group.columns:
            slot = self.joints[column[0]].slot
            if made.slot is None and slot.live == set(column) and all(self.last[var] == self.at for var in column):
                made.slot = slot
                slot.live.update(group.outputs)
        for out in group.outputs:
            self.buffer(out, [])
        texts = [self.flat(given[x], dtype) if _is_var(x) and x in given else self.operand(x, dtype) for x in op.args]
        name = self.function(f"_{SAME[op.name].__name__}", SAME[op.name])
        self.calls += 1
        self.lines.append(f"{name}({', '.join(texts)}, {self.flat(made, dtype)})")

    def side_by_side(self, column: list[Any]) -> _Joint:
        """Values that are side by side; one that was not made in its place is copied there."""
        joint = self.joints[column[0]]
        for var in column:
            if var not in joint.placed:
                self.copy_in(var)
        return joint

    def copy_in(self, var: Any) -> None:
        """Copy a value into a buffer, which stands for it from now on. This is the quickest of NumPy's ways."""
        given, slots = self.text[var], self.slots.get(var, [])
        lines = self.before(var)
        buffer = self.buffer(var, [])
        self.slots[var] += slots
        lines.append(f"{buffer}[...] = {given}")
        self.calls += 1

    def emit_products(self, item: Products) -> None:
        """A sum of products as a dot product, or as several."""
        out = item.outs[0]
        if item.joined:
            a, b = (self.flat(self.side_by_side(column), out.value.dtype) for column in item.columns)
            total = f"{self.constant((a, 'dot'), self.names[a].dot, f'{a}_dot')}({b})"
            self.calls += 1
        else:
            parts = [
                f"{'+' if sign > 0 else '-'} {self.inner(a, b)}"
                for sign, a, b in zip(item.signs, *item.columns, strict=True)
            ]
            total = " ".join(parts).removeprefix("+ ")
            total = f"({total})" if len(parts) > 1 else total
        if item.op.name == "mean":
            total = f"{total} / {float(item.columns[0][0].value.size)!r}"
        self.assign(out, total)

    def inner(self, a: Any, b: Any) -> str:
        """The sum of a * b."""
        self.calls += 1
        arrays = [self.arrays.get(x) for x in (a, b)]
        if all(x is not None and x.flags.c_contiguous for x in arrays) or all(
            x is not None and x.flags.f_contiguous for x in arrays
        ):
            one, other = (self.row(x) for x in (a, b))
            return f"{self.constant((one, 'dot'), self.names[one].dot, f'{one}_dot')}({other})"
        return f"{self.function('_vdot', np.vdot)}({self.value(a)}, {self.value(b)})"

    def row(self, x: Any) -> str:
        """A buffer without gaps, in the order of its memory."""
        return self.constant((self.text[x], "flat"), self.arrays[x].ravel(order="K"), f"{self.text[x]}flat")

    def flat(self, joint: _Joint, dtype: Any) -> str:
        """All values of a joint as one row."""
        array = np.ndarray((joint.size // dtype.itemsize,), dtype, joint.slot.memory.data)
        return self.constant((id(joint.slot), joint.size, "joint"), array, f"j{next(self.counter)}")

    def ufunc(self, op: Any, out: Any) -> bool:
        """A function of elements."""
        function = SAME.get(op.name) or COMPARING.get(op.name) or (op.function if is_ufunc(op.function) else None)
        if function is None or op.kwargs or len(op.args) != function.nin:
            return False
        dtypes, numbers = set(), []
        for x in op.args:
            if _is_var(x) and x.dtype is not None:
                dtypes.add(x.value.dtype)
            else:
                numbers.append(x.value if _is_var(x) else x)
        if len(dtypes) != 1:
            return False
        dtype = dtypes.pop()
        if numbers and (
            any(type(x) not in (int, float, complex) for x in numbers) or np.result_type(dtype, *numbers) != dtype
        ):
            return False
        if out.value.dtype != (np.dtype(bool) if op.name in COMPARING else dtype):
            return False
        if function is op.function and op.name not in SAME:
            self.function(f"_{op.name.replace('.', '_')}", function)
        args = list(op.args)
        if op.function is operator.pow and type(args[1]) in (int, float) and dtype.kind in "fc":
            function = _POWERS.get(args[1], function)
            args = args[:1] if function.nin == 1 else args
        if not out.shape and (op.function is operator.neg or (op.name == "negative" and dtype.kind in "fc")):
            self.assign(out, f"-{self.value(args[0])}")
            return True
        sign = SIGNS.get(op.function) or (_ARITHMETIC.get(op.name) if dtype.kind in "fc" else None)
        if not out.shape and sign and len(args) == 2:
            self.assign(out, f"{self.value(args[0])} {sign} {self.value(args[1])}")
            return True
        if op.name == "multiply" and self.outer(args, out):
            return True
        texts = [self.operand(x, dtype) for x in args]
        same = [x for x in self.dying(op) if x.dtype is not None and x.shape == out.shape]
        self.write(function, texts, out, same)
        return True

    def write(self, function: Any, texts: list[str], out: Any, taken: list[Any]) -> None:
        """Call a ufunc into a buffer; without axes, or where the result leaves the program, into a new array."""
        self.calls += 1
        name = self.function(f"_{function.__name__}", function)
        if out in self.outputs and self.take_over(out, out, taken):
            self.lines.append(f"{name}({', '.join(texts)}, out={self.text[out]})")
        elif out in self.outputs and out.value.nbytes > _SMALL:  # new memory is slow to get
            self.assign(out, f"{name}({', '.join(texts)}, out={self.recycled(out, 'C')})")
        elif out in self.outputs or not out.shape:
            self.assign(out, f"{name}({', '.join(texts)})")
        else:
            keyword = "out=" if function in (np.maximum, np.minimum) else ""  # by position NumPy deprecates it
            self.lines.append(f"{name}({', '.join(texts)}, {keyword}{self.buffer(out, taken)})")

    def recycled(self, out: Any, order: Literal["C", "F"]) -> str:
        """What gives a large array that leaves the program."""
        recycler = _Recycler(out.shape, out.value.dtype, order)
        return f"{self.constant((out, 'recycle'), recycler, f'_new{next(self.counter)}')}()"

    def assign(self, out: Any, expression: str) -> None:
        self.text[out] = _name(out)
        self.lines.append(f"{_name(out)} = {expression}")

    def sigmoid(self, op: Any, out: Any) -> None:
        """1 / (1 + exp(-x)): where exp overflows to infinity the result is exactly 0, so the warning says nothing."""
        if not out.shape or out in self.outputs or op.args[0].value.dtype != out.value.dtype:
            self.generic(op)
            return
        same = [x for x in self.dying(op) if x.shape == out.shape]
        x = self.value(op.args[0])
        buffer = self.buffer(out, same)
        self.names.setdefault("_ignoring", _ignoring_overflow())
        self.lines += [
            f"{self.function('_negative', np.negative)}({x}, {buffer})",
            f"_ignoring({self.function('_exp', np.exp)}, {buffer}, {buffer})",
            f"{self.function('_add', np.add)}({buffer}, {self.number(1.0, out.value.dtype)}, {buffer})",
            f"{self.function('_reciprocal', np.reciprocal)}({buffer}, {buffer})",
        ]
        self.calls += 4

    def choice(self, op: Any, out: Any) -> bool:
        """`where` by bits, as in `_fast.where`; if one of the two is 0, they are those of the other and the mask."""
        dtype = out.value.dtype
        bits = BITS.get(dtype.itemsize)
        if op.name != "where" or op.kwargs or bits is None or out in self.outputs or out.value.size < _MANY:
            return False
        if not all(_is_var(x) and x.dtype is not None for x in op.args):
            return False
        condition, ones, others = op.args
        if condition.value.dtype != np.bool_ or condition.shape != out.shape or {ones.dtype, others.dtype} != {dtype}:
            return False
        same = [x for x in self.dying(op) if x.shape == out.shape]
        mask, spare = self.mask(condition, condition in same, opposite=_is_nothing(ones))
        choose = self.function("_bitwise_and", np.bitwise_and)
        if _is_nothing(ones) or _is_nothing(others):
            other = others if _is_nothing(ones) else ones
            self.buffer(out, [x for x in same if x is other])
            self.lines.append(f"{choose}({self.bits(other, bits)}, {mask}, {self.bits(out, bits)})")
        else:
            differ = self.function("_bitwise_xor", np.bitwise_xor)
            self.buffer(out, [x for x in same if x is ones and x is not others])
            here, there = self.bits(out, bits), self.bits(others, bits)
            self.lines += [
                f"{differ}({self.bits(ones, bits)}, {there}, {here})",
                f"{choose}({here}, {mask}, {here})",
                f"{differ}({here}, {there}, {here})",
            ]
            self.calls += 2
        self.calls += 1
        if spare is not None:
            self.free.append(spare)
        return True

    def cast(self, op: Any, out: Any) -> bool:
        """Another dtype; what becomes of an imaginary part is left to the library."""
        if op.name != "astype" or out in self.outputs or not out.shape or not _is_var(op.args[0]):
            return False
        x = op.args[0]
        if x.dtype is None or (x.value.dtype.kind == "c") != (out.value.dtype.kind == "c"):
            return False
        self.calls += 1
        given = self.value(x)
        self.lines.append(f"{self.function('_copyto', np.copyto)}({self.buffer(out, [])}, {given}, 'unsafe')")
        return True

    def scatter(self, op: Any, out: Any) -> bool:
        """Numbers added to elements of an array, each to another one, which NumPy does quicker than in general."""
        if op.name != "index_add" or out in self.outputs or len(op.args) != 3:
            return False
        array, index, values = op.args
        if (
            not _is_var(array)
            or not _is_var(values)
            or not (array.dtype == values.dtype == out.dtype)
            or not _is_one_to_one(index)
        ):
            return False
        given = self.value(array)
        buffer = self.buffer(out, [])
        is_new = array.is_constant and values.is_constant and not np.any(array.value) and np.all(values.value)
        self.lines.append(f"{self.function('_copyto', np.copyto)}({buffer}, {given})")
        self.lines.append(f"{buffer}[{self.value(index)}] {'' if is_new else '+'}= {self.value(values)}")
        self.calls += 2
        return True

    def mask(self, condition: Any, dying: bool, opposite: bool) -> tuple[str, Slot | None]:
        """All bits where a condition holds, or its opposite, as bytes; in its own memory if that is free then."""
        byte = np.dtype(np.int8)
        here, spare = self.bits(condition, byte), None
        there = here
        if not dying or condition not in self.arrays or self.slots[condition][0].live != {condition}:
            spare = self.memory(condition.value.nbytes, ())
            array = np.ndarray(condition.shape, byte, spare.memory.data, order=self.order(condition.shape))
            there = self.constant((id(spare), condition.shape, byte), array, f"m{next(self.counter)}")
        if opposite:
            self.lines.append(f"{self.function('_subtract', np.subtract)}({here}, {self.number(1, byte)}, {there})")
        else:
            self.lines.append(f"{self.function('_negative', np.negative)}({here}, {there})")
        self.calls += 1
        return there, spare

    def bits(self, var: Any, dtype: Any) -> str:
        """The elements of `var` as integers of so many bits."""
        if var.is_constant:
            value = np.array(var.value, order=self.order(var.shape))
            return self.constant((var, dtype, "bits"), value.view(dtype), "c")
        text = self.text[var]
        if var in self.arrays:
            return self.constant((text, dtype, "bits"), self.arrays[var].view(dtype), f"{text}i")
        return f"{text}.view({self.constant(dtype, dtype, f'_{dtype}')})"

    def product(self, op: Any, out: Any) -> bool:
        """A product of two matrices by `dot`, which has less around BLAS than `matmul`; an outer one by multiplying."""
        if op.name != "matmul" or op.kwargs or len(out.shape) != 2 or not all(_is_var(x) for x in op.args):
            return False
        a, b = op.args
        return self.dot(a, b, out)

    def outer(self, args: list[Any], out: Any) -> bool:
        """A column times a row, if it is large: broadcasting takes three times as long as BLAS."""
        if len(out.shape) != 2 or out.value.size < 256 or len(args) != 2 or not all(map(_is_var, args)):
            return False
        for a, b in (args, args[::-1]):
            if a.shape == (out.shape[0], 1) and b.shape == (1, out.shape[1]):
                return self.dot(a, b, out)
        return False

    def dot(self, a: Any, b: Any, out: Any) -> bool:
        """`a @ b` of two matrices."""
        if len(a.shape) != 2 or len(b.shape) != 2 or not a.value.dtype == b.value.dtype == out.value.dtype:
            return False
        if out.value.dtype.kind not in "fc" or 0 in out.shape or 0 in a.shape:
            return False
        self.calls += 1
        for x in (a, b):
            self.gather(x)
        if out in self.outputs:
            new = f", {self.recycled(out, 'C')}" if out.value.nbytes > _SMALL else ""
            self.assign(out, f"{self.dotting(self.value(a), a)}({self.value(b)}{new})")
            return True
        self.buffer(out, [])
        if out not in self.arrays or self.arrays[out].flags.c_contiguous:
            self.lines.append(f"{self.dotting(self.value(a), a)}({self.value(b)}, {self.text[out]})")
        else:
            left = self.dotting(self.transposed(b), b)
            self.lines.append(f"{left}({self.transposed(a)}, {self.transposed(out)})")
        return True

    def dotting(self, text: str, var: Any) -> str:
        """The method `dot`, which is quicker than the function; of a buffer it is looked up once."""
        if var in self.arrays or var.is_constant:
            return self.constant((text, "dot"), self.names[text].dot, f"{text}_dot")
        return f"{text}.dot"

    def gather(self, x: Any) -> None:
        """Copy a tall matrix that comes in, and is in several products, into a buffer of our layout."""
        if x.op is not None or x.is_constant or x in self.arrays or self.order(x.shape) == "C":
            return
        if self.dots[x] < 2 or x.value.nbytes > _SMALL or x.shape[1] == 1:
            return
        self.copy_in(x)
        self.slots[x][0].live.add("what comes in")  # stays, whatever uses it last

    def transposed(self, var: Any) -> str:
        """The transpose: of a buffer made once, of anything else in every call."""
        if var in self.arrays:
            return self.constant((self.text[var], "T"), self.arrays[var].T, f"{self.text[var]}T")
        if var.is_constant:
            return self.constant((var, "T"), np.asarray(var.value).T, "c")
        text = self.value(var)
        return text.removesuffix(".T") if text.endswith(".T") else f"{text}.T"

    def reduction(self, op: Any, out: Any) -> bool:
        """A sum, mean, maximum or minimum, without the wrapper."""
        if op.name not in REDUCING or len(op.args) != 1 or set(op.kwargs) - {"axis", "keepdims"}:
            return False
        x = op.args[0]
        axis, keepdims = op.kwargs.get("axis"), op.kwargs.get("keepdims", False)
        kinds = "b" if op.name in ("all", "any") else "fc"
        if not _is_var(x) or x.value.dtype != out.value.dtype or out.value.dtype.kind not in kinds or not x.value.size:
            return False
        name = self.reduce(op.name)
        self.calls += 1
        count = x.value.size // max(out.value.size, 1)
        array = self.arrays.get(x)
        if not out.shape and array is not None and (array.flags.c_contiguous or array.flags.f_contiguous):
            text = f"{name}({self.row(x)})"
        elif not out.shape or out in self.outputs:
            text = f"{name}({self.value(x)}, {axis!r}, None, None, {keepdims!r})"
        else:
            text = ""
        if text:
            self.assign(out, text if op.name != "mean" else f"{text} / {float(count)!r}")
            return True
        buffer = self.buffer(out, [])
        self.lines.append(f"{name}({self.value(x)}, {axis!r}, None, {buffer}, {keepdims!r})")
        if op.name == "mean":
            self.calls += 1
            divide = self.function("_divide", np.divide)
            self.lines.append(f"{divide}({buffer}, {self.number(float(count), out.value.dtype)}, {buffer})")
        return True

    def reduce(self, name: str) -> str:
        """What reduces by the function `name`."""
        ufunc = REDUCING[name]
        return self.function(f"_{ufunc.__name__}_reduce", ufunc.reduce)

    def view(self, op: Any, out: Any) -> bool:
        """Another view of the same memory. Of a buffer it is made once."""
        if op.name not in _VIEWS or not op.args or not _is_var(op.args[0]) or _variables(op.args[1:]) or not out.shape:
            return False
        x = op.args[0]
        if x.dtype is None or (op.name == "getitem" and not _is_basic(op.args[1])):
            return False
        if op.name in _TRANSPOSES:
            self.gather(x)
        array = self.arrays.get(x)
        if array is None:
            if x.is_constant or out in self.outputs:
                return False
            return self.view_of_any(op, out, x)
        if out in self.outputs:
            return False
        view = op.function(array, *op.args[1:], **op.kwargs)
        if not np.may_share_memory(view, array):
            return False
        self.text[out] = self.constant((self.text[x], id(out)), view, f"{self.text[x]}v")
        self.arrays[out] = view
        self.shares(out, [x])
        return True

    def view_of_any(self, op: Any, out: Any, x: Any) -> bool:
        """A view of an array that is another one in every call."""
        text = self.value(x)
        if op.name in _TRANSPOSES:
            if len(x.shape) != 2:
                return False
            self.text[out] = text.removesuffix(".T") if text.endswith(".T") else f"{text}.T"
            self.last[x] = max(self.last.get(x, 0), self.last.get(out, 0))
            self.shares(out, [x])
            return True
        return False

    def shares(self, out: Any, sources: list[Any]) -> None:
        """`out` is, or may be, in the memory of the sources."""
        found = list({id(slot): slot for x in sources for slot in self.slots.get(x, ())}.values())
        for slot in found:
            slot.live.add(out)
        self.slots[out] = self.slots.get(out, []) + found

    def generic(self, op: Any) -> None:
        """What was recorded, called as it was."""
        self.calls += 1
        call = self.plain(op)
        for out in op.outs:
            self.text[out] = _name(out)
        names = ", ".join(_name(out) for out in op.outs)
        self.lines.append(f"{names}{',' if op.several and len(op.outs) == 1 else ''} = {call}")
        for out in op.outs:
            if out.dtype is None:
                continue
            if out in self.outputs and any(self.slots.get(x) for x in op.uses()):
                self.lines.append(f"{_name(out)} = {self.function('_own', _own)}({_name(out)})")
            else:
                self.shares(out, op.uses())

    def plain(self, op: Any) -> str:
        args = [self.value(arg) for arg in op.args]
        if op.function is operator.getitem:
            return f"{args[0]}[{args[1]}]"
        args += [f"{key}={self.value(value)}" for key, value in op.kwargs.items()]
        return f"{self.function('_' + op.name.replace('.', '_'), op.function)}({', '.join(args)})"

    def host(self, op: Any) -> str:
        """Arithmetic of the host's numbers."""
        args = [self.value(arg) for arg in op.args]
        symbol = SIGNS.get(op.function)
        return f"{args[0]} {symbol} {args[1]}" if symbol and len(args) == 2 else self.plain(op)

    # Names -----------------------------------------------------------------------------------------------------------

    def function(self, name: str, function: Callable[..., Any]) -> str:
        """The name of a function."""
        known = self.constants.get(function)
        if known is None:
            while name in self.names:
                name += "_"
            self.names[name] = function
            known = self.constants[function] = name
        return known

    def constant(self, key: Any, value: Any, name: str) -> str:
        """The name of something that is made once."""
        known = self.constants.get(key)
        if known is None:
            known = f"{name}{next(self.counter)}" if name in self.names or name == "c" else name
            self.names[known] = value
            self.constants[key] = known
        return known

    def number(self, value: Any, dtype: Any) -> str:
        """A number as an array without axes."""
        return self.constant((repr(value), dtype), np.array(value, dtype=dtype), "c")

    def operand(self, x: Any, dtype: Any) -> str:
        """An operand of a ufunc on arrays of `dtype`."""
        if not _is_var(x):
            return self.number(x, dtype)
        if x.is_constant:
            value = np.asarray(x.value, dtype=dtype)
            number = uniform(value)
            value = np.array(value, order=self.order(x.shape)) if number is None else np.array(number)
            return self.constant((x, dtype), value, "c")
        if x.dtype is not None:
            return self.text[x]
        name = self.constant((x, dtype), np.empty((), dtype=dtype), f"{self.text[x]}_")
        if name not in self.filled:  # a number of the host, once for each dtype
            self.filled.add(name)
            self.before(x).append(f"{name}[()] = {self.text[x]}")
        return name

    def value(self, tree: Any) -> str:
        """An argument as text."""
        kind = type(tree)
        if _is_var(tree):
            if not tree.is_constant:
                return self.text[tree]
            return self.constant(tree, tree.value, "c")
        if kind is tuple:
            return f"({', '.join(map(self.value, tree))}{',' if len(tree) == 1 else ''})"
        if kind is list:
            return f"[{', '.join(map(self.value, tree))}]"
        if kind is dict:
            return "{" + ", ".join(f"{key!r}: {self.value(item)}" for key, item in tree.items()) + "}"
        if kind in (int, bool, str, type(None)) or (kind is float and tree - tree == 0):
            return f"({tree!r})" if kind in (int, float) and repr(tree).startswith("-") else repr(tree)
        return self.constant(id(tree), tree, "c")


class _Recycler:
    """Gives arrays that leave the program: one that it gave before and nobody holds any more, or a new one.

    A view of an array holds a reference to it. So what has no more references than ours is seen by nobody.
    """

    def __init__(self, shape: Any, dtype: Any, order: Literal["C", "F"]) -> None:
        self.shape, self.dtype, self.order = shape, dtype, order
        self.given: list[Any] = []

    def __call__(self) -> Any:
        for array in self.given:
            if getrefcount(array) <= 3:  # that of the list, of this loop, of the call
                return array
        array = np.empty(self.shape, self.dtype, self.order)
        if len(self.given) < 3:
            self.given.append(array)
        return array


def _ignoring_overflow() -> Callable[..., Any]:
    """What calls a function with warnings of overflow off, in a fraction of the time that `errstate` takes.

    Each program has a context of its own, since a context can't be entered twice at a time.
    """
    return _without_overflow().run(copy_context).run


@functools.cache
def _without_overflow() -> Context:
    context = copy_context()
    context.run(np.seterr, over="ignore")
    return context


def _operations(item: Any) -> list[Any]:
    """The plan's operations in an item of the program."""
    return getattr(item, "ops", [item])


def _own(array: Any) -> Any:
    """An array that is in no buffer."""
    return array if isinstance(array, np.generic) or array.flags.owndata else np.array(array)


def _alike(x: Any, y: Any) -> bool:
    return x.dtype is not None and x.shape == y.shape and x.value.dtype == y.value.dtype


def _is_written(op: Any) -> bool:
    """Whether it is an operation whose result is written to where one likes."""
    return op is not None and (op.name in SAME or op.name == "matmul")


def is_ufunc(function: Any) -> bool:
    """Whether it is a function of elements that gives one array."""
    return isinstance(function, np.ufunc) and function.signature is None and function.nout == 1


def _name(var: Any) -> str:
    """What a value is called that is in no buffer."""
    return f"v{var.index}" if var.index >= 0 else f"own{-var.index}"


def _is_var(x: Any) -> bool:
    return hasattr(x, "is_constant")


def uniform(array: Any) -> Any:
    """A large array of nothing but one number, to the last bit, as an array without axes; else None."""
    if array.size < _MANY:
        return None
    row = np.ascontiguousarray(array).reshape(-1)
    same = row.view(np.uint8).reshape(-1, array.itemsize) == row[:1].view(np.uint8)
    return row[:1].reshape(()).copy() if same.all() else None


def _is_one_to_one(index: Any) -> bool:
    """Whether an index of arrays names each element once, since one of these just counts."""
    if not isinstance(index, tuple) or not all(_is_var(x) and x.dtype is not None for x in index):
        return False
    if any(x.value.dtype.kind not in "iu" for x in index):
        return False
    shape = np.broadcast_shapes(*[x.shape for x in index])
    counting = [x for x in index if x.is_constant and x.shape == shape]
    return any(np.array_equal(np.ravel(x.value), np.arange(x.value.size)) for x in counting)


def _is_nothing(x: Any) -> bool:
    """Whether it is a constant of nothing but zeros, none of which is negative."""
    return bool(x.is_constant and np.asarray(x.value).tobytes() == bytes(x.value.nbytes))


def _variables(tree: Any) -> bool:
    """Whether there is a value among the arguments."""
    if isinstance(tree, tuple | list):
        return any(_variables(item) for item in tree)
    return _is_var(tree)


def _is_basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or type(part) in (int, slice) for part in parts)


def _is_tall(shape: Any) -> bool:
    return len(shape) == 2 and shape[0] > 2 * shape[1]


def _strides(shape: Any, dtype: Any, order: Literal["C", "F"]) -> tuple[int, ...]:
    return np.empty(shape, dtype, order=order).strides
