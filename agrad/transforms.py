"""Transforms: functions that make functions. They differentiate with respect to arguments and return Tensors.

The function is handed fresh handles of the arguments' values, so the caller's tensors keep their gradients, and
nesting needs no levels. A gradient is itself recorded, as a graph of Tensors, where something is left that could be
differentiated: arguments or closures that are tracked.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from . import _errors
from ._engine import needless, sweep, topological
from ._errors import GraphError, ShapeError
from ._graph import LEAF, Mask, Node, Primitive
from ._modes import is_recording, no_grad, transforming
from ._tensor import Tensor, leaf, transposed, unary, variadic, wrap
from ._typing import Array, Namespace
from .backend import Device
from .ops._arguments import tensor
from .rules import copying


def grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False) -> Callable[..., Any]:
    """The function that gives the gradient of `f`, which returns one number, with respect to an argument.

    Args:
        f: gives a tensor of one element.
        argnums: which positional arguments to differentiate with respect to. They may be tensors, arrays, numbers, or
            dicts, lists and tuples of these; the gradient has the same structure. A tuple of numbers gives a tuple.
        has_aux: `f` gives a pair, of which only the first is differentiated.

    Raises:
        ShapeError: the result of `f` has not one element.

    >>> import agrad as ag
    >>> ag.grad(lambda x: (x**3).sum())(ag.Tensor([1.0, 2.0]))
    Tensor([ 3., 12.])
    >>> ag.grad(ag.grad(lambda x: x**3))(2.0)
    Tensor(12.)
    """
    both = value_and_grad(f, argnums, has_aux=has_aux)

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, gradients = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return gradient


def value_and_grad(
    f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False
) -> Callable[..., Any]:
    """Like `grad`, but the function gives the pair of `f`'s result and the gradient.

    >>> import agrad as ag
    >>> ag.value_and_grad(lambda x: (x * x).sum())(ag.Tensor([1.0, 2.0]))
    (Tensor(5.), Tensor([2., 4.]))
    """
    numbers = argnums if isinstance(argnums, tuple) else (argnums,)

    @functools.wraps(f)
    def both(*args: Any, **kwargs: Any) -> Any:
        for number in numbers:
            if not -len(args) <= number < len(args):
                raise TypeError(f"grad: there is no positional argument {number} among {len(args)}")
        fresh, handles, rebuild = _fresh(args, tuple(number % len(args) for number in numbers))
        with transforming():
            result = f(*fresh, **kwargs)
        if has_aux and not (isinstance(result, tuple) and len(result) == 2):
            raise _errors.DTypeError(f"grad: with has_aux, the function has to return a pair, not {result!r:.60}")
        y, aux = result if has_aux else (result, None)
        if not isinstance(y, Tensor):
            raise _errors.DTypeError(f"grad: the function has to return a Tensor, not {type(y).__name__}")
        if y.size != 1:
            raise ShapeError(f"grad: the function has to return one number, not a tensor of shape {y.shape}")
        gradients = rebuild(_pull(y, handles, None))
        value = (_outside(y, handles), _map(lambda x: _outside(x, handles), aux)) if has_aux else _outside(y, handles)
        return value, tuple(gradients) if isinstance(argnums, tuple) else gradients[0]

    return both


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The result of `f(*primals)`, and the function from a cotangent of it to the cotangents of the primals.

    >>> import agrad as ag
    >>> y, pullback = ag.vjp(lambda x: x * x, ag.Tensor([1.0, 2.0]))
    >>> pullback(ag.Tensor([1.0, 10.0]))
    (Tensor([ 2., 40.]),)
    """
    fresh, handles, rebuild = _fresh(primals, tuple(range(len(primals))))
    with transforming():
        y = f(*fresh)
    if not isinstance(y, Tensor):
        raise _errors.DTypeError(f"vjp: the function has to return a Tensor, not {type(y).__name__}")

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        given = tensor(cotangent, like=y)
        if given._device is not y._device:
            raise _errors.mixed_devices("vjp", y._device, given._device)
        if given.shape != y.shape:
            raise ShapeError(f"vjp: a cotangent of shape {given.shape} for a result of shape {y.shape}")
        return tuple(rebuild(_pull(y, handles, given)))

    return _outside(y, handles), pullback


