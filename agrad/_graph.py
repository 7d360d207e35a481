"""The records that a computational graph is made of: Primitive, Node, Edge.

A `Primitive` is a function with its backward rules. A `Node` is one call of a primitive: it knows its parents and what
the rules need, not its value. The value belongs to the handle (`Tensor`), to which the node has only a weak reference:
a tensor that the user let go costs nothing, whatever the graph remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from itertools import count
from typing import Any, NamedTuple

from ._errors import COMPILED as COMPILED_TEXT
from ._errors import PARAMETERS_UPDATED, VALUE_REPLACED
from ._typing import Array, Namespace, Shape


class Edge(NamedTuple):
    """An incoming edge of a tensor, as `prevs` shows it.

    `backward_fn(tensor, local_grad, prev)` is what flows along the edge backwards: the part of `prev`'s gradient that
    comes from `tensor`, whose own gradient it reads from `tensor.backwards_grad`.

    >>> import agrad as ag
    >>> x, y = ag.Tensor([3.0]), ag.Tensor([5.0])
    >>> [(edge.prev, edge.local_grad) for edge in (x * y).prevs]
    [(Tensor([3.]), array([5.])), (Tensor([5.]), array([3.]))]
    """

    prev: Any = None
    local_grad: Any = None
    backward_fn: Any = None


class Mask(Enum):
    """What a primitive does with the mask of a cotangent that comes out of `where`.

    The branch that was not taken gets a structural zero: whatever its local derivative is, NaN and infinity included,
    nothing flows. So beside such a cotangent travels the mask of where it is really there.
    """

    GUARD = "guard"
    """Elementwise: the same mask applies to the argument's cotangent, which is zeroed outside of it."""
    LINEAR = "linear"
    """The rule moves and adds elements: applied to the mask, it gives the argument's mask."""
    STOP = "stop"
    """Elements mix: the cotangent goes on without a mask."""
    READ = "read"
    """An index of booleans: LINEAR, but where no mask comes one starts, of what is taken at the primitive's `index`."""
    WRITE = "write"
    """Assignment: a mask starts, or goes on, without what is at the primitive's `index`."""


class Primitive:
    """A function together with its backward rules.

    `rules` maps each argument that has a derivative to a function `(xp, g, …)` giving that argument's cotangent, in
    plain Array API code over `xp`. **The names of a rule's other parameters declare what the graph keeps for it**: an
    argument's name keeps that argument, `y` keeps the result, `<argument>_shape` needs only a shape, and every other
    name is a parameter of the call (`axis`, …). `multiply` keeps x2 for x1 and x1 for x2, `tanh` only its result:

        multiply = Primitive("multiply", x1=lambda xp, g, x2: g * x2, x2=lambda xp, g, x1: g * x1)
        tanh = Primitive("tanh", x=lambda xp, g, y: g * (1 - y * y))

    Nothing is kept for arguments that need no gradient. `forward(xp, *arguments, **parameters)` defaults to the
    function of the namespace that has the primitive's name. A rule need not undo broadcasting or casts: the engine
    does. With `variadic=True` the primitive takes one sequence of arrays, and its rule `(xp, g, index, …)` gives the
    cotangent of the array of that index.

    `index(**parameters)` is for primitives that read elements of an array, or write to them: where these are. So the
    engine can do in place, in arrays that are its own, what the last rule would do in a new one: add `g` there, or set
    it to 0 there where the mask is WRITE. That rule has to give a new array.
    """

    __slots__ = (
        *("_backward", "arguments", "arity", "declared", "direct", "forward", "index", "joint", "keep"),
        *("mask", "masks_taken", "name", "ordinary", "rules", "stale"),
    )

    def __init__(
        self,
        name: str,
        forward: Callable[..., Array] | None = None,
        *,
        mask: Mask = Mask.GUARD,
        masks_taken: tuple[Callable[..., Array], ...] | None = None,
        index: Callable[..., Any] | None = None,
        variadic: bool = False,
        joint: bool = False,
        stale: str | None = None,
        **rules: Callable[..., Array],
    ) -> None:
        self.name = name
        self.forward = forward
        self.mask = mask
        self.masks_taken = masks_taken
        self.index = index
        self.joint = joint
        # Where no mask is in play, an ordinary rule is just called; a direct one is that of one or two arguments.
        self.ordinary = masks_taken is None and index is None and not joint
        self.direct = self.ordinary and not variadic
        self.stale = stale
        self.arguments = arguments = tuple(rules)
        self.arity = 3 if variadic else len(rules)
        first = 3 if variadic else 2
        self.declared = [rule.__code__.co_varnames[first : rule.__code__.co_argcount] for rule in rules.values()]
        self.rules = rules
        self._backward: tuple[Callable[..., Array], ...] | None = None
        kept = [_kept_slots(arguments, names) for names in self.declared]
        # What to keep, by which arguments need a gradient: bit 0 for the first one, bit 1 for the second one.
        self.keep = tuple(
            tuple(any(bits >> i & 1 and slot in slots for i, slots in enumerate(kept)) for slot in ("k1", "k2", "ky"))
            for bits in range(4)
        )

    @property
    def backward(self) -> tuple[Callable[..., Array], ...]:
        """For each argument a function (xp, g, node, index) that calls its rule with what the node keeps for it."""
        if self._backward is None:
            self._backward = self.callers({})
        return self._backward

    def callers(self, faster: Mapping[str, Callable[..., Array]]) -> tuple[Callable[..., Array], ...]:
        """`backward` with `faster` rules, of the same parameters, for some of the arguments."""
        rules = {**self.rules, **faster}
        return tuple(
            _caller(rules[argument], [_source(self.arguments, name) for name in names], self.arity == 3)
            for argument, names in zip(self.arguments, self.declared, strict=True)
        )

    def cotangent(self, xp: Namespace, g: Array, node: Any, index: int) -> Array:
        """What the rule gives for the argument of number `index`, `g` being the cotangent of the result."""
        part = self.backward[index if self.arity < 3 else 0](xp, g, node, index)
        return part[index] if self.joint else part

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __reduce__(self) -> str:
        return self.name


