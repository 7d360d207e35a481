"""Equal operations on several small arrays as one: the arrays are put side by side in memory.

A training step multiplies every gradient by the same rate; a loss takes the logarithms of p and of 1 - p. Where such
operations do not depend on each other, and their operands are made by the program, one call does them all.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable
from typing import Any

SMALL = 1 << 14
"""Bytes of an array up to which the call costs more than the work."""
_MANY = 400
"""Programs with more operations are left as they are: to look at all their orders would take too long."""


class Together:
    """Operations that one call does: `ops[i]` of the array `inputs[i]` gives `outputs[i]`."""

    def __init__(self, ops: list[Any], inputs: list[Any]) -> None:
        self.ops = ops
        self.inputs = inputs
        self.outputs = [op.outs[0] for op in ops]
        self.quiet = False

    def uses(self) -> list[Any]:
        """The values among all arguments."""
        return [var for op in self.ops for var in op.uses()]

    @property
    def outs(self) -> list[Any]:
        """All results."""
        return self.outputs


def together(plan: Any, names: Iterable[str], made: Iterable[str]) -> list[Any]:
    """The plan's operations in an order in which some are a `Together`.

    `names` are the functions that may be done together, `made` those whose results may be placed where one likes.
    """
    if len(plan.ops) > _MANY:
        return list(plan.ops)
    kinds: dict[Any, list[tuple[Any, Any]]] = {}
    names, made, outputs = set(names), set(made), set(plan.outputs)
    for op in plan.ops:
        found = _kind(op, names, made, outputs)
        if found is not None:
            kinds.setdefault(found[0], []).append((op, found[1]))
    candidates = [members for members in kinds.values() if len(members) > 1]
    all_at_once = _grouped(plan.ops, candidates)
    if all_at_once is not None:
        return all_at_once
    chosen: list[Any] = []
    for members in candidates:  # one by one, without those that would have to wait for each other
        if _grouped(plan.ops, [*chosen, members]) is not None:
            chosen.append(members)
    return _grouped(plan.ops, chosen) or list(plan.ops)


def _grouped(ops: list[Any], candidates: list[Any]) -> list[Any] | None:
    """The operations in an order in which those of each candidate are together, where that can be."""
    beside: dict[Any, tuple[Any, ...]] = {}
    groups = []
    for members in candidates:
        group = _fitting(members, beside)
        if group is not None:
            groups.append(group)
            beside.update(dict.fromkeys(group.inputs, tuple(group.inputs)))
            beside.update(dict.fromkeys(group.outputs, tuple(group.outputs)))
    if not groups:
        return list(ops)
    inside = {op for group in groups for op in group.ops}
    position = {op: i for i, op in enumerate(ops)}
    items = [*[op for op in ops if op not in inside], *groups]
    at = [max(position[op] for op in item.ops) if isinstance(item, Together) else position[item] for item in items]
    return ordered(items, at)


def _kind(op: Any, names: set[str], made: set[str], outputs: set[Any]) -> tuple[Any, Any] | None:
    """What an operation does, apart from its one array, and that array."""
    if op.name not in names or op.kwargs or op.several or op.quiet or op.outs[0] in outputs:
        return None
    out = op.outs[0]
    arrays = [x for x in op.args if hasattr(x, "is_constant") and x.shape == out.shape and not x.is_constant]
    if len(arrays) != 1 or not out.shape or not 0 < out.value.nbytes <= SMALL:
        return None
    x = arrays[0]
    if x.op is None or x.op.name not in made or x in outputs or x.dtype is None or x.value.dtype != out.value.dtype:
        return None
    rest = []
    for other in op.args:
        if other is x:
            rest.append("here")
        elif hasattr(other, "is_constant"):
            if other.shape != () or (other.dtype is not None and not other.is_constant):
                return None
            rest.append(f"value {other.index}")
        else:
            rest.append(repr(other))
    return (op.name, op.function, *rest, out.value.dtype), x


def _fitting(members: list[tuple[Any, Any]], beside: dict[Any, tuple[Any, ...]]) -> Together | None:
    """A group of those whose arrays are side by side already, or can be put so."""
    if (
        len(members) < 2
        or len({x for _, x in members}) < len(members)
        or any(op.outs[0] in beside for op, _ in members)
    ):
        return None
    placed = {beside.get(x) for _, x in members}
    if placed == {None}:
        return Together([op for op, _ in members], [x for _, x in members])
    order = placed.pop()
    by_input = {x: op for op, x in members}
    if placed or order is None or set(order) != set(by_input):
        return None
    return Together([by_input[x] for x in order], list(order))


def ordered(items: list[Any], at: list[int]) -> list[Any] | None:
    """`items` in an order in which each comes after what it uses, else as `at` says; None where there is none."""
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
    return found if len(found) == len(items) else None
