"""The CUDA C++ of groups of operations.

Every block has 256 threads. A thread has one element of the space. Where there are reductions it has one row of it if
rows are short, or if they lie side by side in memory as the columns of a matrix do; and else a block has a row. Where
rows are few and long they are cut into pieces, and a second kernel puts the pieces together, in a fixed order. Shapes
and strides are part of the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from math import ceil, prod
from typing import Any

import cupy

from ._elementwise import TYPES, cast, is_array, is_var, literal, statement
from ._grouping import INNER, Axes, Group, Part, operand_axes

THREADS = 256
SHORT = 32
"""Elements of a row that one thread reduces."""
LONG = 1 << 13
"""Elements of a row that is cut into pieces, where there are fewer rows than:"""
FEW = 512
SPREAD = 1 << 16
"""So many threads are wanted where each has a row, or a piece of one, of a larger space."""
PIECES = 256
"""The most pieces of one row."""

PRELUDE = """\
#include <cupy/complex.cuh>
#include <cupy/carray.cuh>
#include <cupy/atomics.cuh>
#include <cupy/math_constants.h>
"""
REDUCTIONS = """
struct Add { template <typename T> __device__ T operator()(T a, T b) const { return a + b; } };
struct Multiply { template <typename T> __device__ T operator()(T a, T b) const { return a * b; } };
struct Or { __device__ bool operator()(bool a, bool b) const { return a || b; } };
struct And { __device__ bool operator()(bool a, bool b) const { return a && b; } };
// Not-a-number is greater and smaller than everything.
struct Max { template <typename T> __device__ T operator()(T a, T b) const { return a != a || a > b ? a : b; } };
struct Min { template <typename T> __device__ T operator()(T a, T b) const { return a != a || a < b ? a : b; } };

template <typename T, typename Combine>
__device__ T over_block(T value, Combine combine) {
    alignas(16) __shared__ unsigned char memory[256 * sizeof(T)];
    T* shared = reinterpret_cast<T*>(memory);
    shared[threadIdx.x] = value;
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half) shared[threadIdx.x] = combine(shared[threadIdx.x], shared[threadIdx.x + half]);
        __syncthreads();
    }
    value = shared[0];
    __syncthreads();
    return value;
}
"""
_COMBINE = {"sum": "Add", "mean": "Add", "prod": "Multiply", "max": "Max", "min": "Min", "any": "Or", "all": "And"}


class Layout:
    """Where the elements of an array are: strides in elements."""

    __slots__ = ("shape", "strides")

    def __init__(self, shape: Iterable[int], strides: Iterable[int]) -> None:
        self.shape = tuple(shape)
        self.strides = tuple(strides)


def contiguous(shape: tuple[int, ...]) -> Layout:
    """The layout of a new array."""
    return Layout(shape, [prod(shape[i + 1 :]) for i in range(len(shape))])


class Kernel:
    """One kernel: its source, and what it is launched with."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.blocks = 0
        self.preambles: dict[str, None] = {}
        self.reduces = False
        self.given: dict[Any, str] = {}
        self.numbers: dict[Any, str] = {}
        self.stored: dict[Any, str] = {}
        self._segments: list[tuple[int, list[str]]] = []
        """The first block of each group, and its lines."""

    def array(self, x: Any) -> str:
        """The parameter for an array that is read."""
        return self.given.setdefault(x, f"a{len(self.given)}")

    def number(self, x: Any) -> str:
        """The parameter for a number of the host."""
        return self.numbers.setdefault(x, f"n{len(self.numbers)}")

    def result(self, x: Any) -> str:
        """The parameter for an array that is written."""
        return self.stored.setdefault(x, f"r{len(self.stored)}")

    def parameters(self) -> list[Any]:
        """What it is launched with, in order."""
        return [*self.given, *self.numbers, *self.stored]

    def add(self, lines: list[str], blocks: int) -> None:
        """Let so many more blocks run `lines`."""
        self._segments.append((self.blocks, lines))
        self.blocks += blocks

    def _text(self) -> list[str]:
        """What all blocks do: each block what its group does."""
        if len(self._segments) == 1:
            return ["const int block = blockIdx.x;", *self._segments[0][1]]
        text: list[str] = []
        for begin, lines in reversed(self._segments):
            condition = f"if (blockIdx.x >= {begin}) {{" if begin else "{"
            head = f"}} else {condition}" if text else condition
            text += [head, f"    const int block = blockIdx.x - {begin};", *_indented(lines)]
        return [*text, "}"]

    def source(self) -> str:
        """Its text."""
        given = [f"const {_type(x)}* __restrict__ {name}" for x, name in self.given.items()]
        numbers = [f"const {_NUMBERS[type(x.value)]} {name}" for x, name in self.numbers.items()]
        stored = [f"{_type(x)}* __restrict__ {name}" for x, name in self.stored.items()]
        parameters = ",\n        ".join([*given, *numbers, *stored])
        text = [
            f'extern "C" __global__ void __launch_bounds__({THREADS})',
            f"{self.name}(",
            f"        {parameters}) {{",
        ]
        return "\n".join([*text, *_indented(self._text()), "}", ""])


