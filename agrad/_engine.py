"""The backward pass: order, accumulation, unbroadcasting, casting. It knows nodes and rules, not tensors.

The pass visits children before parents, without recursion. What a rule returns is fitted here, once, to the shape and
dtype of what it is the gradient of. Cotangents are carried as the plain transpose (holomorphic rules need no
conjugates); whoever delivers them conjugates the complex ones, which gives the direction of steepest ascent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from operator import attrgetter
from typing import Any

from ._errors import GraphError, ShapeError
from ._graph import Node
from ._masks import AnyMask, added, dense, is_owned, join, part_and_mask, started
from ._shapes import unbroadcast
from ._typing import Array, Namespace
from .backend import switching, visiting

Lift = Callable[[Node], tuple[Namespace, Any, tuple[Callable[..., Array], ...]]]


def topological(root: Node) -> list[Node]:
    """The nodes of the graph of `root`, children before parents, which were made before them."""
    found = {root}
    stack = [root]
    while stack:
        node = stack.pop()
        if node.primitive.stale:
            raise GraphError(node.primitive.stale)
        a = node.a
        for parent in a if type(a) is tuple else (a, node.b):
            if type(parent) is Node and parent not in found:
                found.add(parent)
                stack.append(parent)
    return sorted(found, key=_number, reverse=True)


_number = attrgetter("number")


def needless(order: list[Node], wanted: Collection[Node]) -> set[Node]:
    """The nodes of `order` through which no wanted node is reached: their gradients are not computed."""
    useful: set[Node] = set()
    for node in reversed(order):
        if node in wanted or any(parent in useful for parent in node.parents()):
            useful.add(node)
    return {node for node in order if node not in useful}


def sweep(
    order: list[Node],
    seed: Array,
    wanted: Collection[Node],
    skip: set[Node] | None = None,
    lift: Lift | None = None,
    stop: bool = False,
) -> dict[Node, Array]:
    """Carry the cotangent `seed` of `order[0]` backwards, and give those of the `wanted` nodes.

    Nodes in `skip` get none. `lift` gives the namespace and the node as the rules are to see them, and the rules, where
    the pass is itself recorded: Tensors instead of arrays. With `stop` the pass ends at the wanted nodes.
    """
    if switching and not isinstance(lift, _Visiting):
        with visiting() as enter:
            return sweep(order, seed, wanted, skip, _Visiting(enter, lift), stop)
    visit = None if lift is None else getattr(lift, "visit", None)
    finished: dict[Node, Array] = {}
    cotangents = {order[0]: seed}
    masks: dict[Node, Any] = {}
    owned: dict[Node, Array] = {}  # cotangents that only this pass has, and may write to
    for node in order:
        g = cotangents.pop(node, None)
        if g is None:
            continue
        if node in wanted:
            finished[node] = g
            if stop:
                continue
        primitive = node.primitive
        arity = primitive.arity
        if not arity:
            continue
        if lift is None:
            device = node.device
            xp, seen, backward = device.xp, node, device.backward[primitive]
        else:
            xp, seen, backward = lift(node)
        mask = started(masks.pop(node, None)) if masks else None
        a = node.a
        i = -1
        for parent in a if type(a) is tuple else (a, node.b):
            i += 1
            if type(parent) is not Node or (skip and parent in skip):
                continue
            part_mask = None
            if mask is None and primitive.ordinary:
                part = backward[i if arity < 3 else 0](xp, g, seen, i)
            elif primitive.joint:
                if type(g) is not list:
                    g = backward[0](xp, g, seen, i)
                part = g[i]
            else:
                in_place = seen is node and node.device.backend.in_place
                if in_place and added(g, mask, node, parent, cotangents, masks, owned):
                    continue
                spare = in_place and node not in wanted and is_owned(owned, node, g)
                part, part_mask = part_and_mask(xp, g, mask, node, parent, seen, i, spare)
                if in_place and primitive.index and i == arity - 1:
                    owned[parent] = part
            if part.shape != parent.shape or part.dtype is not parent.dtype:
                part, part_mask = _fit(xp, part, part_mask, parent, primitive.name)
            if parent in cotangents:
                if visit is not None:
                    visit(parent.device)
                cotangents[parent] = cotangents[parent] + part
                if masks:
                    join(masks, parent, part_mask)
                if owned and parent.shape and owned.get(parent) is part:
                    owned[parent] = cotangents[parent]
            else:
                cotangents[parent] = part
                if part_mask is not None:
                    masks[parent] = part_mask
    return finished


class _Visiting:
    """A lift that makes each node's device the current one before anything of the node is computed."""

    def __init__(self, visit: Callable[[Any], None], lift: Lift | None) -> None:
        self.visit, self.lift = visit, lift

    def __call__(self, node: Node) -> tuple[Namespace, Any, tuple[Callable[..., Array], ...]]:
        self.visit(node.device)
        if self.lift is not None:
            return self.lift(node)
        return node.device.xp, node, node.device.backward[node.primitive]


def _fit(xp: Namespace, part: Array, mask: AnyMask, parent: Node, name: str) -> tuple[Array, AnyMask]:
    """`part` in the shape and dtype of what it is the gradient of, and its mask in that shape."""
    if part.dtype != parent.dtype:
        if xp.isdtype(part.dtype, "complex floating") and not xp.isdtype(parent.dtype, "complex floating"):
            part = xp.real(part)
        part = xp.astype(part, parent.dtype, copy=False)
    if part.shape != parent.shape:
        try:
            part = unbroadcast(xp, part, parent.shape)
        except (ValueError, IndexError, TypeError, RuntimeError):
            raise ShapeError(
                f"backward(): the rule of '{name}' gave a gradient of shape {tuple(part.shape)} for an argument of "
                f"shape {tuple(parent.shape)}"
            ) from None
        if mask is not None:
            raw = parent.device.xp
            mask = unbroadcast(raw, raw.astype(dense(mask), parent.dtype), parent.shape) != 0
    return part, mask
