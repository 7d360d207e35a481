"""Large arrays in blocks that stay in the processor's cache.

Functions of the elements of arrays that fit in no cache take the time of their way from memory and back. So a run of
such functions is done for some thousand elements, then for the next ones: what is between them is in small buffers, and
only what others use is written out. Sums over all elements are taken block by block.

The lines inside the loop are those of the executor's writer, for arrays of the size of a block.
"""

from __future__ import annotations

import heapq
import itertools
from collections import ChainMap
from math import prod
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np

from agrad.backend import Body, Device

from ._executor import ALIKE, COMPARING, REDUCING, SAME, Slot, Writer, is_ufunc, uniform
from ._together import together

_CACHE = 1 << 20
"""Bytes that all arrays of one block should have together, of which"""
_SMALLEST, _LARGEST = 1 << 14, 1 << 17
"""one has so many."""
LARGE = 1 << 20
"""Bytes of an array from which on it is computed in blocks."""
_FEWEST = 3
"""Operations for which it pays to cut arrays. A parameter's update by its gradient is less, and done in place."""
_RECENT = 8
"""The last blocks, which an operation may join: to look at all would take too long in a long program."""
_ELEMENTWISE = {*SAME, *COMPARING, "where", "astype", "sigmoid"}


def execute(plan: Any, device: Device) -> Body:
    """The body of a program for `plan`."""
    items = together(plan, ALIKE, {*SAME, "matmul", "sigmoid"})
    if any(out.dtype is not None and out.value.nbytes >= LARGE for op in plan.ops for out in op.outs):
        return _Blocked(plan, device, blocks(items, set(plan.outputs))).body()
    return Writer(plan, device, items).body()


# Which operations -----------------------------------------------------------------------------------------------------


