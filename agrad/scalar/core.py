"""The node of a scalar computational graph, and the backward pass over it.

This module is the whole engine of the teaching twin: every operation makes a new `Scalar` that remembers its inputs
and the local gradients towards them, and `Scalar.backward` sends gradients back along those edges by the chain rule.
It needs nothing but the standard library and knows nothing of tensors.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from numbers import Real
from threading import RLock
from typing import ClassVar, NamedTuple, Self, TypeGuard


class Edge(NamedTuple):
    """An edge of the graph: `prev`, an input of a node, and `local_grad`, the derivative d node / d prev.

    >>> from agrad.scalar import Scalar
    >>> x = Scalar(3)
    >>> (x * 5).prevs
    [Edge(prev=Scalar(3.0), local_grad=5.0)]
    """

    prev: Scalar
    local_grad: float


class Scalar:
    """A number that remembers how it was computed: one node of a computational graph.

    A Scalar made from a number is a leaf. An operation on Scalars makes a new node, with an edge to each of its
    inputs that needs a gradient; plain numbers, and Scalars made with `requires_grad=False`, are constants and get no
    edge. The local gradients on the edges are computed together with the value, so what happens to an input later
    (`gradient_update`, `x.value = ...`) does not change a graph that already exists.

    `==` and `hash` go by identity; `<`, `<=`, `>`, `>=` compare values. An overflow is `inf`, as in IEEE arithmetic;
    what has no value (1 / 0, a root or the logarithm of a negative number) raises.

    `copy.deepcopy` and `pickle` are for leaves; of a node they take the whole graph along, and recurse over its depth.

    Args:
        value: A real number; it is stored as a float.
        prevs: The edges of a node that is built by hand, as (prev, local_grad) pairs.
        requires_grad: Whether gradients flow here; False makes a constant.

    Attributes:
        backwards_grad: What the last `backward` through here found, d root / d self; 0.0 before the first.
        requires_grad: Whether operations on this node are recorded.

    Raises:
        TypeError: `value` or a local gradient is not a real number (a bool is not), or a `prev` is not a Scalar.
        ValueError: Both edges and `requires_grad=False` are given.

    Example:
        >>> from agrad.scalar import Scalar, Edge
        >>> x, y = Scalar(3), Scalar(5)
        >>> z = x * y + x
        >>> z
        Scalar(18.0)
        >>> z.backward()
        >>> x.backwards_grad, y.backwards_grad
        (6.0, 3.0)

        A node built by hand, here the product of x and y:

        >>> z = Scalar(x.value * y.value, prevs=[Edge(x, y.value), Edge(y, x.value)])
        >>> z.backward()
        >>> x.backwards_grad, y.backwards_grad
        (5.0, 3.0)
    """

    # A graph has as many nodes as operations were done, so a node is kept small: slots instead of a dictionary, and
    # room for two edges in the node itself instead of a list of Edge objects, which `prevs` builds when asked.
    __slots__ = (
        "_local_grad1",
        "_local_grad2",
        "_prev1",
        "_prev2",
        "_value",
        "_waiting_for",
        "backwards_grad",
        "requires_grad",
    )

    _value: float
    backwards_grad: float
    requires_grad: bool
    _prev1: Scalar | None
    _local_grad1: float
    _prev2: Scalar | None
    _local_grad2: float
    _waiting_for: int  # during backward(): how many nodes have still to send their gradient here; 0 otherwise

    # Makes NumPy leave `np.float64(2) * Scalar(3)` to the reflected operators below.
    __array_ufunc__: ClassVar[None] = None

    def __init__(
        self,
        value: float,
        prevs: Iterable[Edge | tuple[Scalar, float]] | None = None,
        requires_grad: bool = True,
    ) -> None:
        """Make a leaf, or a node with the edges `prevs`; the class says more."""
        self._value = _to_float(value, "the value of a Scalar")
        self.backwards_grad = 0.0
        self.requires_grad = requires_grad
        self._prev1 = self._prev2 = None
        self._local_grad1 = self._local_grad2 = 0.0
        self._waiting_for = 0
        if prevs is not None:
            self._set_edges([_to_edge(edge) for edge in prevs])

    def _set_edges(self, edges: list[Edge]) -> None:
        if not edges:
            return
        if not self.requires_grad:
            raise ValueError("a Scalar with prevs cannot have requires_grad=False: leave out one of the two")
        edges = [edge for edge in edges if edge.prev.requires_grad]
        self.requires_grad = bool(edges)
        while len(edges) > 2:
            edges[-2:] = [Edge(_Bundle(0.0, prevs=edges[-2:]), 1.0)]
        if edges:
            self._prev1, self._local_grad1 = edges[0]
        if len(edges) == 2:
            self._prev2, self._local_grad2 = edges[1]

    @classmethod
    def from_random(cls, lower: float = 0, upper: float = 1) -> Self:
        """Make a leaf with a value drawn uniformly from [lower, upper], by Python's `random`.

        >>> from agrad.scalar import Scalar
        >>> 2 <= Scalar.from_random(2, 3) <= 3
        True
        """
        return cls(random.uniform(lower, upper))

    @property
    def value(self) -> float:
        """The value of the node, a float; it can be set, which leaves the graphs already built as they are.

        >>> from agrad.scalar import Scalar
        >>> x = Scalar(3)
        >>> y = x * x
        >>> x.value = 10
        >>> y.backward()
        >>> x.value, y.value, x.backwards_grad
        (10.0, 9.0, 6.0)
        """
        return self._value

    @value.setter
    def value(self, value: float) -> None:
        self._value = _to_float(value, "the value of a Scalar")

    @property
    def grad(self) -> float:
        """Another name for `backwards_grad`.

        >>> from agrad.scalar import Scalar
        >>> x = Scalar(3)
        >>> (x * 5).backward()
        >>> x.grad
        5.0
        """
        return self.backwards_grad

    @grad.setter
    def grad(self, grad: float) -> None:
        self.backwards_grad = grad

    @property
    def prevs(self) -> list[Edge]:
        """The edges to the inputs that need a gradient, as a new list; a leaf has none.

        >>> from agrad.scalar import Scalar
        >>> x, y = Scalar(3), Scalar(5)
        >>> (x - y).prevs
        [Edge(prev=Scalar(3.0), local_grad=1.0), Edge(prev=Scalar(5.0), local_grad=-1.0)]
        """
        edges = []
        node: Scalar = self
        while node._prev1 is not None:
            edges.append(Edge(node._prev1, node._local_grad1))
            if not isinstance(node._prev2, _Bundle):
                break
            node = node._prev2
        if node._prev2 is not None:
            edges.append(Edge(node._prev2, node._local_grad2))
        return edges

    def backward(self, zero_grad: bool = True) -> None:
        """Compute the gradient of this node with respect to every node that it was computed from.

        The chain rule: d self / d prev is the sum, over the edges that lead to prev, of
        (d self / d node) * (d node / d prev). It uses the local gradients that were computed with the values, so a
        second call gives the same numbers again, also after `gradient_update`: run the forward computation again to
        get the gradients at the updated values. Loops, no recursion: the depth of the graph does not matter.

        Args:
            zero_grad: True replaces the `backwards_grad` of each node, False adds to it.

        Raises:
            ValueError: This node is a constant.

        Example:
            >>> from agrad.scalar import Scalar
            >>> x = Scalar(3)
            >>> y = x * x
            >>> y.backward()
            >>> x.backwards_grad
            6.0
            >>> y.backward(zero_grad=False)
            >>> x.backwards_grad
            12.0
        """
        if not self.requires_grad:
            raise ValueError(f"backward() on a constant: {self!r} was computed from no Scalar that requires a gradient")
        with _one_backward_at_a_time:
            nodes = [self]
            try:
                self._collect(nodes)
                before = [] if zero_grad else [node.backwards_grad for node in nodes]
                for node in nodes:
                    node.backwards_grad = 0.0
                self.backwards_grad = 1.0
                self._send_gradients()
            except BaseException:  # Ctrl-C: leave no counts behind that would mislead the next backward()
                for node in nodes:
                    node._waiting_for = 0
                raise
            for node, grad in zip(nodes, before, strict=False):
                node.backwards_grad += grad

    @staticmethod
    def _collect(nodes: list[Scalar]) -> None:
        """Append all nodes below the one in `nodes`, each once, and count in each how many edges lead to it."""
        append = nodes.append
        for node in nodes:  # the list grows while it is walked
            prev = node._prev1
            if prev is None:
                continue
            if not prev._waiting_for:
                append(prev)
            prev._waiting_for += 1
            prev = node._prev2
            if prev is None:
                continue
            if not prev._waiting_for:
                append(prev)
            prev._waiting_for += 1

    def _send_gradients(self) -> None:
        """Send the gradients down the edges: a node's turn comes once all that it waits for has arrived."""
        complete = [self]
        append = complete.append
        for node in complete:  # the list grows while it is walked
            prev = node._prev1
            if prev is None:
                continue
            grad = node.backwards_grad
            prev.backwards_grad += node._local_grad1 * grad
            prev._waiting_for -= 1
            if not prev._waiting_for:
                append(prev)
            prev = node._prev2
            if prev is None:
                continue
            prev.backwards_grad += node._local_grad2 * grad
            prev._waiting_for -= 1
            if not prev._waiting_for:
                append(prev)

    def gradient_update(self, lr: float) -> None:
        """Take one step of gradient descent: value = value - lr * backwards_grad.

        >>> from agrad.scalar import Scalar
        >>> x = Scalar(3)
        >>> (x * x).backward()
        >>> x.gradient_update(0.5)
        >>> x
        Scalar(0.0)
        """
        self.value = self._value - _to_float(lr, "the learning rate") * self.backwards_grad

    def detach(self) -> Scalar:
        """Return a constant with the same value: no gradient flows through it.

        >>> from agrad.scalar import Scalar
        >>> x = Scalar(3)
        >>> (x * x.detach()).backward()
        >>> x.backwards_grad
        3.0
        """
        return Scalar(self._value, requires_grad=False)

    def __repr__(self) -> str:
        """Show the value: Scalar(2.0)."""
        return f"Scalar({self._value!r})"

    def __float__(self) -> float:
        """Return the value, without the graph."""
        return self._value

    def __add__(self, other: Scalar | float) -> Scalar:
        """Sum x + y: d/dx = 1, d/dy = 1."""
        if isinstance(other, Scalar):
            return _from_two(self._value + other._value, self, 1.0, other, 1.0)
        if _is_number(other):
            return _from_one(self._value + float(other), self, 1.0)
        return NotImplemented

    __radd__ = __add__

    def __sub__(self, other: Scalar | float) -> Scalar:
        """Difference x - y: d/dx = 1, d/dy = -1."""
        if isinstance(other, Scalar):
            return _from_two(self._value - other._value, self, 1.0, other, -1.0)
        if _is_number(other):
            return _from_one(self._value - float(other), self, 1.0)
        return NotImplemented

    def __rsub__(self, other: float) -> Scalar:
        """Difference c - x: d/dx = -1."""
        if _is_number(other):
            return _from_one(float(other) - self._value, self, -1.0)
        return NotImplemented

    def __mul__(self, other: Scalar | float) -> Scalar:
        """Product x * y: d/dx = y, d/dy = x."""
        if isinstance(other, Scalar):
            x = self._value
            y = other._value
            return _from_two(x * y, self, y, other, x)
        if _is_number(other):
            y = float(other)
            return _from_one(self._value * y, self, y)
        return NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Scalar | float) -> Scalar:
        """Quotient x / y: d/dx = 1 / y, d/dy = -x / y**2."""
        if isinstance(other, Scalar):
            y = other._value
            quotient = _divide(self._value, y)
            # -quotient / y: unlike y**2 this cannot overflow, and cannot round to zero
            return _from_two(quotient, self, 1.0 / y, other, -quotient / y)
        if _is_number(other):
            y = float(other)
            return _from_one(_divide(self._value, y), self, 1.0 / y)
        return NotImplemented

    def __rtruediv__(self, other: float) -> Scalar:
        """Quotient c / x: d/dx = -c / x**2."""
        if _is_number(other):
            quotient = _divide(float(other), self._value)
            return _from_one(quotient, self, -quotient / self._value)
        return NotImplemented

    def __pow__(self, other: Scalar | float) -> Scalar:
        """Power x**y: d/dx = y * x**(y - 1), d/dy = log(x) * x**y.

        At x = 0 these are the limits: d/dx is 0 for y = 0 and inf for 0 < y < 1, d/dy is 0. For x < 0 the exponent
        has to be a whole number; there is no derivative by it then, so d/dy is nan.
        """
        if isinstance(other, Scalar):
            x = self._value
            y = other._value
            power = _power(x, y)
            return _from_two(power, self, _power_by_base(x, y), other, _power_by_exponent(x, power))
        if _is_number(other):
            y = float(other)
            return _from_one(_power(self._value, y), self, _power_by_base(self._value, y))
        return NotImplemented

    def __rpow__(self, other: float) -> Scalar:
        """Power c**x: d/dx = log(c) * c**x."""
        if _is_number(other):
            base = float(other)
            power = _power(base, self._value)
            return _from_one(power, self, _power_by_exponent(base, power))
        return NotImplemented

    def __neg__(self) -> Scalar:
        """Negative -x: d/dx = -1."""
        return _from_one(-self._value, self, -1.0)

    def __pos__(self) -> Scalar:
        """Unchanged +x: d/dx = 1."""
        return _from_one(self._value, self, 1.0)

    def __abs__(self) -> Scalar:
        """Absolute value |x|: d/dx is the sign of x, and 0 at 0."""
        x = self._value
        return _from_one(abs(x), self, 0.0 if x == 0.0 else math.copysign(1.0, x))

    def __lt__(self, other: Scalar | float) -> bool:
        """Compare by value: x < y."""
        y = other._value if isinstance(other, Scalar) else other
        return bool(self._value < y) if _is_number(y) else NotImplemented

    def __le__(self, other: Scalar | float) -> bool:
        """Compare by value: x <= y."""
        y = other._value if isinstance(other, Scalar) else other
        return bool(self._value <= y) if _is_number(y) else NotImplemented

    def __gt__(self, other: Scalar | float) -> bool:
        """Compare by value: x > y."""
        y = other._value if isinstance(other, Scalar) else other
        return bool(self._value > y) if _is_number(y) else NotImplemented

    def __ge__(self, other: Scalar | float) -> bool:
        """Compare by value: x >= y."""
        y = other._value if isinstance(other, Scalar) else other
        return bool(self._value >= y) if _is_number(y) else NotImplemented


