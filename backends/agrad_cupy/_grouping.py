"""Which operations of a plan become one kernel.

A kernel runs over a `space` of indices. Each value in it is computed from what the same thread has, so a value's axes
are axes of the space: broadcasting, reshapes by axes of length 1 and transposes are only other ways to name them. The
results of reductions have the axes that are not `reduced`.

The plan is gone through from its end, so an operation joins those that use its result, and a value that was kept for
later is not computed until then.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from math import prod
from typing import Any

from ._elementwise import TYPES, Code, code_of, is_array, operands

Axes = tuple[int | None, ...]
"""The axis of the space for each axis of a value; None for those of length 1."""

INNER = -1
"""In the place of an axis: the one that a matrix product sums over."""
PRODUCT = 16
"""A matrix product that sums over so few numbers is computed where its elements are used."""
_REDUCING = {"sum", "mean", "max", "min", "prod", "all", "any"}
_RESHAPING = {"reshape", "expand_dims", "squeeze", "getitem"}
_PERMUTING = {"matrix_transpose", "transpose", "permute_dims"}
_CHEAP = 1 << 14
"""Elements of a space up to which a smaller operand may be computed again for each of them."""
MOST = 100
"""Operations in one kernel, whose parameters have to be fewer than 512."""
_SMALL = 1 << 16
"""Elements of a space up to which a launch costs more than the work."""


class Part:
    """One operation of the plan."""

    __slots__ = ("code", "home", "kind", "number", "op")

    def __init__(self, op: Any, number: int) -> None:
        self.op = op
        self.number = number
        self.code: Code | None = None
        self.kind = self._kind()
        """How it is computed: by element ("map"), "product", "reduce", by naming axes ("shape"), or "alone"."""
        self.home: Any = self
        """The group that it is in."""

    def _kind(self) -> str:
        op = self.op
        if op.several or op.impure or not op.outs or op.outs[0].dtype is None:
            return "alone"
        if 0 in op.outs[0].shape or any(0 in x.shape for x in op.uses()):
            return "alone"
        self.code = code_of(op)
        if self.code is not None:
            return "map"
        if op.name == "matmul" and _is_small_product(op):
            return "product"
        if op.name in _REDUCING and _is_reduction(op):
            return "reduce"
        return "shape" if _is_shape(op) else "alone"

    @property
    def out(self) -> Any:
        """The result of an operation that has one."""
        return self.op.outs[0]

    @property
    def parts(self) -> list[Part]:
        """Itself: what a group has several of."""
        return [self]


class Group:
    """Operations that are one kernel."""

    def __init__(self) -> None:
        self.space: list[int] = []
        self.reduced: tuple[int, ...] = ()
        """The axes of the space that its reductions run over."""
        self.parts: list[Part] = []
        self.after: set[Part] = set()
        """Those that are computed once the reductions are done."""
        self.axes: dict[Any, Axes] = {}
        """The axes of each result."""

    @property
    def number(self) -> int:
        """Where in the plan it begins."""
        return min(part.number for part in self.parts)

    @property
    def kept(self) -> tuple[int, ...]:
        """The axes of the space that are not reduced."""
        return tuple(axis for axis in range(len(self.space)) if axis not in self.reduced)

    def add(self, part: Part, axes: Axes) -> None:
        """Take an operation in."""
        part.home = self
        self.parts.append(part)
        self.axes[part.out] = axes


class Grouping:
    """The groups of a plan."""

    def __init__(self, ops: list[Any], outputs: set[Any]) -> None:
        self.outputs = outputs
        self.maker: dict[Any, Part] = {}
        self.parts = [Part(op, i) for i, op in enumerate(ops)]
        for part in self.parts:
            self.maker.update(dict.fromkeys(part.op.outs, part))
        self.consumers: dict[Any, list[Part]] = {}
        self._drop_unused_shapes()
        for part in self.parts:
            for var in self.reads(part):
                self.consumers.setdefault(var, []).append(part)
        impure = [part for part in self.parts if part.op.impure]
        self.next_impure = dict(pairwise(impure))

    def _drop_unused_shapes(self) -> None:
        """Leave out the other ways to name axes that only kernels use."""
        needed, kept = set(self.outputs), []
        for part in reversed(self.parts):
            if part.kind != "shape" or part.out in needed:
                kept.append(part)
                if part.kind in ("shape", "alone"):
                    needed.update(part.op.uses())
        self.parts = kept[::-1]

    def batches(self) -> list[list[Any]]:
        """Groups and single parts in order: what is in one list can be done at once."""
        for part in reversed(self.parts):
            if part.kind in ("map", "product", "reduce"):
                self.place(part)
        found: dict[Any, None] = dict.fromkeys(part.home for part in self.parts)
        return _ordered(found, self.successors)

    # What uses what --------------------------------------------------------------------------------------------------

    def base(self, var: Any) -> Any:
        """The value that `var` is another way to name."""
        while var in self.maker and self.maker[var].kind == "shape":
            var = self.maker[var].op.args[0]
        return var

    def base_and_axes(self, var: Any, axes: Axes) -> tuple[Any, Axes]:
        """The value that `var` is another way to name, and its axes."""
        return self.base(var), self.through(var, axes)

    def home(self, var: Any) -> Any:
        """The group or the single part that makes a value; None for what comes in."""
        return self.maker[var].home if var in self.maker else None

    def reads(self, part: Part) -> Iterator[Any]:
        """The values that a part needs, in a kernel whatever they are called there."""
        for var in part.op.uses():
            yield var if part.kind in ("shape", "alone") else self.base(var)

    def successors(self, item: Any) -> Iterator[Any]:
        for part in item.parts:
            for out in part.op.outs:
                for consumer in self.consumers.get(out, ()):
                    if consumer.home is not item:
                        yield consumer.home
            if part in self.next_impure:
                yield self.next_impure[part]

    def reaches(self, start: Iterable[Any], goals: Iterable[Any]) -> bool:
        """Whether anything in `goals` depends on anything in `start`."""
        goals, seen, stack = set(goals), set(), list(start)
        while stack:
            item = stack.pop()
            if item in goals:
                return True
            if item not in seen:
                seen.add(item)
                stack.extend(self.successors(item))
        return False

    # Placing ---------------------------------------------------------------------------------------------------------

    def place(self, part: Part) -> None:
        """Put an operation into a group with what uses its result, or into a new one."""
        homes = list(dict.fromkeys(user.home for user in self.consumers.get(part.out, ())))
        groups = [home for home in homes if isinstance(home, Group)]
        for group in groups:
            others = [home for home in homes if home is not group]
            if self.fit(part, group) is None or self.reaches(others, [group]):
                continue
            for other in groups:
                if other is not group and not self.reaches([h for h in others if h is not other], [other]):
                    group = self.merged(part, group, other) or group
            add = self.fit(part, group)
            if add is not None:
                add()
                return
        self.begin(part)

    def begin(self, part: Part) -> None:
        """A new group."""
        group = Group()
        shape = part.op.args[0].shape if part.kind == "reduce" else part.out.shape
        numbers = iter(range(len(shape)))
        axes: Axes = tuple(next(numbers) if n > 1 else None for n in shape)
        group.space = [n for n in shape if n > 1]
        if part.kind == "reduce":
            gone = reduced_axes(part.op)
            group.reduced = tuple(axis for i in gone if (axis := axes[i]) is not None)
            axes = tuple(None if i in gone else axis for i, axis in enumerate(axes))
            if len(part.out.shape) < len(shape):
                axes = tuple(axis for i, axis in enumerate(axes) if i not in gone)
        group.add(part, axes)

    def fit(self, part: Part, group: Group) -> Callable[[], None] | None:
        """How to add an operation whose result the group uses; None if that can't be."""
        users = self.users(part.out, group)
        axes = self.required(part.out, group)
        if axes is None or len(group.parts) >= MOST:
            return None
        after = bool(group.reduced) and all(user in group.after for user in users)
        covered = {axis for axis in axes if axis is not None}
        if part.kind == "reduce":
            return self._fit_reduction(part, group, axes, after)
        whole = covered == set(group.kept) or (not after and covered == set(range(len(group.space))))
        if not whole and not self._is_cheap(part, group):
            return None

        def add() -> None:
            group.add(part, axes)
            if after:
                group.after.add(part)

        return add

    def _is_cheap(self, part: Part, group: Group) -> bool:
        """Whether a result may be computed again and again, for all elements to which it is broadcast."""
        if part.kind != "map" or part.out in self.outputs:
            return False
        alone = all(user.home is group for user in self.consumers[part.out])
        return alone and (part.out.value.size == 1 or prod(group.space) <= _CHEAP)

    def _fit_reduction(self, part: Part, group: Group, axes: Axes, after: bool) -> Callable[[], None] | None:
        shape = part.op.args[0].shape
        sizes = [shape[i] for i in reduced_axes(part.op) if shape[i] > 1]
        covered = {axis for axis in axes if axis is not None}
        if covered != set(group.kept):
            return None
        if group.reduced:
            same = after and sizes == [group.space[i] for i in group.reduced]
            return (lambda: group.add(part, axes)) if same else None

        def begin() -> None:
            first = len(group.space)
            group.after = set(group.parts)
            group.space += sizes
            group.reduced = tuple(range(first, len(group.space)))
            group.add(part, axes)

        return begin

    def users(self, var: Any, group: Group) -> list[Part]:
        """The operations in a group that use a value."""
        return [user for user in self.consumers[var] if user.home is group]

    def required(self, var: Any, group: Group) -> Axes | None:
        """The axes that a value has to have for all its users in a group; None where these do not agree."""
        found = set()
        for user in self.users(var, group):
            for arg, axes in operand_axes(user, group):
                if is_array(arg) and self.base(arg) is var:
                    found.add(self.through(arg, axes))
        if len(found) != 1:
            return None
        (agreed,) = found
        return None if INNER in agreed else agreed

    def through(self, var: Any, axes: Axes) -> Axes:
        """The axes of the value that `var` is another way to name."""
        while var in self.maker and self.maker[var].kind == "shape":
            op = self.maker[var].op
            axes, var = _axes_of_source(op, axes), op.args[0]
        return axes

    def merged(self, part: Part, first: Group, second: Group) -> Group | None:
        """One group of two that both use the result of `part`, if neither waits for the other."""
        if len(first.parts) + len(second.parts) >= MOST:
            return None
        target, source = (second, first) if second.reduced and not first.reduced else (first, second)
        here, there = self.required(part.out, target), self.required(part.out, source)
        if here is None or there is None:
            return None
        if any(user in group.after for group in (first, second) for user in self.users(part.out, group)):
            return None
        names = {ours: theirs for ours, theirs in zip(there, here, strict=True) if ours is not None}
        if set(names) != set(range(len(source.space))) or set(names.values()) != set(range(len(target.space))):
            return None
        if source.reduced and tuple(names[axis] for axis in source.reduced) != target.reduced:
            return None
        if self.reaches([first], [second]) or self.reaches([second], [first]):
            return None
        for theirs in source.parts:
            target.add(theirs, tuple(None if axis is None else names[axis] for axis in source.axes[theirs.out]))
        target.after |= source.after
        return target


