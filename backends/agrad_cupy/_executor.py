"""Compiled plans in CuPy's own way: chains of elementwise operations and reductions as generated kernels.

A training step of a small network is made of launches, each of which costs more than its work. So operations that go
over the same elements become one kernel, with the reductions behind them and what is computed of their results; small
kernels that are ready together are launched as one; matrix products write into memory kept between calls. Numbers of
the host, such as a learning rate, are parameters of kernels. Nothing waits for the device.

What leaves the program is never in kept memory. What is not known here is called as it was recorded.
"""

from __future__ import annotations

import operator
from functools import lru_cache
from math import prod
from typing import Any

import cupy

from agrad.backend import SIGNS, Body

from ._elementwise import is_array, is_var
from ._grouping import Group, Grouping, Part
from ._kernels import PRELUDE, REDUCTIONS, THREADS, Layout, Piece, Writer, contiguous

_VIEWS = {"matrix_transpose", "transpose", "permute_dims", "reshape", "broadcast_to", "getitem", "squeeze"}
_VIEWS |= {"expand_dims", "flip", "moveaxis"}


def execute(plan: Any) -> Body:
    """The body of a program for `plan`."""
    return _Writer(plan).body()


@lru_cache(maxsize=256)
def _module(source: str, device: int) -> Any:
    """The kernels of a program on a GPU. Products and sums are rounded one by one, as where each is a kernel."""
    return cupy.RawModule(code=source, options=("--fmad=false",))


class _InOrder:
    """Makes the stream of a call wait for that of the call before, whose memory it uses."""

    def __init__(self) -> None:
        self.stream = cupy.cuda.get_current_stream()
        self.pointer = self.stream.ptr

    def __call__(self) -> None:
        stream = cupy.cuda.get_current_stream()
        if stream.ptr != self.pointer:
            stream.wait_event(self.stream.record())
            self.stream, self.pointer = stream, stream.ptr