def _kept_slots(arguments: tuple[str, ...], names: tuple[str, ...]) -> set[str]:
    slots = {arguments[i]: f"k{i + 1}" for i in range(len(arguments))} | {"y": "ky"}
    return {slots[name] for name in names if name in slots}


def _source(arguments: tuple[str, ...], name: str) -> str:
    """Where a rule's parameter of this name is found on a node."""
    places = {argument: (f"node.k{i + 1}", f"node.{'ab'[i]}.shape") for i, argument in enumerate(arguments)}
    if name == "y":
        return "node.ky"
    if name in places:
        return places[name][0]
    if name.endswith("_shape") and name.removesuffix("_shape") in places:
        return places[name.removesuffix("_shape")][1]
    return f"node.params[{name!r}]"


def _caller(rule: Callable[..., Array], sources: list[str], variadic: bool) -> Callable[..., Array]:
    """A function (xp, g, node, index) that calls the rule; compiled, since it runs for every node of a graph."""
    arguments = ", ".join(["xp", "g", *(["index"] if variadic else []), *sources])
    code = compile(f"lambda xp, g, node, index: rule({arguments})", __file__, "eval")
    caller: Callable[..., Array] = eval(code, {"rule": rule})
    return caller


class Node:
    """One call of a primitive in a graph. It exists only where a gradient can flow.

    `a` and `b` are the arguments: the parent's Node where it takes part, else the constant itself. For a variadic
    primitive `a` is the tuple of all arguments. `k1`, `k2`, `ky` are what is kept for the rules: arguments and result.
    """

    __slots__ = (
        *("a", "b", "device", "dtype", "handle", "held", "k1", "k2", "ky"),
        *("number", "params", "primitive", "shape"),
    )

    primitive: Primitive
    a: Any
    b: Any
    k1: Any
    k2: Any
    ky: Any
    params: dict[str, Any] | None
    number: int
    """Nodes are numbered as they are made, so a node has a larger number than its parents."""
    shape: Shape
    dtype: Any
    device: Any
    handle: Callable[[], Any]
    """A weak reference to the Tensor whose node this is; `nobody` where there is none."""
    held: Any
    """Strong references to the arguments' handles, set by `keep_graph()` alone."""

    def parents(self) -> Iterator[Node]:
        """The nodes of the arguments that take part, an argument used twice twice."""
        arguments = self.a if type(self.a) is tuple else (self.a, self.b)
        return (argument for argument in arguments if type(argument) is Node)

    def cut(self, reason: Primitive) -> None:
        """Let go of all that this node holds. A backward pass through it raises, with the reason."""
        self.primitive = reason
        self.a = self.b = self.k1 = self.k2 = self.ky = self.params = self.held = None


next_number = count().__next__


def nobody() -> None:
    """Stands for the weak reference to a handle where there is none."""


class Tape:
    """The nodes of one backward pass, children before parents, without the leaves: what an update has to let go of.

    The root's handle holds it, the leaves' handles have weak references to it, so it lives no longer than the graph.
    """

    __slots__ = ("__weakref__", "leaves", "nodes")

    def __init__(self, nodes: list[Node], leaves: list[Node]) -> None:
        self.nodes = nodes
        self.leaves = leaves

    def release(self, handles: set[Any]) -> None:
        """Cut what is downstream of the leaves of `handles`, which were updated, and to all of which this pass wrote.

        Trunks that those do not feed stay whole, so another head on them can still run its backward pass.
        """
        if len(handles) == len(self.leaves):  # everything is downstream of them
            nodes, self.nodes = self.nodes, []
            for node in nodes:
                node.primitive = RELEASED
                node.a = node.b = node.k1 = node.k2 = node.ky = node.params = node.held = None
            return
        changed = {leaf for leaf in self.leaves if leaf.handle() in handles}
        for node in reversed(self.nodes):
            if any(parent in changed for parent in node.parents()):
                changed.add(node)
                node.cut(RELEASED)
        self.nodes = [node for node in self.nodes if node not in changed]


def _no_forward(*_: Any, **__: Any) -> Any:
    raise AssertionError("a leaf is not computed")


LEAF = Primitive("leaf", _no_forward)
RELEASED = Primitive("released", _no_forward, stale=PARAMETERS_UPDATED)
REPLACED = Primitive("replaced", _no_forward, stale=VALUE_REPLACED)
COMPILED = Primitive("compiled", _no_forward, stale=COMPILED_TEXT)
