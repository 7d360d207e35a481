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


def topological(root: Node) -> tuple[list[Node], list[Node]]:
    """The graph of `root`: its nodes, children before parents, which were made before them; and apart its leaves.

    A root that is itself a leaf is in both.
    """
    if root.primitive.stale:
        raise GraphError(root.primitive.stale)
    order = [root]
    leaves = [root] if root.a is None else []
    found = {root}
    for node in order:  # which grows
        a = node.a
        for parent in a if type(a) is tuple else (a, node.b):
            if type(parent) is Node and parent not in found:
                found.add(parent)
                if parent.a is not None:
                    order.append(parent)
                elif parent.primitive.stale:
                    raise GraphError(parent.primitive.stale)
                else:
                    leaves.append(parent)
    order.sort(key=_number, reverse=True)
    return order, leaves


_number = attrgetter("number")


def useful(order: list[Node], wanted: Collection[Node]) -> set[Node]:
    """The wanted nodes and those of `order` through which one is reached; the others need no gradient."""
    found = set(wanted)
    for node in reversed(order):
        if node not in found and any(parent in found for parent in node.parents()):
            found.add(node)
    return found


def sweep(
    order: list[Node],
    seed: Array,
    wanted: Collection[Node] | None = None,
    through: set[Node] | None = None,
    lift: Lift | None = None,
    stop: bool = False,
) -> dict[Node, Array]:
    """Carry the cotangent `seed` of `order[0]` backwards, and give those of the `wanted` nodes.

    By default these are the nodes whose handle somebody holds. Only nodes in `through` get a cotangent, if that is
    given; it has to be where not all leaves are wanted. `lift` gives the namespace and the node as the rules are to see
    them, and the rules, where the pass is itself recorded: Tensors instead of arrays. With `stop` the pass ends at the
    wanted nodes.
    """
    if switching and not isinstance(lift, _Visiting):
        with visiting() as enter:
            return sweep(order, seed, wanted, through, _Visiting(enter, lift), stop)
    visit = None if lift is None else getattr(lift, "visit", None)
    finished: dict[Node, Array] = {}
    cotangents = {order[0]: seed}
    take = cotangents.pop
    special: _Special | None = None
    for node in order:
        g = take(node, None)
        if g is None:
            continue
        if node.handle() is not None if wanted is None else node in wanted:
            finished[node] = g
            if stop:
                continue
        primitive = node.primitive
        if lift is None:
            device = node.device
            xp, seen, rules = device.xp, node, device.backward[primitive]
        else:
            xp, seen, rules = lift(node)
        if special is not None or not primitive.direct:
            special = special or _Special(cotangents, finished, through, visit)
            special.carry(xp, g, node, seen, rules)
            continue
        a, b = node.a, node.b  # one after the other: a loop over both would take half as long again
        if type(a) is Node and (through is None or a in through):
            part = rules[0](xp, g, seen, 0)
            if part.shape != a.shape or part.dtype is not a.dtype:
                part, _ = _fit(xp, part, None, a, primitive.name)
            if a in cotangents:
                if visit is not None:
                    visit(a.device)
                part = cotangents[a] + part
            cotangents[a] = part
        if type(b) is Node and (through is None or b in through):
            part = rules[1](xp, g, seen, 1)
            if part.shape != b.shape or part.dtype is not b.dtype:
                part, _ = _fit(xp, part, None, b, primitive.name)
            cotangents[b] = cotangents[b] + part if b in cotangents else part
    finished.update(cotangents)  # what is left is that of the leaves
    return finished


class _Special:
    """The rest of a pass that came to a node that is not `direct`: with masks, and parts of a few elements.

    From there on every node goes this way, so that a graph of plain operations knows nothing of it.
    """

    __slots__ = ("cotangents", "finished", "masks", "owned", "through", "visit")

    def __init__(
        self,
        cotangents: dict[Node, Array],
        finished: dict[Node, Array],
        through: set[Node] | None,
        visit: Callable[[Any], None] | None,
    ) -> None:
        self.cotangents, self.finished, self.through, self.visit = cotangents, finished, through, visit
        self.masks: dict[Node, Any] = {}
        self.owned: dict[Node, Array] = {}  # cotangents that only this pass has, and may write to

    def carry(self, xp: Namespace, g: Any, node: Node, seen: Any, rules: tuple[Callable[..., Array], ...]) -> None:
        """Carry the cotangent `g` of `node` to its parents."""
        primitive, cotangents, masks, owned = node.primitive, self.cotangents, self.masks, self.owned
        mask = started(masks.pop(node, None)) if masks else None
        in_place = seen is node and node.device.backend.in_place
        a = node.a
        for i, parent in enumerate(a if type(a) is tuple else (a, node.b)):
            if type(parent) is not Node or (self.through is not None and parent not in self.through):
                continue
            part_mask = None
            if mask is None and primitive.ordinary:
                part = rules[i if primitive.arity < 3 else 0](xp, g, seen, i)
            elif primitive.joint:
                if type(g) is not list:
                    g = rules[0](xp, g, seen, i)
                part = g[i]
            else:
                if in_place and added(g, mask, node, parent, cotangents, masks, owned):
                    continue
                spare = in_place and node not in self.finished and is_owned(owned, node, g)
                part, part_mask = part_and_mask(xp, g, mask, node, parent, seen, i, spare)
                if in_place and primitive.index and i == primitive.arity - 1:
                    owned[parent] = part
            if part.shape != parent.shape or part.dtype is not parent.dtype:
                part, part_mask = _fit(xp, part, part_mask, parent, primitive.name)
            before = cotangents.get(parent)
            if before is None:
                cotangents[parent] = part
                if part_mask is not None:
                    masks[parent] = part_mask
            else:
                if self.visit is not None:
                    self.visit(parent.device)
                cotangents[parent] = total = before + part
                if masks:
                    join(masks, parent, part_mask)
                if owned and parent.shape and owned.get(parent) is part:
                    owned[parent] = total


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