class _Writer:
    def __init__(self, plan: Any) -> None:
        self.plan = plan
        self.outputs = set(plan.outputs)
        self.grouping = grouping = Grouping(_needed(plan.ops, self.outputs), self.outputs)
        self.batches = grouping.batches()
        self.made = {part.out for part in grouping.parts if part.home is not part or _is_product(part.op)}
        """What is made here, in C order."""
        self.last: dict[Any, int] = {}
        """The number of the batch that uses a value last,"""
        self.ending: dict[int, list[Any]] = {}
        """and the values by that number."""
        self.stored: set[Any] = set(self.outputs)
        """The results of kernels that are needed in memory."""
        self.loose: set[Any] = set(self.outputs)
        """Values that have to be arrays of their own: they leave the program, or go where nobody knows what is kept."""
        self._look_ahead()
        self.names: dict[str, Any] = {}
        self.known: dict[Any, str] = {}
        self.lines: list[str] = []
        self.text: dict[Any, str] = dict(plan.names)
        """What a value is called."""
        self.layouts: dict[Any, Layout] = {}
        self.arrays: dict[Any, Any] = {}
        """The arrays of values in kept memory, which are the same in every call."""
        self.slots: dict[Any, Any] = {}
        self.free: list[Any] = []
        self.slot_count = self.bytes = self.calls = 0
        self.sources: list[str] = []
        self.preambles: dict[str, None] = {}
        self.launched: list[str] = []
        self.dense: dict[Any, str] = {}
        """Arrays from elsewhere that kernels read."""

    def _look_ahead(self) -> None:
        grouping = self.grouping
        for i, batch in enumerate(self.batches):
            for item in batch:
                for part in item.parts:
                    for var in grouping.reads(part):
                        self.last[var] = i
                        if part.home is part or grouping.home(var) is not part.home:
                            self.stored.add(var)
        for i, batch in reversed(list(enumerate(self.batches))):
            for part in (item for item in batch if isinstance(item, Part)):
                if _is_view(part.op):
                    source, out = part.op.args[0], part.op.outs[0]
                    self.last[source] = max(self.last[source], self.last.get(out, i))
                    if out in self.loose:
                        self.loose.add(source)
                elif not _is_product(part.op):
                    self.loose.update(part.op.uses())
        for var, i in self.last.items():
            self.ending.setdefault(i, []).append(var)

    def body(self) -> Body:
        for i, batch in enumerate(self.batches):
            if isinstance(batch[0], Group):
                self.kernels(i, batch)
            else:
                self.alone(batch[0].op)
            self.let_go(i)
        source = self.compile()
        if self.slot_count:
            self.names["_in_order"] = _InOrder()
            self.lines.insert(0, "_in_order()")
        results = {var: self.text[var] for var in self.plan.outputs}
        return Body(self.lines, self.names, results, self.slot_count, self.bytes, self.calls, source)

    # Memory ----------------------------------------------------------------------------------------------------------

    def place(self, var: Any) -> str:
        """A new place for a value: an array of its own, or kept memory."""
        if var in self.loose:
            self.text[var] = name = _name(var)
            dtype = self.hold(f"_{var.value.dtype.name}", var.value.dtype)
            self.lines.append(f"{name} = {self.hold('_empty', cupy.ndarray)}({var.shape}, {dtype})")
            return name
        self.arrays[var] = array = self.keep(var, var.shape, var.value.dtype)
        self.text[var] = name = f"b{len(self.arrays)}"
        self.names[name] = array
        return name

    def keep(self, key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        """An array in kept memory that nothing uses at this point of the program."""
        size = prod(shape) * dtype.itemsize
        fitting = [slot for slot in self.free if size <= slot.nbytes <= 4 * size]
        if fitting:
            slot = min(fitting, key=lambda slot: slot.nbytes)
            self.free = [other for other in self.free if other is not slot]
        else:
            slot = cupy.empty(size, dtype=cupy.uint8)
            self.slot_count += 1
            self.bytes += size
        self.slots[key] = slot
        return cupy.ndarray(shape, dtype, slot.data)

    def let_go(self, i: int) -> None:
        """Free the memory of what batch `i` used last."""
        names = []
        for var in self.ending.pop(i, ()):
            if var in self.slots:
                self.free.append(self.slots.pop(var))
                continue
            if var in self.dense:
                names.append(self.dense[var])
            if var.dtype is not None and var not in self.outputs and self.text.get(var) == _name(var):
                names.append(_name(var))
        if names:
            self.lines.append(f"del {', '.join(names)}")

    def layout(self, var: Any) -> Layout:
        """Where the elements of a value are: what the program makes is dense, what comes in lies as it did."""
        layout = self.layouts.get(var)
        if layout is None:
            value = var.value
            as_recorded = var not in self.made and not isinstance(var, Piece) and (var.is_constant or _is_plain(value))
            layout = contiguous(var.shape)
            if as_recorded:
                layout = Layout(var.shape, [stride // value.itemsize for stride in value.strides])
            self.layouts[var] = layout
        return layout

    # Kernels ---------------------------------------------------------------------------------------------------------

    def kernels(self, i: int, groups: list[Group]) -> None:
        """Launch groups, the i-th batch, at once."""
        for kernel in Writer(self.layout, self.stored, self.grouping.base_and_axes).kernels(
            groups, f"step{len(self.sources)}"
        ):
            texts = [self.readable(x) for x in kernel.given] + [self.value(x) for x in kernel.numbers]
            texts += [self.place(x) for x in kernel.stored]
            self.ending.setdefault(i, []).extend(x for x in kernel.stored if isinstance(x, Piece))
            self.sources.append(kernel.source())
            self.preambles |= kernel.preambles
            if kernel.reduces:
                self.preambles[REDUCTIONS] = None
            self.calls += 1
            self.launched.append(kernel.name)
            self.lines.append(f"_{kernel.name}(({kernel.blocks},), ({THREADS},), ({', '.join(texts)},))")

    def readable(self, var: Any) -> str:
        """The array that a kernel reads, which lies as the kernel was written for."""
        if var.is_constant:
            return self.constant(var, var.value)
        if var in self.made or var in self.arrays or isinstance(var, Piece):
            return self.text[var]
        name = self.dense.get(var)
        if name is None:
            self.dense[var] = name = f"d{len(self.dense)}"
            strides = tuple(stride * var.value.itemsize for stride in self.layout(var).strides)
            x = self.text[var]
            self.lines.append(
                f"{name} = {x} if {x}.strides == {strides} else {self.hold('_laid', _laid)}({x}, {strides})"
            )
        return name

    def compile(self) -> str:
        """Make the kernels, and give their source."""
        if not self.sources:
            return ""
        source = "\n".join([PRELUDE, *filter(None, self.preambles), *self.sources])
        module = _module(source, cupy.cuda.runtime.getDevice())
        self.names |= {f"_{name}": module.get_function(name) for name in self.launched}
        return source

    # Other operations ------------------------------------------------------------------------------------------------

    def alone(self, op: Any) -> None:
        """An operation that is in no kernel."""
        out = op.outs[0] if len(op.outs) == 1 and not op.several else None
        if out is not None and out.dtype is None:
            self.text[out] = _name(out)
            self.lines.append(f"{_name(out)} = {self.call(op)}")
        elif out is None or not (self.view(op, out) or self.product(op, out)):
            self.calls += 1
            for made in op.outs:
                self.text[made] = _name(made)
            names = ", ".join(map(_name, op.outs)) + ("," if op.several and len(op.outs) == 1 else "")
            self.lines.append(f"{names} = {self.call(op)}")

    def view(self, op: Any, out: Any) -> bool:
        """A view of kept memory, made once."""
        source = self.arrays.get(op.args[0]) if _is_view(op) else None
        if source is None:
            return False
        array = op.function(source, *op.args[1:], **op.kwargs)
        if array.data.mem is not source.data.mem:
            return False
        self.arrays[out] = array
        self.layouts[out] = Layout(array.shape, [stride // array.itemsize for stride in array.strides])
        self.text[out] = name = f"b{len(self.arrays)}"
        self.names[name] = array
        return True

    def product(self, op: Any, out: Any) -> bool:
        """A matrix product into memory that is there."""
        if not _is_product(op):
            return False
        self.calls += 1
        a, b = map(self.value, op.args)
        place = self.place(out)
        self.lines.append(f"{self.hold('_matmul', cupy.matmul)}({a}, {b}, out={place})")
        return True

    def call(self, op: Any) -> str:
        """An operation as it was recorded."""
        args = [self.value(arg) for arg in op.args]
        symbol = SIGNS.get(op.function)
        if symbol and len(args) == 2:
            return f"{args[0]} {symbol} {args[1]}"
        if op.function is operator.getitem:
            return f"{args[0]}[{args[1]}]"
        args += [f"{key}={self.value(value)}" for key, value in op.kwargs.items()]
        return f"{self.hold('_' + op.name.replace('.', '_'), op.function)}({', '.join(args)})"

    # Names -----------------------------------------------------------------------------------------------------------

    def value(self, tree: Any) -> str:
        """An argument as text."""
        kind = type(tree)
        if is_var(tree):
            return self.constant(tree, tree.value) if tree.is_constant else self.text[tree]
        if kind is tuple:
            return f"({', '.join(map(self.value, tree))}{',' if len(tree) == 1 else ''})"
        if kind is list:
            return f"[{', '.join(map(self.value, tree))}]"
        if kind is dict:
            return "{" + ", ".join(f"{key!r}: {self.value(item)}" for key, item in tree.items()) + "}"
        if kind in (int, bool, str, type(None)) or (kind is float and tree - tree == 0):
            return f"({tree!r})" if kind in (int, float) and repr(tree).startswith("-") else repr(tree)
        return self.constant(id(tree), tree)

    def constant(self, key: Any, value: Any) -> str:
        """The name of something that belongs to the program."""
        name = self.known.get(key)
        if name is None:
            name = self.known[key] = f"c{len(self.known)}"
            self.names[name] = value
        return name

    def hold(self, wanted: str, value: Any) -> str:
        """The name of a function or a dtype."""
        name = self.known.get(value)
        if name is None:
            name = wanted
            while name in self.names:
                name += "_"
            self.known[value] = name
            self.names[name] = value
        return name


def _needed(ops: list[Any], outputs: set[Any]) -> list[Any]:
    """The operations without the questions that a GPU is not asked, and what was computed for these."""
    needed, kept = set(outputs), []
    for op in reversed(ops):
        if op.name != "confirm" and (op.impure or not needed.isdisjoint(op.outs)):
            needed.update(op.uses())
            kept.append(op)
    return kept[::-1]


def _name(var: Any) -> str:
    """What a value is called that is in no kept memory."""
    return f"v{var.index}" if var.index >= 0 else f"own{-var.index}"


def _is_view(op: Any) -> bool:
    """Whether it gives a view of its first argument, or may do so."""
    return op.name in _VIEWS and bool(op.args) and is_array(op.args[0]) and len(op.uses()) == 1


def _is_product(op: Any) -> bool:
    """Whether it is a product of two matrices that cuBLAS computes into memory that is there."""
    if op.name != "matmul" or op.kwargs or not all(map(is_array, op.args)):
        return False
    values = [x.value for x in (*op.args, op.outs[0])]
    return (
        all(x.ndim == 2 and x.size for x in values)
        and len({x.dtype for x in values}) == 1
        and values[0].dtype.kind in "fc"
    )


def _is_plain(array: Any) -> bool:
    """Whether no two elements of an array are at the same place."""
    covered = array.itemsize
    for stride, n in sorted((abs(stride), n) for stride, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < covered:
            return False
        covered = stride * n
    return True


def _laid(array: Any, strides: tuple[int, ...]) -> Any:
    """A copy of an array that lies in memory with these strides."""
    steps = [(n - 1) * stride for n, stride in zip(array.shape, strides, strict=True)]
    begin = -sum(step for step in steps if step < 0)
    size = begin + sum(step for step in steps if step > 0) + array.itemsize
    memory = cupy.empty(size, dtype=cupy.uint8)
    copy = cupy.ndarray(array.shape, array.dtype, memory.data + begin, strides)
    copy[...] = array
    return copy
