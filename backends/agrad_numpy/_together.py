"""Several small operations as one call: equal ones on arrays that are side by side in memory, and sums of products.

A training step multiplies every gradient by the same rate; a loss takes the logarithms of p and of 1 - p, multiplies
them by labels, and adds everything up. Where equal operations do not depend on each other, and their operands can be
put side by side, one call does them all. The sum of a product's elements is a dot product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

SMALL = 1 << 14
"""Bytes of an array up to which the call costs more than the work; of larger ones side by side the memory does."""
_FLAT = 1 << 16
"""Bytes up to which a sum of products is a dot product: of more, a sum in pairs is more accurate."""
_MANY = 400
"""Programs with more operations are left as they are: to look at all their orders would take too long."""


class Together:
    """Operations that one call does: `ops[i]` of the arrays `columns[0][i]`, `columns[1][i]`, … gives `outputs[i]`."""

    def __init__(self, ops: list[Any], columns: list[list[Any]]) -> None:
        self.ops = ops
        self.columns = columns
        self.outputs = [op.outs[0] for op in ops]
        self.quiet = False

    @property
    def sides(self) -> list[list[Any]]:
        """The lists of values that are to be side by side."""
        return [*self.columns, self.outputs]

    def uses(self) -> list[Any]:
        """The values among all arguments."""
        return [var for op in self.ops for var in op.uses()]

    @property
    def outs(self) -> list[Any]:
        """All results."""
        return self.outputs


class Products:
    """The sum or mean of a * b + c * d - …, over all elements: `columns` are [a, c, …] and [b, d, …]."""

    name = "products"
    args: tuple[Any, ...] = ()
    several = None
    quiet = impure = False

    def __init__(self, op: Any, terms: list[tuple[int, Any, Any]], ops: list[Any]) -> None:
        self.op = op
        self.ops = ops
        """What it does, the sum itself first."""
        self.kwargs: dict[str, Any] = {}
        self.outs = op.outs
        self.signs = [sign for sign, _, _ in terms]
        self.columns = [[a for _, a, _ in terms], [b for _, _, b in terms]]
        self.joined = False
        """Whether the columns are side by side: then it is one dot product."""

    @property
    def sides(self) -> list[list[Any]]:
        """The lists of values that are to be side by side."""
        return self.columns if self.joined else []

    def uses(self) -> list[Any]:
        """The values that are multiplied."""
        return [*self.columns[0], *self.columns[1]]


def together(plan: Any, names: Iterable[str], made: Iterable[str]) -> list[Any]:
    """The plan's operations in an order in which some are a `Together` or a `Products`.

    `names` are the functions that may be done together, `made` those whose results may be placed where one likes.
    """
    if len(plan.ops) > _MANY:
        return list(plan.ops)
    ops = _with_products(plan)
    return _Grouping(ops, set(plan.outputs), set(names), set(made)).items()


class _Grouping:
    """The search for operations that one call can do."""

    def __init__(self, ops: list[Any], outputs: set[Any], names: set[str], made: set[str]) -> None:
        self.ops, self.outputs, self.names, self.made = ops, outputs, names, made
        self.position = {op: i for i, op in enumerate(ops)}
        self.maker = {out: op for op in ops for out in op.outs}
        self.impure = [op for op in ops if op.impure]
        self.before = self.ancestors()
        kinds: dict[Any, list[tuple[Any, list[Any]]]] = {}
        for op in ops:
            found = self.kind(op)
            if found is not None:
                kinds.setdefault(found[0], []).append((op, found[1]))
        several = {kind: members for kind, members in kinds.items() if len(members) > 1}
        self.of_one = [members for members in several.values() if len(members[0][1]) == 1]
        self.of_two = [members for members in several.values() if len(members[0][1]) == 2]

    def items(self) -> list[Any]:
        """All operations, in order."""
        groups, beside = self.fitting(self.of_one)
        more = self.following(groups, beside)
        for some in ([*groups, *more], groups):
            found = self.ordered(some)
            if found is not None:
                return found
        chosen: list[Together] = []
        for group in groups:  # one by one, without those that would have to wait for each other
            if self.ordered([*chosen, group]) is not None:
                chosen.append(group)
        return self.ordered(chosen) or list(self.ops)

    def ancestors(self) -> list[int]:
        """For each operation those that it needs, itself among them, as bits of a number."""
        found: list[int] = []
        of: dict[Any, int] = {}
        for i, op in enumerate(self.ops):
            needed = 1 << i
            for var in op.uses():
                needed |= of.get(var, 0)
            found.append(needed)
            for out in op.outs:
                of[out] = needed
        return found

    def independent(self, ops: list[Any]) -> bool:
        """Whether no operation needs another one."""
        places = [self.position[op] for op in ops]
        bits = sum(1 << i for i in places)
        return all(self.before[i] & bits == 1 << i for i in places)

    def kind(self, op: Any) -> tuple[Any, list[Any]] | None:
        """What an operation does, apart from its one or two arrays, and these."""
        if op.name not in self.names or op.kwargs or op.several or op.quiet or op.outs[0] in self.outputs:
            return None
        out = op.outs[0]
        if not out.shape or not 0 < out.value.nbytes <= SMALL:
            return None
        arrays: list[Any] = []
        rest = []
        for x in op.args:
            if not hasattr(x, "is_constant"):
                rest.append(repr(x))
            elif x.shape == out.shape and not x.is_constant:
                if x.dtype != out.dtype or x in self.outputs:
                    return None
                if x not in arrays:
                    arrays.append(x)
                rest.append(f"array {arrays.index(x)}")
            elif x.shape == () and (x.dtype is None or x.is_constant):
                rest.append(f"value {x.index}")
            else:
                return None
        if not arrays or (len(arrays) == 1 and not self.is_made(arrays[0])):
            return None
        return (op.name, op.function, *rest, out.dtype), arrays

    def is_made(self, x: Any) -> bool:
        """Whether the program can compute it right into its place."""
        return x.op is not None and x.op.name in self.made

    def fitting(self, kinds: list[list[tuple[Any, list[Any]]]]) -> tuple[list[Together], dict[Any, tuple[Any, ...]]]:
        """Groups of operations of one array, and which values are side by side in these.

        Those on arrays of one shape come first, since what follows them is alike too.
        """
        parts: list[list[Any]] = []
        rests: list[list[Any]] = []
        for members in kinds:
            by_shape: dict[Any, list[Any]] = {}
            for member in members:
                by_shape.setdefault(member[0].outs[0].shape, []).append(member)
            if len(by_shape) == 1 or len(by_shape) == len(members):
                (parts if len(by_shape) == 1 else rests).append(members)
            else:
                parts += [part for part in by_shape.values() if len(part) > 1]
                rests.append([part[0] for part in by_shape.values() if len(part) == 1])
        beside: dict[Any, tuple[Any, ...]] = {}
        parts.sort(key=lambda members: self.position[members[0][0]])
        groups = [self.group(members, beside) for members in (*parts, *rests)]
        return [group for group in groups if group is not None], beside

    def group(self, members: list[tuple[Any, list[Any]]], beside: dict[Any, tuple[Any, ...]]) -> Together | None:
        """A group of operations of one array, where these are side by side already or can be put so."""
        inputs = [arrays[0] for _, arrays in members]
        outputs = [op.outs[0] for op, _ in members]
        if len(members) < 2 or len(set(inputs)) < len(inputs) or any(out in beside for out in outputs):
            return None
        if not self.independent([op for op, _ in members]):
            return None
        order = beside.get(inputs[0])
        if order is None:
            if any(x in beside for x in inputs):
                return None
            return _put([op for op, _ in members], [inputs], beside)
        if len(order) != len(inputs) or set(order) != set(inputs):
            return None
        by_input = {arrays[0]: op for op, arrays in members}
        return _put([by_input[x] for x in order], [list(order)], beside)

    def following(self, groups: list[Together], beside: dict[Any, tuple[Any, ...]]) -> list[Together]:
        """Groups of operations of two arrays of which one is side by side with others already; sums of products too."""
        found: list[Together] = []
        sums = [op for op in self.ops if isinstance(op, Products) and len(op.signs) > 1]
        taking: dict[Any, dict[int, list[Any]]] = {}
        for number, members in enumerate(self.of_two):
            for _, arrays in members:
                for x in arrays:
                    taking.setdefault(x, {})[number] = members
        rows = [tuple(group.outputs) for group in groups]
        for row in rows:  # grows
            for item in sums:
                if not item.joined:
                    item.joined = self.joins(item, row, beside)
            for members in taking.get(row[0], {}).values():
                group = self.pair(members, row, beside)
                if group is not None:
                    found.append(group)
                    rows.append(tuple(group.outputs))
        return found

    def joins(self, item: Products, row: tuple[Any, ...], beside: dict[Any, tuple[Any, ...]]) -> bool:
        """Put the other factors of what is in `row` side by side too."""
        if len(row) != len(item.signs) or min(item.signs) < 0:
            return False
        factors = {a if a in row else b: b if a in row else a for a, b in zip(*item.columns, strict=True)}
        if set(factors) != set(row):
            return False
        others = [factors[x] for x in row]
        if not self.can_be_beside(others, beside):
            return False
        item.columns = [others, list(row)]
        beside.update(dict.fromkeys(others, tuple(others)))
        return True

    def pair(self, members: list[Any], row: tuple[Any, ...], beside: dict[Any, tuple[Any, ...]]) -> Together | None:
        """The operations of two arrays that take those in `row` at the same place, one each."""
        for at in (0, 1):
            taking = {arrays[at]: (op, arrays) for op, arrays in reversed(members) if op.outs[0] not in beside}
            if not all(x in taking for x in row):
                continue
            others = [taking[x][1][1 - at] for x in row]
            if self.independent([taking[x][0] for x in row]) and self.can_be_beside(others, beside):
                columns = [others, list(row)] if at else [list(row), others]
                return _put([taking[x][0] for x in row], columns, beside)
        return None

    def can_be_beside(self, values: list[Any], beside: dict[Any, tuple[Any, ...]]) -> bool:
        """Whether they are side by side, in this order, or can be put so without more copies than are worth it."""
        if tuple(values) == beside.get(values[0]):
            return True
        if any(x in beside or x.is_constant or x in self.outputs for x in values) or len(set(values)) < len(values):
            return False
        return sum(not self.is_made(x) for x in values) < len(values) and all(
            0 < x.value.nbytes <= SMALL for x in values
        )

    def ordered(self, groups: list[Together]) -> list[Any] | None:
        """All operations in an order in which each comes after what it uses; None where there is none.

        They come as late as they did; what something uses that comes earlier now, comes before that.
        """
        inside = {op: group for group in groups for op in group.ops}
        found: list[Any] = []
        done: set[Any] = set()
        last = {group: max(group.ops, key=self.position.__getitem__) for group in groups}
        for op in self.ops:
            item = inside.get(op, op)
            if last.get(item, op) is not op or item in done:
                continue
            waiting, entered = [item], set()
            while waiting:
                item = waiting[-1]
                missing = [] if item in done else [x for x in self.needs(item, inside) if x not in done]
                if not missing:
                    waiting.pop()
                    if item not in done:
                        done.add(item)
                        found.append(item)
                elif item in entered:
                    return None  # it needs itself
                else:
                    entered.add(item)
                    waiting += missing
        return found

    def needs(self, item: Any, inside: dict[Any, Together]) -> list[Any]:
        """The items that have to come before `item`."""
        makers = [self.maker[var] for var in item.uses() if var in self.maker]
        if item in self.impure:  # these keep their order
            makers += self.impure[: self.impure.index(item)][-1:]
        return [inside.get(op, op) for op in makers]


def _put(ops: list[Any], columns: list[list[Any]], beside: dict[Any, tuple[Any, ...]]) -> Together:
    """A group, whose values are side by side from now on."""
    group = Together(ops, columns)
    for side in group.sides:
        beside.update(dict.fromkeys(side, tuple(side)))
    return group


# Sums of products ----------------------------------------------------------------------------------------------------


def _with_products(plan: Any) -> list[Any]:
    """The operations, with a `Products` for each sum of products of which nothing else is used."""
    sums = [op for op in plan.ops if _is_sum(op)]
    if not sums:
        return list(plan.ops)
    uses = Counter([*plan.outputs, *[var for op in plan.ops for var in op.uses()]])
    inside: dict[Any, Products | None] = {}
    for op in sums:
        parts = [op]
        terms = _terms(op.args[0], 1, uses.__getitem__, parts)
        if terms:
            inside.update(dict.fromkeys(parts))
            inside[op] = Products(op, terms, parts)
    items = [inside.get(op, op) for op in plan.ops]
    return [item for item in items if item is not None]


def _is_sum(op: Any) -> bool:
    """Whether it is the sum or mean of all elements of a small array."""
    if op.name not in ("sum", "mean") or op.quiet or len(op.args) != 1 or set(op.kwargs) - {"axis", "keepdims"}:
        return False
    x, out = op.args[0], op.outs[0]
    if not hasattr(x, "is_constant") or out.shape != () or not x.shape or x.dtype != out.dtype or x.is_constant:
        return False
    return bool(out.dtype.kind == "f" and 0 < x.value.nbytes <= _FLAT)


def _terms(x: Any, sign: int, uses: Callable[[Any], int], parts: list[Any]) -> list[tuple[int, Any, Any]] | None:
    """The products that `x` is the sum of; `parts` gets the operations that are not needed then."""
    op = x.op
    if op is None or x.is_constant or uses(x) != 1 or op.quiet or op.kwargs or len(op.args) != 2:
        return None
    if any(not hasattr(arg, "is_constant") or (arg.shape, arg.dtype) != (x.shape, x.dtype) for arg in op.args):
        return None
    if op.name == "multiply":
        parts.append(op)
        return [(sign, *op.args)]
    if op.name not in ("add", "subtract"):
        return None
    parts.append(op)
    first = _terms(op.args[0], sign, uses, parts)
    second = _terms(op.args[1], -sign if op.name == "subtract" else sign, uses, parts)
    return first + second if first is not None and second is not None else None