# Axes ----------------------------------------------------------------------------------------------------------------


def operand_axes(part: Part, group: Group) -> Iterator[tuple[Any, Axes]]:
    """The operands of an operation in a group, with the axes that they have there."""
    op, axes = part.op, group.axes[part.out]
    if part.kind == "product":
        yield from zip(op.args, _axes_of_factors(op, axes), strict=True)
    elif part.kind == "reduce":
        yield op.args[0], _axes_of_operand(op, axes, group.reduced)
    else:
        for x in operands(op):
            yield x, _broadcast(x.shape, axes) if is_array(x) else ()


def _broadcast(shape: tuple[int, ...], axes: Axes) -> Axes:
    """The axes of a value that is broadcast to one with `axes`."""
    behind = axes[len(axes) - len(shape) :]
    return tuple(None if n == 1 else axis for n, axis in zip(shape, behind, strict=True))


def _axes_of_operand(op: Any, axes: Axes, reduced: tuple[int, ...]) -> Axes:
    """The axes of what a reduction runs over, from those of its result."""
    shape, gone = op.args[0].shape, reduced_axes(op)
    inner, outer = iter(reduced), iter(axes)
    found: list[int | None] = []
    keeps = len(axes) == len(shape)
    for i, n in enumerate(shape):
        if i in gone:
            found.append(next(inner) if n > 1 else None)
            if keeps:
                next(outer)
        else:
            found.append(next(outer))
    return tuple(found)