_NUMBERS: dict[type, str] = {int: "long long", float: "double"}


def _type(x: Any) -> str:
    return TYPES[x.value.dtype.name]


class Piece:
    """What a reduction gives for pieces of rows: a value that a second kernel reads."""

    is_constant = False

    def __init__(self, dtype: Any, shape: tuple[int, ...]) -> None:
        self.dtype = dtype
        self.shape = shape
        self.value = self


class Writer:
    """Writes the kernels of groups that are computed at once."""

    def __init__(
        self, layout: Callable[[Any], Layout], stored: set[Any], base: Callable[[Any, Axes], tuple[Any, Axes]]
    ) -> None:
        self.layout = layout
        self.stored = stored
        self.uniform = cache(_uniform)
        self.base = base
        """The value that another one is another way to name, with its axes."""

    def kernels(self, groups: list[Group], name: str) -> list[Kernel]:
        """One kernel, or two where pieces of rows are put together."""
        first, second = Kernel(name), Kernel(f"{name}_joined")
        for group in groups:
            body = _Body(self, first, group)
            first.add(body.lines(), body.blocks)
            if body.is_long:
                joined = _Body(self, second, group)
                second.add(joined.joined(body.pieces), joined.rows)
        return [kernel for kernel in (first, second) if kernel.blocks]