def stop_gradient(x: Any) -> Tensor:
    """`x` as a constant: gradients do not flow through it.

    >>> import agrad as ag
    >>> ag.grad(lambda x: ag.stop_gradient(x) * x)(3.0)
    Tensor(3.)
    """
    return tensor(x).detach()


# Arguments -----------------------------------------------------------------------------------------------------------


def _fresh(args: Sequence[Any], numbers: tuple[int, ...]) -> tuple[list[Any], list[Tensor], Callable[..., list[Any]]]:
    """The arguments with fresh handles in place of those to differentiate, and the handles.

    The third is a function that puts gradients, in the handles' order, into the arguments' structure.
    """
    handles: list[Tensor] = []

    def handle(x: Any) -> Tensor:
        given = tensor(float(x) if type(x) is int else x)
        if given._node is None:
            result = leaf(given._value, given._device, True)
        else:
            with transforming():
                result = unary(copying.identity, given)
        handles.append(result)
        return result

    fresh = [_map(handle, arg) if i in numbers else arg for i, arg in enumerate(args)]

    def rebuild(gradients: Sequence[Tensor]) -> list[Any]:
        rest = iter(gradients)
        order = {number: _map(lambda _: next(rest), args[number]) for number in sorted(set(numbers))}
        return [order[number] for number in numbers]

    return fresh, handles, rebuild


def _map(function: Callable[[Any], Any], tree: Any) -> Any:
    """`tree`, dicts, lists and tuples of leaves, with `function` applied to each leaf."""
    if isinstance(tree, dict):
        return {key: _map(function, value) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[_map(function, value) for value in tree])
    if isinstance(tree, list | tuple):
        return type(tree)([_map(function, value) for value in tree])
    return function(tree)


def _outside(x: Any, handles: list[Tensor]) -> Any:
    """What a transformed function returned: a constant, unless it depends on something that the caller tracks."""
    if not isinstance(x, Tensor) or x._node is None:
        return x
    return x if is_recording() and _others(topological(x._node), handles) else x.detach()


# The backward pass ---------------------------------------------------------------------------------------------------


def _others(order: list[Node], handles: list[Tensor]) -> bool:
    """Whether a graph has leaves that are not ours: something that could be differentiated once more."""
    ours = {handle._node for handle in handles}
    return any(node.primitive is LEAF and node not in ours for node in order)


def _pull(y: Tensor, handles: list[Tensor], cotangent: Tensor | None) -> list[Tensor]:
    """The gradients of `handles` for a cotangent of `y` (ones by default); zeros where y does not depend on them."""
    found: dict[Node, Any] = {}
    wanted = {handle._node for handle in handles if handle._node is not None}
    if y._node is not None:
        order = topological(y._node)
        record = is_recording() and (_others(order, handles) or (cotangent is not None and cotangent._node is not None))
        seed = wrap(y._device.xp.ones_like(y._value), y._device) if cotangent is None else cotangent
        skip = needless(order, wanted)
        if record:
            with transforming():
                found = sweep(order, _conj(seed), wanted, skip, _lift)
        else:
            found = sweep(order, transposed(y._device, seed._value), wanted, skip)
    return [_delivered(found, handle) for handle in handles]


def _delivered(found: dict[Node, Any], handle: Tensor) -> Tensor:
    assert handle._node is not None
    g = found.get(handle._node)
    if g is None:
        return wrap(handle._device.xp.zeros_like(handle._value), handle._device)
    if isinstance(g, Tensor):
        return _conj(g)
    return wrap(handle._device.backend.owned(transposed(handle._device, g)), handle._device)


def _conj(x: Tensor) -> Tensor:
    functions: Namespace = x._device.functions
    result: Tensor = functions.conj(x) if functions.isdtype(x.dtype, "complex floating") else x
    return result