def _axes_of_factors(op: Any, axes: Axes) -> tuple[Axes, Axes]:
    """The axes of the two factors of a matrix product, from those of the product."""
    a, b = (x.shape for x in op.args)
    inner = (INNER if a[-1] > 1 else None,)
    ends = (len(a) > 1) + (len(b) > 1)
    batch, matrix = axes[: len(axes) - ends], axes[len(axes) - ends :]
    left = (*_broadcast(a[:-2], batch), matrix[0], *inner) if len(a) > 1 else inner
    right = (*_broadcast(b[:-2], batch), *inner, matrix[-1]) if len(b) > 1 else inner
    return left, right


def _axes_of_source(op: Any, axes: Axes) -> Axes:
    """The axes of what an operation only names in another way, from those of its result."""
    shape = op.args[0].shape
    if op.name == "broadcast_to":
        return _broadcast(shape, axes)
    if op.name in _RESHAPING:
        longer = iter([axis for axis, n in zip(axes, op.outs[0].shape, strict=True) if n > 1])
        return tuple(next(longer) if n > 1 else None for n in shape)
    found: list[int | None] = [None] * len(shape)
    for axis, i in zip(axes, _permutation(op), strict=True):
        found[i] = axis
    return tuple(found)


def reduced_axes(op: Any) -> list[int]:
    """The axes that a reduction runs over."""
    n = len(op.args[0].shape)
    axis = op.kwargs.get("axis")
    if axis is None:
        return list(range(n))
    return sorted(i % n for i in (axis if isinstance(axis, tuple) else (axis,)))


