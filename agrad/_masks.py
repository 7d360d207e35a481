"""What the backward pass does where elements of arrays are read and written, and where a mask is in play.

Two things are here. Parts that belong to a few elements of a large array go into one cotangent, in place, where that
is the engine's own. And the masks of what was taken (see `Mask` in `_graph`) travel beside the cotangents. Nothing of
this runs in a graph without indexing, assignment and `where`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from ._graph import Mask, Node
from ._typing import Array, Namespace


class Region:
    """A mask of the shape of a node: `value` at `index` and the opposite elsewhere, made when it is needed.

    It belongs to one cotangent, so that a row of assignments can write to one array.
    """

    __slots__ = ("array", "index", "node", "value")

    def __init__(self, node: Node, index: Any, value: bool, array: Array | None = None) -> None:
        self.node, self.index, self.value, self.array = node, index, value, array

    def dense(self) -> Array:
        """The mask as an array."""
        if self.array is None:
            xp, native = self.node.device.xp, self.node.device.native
            self.array = xp.full(self.node.shape, not self.value, dtype=xp.bool, device=native)
            self.put(self.index, self.value)
        return self.array

    def put(self, index: Any, value: bool) -> None:
        """Write `value` at `index`."""
        device = self.node.device
        array = self.dense()
        if device.backend.in_place:
            device.set_at(array, index, value)
        else:
            self.array = device.xp.index_set(array, index, device.xp.asarray(value, device=device.native))


class Reads:
    """Where elements were read by integers and slices, which is no mask, but is joined to one."""

    __slots__ = ("indices",)

    def __init__(self, index: Any) -> None:
        self.indices = [index]


KnownMask: TypeAlias = Array | Region | None
AnyMask: TypeAlias = KnownMask | Reads


def started(mask: AnyMask) -> KnownMask:
    """The mask of a cotangent that all parts have come to."""
    return None if isinstance(mask, Reads) else mask


def dense(mask: Array | Region) -> Array:
    """A mask as an array."""
    return mask.dense() if isinstance(mask, Region) else mask


def _as_region(mask: Array | Region, node: Node) -> Region:
    """A mask of the shape of `node` that may be written to."""
    if isinstance(mask, Region):
        return mask
    return Region(node, None, False, node.device.xp.asarray(mask, copy=True))


def join(masks: dict[Node, Any], node: Node, other: AnyMask) -> None:
    """Unite the mask of the cotangent of `node` with that of a part that was added to it."""
    first: AnyMask = masks.pop(node, None)
    if first is None or other is None:
        return
    if isinstance(first, Reads):
        first, other = other, first
    if not isinstance(other, Reads):
        masks[node] = node.device.xp.logical_or(dense(first), dense(other))
    elif isinstance(first, Reads):
        first.indices += other.indices
        masks[node] = first
    else:
        masks[node] = region = _as_region(first, node)
        for index in other.indices:
            region.put(index, True)


def _is_full(device: Any, mask: Array | Region) -> bool:
    """Whether a small mask takes everything, if that can be known without waiting."""
    return device.backend.reads and bool(device.xp.all(dense(mask)))


def _params(node: Node) -> dict[str, Any]:
    return node.params or {}


def _place(node: Node) -> Any:
    """The index at which a node reads or writes."""
    index = node.primitive.index
    return index and index(**_params(node))


def is_owned(owned: dict[Node, Array], node: Node, cotangent: Array) -> bool:
    """Whether the cotangent of `node` is the array that a rule made for this pass alone, all that came to it."""
    return node in owned and owned[node] is cotangent


def added(
    g: Array,
    mask: KnownMask,
    node: Node,
    parent: Node,
    cotangents: dict[Node, Array],
    masks: dict[Node, Any],
    owned: dict[Node, Array],
) -> bool:
    """Add the cotangent of elements that were read to that of their array, in place; False where that can't be."""
    primitive = node.primitive
    if not primitive.index or primitive.mask is Mask.WRITE or not is_owned(owned, parent, cotangents.get(parent)):
        return False
    if mask is not None and parent.primitive.arity and not _is_full(node.device, mask):
        return False
    index = _place(node)
    node.device.backend.add_at(cotangents[parent], index, g)
    if masks:
        starts = mask is not None or primitive.mask is Mask.READ
        join(masks, parent, Region(parent, index, True) if starts else Reads(index))
    return True


def part_and_mask(
    xp: Namespace, g: Array, mask: KnownMask, node: Node, parent: Node, seen: Any, index: int, spare: bool
) -> tuple[Array, AnyMask]:
    """The cotangent of an argument and its mask (see `Mask`), where a mask is in play, or elements of an array are.

    Masks are arrays of the backend, also where the pass is recorded. Where `g` is `spare`, it may be written to.
    """
    primitive = node.primitive
    if primitive.mask is Mask.WRITE:
        part, part_mask = _written(xp, g, mask, node, seen, index, spare)
    elif primitive.index and (mask is None or _is_full(node.device, mask)):
        part, where = primitive.cotangent(xp, g, seen, index), _place(node)
        starts = mask is not None or primitive.mask is Mask.READ
        part_mask = Region(parent, where, True) if starts else Reads(where)
    else:
        with node.device.backend.quiet():
            part, part_mask = _masked(xp, g, None if mask is None else dense(mask), node, seen, index)
    return part, part_mask if parent.primitive.arity else None  # a leaf hands nothing on


def _written(
    xp: Namespace, g: Array, mask: KnownMask, node: Node, seen: Any, index: int, spare: bool
) -> tuple[Array, KnownMask]:
    """What `part_and_mask` gives for an assignment: for the value, and then for the array that was written to."""
    primitive, device = node.primitive, node.device
    where = _place(node)
    if index == 0:
        part = primitive.cotangent(xp, g, seen, 0)
        taken = None if mask is None else device.xp.asarray(dense(mask)[where], copy=True)
        taken = None if taken is None or _is_full(device, taken) else taken
        return xp.asarray(part, copy=True) if spare else part, taken
    if spare:
        device.set_at(g, where, 0)
    part = g if spare else primitive.cotangent(xp, g, seen, 1)
    if mask is None:
        return part, Region(node, where, False)
    region = _as_region(mask, node)
    region.put(where, False)
    return part, region


def _masked(
    xp: Namespace, g: Array, mask: Array | None, node: Node, seen: Any, index: int
) -> tuple[Array, Array | None]:
    """The cotangent of an argument with what was not taken zeroed, and its mask."""
    primitive, raw = node.primitive, node.device.xp
    part = primitive.cotangent(xp, g, seen, index)
    if mask is not None:
        if primitive.mask is Mask.GUARD:
            part = xp.where(mask, part, xp.zeros_like(part))
        elif primitive.mask is Mask.STOP:
            mask = None
        else:
            mask = primitive.cotangent(raw, raw.astype(mask, node.dtype), node, index) != 0
    if primitive.masks_taken:
        start = raw.broadcast_to(primitive.masks_taken[index](raw, **_params(node)), part.shape)
        mask = start if mask is None else raw.logical_and(mask, start)
    return part, mask