class _Body:
    """What the blocks of one group do."""

    def __init__(self, writer: Writer, kernel: Kernel, group: Group) -> None:
        self.writer = writer
        self.kernel = kernel
        kernel.reduces |= bool(group.reduced)
        self.group = group
        self.parts = {part.out: part for part in sorted(group.parts, key=lambda part: part.number)}
        self.rows = prod(group.space[i] for i in group.kept)
        self.length = prod(group.space[i] for i in group.reduced)
        self.is_short = bool(group.reduced) and self.length <= SHORT
        """Whether a thread has a row, or a piece of one, for itself."""
        cuts = 1
        if prod(group.space) > SPREAD and self.length > SHORT and self._is_by_column():
            self.is_short, cuts = True, ceil(SPREAD / self.rows)
        elif self.length > LONG and self.rows < FEW:
            cuts = min(PIECES, ceil(self.length / (8 * THREADS)))
        self.size = ceil(self.length / min(cuts, ceil(self.length / SHORT)))
        """Elements of a piece of a row,"""
        self.cuts = ceil(self.length / self.size)
        """and how many pieces it is cut into."""
        self.is_long = self.cuts > 1
        self.pieces: list[Piece] = []
        self.blocks = ceil(self.rows * self.cuts / (THREADS if self.is_short or not group.reduced else 1))
        self.known: dict[Any, str] = {}
        self.count = 0
        self.index = "int" if self._extent() < 2**30 else "long long"
        self.wide = "" if self.index == "int" else "(long long)"
        self.runs = [("i", tuple(range(len(group.space))))]
        """What counts the elements of the space: a variable, and the axes that it runs over."""
        if group.reduced:
            self.runs = [("i", group.kept), ("j", group.reduced)]

    def _is_by_column(self) -> bool:
        """Whether neighbours in memory are of different rows, so that neighbouring threads should be so, too."""
        for part in self.parts.values():
            for x, axes in operand_axes(part, self.group):
                if is_array(x) and self.writer.base(x, axes)[0] not in self.parts:
                    base, axes = self.writer.base(x, axes)
                    steps = {axis: abs(step) for axis, step in zip(axes, self.writer.layout(base).strides, strict=True)}
                    steps = {axis: step for axis, step in steps.items() if axis is not None and axis >= 0 and step}
                    if not set(steps).isdisjoint(self.group.reduced):
                        return min(steps, key=steps.__getitem__) not in self.group.reduced
        return False

    def _extent(self) -> int:
        """The largest index of any array."""
        found = [prod(self.group.space), 1]
        for part in self.parts.values():
            for var in (part.out, *part.op.uses()):
                if is_array(var):
                    layout = self.writer.layout(var)
                    found.append(sum((n - 1) * abs(s) for n, s in zip(layout.shape, layout.strides, strict=True)))
        return max(found)

    # The three kinds -------------------------------------------------------------------------------------------------

    def lines(self) -> list[str]:
        """The lines of the kernel, or of the first of two."""
        if self.group.reduced:
            return self.reducing()
        body = self.compute(list(self.parts.values()))
        wide = self.wide
        return [
            f"const {self.index} i = {wide}block * {THREADS} + threadIdx.x;",
            f"if (i < {self.rows}) {{",
            *_indented(body),
            "}",
        ]

    def reducing(self) -> list[str]:
        """A loop over a row or a piece of one, and what comes after it."""
        group = self.group
        lines = self._begin()
        once = [p for p in self.parts.values() if p.kind != "reduce" and p not in group.after and not self.runs_over(p)]
        lines += self.compute(once, guard=True)
        reductions = [part for part in self.parts.values() if part.kind == "reduce"]
        for n, part in enumerate(reductions):
            dtype = part.out.value.dtype
            lines.append(f"{TYPES[dtype.name]} sum{n} = {_identity(part.op.name, dtype)};")
        outside = dict(self.known)
        inside = self.compute([p for p in self.parts.values() if p.kind != "reduce" and self.runs_over(p)])
        for n, part in enumerate(reductions):
            text, more = self.operand(part, 0, part.out.value.dtype)
            inside += [*more, f"sum{n} = {_COMBINE[part.op.name]}()(sum{n}, {text});"]
        self.known = outside
        start, stop, step = self._bounds()
        lines += [f"for ({self.index} j = {start}; j < {stop}; j += {step}) {{", *_indented(inside), "}"]
        if self.is_long:
            return self._keep(lines, reductions)
        return lines + self._finish(reductions)

    def joined(self, pieces: list[Piece]) -> list[str]:
        """The second of two kernels: the pieces of each row put together."""
        self.is_short = False
        reductions = [part for part in self.parts.values() if part.kind == "reduce"]
        lines = [f"const {self.index} i = block;"]
        loop = []
        for n, (part, piece) in enumerate(zip(reductions, pieces, strict=True)):
            dtype = part.out.value.dtype
            lines.append(f"{TYPES[dtype.name]} sum{n} = {_identity(part.op.name, dtype)};")
            place = f"{self.kernel.array(piece)}[i * {self.cuts} + j]"
            loop.append(f"sum{n} = {_COMBINE[part.op.name]}()(sum{n}, {place});")
        lines += [f"for (int j = threadIdx.x; j < {self.cuts}; j += {THREADS}) {{", *_indented(loop), "}"]
        return lines + self._finish(reductions)

    def _begin(self) -> list[str]:
        index, thread = self.index, f"{self.wide}block * {THREADS} + threadIdx.x"
        if not self.is_short:
            piece = [f"const {index} piece = block % {self.cuts};"] if self.is_long else []
            return [f"const {index} i = block{f' / {self.cuts}' if self.is_long else ''};", *piece]
        if not self.is_long:
            return [f"const {index} i = {thread};", f"if (i >= {self.rows}) return;"]
        return [
            f"const {index} thread = {thread};",
            f"if (thread >= {self.rows * self.cuts}) return;",
            f"const {index} i = thread % {self.rows};",
            f"const {index} piece = thread / {self.rows};",
        ]

    def _bounds(self) -> tuple[str, str, str]:
        """Where the loop over a row begins and ends, and its step."""
        start, stop = "0", str(self.length)
        if self.is_long:
            start, stop = f"piece * {self.size}", f"min(({self.index}){self.length}, (piece + 1) * {self.size})"
        return (start, stop, "1") if self.is_short else (f"{start} + threadIdx.x", stop, str(THREADS))

    def _keep(self, lines: list[str], reductions: list[Part]) -> list[str]:
        """Store what a piece gives."""
        for n, part in enumerate(reductions):
            piece = Piece(part.out.value.dtype, (self.rows, self.cuts))
            self.pieces.append(piece)
            if not self.is_short:
                lines.append(f"sum{n} = over_block(sum{n}, {_COMBINE[part.op.name]}());")
            condition = "" if self.is_short else "if (threadIdx.x == 0) "
            lines.append(f"{condition}{self.kernel.result(piece)}[i * {self.cuts} + piece] = sum{n};")
        return lines

    def _finish(self, reductions: list[Part]) -> list[str]:
        """The results of the reductions, and what is computed of them."""
        lines, after = [], []
        for n, part in enumerate(reductions):
            dtype, name = part.out.value.dtype, self.new()
            if not self.is_short:
                lines.append(f"sum{n} = over_block(sum{n}, {_COMBINE[part.op.name]}());")
            real = cupy.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
            scale = f" / {literal(self.length, real)}" if part.op.name == "mean" else ""
            after.append(f"const {TYPES[dtype.name]} {name} = sum{n}{scale};")
            self.known[part.out] = name
            after += self.store(part)
        after += self.compute([part for part in self.parts.values() if part in self.group.after])
        return [*lines, *after] if self.is_short else [*lines, "if (threadIdx.x == 0) {", *_indented(after), "}"]

    def runs_over(self, part: Part) -> bool:
        """Whether it is computed for each element of a row."""
        return not set(self.group.reduced).isdisjoint(self.group.axes[part.out])

    # Values ----------------------------------------------------------------------------------------------------------

    def new(self) -> str:
        """A name for a value."""
        self.count += 1
        return f"t{self.count}"

    def compute(self, parts: list[Part], guard: bool = False) -> list[str]:
        """The lines that compute the results of `parts` and store those that others need."""
        lines = []
        for part in parts:
            lines += self.value(part)
            lines += self.store(part, guard)
        return lines

    def value(self, part: Part) -> list[str]:
        """The lines that make a result known, if it is not yet."""
        if part.out in self.known:
            return []
        if part.kind == "product":
            return self.product(part)
        assert part.code is not None
        lines, texts = [], []
        for i, dtype in enumerate(part.code.given):
            text, more = self.operand(part, i, dtype)
            texts.append(text)
            lines += more
        self.kernel.preambles[part.code.preamble] = None
        self.known[part.out] = name = self.new()
        return lines + statement(part.code, name, texts)

    def operand(self, part: Part, i: int, dtype: Any) -> tuple[str, list[str]]:
        """The i-th operand as an expression of `dtype`, and lines that make it known."""
        x, axes = list(operand_axes(part, self.group))[i]
        if not is_array(x):
            if not is_var(x):
                return literal(x, dtype), []
            return cast(self.kernel.number(x), None, dtype), []
        base, axes = self.writer.base(x, axes)
        value = self.writer.uniform(base)
        if value is not None:
            return cast(literal(value, base.value.dtype), base.value.dtype, dtype), []
        lines = self.value(self.parts[base]) if base in self.parts else []
        if base not in self.parts and (base, axes) not in self.known:
            self.known[base, axes] = name = self.new()
            lines.append(f"const {TYPES[base.value.dtype.name]} {name} = {self.element(base, axes)};")
        text = self.known[base if base in self.parts else (base, axes)]
        return cast(text, base.value.dtype, dtype), lines

    def element(self, base: Any, axes: Axes) -> str:
        """An element of an array."""
        return f"{self.kernel.array(base)}[{self.place(self.writer.layout(base), axes)}]"

    def product(self, part: Part) -> list[str]:
        """A matrix product: the sum over a few numbers."""
        dtype, n = part.out.value.dtype, part.op.args[0].shape[-1]
        if n == 1:
            (a, lines), (b, more) = (self.operand(part, i, dtype) for i in (0, 1))
            self.known[part.out] = name = self.new()
            return [*lines, *more, f"const {TYPES[dtype.name]} {name} = {a} * {b};"]
        a, b = (self.element(*self.writer.base(x, axes)) for x, axes in operand_axes(part, self.group))
        self.known[part.out] = name = self.new()
        return [f"{TYPES[dtype.name]} {name} = 0;", f"for (int k = 0; k < {n}; ++k) {name} += {a} * {b};"]

    def store(self, part: Part, guard: bool = False) -> list[str]:
        """Write a result to memory, if it is needed there: one thread does."""
        if part.out not in self.writer.stored:
            return []
        axes = self.group.axes[part.out]
        place = f"{self.kernel.result(part.out)}[{self.place(self.writer.layout(part.out), axes)}]"
        condition = []
        if guard:
            condition += [] if self.is_short else ["threadIdx.x == 0"]
            condition += ["piece == 0"] if self.is_long else []
        runs = self.runs if not self.group.reduced or self.runs_over(part) else self.runs[:1]
        for name, over in runs:
            missing = [axis for axis in over if axis not in axes]
            whole = len(missing) == len(over)
            condition += [f"{name} == 0"] if whole and over else [f"{self.coordinate(a)} == 0" for a in missing]
        line = f"{place} = {self.known[part.out]};"
        return [f"if ({' && '.join(condition)}) {line}" if condition else line]

    # Indices ---------------------------------------------------------------------------------------------------------

    def place(self, layout: Layout, axes: Axes) -> str:
        """Where the element of an array is that a thread looks at."""
        steps: dict[int, int] = {}
        for axis, stride in zip(axes, layout.strides, strict=True):
            if axis is not None and stride:
                steps[axis] = steps.get(axis, 0) + stride
        terms = [_times("k", steps.pop(INNER))] if INNER in steps else []
        for name, over in self.runs:
            units = contiguous(tuple(self.group.space[axis] for axis in over)).strides
            given = [steps.get(axis, 0) for axis in over]
            if any(given):
                unit = given[-1]
                if all(step == unit * size for step, size in zip(given, units, strict=True)):
                    terms.append(_times(name, unit))
                else:
                    terms += [_times(self.coordinate(a), step) for a, step in zip(over, given, strict=True) if step]
        return " + ".join(terms) or "0"

    def coordinate(self, axis: int) -> str:
        """The index along one axis of the space."""
        name, over = next((name, over) for name, over in self.runs if axis in over)
        behind = prod(self.group.space[a] for a in over[over.index(axis) + 1 :])
        text = f"{name} / {behind}" if behind > 1 else name
        return f"{text} % {self.group.space[axis]}" if axis != over[0] else text


def _times(text: str, step: int) -> str:
    text = f"({text})" if " " in text else text
    return text if step == 1 else f"{text} * {step}" if step >= 0 else f"{text} * ({step})"


def _uniform(var: Any) -> Any:
    """The number that all elements of a constant are; None where they differ or it is none."""
    if not var.is_constant or not var.value.size:
        return None
    values = var.value.get().ravel()
    return values[0].item() if values.tobytes() == values[:1].tobytes() * values.size else None


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _identity(name: str, dtype: Any) -> str:
    """What a reduction begins with."""
    if name in ("max", "min"):
        low, high = (-cupy.inf, cupy.inf) if dtype.kind == "f" else (cupy.iinfo(dtype).min, cupy.iinfo(dtype).max)
        return literal(low if name == "max" else high, dtype)
    return literal(name in ("prod", "all"), dtype)