def _permutation(op: Any) -> list[int]:
    n = len(op.outs[0].shape)
    if op.name == "transpose":
        return list(range(n))[::-1]
    if op.name == "matrix_transpose":
        return [*range(n - 2), n - 1, n - 2]
    axes = op.args[1] if len(op.args) > 1 else op.kwargs["axes"]
    return [i % n for i in axes]


def _is_shape(op: Any) -> bool:
    """Whether an operation only gives other names to axes."""
    if not op.args or not is_array(op.args[0]) or len(op.uses()) != 1:
        return False
    if op.name == "getitem" and not all(map(_takes_all, _parts(op.args[1]))):
        return False
    if op.name in _RESHAPING:
        before, after = ([n for n in shape if n > 1] for shape in (op.args[0].shape, op.outs[0].shape))
        return before == after
    return op.name in _PERMUTING or op.name == "broadcast_to"


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _takes_all(part: Any) -> bool:
    """Whether a part of an index takes all there is along an axis, or gives a new one."""
    return part is None or part is Ellipsis or (type(part) is slice and part == slice(None))


def _is_reduction(op: Any) -> bool:
    """Whether it is a reduction of real numbers over more than one element that keeps to the standard's parameters."""
    if len(op.args) != 1 or not is_array(op.args[0]) or not op.kwargs.keys() <= {"axis", "keepdims"}:
        return False
    source, made = op.args[0].value.dtype, op.outs[0].value.dtype
    if prod([op.args[0].shape[i] for i in reduced_axes(op)]) < 2:
        return False
    if op.name in ("max", "min"):
        return bool(source.kind in "iuf" and source == made)
    if op.name in ("all", "any"):
        return bool(source.kind in "biuf")
    return bool(made.kind in ("fc" if op.name == "mean" else "iufc") and source.name in TYPES)


def _is_small_product(op: Any) -> bool:
    if len(op.args) != 2 or not all(map(is_array, op.args)) or op.kwargs:
        return False
    dtypes = {x.value.dtype for x in (*op.args, op.outs[0])}
    return len(dtypes) == 1 and dtypes.pop().kind in "fc" and op.args[0].shape[-1] <= PRODUCT


# Order ---------------------------------------------------------------------------------------------------------------


def _ordered(items: Iterable[Any], successors: Callable[[Any], Iterable[Any]]) -> list[list[Any]]:
    """The items in an order in which each comes after what it needs; small kernels that are ready together as one.

    What nothing else needs comes last, such as the updates of all parameters.
    """
    followers = {item: list(dict.fromkeys(successors(item))) for item in items}
    waiting = dict.fromkeys(followers, 0)
    for behind in followers.values():
        for item in behind:
            waiting[item] += 1

    def entry(item: Any) -> tuple[bool, int, Any]:
        return isinstance(item, Group) and not followers[item], item.number, item

    ready = [entry(item) for item, n in waiting.items() if not n]
    heapq.heapify(ready)
    found: list[list[Any]] = []
    while ready:
        last, _, item = heapq.heappop(ready)
        batch = [item]
        if _is_small(item):
            room = MOST - len(item.parts)
            for other in sorted(ready):
                if other[0] == last and _is_small(other[2]) and len(other[2].parts) <= room:
                    batch.append(other[2])
                    ready.remove(other)
                    room -= len(other[2].parts)
            heapq.heapify(ready)
        found.append(batch)
        for done in batch:
            for item in followers[done]:
                waiting[item] -= 1
                if not waiting[item]:
                    heapq.heappush(ready, entry(item))
    assert not any(waiting.values()), "operations that wait for each other became kernels"
    return found


def _is_small(item: Any) -> bool:
    return isinstance(item, Group) and prod(item.space) <= _SMALL