class _Lifted:
    """A node as the rules see it where the backward pass is recorded: what was kept is Tensors, in the graph again."""

    __slots__ = ("a", "b", "k1", "k2", "ky", "params", "primitive")

    def __init__(self, node: Node) -> None:
        self.primitive = node.primitive
        self.params = node.params
        self.a, self.b = node.a, node.b
        if type(node.a) is tuple:
            pairs = zip(node.k1 or (), node.a, strict=False)
            self.k1: Any = tuple([_tracked(value, parent, node) for value, parent in pairs])
        else:
            self.k1 = _tracked(node.k1, node.a, node)
        self.k2 = _tracked(node.k2, node.b, node)
        self.ky = _tracked(node.ky, node, node)


def _tracked(value: Any, parent: Any, node: Node) -> Any:
    if not hasattr(value, "shape"):
        return value
    result = wrap(value, node.device)
    result._node = parent if type(parent) is Node else None
    return result


def _lift(node: Node) -> tuple[Namespace, Any]:
    return node.device.functions, _Lifted(node)


# Own rules -----------------------------------------------------------------------------------------------------------


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Tensor]:
    """Give a function its own backward rule.

    `f(*tensors)` returns a pair: the result, a Tensor, and a function from the cotangent of the result to the
    cotangents of the arguments, one Tensor or a tuple of them. Both are written with agrad's functions; then the
    rule has derivatives itself, in higher order too: to be differentiated, `f` runs once more.

    >>> import agrad as ag
    >>> @ag.custom_gradient
    ... def clipped(x):
    ...     return x, lambda g: ag.clip(g, -1.0, 1.0)
    >>> ag.grad(lambda x: clipped(x) * 100.0)(2.0)
    Tensor(1.)
    """

    @functools.wraps(f)
    def wrapped(*args: Any) -> Tensor:
        tensors = [tensor(arg) for arg in args]
        if not tensors:
            raise TypeError(f"custom_gradient: {f.__name__} needs at least one argument")
        return variadic(_CUSTOM, tensors, {"function": f, "device": tensors[0]._device, "pullbacks": []})

    return wrapped


def _call_custom(function: Callable[..., Any], tensors: Sequence[Tensor]) -> tuple[Tensor, Callable[..., Any]]:
    result = function(*tensors)
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Tensor) and callable(result[1])):
        raise GraphError(
            f"custom_gradient: {function.__name__} has to return a pair: a Tensor, and a function from its cotangent "
            f"to those of the arguments"
        )
    return result


def _custom_forward(
    xp: Namespace, arrays: tuple[Array, ...], function: Callable[..., Any], device: Device, pullbacks: list[Any]
) -> Array:
    with no_grad():
        y, pullback = _call_custom(function, [wrap(array, device) for array in arrays])
    pullbacks[:] = [pullback]
    return y._value


def _custom_backward(
    xp: Namespace,
    g: Any,
    index: int,
    arrays: tuple[Any, ...],
    function: Callable[..., Any],
    device: Device,
    pullbacks: list[Any],
) -> Any:
    """The rule that f gave; where the pass is recorded, f runs again on tracked tensors, and so does its rule."""
    recorded = isinstance(g, Tensor)
    pullback = _call_custom(function, arrays)[1] if recorded else pullbacks[0]
    parts = pullback(_conj(g if recorded else wrap(g, device)))
    parts = parts if isinstance(parts, tuple) else (parts,)
    if len(parts) != len(arrays) or not all(isinstance(part, Tensor) for part in parts):
        raise GraphError(
            f"custom_gradient: the rule of {function.__name__} has to return {len(arrays)} Tensors, one for each "
            f"argument; it returned {parts!r:.80}"
        )
    part = _conj(parts[index])
    return part if recorded else xp.asarray(part._value, copy=True)  # it may be an array that f keeps


_CUSTOM = Primitive("custom_gradient", _custom_forward, mask=Mask.STOP, variadic=True, arrays=_custom_backward)
