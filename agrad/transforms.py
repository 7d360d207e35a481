"""Transforms: functions that make functions. They differentiate with respect to arguments and return Tensors.

The function is handed fresh handles of the arguments' values, so the caller's tensors keep their gradients, and
nesting needs no levels. A gradient is itself recorded, as a graph of Tensors, where something is left that could be
differentiated: arguments or closures that are tracked.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import ref

from . import _errors
from ._engine import sweep, topological, useful
from ._errors import GraphError, ShapeError
from ._graph import LEAF, Mask, Node, Primitive, next_number, nobody
from ._modes import is_keeping, is_recording, no_grad, recomputing, transforming
from ._tensor import Tensor, cast, leaf, transposed, unary, variadic, wrap
from ._typing import Array, Namespace
from .backend import Device
from .ops._arguments import tensor
from .ops.manipulation import stack
from .rules import copying


def grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False) -> Callable[..., Any]:
    """The function that gives the gradient of `f`, which returns one number, with respect to an argument.

    Args:
        f: gives a tensor of one element.
        argnums: which positional arguments to differentiate with respect to. They may be tensors, arrays, numbers, or
            dicts, lists and tuples of these; the gradient has the same structure. For a Model it is a dict with the
            names of `parameters()`. A tuple of numbers gives a tuple. The parameters of a Model stand for other tensors
            while `f` runs, so threads share a Model only with a lock.
        has_aux: `f` gives a pair, of which only the first is differentiated.

    Raises:
        DTypeError: `f` does not return a Tensor, or it is complex, or an argument is not floating-point.
        ShapeError: the result of `f` has not one element.

    >>> import agrad as ag
    >>> ag.grad(lambda x: (x**3).sum())(ag.Tensor([1.0, 2.0]))
    Tensor([ 3., 12.])
    >>> ag.grad(ag.grad(lambda x: x**3))(2.0)
    Tensor(12.)
    """
    return _gradient("grad", f, argnums, has_aux)


def value_and_grad(
    f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False
) -> Callable[..., Any]:
    """Like `grad`, but the function gives the pair of `f`'s result and the gradient.

    >>> import agrad as ag
    >>> ag.value_and_grad(lambda x: (x * x).sum())(ag.Tensor([1.0, 2.0]))
    (Tensor(5.), Tensor([2., 4.]))
    """
    return _value_and_gradient("value_and_grad", f, argnums, has_aux)


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The result of `f(*primals)`, and the function from a cotangent of it to the cotangents of the primals.

    That is v -> v^T J, J being the derivative of `f`, computed in one backward pass. Primals and the result are
    tensors, or dicts, lists and tuples of tensors; a cotangent has the structure, the shapes and the devices of the
    result. What comes back is a tuple of the structures of the primals. Complex cotangents point in the direction of
    steepest ascent, as gradients do.

    Raises:
        DTypeError: `f` does not return Tensors, or the cotangent's dtypes or structure do not fit.
        ShapeError, DeviceError: the cotangent's shapes or devices do not fit.

    >>> import agrad as ag
    >>> y, pullback = ag.vjp(lambda x: x * x, ag.Tensor([1.0, 2.0]))
    >>> pullback(ag.Tensor([1.0, 10.0]))
    (Tensor([ 2., 40.]),)
    """
    given = _Arguments("vjp", primals, tuple(range(len(primals))))
    result = given.call(f, {})
    results = _tensors("vjp", result)
    graph = _Graph(results, given.handles)

    def pullback(cotangent: Any) -> Any:
        return given.rebuild(graph.pull(_fitting("vjp", "cotangent", "result", cotangent, result)))

    return _map(graph.outside, result), pullback


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The result of `f(*primals)`, and how it changes when the primals move along `tangents`.

    That is J v = d/dt f(x + t v) at t = 0, the plain directional derivative, for complex numbers too.

    Args:
        f: gives a tensor, or dicts, lists and tuples of tensors.
        primals: the arguments, a tuple or a list.
        tangents: one for each primal, of its structure and shapes; for a Model a dict as `parameters()`.

    Returns:
        The result, and its tangent, of the same structure, shapes and dtypes; zeros where nothing depends on the
        primals.

    Raises:
        DTypeError: `f` does not return Tensors, or the tangents' dtypes or structure do not fit.
        ShapeError, DeviceError: the tangents' shapes or devices do not fit.

    It transposes the backward pass, which is linear in its cotangent, and so costs a few backward passes. A rule of
    `custom_gradient` is taken at its word.

    >>> import agrad as ag
    >>> ag.jvp(ag.sin, (0.0,), (2.0,))
    (Tensor(0.), Tensor(2.))
    """
    _sequences("jvp", primals, tangents)
    y, pushforward = _linearized("jvp", f, primals)
    return y, pushforward(*tangents)


def linearize(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The result of `f(*primals)`, and the linear function from tangents of the primals to the tangent of the result.

    It is `jvp` for many tangents at one point: `f` runs once, and each call of the linear function is one pass over the
    graph. Structures, dtypes and errors are those of `jvp`.

    >>> import agrad as ag
    >>> y, pushforward = ag.linearize(lambda x: x * x, ag.Tensor([1.0, 2.0]))
    >>> pushforward(ag.Tensor([1.0, 0.0])), pushforward(ag.Tensor([0.0, 1.0]))
    (Tensor([2., 0.]), Tensor([0., 4.]))
    """
    return _linearized("linearize", f, primals)


def hvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any] | None = None) -> Any:
    """The product of the Hessian of `f`, which returns one number, with `tangents`: d/dt grad f(x + t v) at t = 0.

    Args:
        f: gives a tensor of one element.
        primals: the arguments, a tuple or a list. The Hessian is with respect to all of them.
        tangents: one for each primal, of its structure and shapes; for a Model a dict as `parameters()`. Without them
            the result is the function `product(*tangents)`, for many products at one point: `f` runs once.

    Returns:
        A tuple of the structures of the primals. The Hessian itself is never made: the gradient is recorded, and since
        the Hessian is symmetric, its pullback is the product (compare Pearlmutter, "Fast exact multiplication by the
        Hessian", 1994).

    Raises:
        ShapeError, DTypeError, DeviceError: as for `grad` and `jvp`.

    >>> import agrad as ag
    >>> ag.hvp(lambda x: (x**3).sum(), (ag.Tensor([1.0, 2.0]),), (ag.Tensor([1.0, 10.0]),))
    (Tensor([  6., 120.]),)
    >>> product = ag.hvp(lambda x: (x**3).sum(), (ag.Tensor([1.0, 2.0]),))
    >>> product(ag.Tensor([0.0, 1.0]))
    (Tensor([ 0., 12.]),)
    """
    _sequences("hvp", primals, primals if tangents is None else tangents)
    given = _Arguments("hvp", primals, tuple(range(len(primals))))
    gradients = given.call(_gradient("hvp", f, tuple(range(len(primals)))), {})
    graph = _Graph(_leaves(gradients), given.handles)

    def product(*moving: Any) -> Any:
        return given.rebuild(graph.pull(_fitting("hvp", "tangent", "primal", moving, gradients)))

    return product if tangents is None else product(*tangents)


def jacobian(
    f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, *, holomorphic: bool = False
) -> Callable[..., Any]:
    """The function that gives the Jacobian of `f` with respect to an argument: dy[i] / dx[j] in the place [i, j].

    For a result of shape `y.shape` and an argument of shape `x.shape` it has the shape `y.shape + x.shape`. Where the
    result is a structure of tensors, the Jacobian is that structure, and each place holds the structure of the argument
    (a tuple of them where `argnums` is a tuple). One backward pass for each element of the result.

    Args:
        f: gives a tensor, or dicts, lists and tuples of tensors.
        argnums: which positional arguments, as for `grad`.
        holomorphic: a complex result of complex arguments has a matrix of derivatives only where `f` is holomorphic:
            say so, and it is dy/dz, without conjugates.

    A real result of complex arguments has in each row the gradient that `grad` gives. A complex result of real
    arguments has a complex Jacobian.

    Raises:
        DTypeError: `f` does not return Tensors, or a complex result has complex arguments without `holomorphic=True`.

    >>> import agrad as ag
    >>> ag.jacobian(lambda x: x * x)(ag.Tensor([1.0, 2.0]))
    Tensor([[2., 0.],
            [0., 4.]])
    """
    return _jacobian("jacobian", f, argnums, holomorphic)