class _Bundle(Scalar):
    """Stands in the second slot of a node with more than two edges and carries all but the first of them."""

    __slots__ = ()


def _from_two(value: float, prev1: Scalar, local_grad1: float, prev2: Scalar, local_grad2: float) -> Scalar:
    """Make a node with an edge to each of the two inputs that is not a constant."""
    if not prev1.requires_grad:
        return _from_one(value, prev2, local_grad2)
    if not prev2.requires_grad:
        return _from_one(value, prev1, local_grad1)
    node = _new(Scalar)  # Scalar(...) would check again what is known to be right here
    node._value = value
    node.backwards_grad = 0.0
    node.requires_grad = True
    node._prev1 = prev1
    node._local_grad1 = local_grad1
    node._prev2 = prev2
    node._local_grad2 = local_grad2
    node._waiting_for = 0
    return node


def _from_one(value: float, prev: Scalar, local_grad: float) -> Scalar:
    """Make a node with an edge to its only input; a constant, if the input is one."""
    if not prev.requires_grad:
        return Scalar(value, requires_grad=False)
    node = _new(Scalar)
    node._value = value
    node.backwards_grad = 0.0
    node.requires_grad = True
    node._prev1 = prev
    node._local_grad1 = local_grad
    node._prev2 = None
    node._local_grad2 = 0.0
    node._waiting_for = 0
    return node