class Block:
    """Functions of the elements of arrays of one shape, and reductions of what they give to one number."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape
        self.ops: list[Any] = []
        self.made: set[Any] = set()
        """The arrays of the shape that it makes."""
        self.needs: set[Block] = set()
        """What else has to be finished before."""
        self.outs: list[Any] = []
        """Those of its results that others use."""

    def add(self, op: Any) -> None:
        """Take another operation in."""
        self.ops.append(op)
        self.made.update(out for out in op.outs if out.shape == self.shape)

    def uses(self) -> list[Any]:
        """The values that come in."""
        return [var for op in self.ops for var in _operands(op) if var not in self.made]

    def at_once(self) -> int:
        """How many arrays there are at most at a time."""
        coming = {x for x in self.uses() if x.shape == self.shape}
        last = {x: i for i, op in enumerate(self.ops) for x in _operands(op)}
        now: set[Any] = set()
        most = 0
        for i, op in enumerate(self.ops):
            now.update(self.made.intersection(op.outs))
            most = max(most, len(now))
            now -= {x for x in now if last.get(x, i) <= i and x not in self.outs}
        return len(coming) + most

    @property
    def quiet(self) -> bool:
        """Whether warnings are off everywhere."""
        return all(op.quiet for op in self.ops)


def blocks(items: list[Any], outputs: set[Any]) -> list[Any]:
    """The items in an order in which some operations are in a `Block`."""
    found: list[Block] = []
    makers: dict[Any, Block] = {}
    """The block that makes a value."""
    after: dict[Any, set[Block]] = {}
    """The blocks that are finished before there is a value, for values that are made in none."""
    so_far: set[Block] = set()
    """Those that are finished before the last operation that is impure: these keep their order."""
    for item in items:
        beside = {makers[var] for var in item.uses() if var in makers}
        before: set[Block] = set().union(*[after.get(var, ()) for var in item.uses()])
        if getattr(item, "impure", False):
            before |= so_far
            so_far = before | beside
        block = _joined(item, found, beside, before)
        if block is not None:
            block.add(item)
            block.needs |= (before | beside) - {block}
        for var in item.outs:
            if block is not None and var in block.made:
                makers[var] = block
            else:
                after[var] = before | beside
    kept = [block for block in found if len(block.ops) >= _FEWEST]
    inside = {op for block in kept for op in block.ops}
    mixed = [*[item for item in items if item not in inside], *kept]
    used = {var for item in mixed for var in item.uses()} | outputs
    for block in kept:
        block.outs = [out for op in block.ops for out in op.outs if out in used]
    position = {item: i for i, item in enumerate(items)}
    at = [max(position[op] for op in item.ops) if isinstance(item, Block) else position[item] for item in mixed]
    return _ordered(mixed, at)


def _ordered(items: list[Any], at: list[int]) -> list[Any]:
    """`items` in an order in which each comes after what it uses, else as `at` says."""
    maker = {out: i for i, item in enumerate(items) for out in item.outs}
    followers: list[list[int]] = [[] for _ in items]
    waiting = [0] * len(items)
    impure = sorted((i for i, item in enumerate(items) if getattr(item, "impure", False)), key=at.__getitem__)
    edges = {(maker[var], i) for i, item in enumerate(items) for var in item.uses() if var in maker}
    for before, after in edges | set(itertools.pairwise(impure)):
        followers[before].append(after)
        waiting[after] += 1
    ready = [(at[i], i) for i, n in enumerate(waiting) if not n]
    heapq.heapify(ready)
    found = []
    while ready:
        _, i = heapq.heappop(ready)
        found.append(items[i])
        for follower in followers[i]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(ready, (at[follower], follower))
    assert len(found) == len(items), "blocks wait for each other"
    return found


def _joined(item: Any, found: list[Block], beside: set[Block], before: set[Block]) -> Block | None:
    """The block that an operation joins: one for which it does not have to wait, or a new one."""
    if _is_total(item):
        return next((block for block in beside if item.args[0] in block.made), None)
    if not _is_elementwise(item):
        return None
    shape = item.outs[0].shape
    for block in found[: -_RECENT - 1 : -1]:
        if block.shape == shape and block not in _with_needs(before | (beside - {block})):
            return block
    found.append(Block(shape))
    return found[-1]


def _with_needs(blocks: set[Block]) -> set[Block]:
    """The blocks, and those that are finished before them."""
    found: set[Block] = set()
    waiting = list(blocks)
    while waiting:
        block = waiting.pop()
        if block not in found:
            found.add(block)
            waiting += block.needs
    return found


def _is_elementwise(item: Any) -> bool:
    """Whether it is a function of the elements of large arrays, one of which has the shape of the result."""
    if getattr(item, "name", None) not in _ELEMENTWISE and not is_ufunc(getattr(item, "function", None)):
        return False
    if item.impure or item.several or not item.outs[0].shape:
        return False
    operands, shape = _operands(item), item.outs[0].shape
    large = [x for x in operands if x.shape == shape]
    size = max([x.value.nbytes for x in (*large, *item.outs)], default=0)
    return bool(large) and size >= LARGE and len(operands) == sum(map(_is_var, item.args))


def _is_total(item: Any) -> bool:
    """Whether it is a sum, or the like, of all elements."""
    if getattr(item, "name", None) not in REDUCING or len(item.args) != 1 or set(item.kwargs) - {"axis", "keepdims"}:
        return False
    (x,), (out,) = item.args, item.outs
    return _is_var(x) and out.shape == () and x.dtype == out.dtype and out.value.dtype.kind in "fc"


def _operands(op: Any) -> list[Any]:
    """The values that an operation takes."""
    return [_source(var) for var in op.uses()]


def _source(var: Any) -> Any:
    """What a value was broadcast from: an operation broadcasts anyway."""
    while var.op is not None and var.op.name == "broadcast_to" and _is_var(var.op.args[0]):
        var = var.op.args[0]
    return var


def _is_var(x: Any) -> bool:
    return hasattr(x, "is_constant")


# How large arrays are cut ---------------------------------------------------------------------------------------------


def _cut(shape: Any, order: Literal["C", "F"], wanted: int) -> tuple[int, int]:
    """The axis along which arrays are cut, and how long a block is there, for `wanted` elements in a block."""
    size = prod(shape)
    axes = range(len(shape)) if order == "C" else range(len(shape) - 1, -1, -1)
    axis = next((axis for axis in axes if size // shape[axis] <= wanted), shape.index(max(shape)))
    return axis, max(1, wanted * shape[axis] // size)


class _Grid:
    """How the arrays of a block are cut: as one row of elements, in the order of memory, or along an axis."""

    def __init__(self, block: Block, arrays: list[Any]) -> None:
        """`arrays` are those of the block's shape that come in."""
        is_c, is_f = (all(array.flags[f"{order}_CONTIGUOUS"] for array in arrays) for order in "CF")
        self.shape = block.shape
        self.order: Literal["C", "F"] = "F" if is_f and not is_c else "C"
        self.size = prod(block.shape)
        is_even = all(x.shape == block.shape or prod(x.shape) == 1 for x in block.uses())
        self.is_flat = is_even and (is_c or is_f or len(block.shape) == 1)
        size = min(max(_CACHE // block.at_once(), _SMALLEST), _LARGEST)
        wanted = size // max(var.value.dtype.itemsize for var in block.made)
        if self.is_flat:
            self.axis, self.whole, self.length = 0, self.size, min(wanted, self.size)
        else:
            self.axis, self.length = _cut(block.shape, self.order, wanted)
            self.whole = block.shape[self.axis]
        self.starts = range(0, self.whole, self.length)

    def place(self, shape: Any) -> int | None:
        """Along which of its own axes an array is cut; None if every block gets all of it."""
        if self.is_flat:
            return 0 if shape == self.shape else None
        place = self.axis - len(self.shape) + len(shape)
        return place if place >= 0 and shape[place] > 1 else None

    def part(self, shape: Any) -> Any:
        """The shape of what a block gets of an array."""
        if self.is_flat:
            return (self.length,) if shape == self.shape else ()
        place = self.place(shape)
        return shape if place is None else (*shape[:place], self.length, *shape[place + 1 :])

    def row(self, array: Any) -> Any:
        """A large array as it is cut; its text, for text."""
        if not self.is_flat or len(self.shape) == 1:
            return array
        if isinstance(array, str):
            return f"{array}.T.reshape(-1)" if self.order == "F" else f"{array}.reshape(-1)"
        return (array.T if self.order == "F" else array).reshape(-1)

    def indices(self, place: int) -> list[Any]:
        """What takes each block out of an array that is cut along its axis `place`."""
        slices = [slice(start, min(start + self.length, self.whole)) for start in self.starts]
        return [(slice(None),) * place + (part,) for part in slices] if place else slices

    def views(self, array: Any, place: int) -> list[Any]:
        """The blocks of an array that is the same in every call."""
        row = self.row(array)
        return [row[index] for index in self.indices(place)]

    def scratch(self, array: Any) -> list[Any]:
        """A small buffer for each block: the last one takes less of it."""
        full, rest = divmod(self.whole, self.length)
        last = [array[(slice(None),) * self.axis + (slice(rest),)]] if rest else []
        return [array] * full + last


# The program ----------------------------------------------------------------------------------------------------------


class _Blocked(Writer):
    """Writes a program in which some operations are done in blocks."""

    def __init__(self, plan: Any, device: Device, items: list[Any]) -> None:
        super().__init__(plan, device, items)
        self.scratch: list[Slot] = []
        """The memory of small buffers, which all blocks share."""

    def emit(self, op: Any) -> None:
        """Write the lines of an operation, or of a block."""
        if isinstance(op, Block):
            _Loop(self, op).write_loop()
        else:
            super().emit(op)

    def body(self) -> Body:
        """The body of a program."""
        body = super().body()
        size = sum(slot.size for slot in self.scratch)
        return body._replace(buffers=body.buffers + len(self.scratch), bytes=body.bytes + size)


class _Piece:
    """What a block gets of a value: stands for it inside the loop."""

    def __init__(self, var: Any, value: Any, op: Any = None, is_constant: bool = False) -> None:
        self.var, self.value, self.op, self.is_constant = var, value, op, is_constant
        self.index, self.dtype = var.index, var.dtype
        self.shape: Any = getattr(value, "shape", ())


class _Step:
    """An operation of a block, on what it gets."""

    several: Any = None

    def __init__(self, op: Any, args: list[Any], quiet: bool) -> None:
        self.name, self.function, self.args, self.kwargs = op.name, op.function, args, op.kwargs
        self.quiet = quiet
        self.outs: list[_Piece] = []

    def uses(self) -> list[_Piece]:
        """The values that it takes."""
        return [x for x in self.args if isinstance(x, _Piece)]


class _Loop(Writer):
    """Writes the loop over the blocks."""

    def __init__(self, program: _Blocked, block: Block) -> None:
        self.program, self.block = program, block
        coming = list(dict.fromkeys(block.uses()))
        numbers = {x: uniform(x.value) for x in coming if x.is_constant}
        large = [x for x in coming if x.shape == block.shape and numbers.get(x) is None]
        self.grid = _Grid(block, [np.asarray(program.arrays.get(x, x.value)) for x in large])
        pieces = {x: self.piece(x, numbers.get(x)) for x in coming}
        steps = []
        for op in block.ops:
            args = [pieces[_source(x)] if _is_var(x) else x for x in op.args]
            step = _Step(op, args, op.quiet and not block.quiet)
            for out in op.outs:
                pieces[out] = _Piece(out, _blank(out.value.dtype, self.grid.part(out.shape)), step)
                step.outs.append(pieces[out])
            steps.append(step)
        super().__init__(SimpleNamespace(ops=steps, outputs=[], names={}, fixed=(), once=0), program.device, steps)
        self.names: Any = ChainMap({}, program.names)
        self.constants: Any = ChainMap({}, program.constants)
        self.pool, self.free = program.scratch, list(program.scratch)
        self.numbers, self.counter = program.numbers, program.counter
        self.turning: dict[str, list[Any]] = {}
        """What changes from block to block, by name."""
        self.indices: dict[int, str] = {}
        """What takes a block out of an array that is cut along an axis."""
        self.heads: list[str] = []
        """The first lines inside the loop."""
        self.views: list[str] = []
        """Names of views of arrays that are not ours, which are let go after the loop."""
        self.given: dict[Any, str] = {pieces[out]: self.destination(out) for out in block.outs if out in block.made}
        """Where those results have to be that leave the block."""
        self.totals: dict[Any, str] = {}
        """Where each block's part of a sum goes."""
        for x in coming:
            if x.dtype is not None and not pieces[x].is_constant:
                self.text[pieces[x]] = self.load(x)

    def piece(self, x: Any, number: Any) -> _Piece:
        """What a block gets of a value from outside: of nothing but one number that."""
        if x.dtype is None:
            return _Piece(x, x.value)
        part = self.grid.part(x.shape)
        if number is not None:
            return _Piece(x, number, is_constant=True)
        if x.is_constant and self.grid.place(x.shape) is None:
            return _Piece(x, np.reshape(x.value, part), is_constant=True)
        return _Piece(x, _blank(x.value.dtype, part))

    # What comes in and goes out --------------------------------------------------------------------------------------

    def load(self, x: Any) -> str:
        """The name that a block's part of a value has."""
        program, place = self.program, self.grid.place(x.shape)
        array = np.asarray(x.value) if x.is_constant else program.arrays.get(x)
        if place is None:
            if not self.grid.is_flat or not x.shape:
                return program.value(x)
            if array is not None:
                return program.constant((program.value(x), "one"), array.reshape(()), self.name("n"))
            return self.whole(f"{program.value(x)}.reshape(())")
        if x.is_constant or (array is not None and np.may_share_memory(self.grid.row(array), array)):
            return self.turn("b", self.grid.views(array, place))
        return self.part(program.value(x), x, place)

    def part(self, text: str, x: Any, place: int) -> str:
        """A name for each block's part of an array that is another one in every call."""
        row = self.grid.row(text)
        row = row if row == text else self.whole(row)
        if place not in self.indices:
            self.indices[place] = self.turn("i", self.grid.indices(place))
        name = self.name("x")
        self.heads.append(f"{name} = {row}[{self.indices[place]}]")
        self.views.append(name)
        return name

    def whole(self, expression: str) -> str:
        """A name for a view that is made before the loop."""
        name = self.name("x")
        self.program.lines.append(f"{name} = {expression}")
        self.views.append(name)
        return name

    def destination(self, out: Any) -> str:
        """The name of the block's part of a result."""
        program, order, finished = self.program, self.grid.order, self.finished(out)
        if out not in program.outputs:
            program.buffer(out, finished, order)
        elif order == "F" or not program.take_over(out, out, finished):
            program.assign(out, program.recycled(out, order))
        if out in program.arrays:
            return self.turn("b", self.grid.views(program.arrays[out], self.grid.axis))
        return self.part(program.text[out], out, self.grid.axis)

    def finished(self, out: Any) -> list[Any]:
        """The values from outside that nothing uses any more when `out` is made."""
        program, block = self.program, self.block
        made = next(i for i, op in enumerate(block.ops) if out in op.outs)
        later = {x for op in block.ops[made:] for x in _operands(op)}
        return [x for x in dict.fromkeys(block.uses()) if program.last.get(x) == program.at and x not in later]

    def turn(self, kind: str, values: list[Any]) -> str:
        """A name for what changes from block to block."""
        name = self.name(kind)
        self.turning[name] = values
        return name

    def name(self, kind: str) -> str:
        """A new name. Names of one letter and a number are the executor's."""
        return f"{kind}{next(self.numbers if kind == 'b' else self.counter)}"

    # Inside the loop -------------------------------------------------------------------------------------------------

    def order(self, shape: Any) -> Literal["C", "F"]:
        """The layout of small buffers."""
        return self.grid.order

    def buffer(self, var: Any, taken: list[Any], order: Literal["C", "F"] | None = None) -> str:
        """A place for a result."""
        if var in self.given:
            self.text[var] = self.given[var]
            return self.given[var]
        return super().buffer(var, taken, order)

    def operand(self, x: Any, dtype: Any) -> str:
        """An operand of a ufunc on arrays of `dtype`."""
        if _is_var(x) and x.dtype is None:
            return self.program.operand(x.var, dtype)
        return super().operand(x, dtype)

    def value(self, tree: Any) -> str:
        """An argument as text."""
        if _is_var(tree) and tree.dtype is None:
            return self.program.value(tree.var)
        return super().value(tree)

    def outer(self, args: list[Any], out: Any) -> bool:
        """No product by BLAS."""
        return False

    def emit(self, op: Any) -> None:
        """Write the lines of a step."""
        (out,) = op.outs
        if out.shape:
            super().emit(op)
        else:
            self.total(op, out)

    def generic(self, op: Any) -> None:
        """What was recorded, called as it was."""
        (out,) = op.outs
        if out not in self.given:
            super().generic(op)
            return
        self.calls += 2
        self.text[out] = self.given[out]
        self.lines.append(f"{self.function('_copyto', np.copyto)}({self.given[out]}, {self.plain(op)})")

    def total(self, op: Any, out: Any) -> None:
        """The block's part of a sum, and the sum after the loop."""
        parts = np.empty(len(self.grid.starts), out.value.dtype)
        each = self.turn("s", [parts[i : i + 1].reshape(()) for i in range(len(parts))])
        reduce = self.reduce(op.name)
        self.lines.append(f"{reduce}({self.value(op.args[0])}, None, None, {each})")
        self.totals[out] = f"{reduce}({self.program.constant((each, 'parts'), parts, self.name('p'))})"
        if op.name == "mean":
            self.totals[out] += f" / {float(self.grid.size)!r}"
        self.calls += 2

    def write_loop(self) -> None:
        """Write the loop into the program."""
        self.run()
        program, grid = self.program, self.grid
        memory = [slot.memory for slot in self.pool]
        own = self.names.maps[0]
        for name, value in own.items():
            if isinstance(value, np.ndarray) and any(np.may_share_memory(value, slot) for slot in memory):
                self.turning[name] = grid.scratch(value)
            else:
                program.names[name] = value
        known = self.constants.maps[0]
        program.constants.update({key: text for key, text in known.items() if text in program.names})
        program.calls += self.calls
        rows = list(zip(*self.turning.values(), strict=True))
        table = program.constant((self.block, "rows"), rows, f"_{self.name('blocks')}")
        names = ", ".join(self.turning) + ("," if len(self.turning) == 1 else "")
        program.lines.append(f"for {names} in {table}:")
        program.lines += [f"    {line}" for line in (*self.heads, *self.lines)]
        if self.views:
            program.lines.append(f"del {', '.join(self.views)}")
        for out, expression in self.totals.items():
            program.assign(out.var, expression)


def _blank(dtype: Any, shape: Any) -> Any:
    """An array of which only the dtype and the shape matter."""
    return np.broadcast_to(np.empty((), dtype), shape)