def hessian(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The function that gives the Hessian of `f`, which returns one number: d2f / dx[i] dx[j] in the place [i, j].

    Its shape is `x.shape + x.shape`. Where the argument is a structure, the Hessian is that structure, and each place
    holds the structure again; `argnums=(0, 1)` gives a tuple of tuples. For one product with it, `hvp` is much cheaper.

    Raises:
        ShapeError: the result of `f` has not one element.
        DTypeError: as for `grad`; complex arguments too: use `hvp`, since the Hessian is no matrix of complex numbers.

    >>> import agrad as ag
    >>> ag.hessian(lambda x: x[0] ** 2 * x[1])(ag.Tensor([3.0, 5.0]))
    Tensor([[10.,  6.],
            [ 6.,  0.]])
    """
    return _jacobian("hessian", _gradient("hessian", f, argnums), argnums, False)


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, with a graph that keeps only the arguments: the backward pass runs `f` again for what its rules need.

    It takes the memory of one run of `f` only while that runs, for the time of one more run: of 64 tanh of an array of
    1 MiB on NumPy, in blocks of eight, a peak of 23 instead of 66 MiB, in 1.9 times the time. Gradients are the same,
    in higher order too, also those of tensors that `f` uses from outside, such as a model's parameters.

    Args:
        f: takes anything, and gives a tensor, or dicts, lists and tuples of tensors. It must compute the same when it
            runs again: no random numbers, and no changes of its arguments or of anything outside.

    Raises:
        DTypeError: `f` does not return Tensors.
        GraphError: in the backward pass, when `f` does something else than before, e.g. because a parameter
            was updated.

    Inside `keep_graph()` everything is kept, and `f` is just called.

    >>> import agrad as ag
    >>> ag.grad(ag.checkpoint(lambda x: ag.sin(x) ** 2))(1.0)
    Tensor(0.90929743)
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not is_recording() or is_keeping():
            return f(*args, **kwargs)
        return _Checkpoint(f, args, kwargs).run()

    return wrapped


def stop_gradient(x: Any) -> Tensor:
    """`x` as a constant: gradients do not flow through it.

    >>> import agrad as ag
    >>> ag.grad(lambda x: ag.stop_gradient(x) * x)(3.0)
    Tensor(3.)
    """
    return tensor(x).detach()


# The transforms at work ----------------------------------------------------------------------------------------------


def _gradient(
    name: str, f: Callable[..., Any], argnums: int | tuple[int, ...], has_aux: bool = False
) -> Callable[..., Any]:
    """`grad`, for the transform `name`, whose name is in the messages."""
    both = _value_and_gradient(name, f, argnums, has_aux)

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, gradients = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return gradient


def _value_and_gradient(
    name: str, f: Callable[..., Any], argnums: int | tuple[int, ...], has_aux: bool
) -> Callable[..., Any]:
    @functools.wraps(f)
    def both(*args: Any, **kwargs: Any) -> Any:
        given = _Arguments(name, args, argnums)
        result = given.call(f, kwargs)
        if has_aux and not (isinstance(result, tuple) and len(result) == 2):
            raise _errors.DTypeError(f"{name}: with has_aux, the function has to return a pair, not {result!r:.60}")
        y, aux = result if has_aux else (result, None)
        if not isinstance(y, Tensor):
            raise _errors.DTypeError(f"{name}: the function has to return a Tensor, not {type(y).__name__}")
        if y.size != 1:
            raise ShapeError(f"{name}: the function has to return one number, not a tensor of shape {y.shape}")
        if y._device.kind_of(y.dtype) == "complex":
            raise _errors.DTypeError(
                f"{name}: the function has to return a real number, not one of dtype {y.dtype}, of which there is no "
                f"steepest ascent: take its real part or its absolute value, or use vjp, jvp or jacobian"
            )
        graph = _Graph([y], given.handles)
        gradients = given.rebuild(graph.pull([wrap(y._device.xp.ones_like(y._value), y._device)]))
        value = graph.outside(y)
        return ((value, _map(lambda x: _outside(x, given.handles), aux)) if has_aux else value), gradients

    return both


def _linearized(name: str, f: Callable[..., Any], primals: Sequence[Any]) -> tuple[Any, Callable[..., Any]]:
    """The backward pass, recorded for cotangents that are themselves leaves, is a linear function of these.

    So its own backward pass is the forward derivative. Both passes give plain transposes, and no conjugate is needed.
    """
    given = _Arguments(name, primals, tuple(range(len(primals))))
    result = given.call(f, {})
    results = _tensors(name, result)
    graph = _Graph(results, given.handles)
    seeds = [leaf(y._device.xp.zeros_like(y._value), y._device, y._node is not None) for y in results]
    with transforming(), contextlib.ExitStack() as quiet:
        for device in {y._device for y in results}:  # of the pass at zero only the graph is of use
            quiet.enter_context(device.backend.quiet())
        cotangents = graph.pull(seeds, conjugate=False)
    transpose = _Graph(cotangents, seeds, [*given.handles, *seeds])
    structure = given.rebuild(given.handles)

    def pushforward(*tangents: Any) -> Any:
        moving = _fitting(name, "tangent", "primal", tangents, structure)
        rest = iter(transpose.pull(moving, conjugate=False))
        return _map(lambda _: next(rest), result)

    return _map(graph.outside, result), pushforward


def _jacobian(
    name: str, f: Callable[..., Any], argnums: int | tuple[int, ...], holomorphic: bool
) -> Callable[..., Any]:
    @functools.wraps(f)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        given = _Arguments(name, args, argnums)
        result = given.call(f, kwargs)
        _tensors(name, result)
        return _map(lambda y: given.rebuild(_blocks(name, y, given.handles, holomorphic)), result)

    return derivative


def _blocks(name: str, y: Tensor, handles: list[Tensor], holomorphic: bool) -> list[Tensor]:
    """The derivatives of one result with respect to each handle."""
    kinds = [x._device.kind_of(x.dtype) == "complex" for x in handles]
    is_complex = y._device.kind_of(y.dtype) == "complex"
    if is_complex and any(kinds) and not holomorphic:
        way_out = "use hvp" if name == "hessian" else "holomorphic=True if f is holomorphic, else use jvp or vjp"
        raise _errors.DTypeError(
            f"{name}: a complex result of complex arguments has no matrix of derivatives in general: {way_out}"
        )
    graph = _Graph([y], handles)
    xp, native = y._device.xp, y._device.native
    rows: list[list[Tensor]] = [[] for _ in handles]
    for i in range(y.size):
        row = xp.reshape(xp.eye(1, y.size, k=i, dtype=y.dtype, device=native), y.shape)
        seed = wrap(row, y._device)
        parts = graph.pull([seed], conjugate=not is_complex)
        if is_complex and not all(kinds):  # the engine takes the real part for a real argument: the other part too
            others = graph.pull([seed * 1j], conjugate=False)
            parts = [
                part if kind else part - other * 1j for part, other, kind in zip(parts, others, kinds, strict=True)
            ]
        for found, part in zip(rows, parts, strict=True):
            found.append(part)
    return [
        stack(found).reshape(y.shape + x.shape)
        if found
        else wrap(x._device.xp.zeros(y.shape + x.shape, dtype=x.dtype, device=x._device.native), x._device)
        for found, x in zip(rows, handles, strict=True)
    ]


# Arguments and results -----------------------------------------------------------------------------------------------


class _Arguments:
    """The arguments of a call, with fresh handles in place of those to differentiate.

    A Model is handed on as it is; while the function runs, its parameters stand for their fresh handles. Those are
    leaves then, since that is what a model's parameters are, and are connected to what the parameters were afterwards.
    """

    def __init__(self, name: str, args: Sequence[Any], argnums: int | tuple[int, ...]) -> None:
        self.name, self.given, self.argnums = name, args, argnums
        self.numbers = argnums if isinstance(argnums, tuple) else (argnums,)
        for number in self.numbers:
            if not -len(args) <= number < len(args):
                raise TypeError(f"{name}: there is no positional argument {number} among {len(args)}")
        self.numbers = tuple([number % len(args) for number in self.numbers])
        self.handles: list[Tensor] = []
        self.models: dict[int, list[str]] = {}
        self.swaps: list[tuple[Tensor, Tensor]] = []
        self.fresh = [_map(self._leaf, arg) if i in self.numbers else arg for i, arg in enumerate(args)]

    def _leaf(self, x: Any) -> Any:
        if not _is_model(x):
            return self._handle(x)
        parameters = x.parameters()
        for name, parameter in parameters.items():
            if not isinstance(parameter, Tensor):
                raise _errors.DTypeError(
                    f"{self.name}: the parameter {name} of the model is no Tensor but {type(parameter).__name__}"
                )
            self.swaps.append((parameter, leaf(parameter._value, parameter._device, True)))
            self.handles.append(self.swaps[-1][1])
        self.models[id(x)] = list(parameters)
        return x

    def _handle(self, x: Any) -> Tensor:
        given = tensor(float(x) if type(x) is int else x)
        if given._device.kind_of(given.dtype) not in ("real", "complex"):
            raise _errors.DTypeError(
                f"{self.name}: an argument of dtype {given.dtype} has no derivative: make it floating-point"
            )
        if given._node is None:
            result = leaf(given._value, given._device, True)
        else:
            with transforming():
                result = unary(copying.identity, given)
        self.handles.append(result)
        return _lent(result)

    def call(self, f: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
        """What `f` gives for the fresh handles."""
        with transforming(), _standing_for(self.swaps):
            result = f(*self.fresh, **kwargs)
        for parameter, handle in self.swaps:
            if handle._node is not None and parameter._node is not None:
                _connect(handle._node, parameter._node)
        stands = {id(parameter): handle for parameter, handle in self.swaps}
        return _map(lambda x: stands.get(id(x), x), result) if stands else result

    def rebuild(self, tensors: Sequence[Tensor]) -> Any:
        """Tensors, in the order of the handles, in the structure of the arguments."""
        rest = iter(tensors)

        def place(x: Any) -> Any:
            return {name: next(rest) for name in self.models[id(x)]} if id(x) in self.models else next(rest)

        order = {number: _map(place, self.given[number]) for number in sorted(set(self.numbers))}
        found = tuple([order[number] for number in self.numbers])
        return found if isinstance(self.argnums, tuple) else found[0]


def _lent(handle: Tensor) -> Tensor:
    """A second handle of the same node for a function which may write to it: `handle` stays what it is."""
    lent = wrap(handle._value, handle._device)
    lent._node = handle._node
    if lent._node is not None:
        lent._node.handle = ref(lent)
    return lent


def _connect(node: Node, parent: Node) -> None:
    """Make of a leaf, which has done its service, a node that hands everything on to `parent`."""
    node.primitive, node.a = copying.identity, parent


@contextlib.contextmanager
def _standing_for(swaps: Sequence[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Let parameters stand for other tensors of the same kind: their values and their nodes."""
    before = [(x, x._value, x._node, other._node, _handle_of(other)) for x, other in swaps]
    try:
        for parameter, other in swaps:
            parameter._value, parameter._node = other._value, other._node
            if other._node is not None:
                other._node.handle = ref(parameter)
        yield
    finally:
        for parameter, value, node, other_node, handle in before:
            parameter._value, parameter._node = value, node
            if other_node is not None:
                other_node.handle = handle


def _handle_of(x: Tensor) -> Any:
    return nobody if x._node is None else x._node.handle


def _is_model(x: Any) -> bool:
    return not isinstance(x, Tensor) and callable(getattr(x, "parameters", None))


def _map(function: Callable[[Any], Any], tree: Any) -> Any:
    """`tree`, dicts, lists and tuples of leaves, with `function` applied to each leaf."""
    if isinstance(tree, dict):
        return {key: _map(function, value) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[_map(function, value) for value in tree])
    if isinstance(tree, list | tuple):
        return type(tree)([_map(function, value) for value in tree])
    return function(tree)


def _leaves(tree: Any) -> list[Any]:
    found: list[Any] = []
    _map(found.append, tree)
    return found


def _tensors(name: str, result: Any) -> list[Tensor]:
    """The leaves of what the function returned, which have to be Tensors."""
    leaves = _leaves(result)
    for x in leaves:
        if not isinstance(x, Tensor):
            raise _errors.DTypeError(f"{name}: the function has to return a Tensor, not {type(x).__name__}")
    if not leaves:
        raise _errors.DTypeError(f"{name}: the function has to return a Tensor, not {result!r:.60}")
    return leaves


def _fitting(name: str, what: str, of: str, given: Any, like: Any) -> list[Tensor]:
    """Cotangents or tangents, one for each leaf of `like`, checked against it."""
    if isinstance(like, dict | list | tuple):
        keys: Any = list(like) if isinstance(like, dict) else range(len(like))
        matching = isinstance(given, dict) == isinstance(like, dict) and isinstance(given, dict | list | tuple)
        if not matching or len(given) != len(like) or (isinstance(like, dict) and set(given) != set(like)):
            raise _errors.DTypeError(
                f"{name}: {what} and {of} differ in structure: {_outline(given)} for {_outline(like)}"
            )
        return [x for key in keys for x in _fitting(name, what, of, given[key], like[key])]
    if isinstance(given, dict | list | tuple):
        raise _errors.DTypeError(f"{name}: {what} and {of} differ in structure: {_outline(given)} for a Tensor")
    x = tensor(given, like=like)
    if x._device is not like._device:
        raise _errors.mixed_devices(name, like._device, x._device)
    if x.shape != like.shape:
        raise ShapeError(f"{name}: a {what} of shape {x.shape} for a {of} of shape {like.shape}")
    kinds = x._device.kind_of(x.dtype), x._device.kind_of(like.dtype)
    if x.dtype != like.dtype:
        if kinds == ("complex", "real"):
            raise _errors.DTypeError(f"{name}: a {what} of dtype {x.dtype} for a {of} of dtype {like.dtype}")
        x = cast(x, like.dtype) if kinds[1] in ("real", "complex") else x
    return [x]


def _outline(tree: Any) -> str:
    if isinstance(tree, dict):
        return f"a dict of {sorted(map(str, tree))}"
    return f"a {type(tree).__name__} of {len(tree)}" if isinstance(tree, list | tuple) else f"a {type(tree).__name__}"


def _sequences(name: str, primals: Any, tangents: Any) -> None:
    for what, given in (("primals", primals), ("tangents", tangents)):
        if type(given) not in (tuple, list):
            raise TypeError(f"{name}: {what} are a tuple, one for each argument, not {type(given).__name__}")
    if len(primals) != len(tangents):
        raise TypeError(f"{name}: {len(tangents)} tangents for {len(primals)} primals")


# The backward pass ---------------------------------------------------------------------------------------------------


class _Graph:
    """What was recorded from handles to results, and its backward pass.

    A gradient is recorded only where something is left that can be differentiated once more: a leaf that is not ours.
    """

    def __init__(self, results: Sequence[Tensor], handles: list[Tensor], ours: list[Tensor] | None = None) -> None:
        self.handles = handles
        self.tracked = [i for i, y in enumerate(results) if y._node is not None]
        nodes = [y._node for y in results if y._node is not None]
        self.single = len(nodes) == 1
        self.order, leaves = topological(nodes[0] if self.single else _bundle(nodes)) if nodes else ([], [])
        self.ours = handles if ours is None else ours
        self.others = _others(leaves, self.ours)
        self.wanted = {handle._node for handle in handles if handle._node is not None}
        self.through = useful(self.order, self.wanted)

    def outside(self, x: Tensor) -> Tensor:
        """A result as the caller gets it: a constant, unless it depends on something that the caller tracks."""
        if x._node is None:
            return x
        if not self.others or not is_recording():
            return x.detach()
        return x if self.single else _outside(x, self.ours)

    def pull(self, cotangents: Sequence[Tensor], conjugate: bool = True) -> list[Tensor]:
        """The gradients of the handles for cotangents of the results; zeros where nothing depends on a handle.

        Complex ones are conjugated on both ends, which makes of plain transposes the direction of steepest ascent.
        """
        found: dict[Node, Any] = {}
        seeds = [cotangents[i] for i in self.tracked]
        if seeds:
            if is_recording() and (self.others or any(seed._node is not None for seed in seeds)):
                with transforming():
                    given: list[Any] = [_conj(seed) if conjugate else seed for seed in seeds]
                    found = sweep(self.order, given[0] if self.single else given, self.wanted, self.through, _lift)
            else:
                given = [transposed(x._device, x._value) if conjugate else x._value for x in seeds]
                try:
                    found = sweep(self.order, given[0] if self.single else given, self.wanted, self.through)
                except MemoryError as error:
                    raise _errors.diagnose("backward", seeds[0]._device, tuple(given), error) from error
        return [_delivered(found, handle, conjugate) for handle in self.handles]


def _bundle(nodes: Sequence[Node]) -> Node:
    """A node above several ones: its cotangent is the list of theirs, so that one pass serves them all."""
    node = Node()
    node.primitive = _BUNDLE
    node.a = tuple(nodes)
    node.b = node.k1 = node.k2 = node.ky = node.params = node.dtype = node.held = None
    node.handle, node.shape = nobody, ()
    node.device = nodes[0].device
    node.number = next_number()
    return node


def _hand_out(xp: Namespace, g: Any, index: int) -> Any:
    return g[index]


_BUNDLE = Primitive("bundle", lambda *_, **__: _not_kept(), mask=Mask.STOP, variadic=True, arrays=_hand_out)


def _outside(x: Any, handles: list[Tensor]) -> Any:
    """What a transformed function returned: a constant, unless it depends on something that the caller tracks."""
    if not isinstance(x, Tensor) or x._node is None:
        return x
    return x if is_recording() and _others(topological(x._node)[1], handles) else x.detach()


def _others(leaves: list[Node], handles: list[Tensor]) -> bool:
    """Whether a graph has leaves that are not ours: something that could be differentiated once more."""
    ours = {handle._node for handle in handles}
    return any(node not in ours for node in leaves)


def _delivered(found: dict[Node, Any], handle: Tensor, conjugate: bool) -> Tensor:
    g = None if handle._node is None else found.get(handle._node)
    if g is None:
        return wrap(handle._device.xp.zeros_like(handle._value), handle._device)
    if isinstance(g, Tensor):
        return _conj(g) if conjugate else g
    g = transposed(handle._device, g) if conjugate else g
    return wrap(handle._device.backend.owned(g), handle._device)


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


def _lift(node: Node) -> tuple[Namespace, Any, tuple[Callable[..., Array], ...]]:
    return node.device.functions, _Lifted(node), node.primitive.backward


# Checkpoints ---------------------------------------------------------------------------------------------------------


class _Checkpoint:
    """One call of a checkpointed function: what it takes to run it again.

    Its graph is a node above a bundle of what the function depends on: the tracked tensors among its arguments, and
    what it uses from outside (`closures`). The latter are found by looking at the graph of the first run, in which the
    nodes that were made inside have the higher numbers, before that graph is let go.
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function = function
        inputs: list[Tensor] = []

        def keep(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            if x._node is None:
                return x.detach()
            inputs.append(x)
            return _INPUT

        self.args, self.kwargs = _map(keep, args), _map(keep, kwargs)
        self.values = [(x._value, x._device) for x in inputs]
        self.nodes = [x._node for x in inputs if x._node is not None]
        self.inputs = len(inputs)
        self.shapes: list[Any] = []
        self.outside: list[tuple[Tensor, Tensor]] = []

    def call(self, handles: Sequence[Tensor]) -> Any:
        rest = iter(handles)

        def place(x: Any) -> Any:
            return _lent(next(rest)) if x is _INPUT else x.detach() if isinstance(x, Tensor) else x

        args = _map(place, self.args)
        return self.function(*args, **_map(place, self.kwargs))

    def run(self) -> Any:
        result, tracked, outside = self._first()
        self.nodes += [node for node in outside if node.primitive is not LEAF or _is_alive(node)]
        for node in self.nodes[self.inputs :]:
            handle = node.handle()
            if handle is not None and handle._node is node:
                now = wrap(handle._value, handle._device)
                now._node = node
                self.outside.append((handle, now))
        leaves = _leaves(result)
        self.shapes = [y.shape for y in leaves]
        if not self.nodes or not any(tracked):
            return result
        bundle = _bundle(self.nodes)
        whole = _node(_CHECKPOINT, bundle, {"checkpoint": self}, leaves[0] if len(leaves) == 1 else None)
        if len(leaves) > 1:
            for i, y in enumerate(leaves):
                if tracked[i]:
                    _node(_ITEM, whole, {"position": i}, y)
        return result

    def _first(self) -> tuple[Any, list[bool], list[Node]]:
        """The result without its graph, which of its tensors had one, and the nodes from outside."""
        handles = [leaf(value, device, True) for value, device in self.values]
        start = next_number()
        with transforming():
            result = self.call(handles)
        leaves = _tensors("checkpoint", result)
        ours = {handle._node for handle in handles}
        seen: set[Node] = set()
        outside = []
        stack = [y._node for y in leaves if y._node is not None]
        while stack:
            node = stack.pop()
            if node in seen or node in ours:
                continue
            seen.add(node)
            if node.number < start or node.primitive is LEAF:
                outside.append(node)
            else:
                stack.extend(node.parents())
        return _map(Tensor.detach, result), [y._node is not None for y in leaves], outside

    def pull(self, g: Any) -> _Parts:
        """Run the function again, and its backward pass."""
        seeds = g.parts if isinstance(g, _Parts) else {0: g}
        recorded = any(isinstance(seed, Tensor) for seed in seeds.values())
        handles = [leaf(value, device, True) for value, device in self.values]
        with recomputing(), _standing_for(self.outside):
            leaves = _tensors("checkpoint", self.call(handles))
        ours = [handle._node for handle in handles if handle._node is not None]
        wanted = [*ours, *self.nodes[self.inputs :]]
        tracked = {i: leaves[i]._node for i in seeds if i < len(leaves)}
        nodes = {i: node for i, node in tracked.items() if node is not None}
        if [y.shape for y in leaves] != self.shapes or any(_strangers(node, set(wanted)) for node in nodes.values()):
            raise GraphError(
                f"backward(): the checkpoint of {getattr(self.function, '__name__', 'a function')} computes something "
                f"else when it runs again: tensors that it uses from outside were changed or made since the forward "
                f"pass. Run the forward pass again"
            )
        found: dict[Node, Any] = {}
        if nodes:
            order, _ = topological(_bundle(list(nodes.values())))
            given: Any = [seeds[i] for i in nodes]
            through = useful(order, wanted)
            found = sweep(order, given, set(wanted), through, _lift if recorded else None, stop=True)
        if recorded:
            for node, parent in zip(ours, self.nodes, strict=False):
                _connect(node, parent)
        return _Parts({i: found[node] if node in found else _zeros(node, recorded) for i, node in enumerate(wanted)})


_INPUT: Any = object()
"""Stands for a tracked tensor among the arguments of a checkpoint."""


class _Parts:
    """Cotangents of several tensors, by their positions, on the way through a node that has them all."""

    __slots__ = ("parts",)

    shape = ()
    dtype = None

    def __init__(self, parts: dict[int, Any]) -> None:
        self.parts = parts

    def __getitem__(self, index: int) -> Any:
        return self.parts[index]

    def __add__(self, other: _Parts) -> _Parts:
        parts = dict(self.parts)
        for i, part in other.parts.items():
            parts[i] = parts[i] + part if i in parts else part
        return _Parts(parts)


def _node(primitive: Primitive, parent: Node, params: dict[str, Any], result: Tensor | None) -> Node:
    """A node of one argument: that of `result`, or of what has no tensor."""
    node = _bundle([parent])
    node.primitive, node.a, node.params = primitive, parent, params
    if result is not None:
        node.shape, node.dtype, node.device, node.handle = result.shape, result.dtype, result._device, ref(result)
        result._node = node
    return node


def _zeros(node: Node, recorded: bool) -> Any:
    array = node.device.xp.zeros(node.shape, dtype=node.dtype, device=node.device.native)
    return wrap(array, node.device) if recorded else array


def _is_alive(node: Node) -> bool:
    return node.handle() is not None


def _strangers(root: Node, known: set[Node]) -> bool:
    """Whether a graph has, not through the known nodes, a leaf that somebody holds."""
    seen: set[Node] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if node in seen or node in known:
            continue
        seen.add(node)
        if node.primitive is LEAF and _is_alive(node):
            return True
        stack.extend(node.parents())
    return False


def _not_kept(*_: Any, **__: Any) -> Any:
    raise GraphError("prevs: a checkpoint keeps nothing of its inside: build the graph in `with agrad.keep_graph():`")


def _run_again(xp: Namespace, g: Any, checkpoint: _Checkpoint) -> Any:
    return checkpoint.pull(g)


def _item(xp: Namespace, g: Any, position: int) -> Any:
    return _Parts({position: g})


_CHECKPOINT = Primitive("checkpoint", _not_kept, mask=Mask.STOP, x=_run_again)
_ITEM = Primitive("one of the results of a checkpoint", _not_kept, mask=Mask.STOP, x=_item)


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
) -> list[Any]:
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
    found = [_conj(part) for part in parts]
    return found if recorded else [xp.asarray(part._value, copy=True) for part in found]  # f may keep its arrays


_CUSTOM = Primitive(
    "custom_gradient", _custom_forward, mask=Mask.STOP, variadic=True, joint=True, arrays=_custom_backward
)