_new = object.__new__

# The counts that backward() needs are kept in the nodes, so two threads must not walk over a shared node at once.
_one_backward_at_a_time = RLock()


def _is_number(x: object) -> TypeGuard[float]:
    """Whether x is a real number; np.float64 and Fraction are, bool and arrays are not."""
    return type(x) is float or type(x) is int or (isinstance(x, Real) and not isinstance(x, bool))


def _to_float(x: float, what: str) -> float:
    if _is_number(x):
        return float(x)
    raise TypeError(f"{what} must be a real number (int or float), not {type(x).__name__}: {x!r}")


def _to_edge(edge: object) -> Edge:
    if not isinstance(edge, tuple) or len(edge) != 2:
        raise TypeError(f"prevs must hold pairs (prev, local_grad), not {type(edge).__name__}: {edge!r}")
    prev, local_grad = edge
    if not isinstance(prev, Scalar):
        raise TypeError(f"the prev of an Edge must be a Scalar, not {type(prev).__name__}: {prev!r}")
    return Edge(prev, _to_float(local_grad, "the local_grad of an Edge"))


def _divide(x: float, y: float) -> float:
    if y == 0.0:
        raise ZeroDivisionError(f"{x!r} / {y!r}: division by zero")
    return x / y


def _power(x: float, y: float) -> float:
    """x**y; inf or -inf where that is too large for a float."""
    try:
        power = x**y
    except OverflowError:
        return -math.inf if x < 0.0 and y % 2.0 == 1.0 else math.inf
    except ZeroDivisionError:
        raise ZeroDivisionError(f"{x!r} ** {y!r}: zero cannot be raised to a negative power") from None
    if isinstance(power, complex):
        raise ValueError(f"{x!r} ** {y!r}: a negative number can only be raised to a whole number")
    return float(power)


def _power_by_base(x: float, y: float) -> float:
    """The derivative d x**y / dx = y * x**(y - 1)."""
    if y == 0.0:
        return 0.0
    if x == 0.0 and y < 1.0:
        return math.inf
    return y * _power(x, y - 1.0)


def _power_by_exponent(x: float, power: float) -> float:
    """The derivative d x**y / dy = log(x) * x**y, where `power` is x**y."""
    if x == 0.0:
        return 0.0
    if x < 0.0:
        return math.nan
    return math.log(x) * power
