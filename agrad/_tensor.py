"""Tensor, the handle that a user holds, and `unary`, `binary`, `variadic`, which apply a primitive to handles.

A Tensor is a value, a gradient and a graph node. Everything that computes goes through the three functions here: they
call the backend, and where a gradient can flow they record a node. The operators and methods below are thin.
"""

from __future__ import annotations

import operator
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import prod
from typing import Any
from weakref import ref

from . import _errors
from ._counterparts import call_counterpart
from ._engine import sweep, topological, useful
from ._errors import ConversionError, DeviceError, DTypeError, GraphError, ShapeError
from ._graph import LEAF, REPLACED, Edge, Mask, Node, Primitive, Tape, next_number, nobody
from ._methods import ArrayMethods
from ._modes import (
    KEEPING,
    RECORDING,
    current_mode,
    default_device,
    is_keeping,
    is_recording,
    is_told,
    is_transforming,
)
from ._shapes import Axis, as_shape, keepdims_shape, normalize_axes, resolve_reshape, unbroadcast
from ._typing import Array, DType, Namespace, Shape
from .backend import API_VERSIONS, Device, backend_of, device_of, find_device, transfer
from .rules import copying, elementwise, indexing, linear_algebra, manipulation, statistical

_new = object.__new__

_ONES: Any = object()
"""Stands for the gradient of a root."""

NOT_KEPT: Any = object()
"""Stands for a gradient that a compiled step computed and did not keep."""


class Tensor(ArrayMethods):
    """An array in a computational graph.

    A Tensor of floating-point or complex data is a differentiable leaf: after `backward()` on something computed from
    it, `backwards_grad` holds the gradient. Integer and boolean tensors are constants, and so is everything computed
    from constants alone.

    Args:
        value: an array of any backend, nested lists, a number, or a Tensor (or lists of Tensors: these stay in the
            graph). Arrays are copied.
        prevs: the incoming edges of a node built by hand, see `Edge`.
        device: where the value goes, e.g. "cpu", "cuda:1", "torch:cpu"; default: where the array is; for lists and
            numbers the default device, "cpu" unless `agrad.device` says otherwise.
        dtype: default: the array's own; float64 for Python floats on "cpu" and "cuda".
        requires_grad: False makes a constant; True on integer data raises DTypeError.

    >>> x = Tensor([1.0, 2.0, 3.0])
    >>> y = (x * x).sum()
    >>> y.backward()
    >>> x.backwards_grad
    array([2., 4., 6.])
    """

    __slots__ = ("__weakref__", "_device", "_grad", "_node", "_value", "_written")

    _value: Array
    _device: Device
    _node: Node | None
    _grad: Array | None
    _written: Any
    """On a root the Tape of its last backward pass; on a leaf a weak reference to the Tape that wrote its gradient, or
    a tuple of them where several added to it; None after an update."""

    __array_priority__ = 1000.0

    def __init__(
        self,
        value: Any,
        prevs: Sequence[Edge] | None = None,
        *,
        device: str | None = None,
        dtype: DType | None = None,
        requires_grad: bool | None = None,
    ) -> None:
        self._grad = self._written = None
        tracked = stacked(value)
        if tracked is not None:
            if prevs:
                raise GraphError("Tensor(): prevs belong to a new value; this one is a Tensor with its own history")
            self._follow(tracked, device, dtype, requires_grad)
            return
        where = find_device(device) if device is not None else device_of(value) or default_device()
        self._device = where
        self._value = upload(value, where, dtype)
        self._node = None
        differentiable = _differentiable(where, self._value.dtype)
        if requires_grad and not differentiable:
            raise DTypeError(f"Tensor(): a {self._value.dtype} tensor can't require a gradient: make it floating-point")
        if prevs:
            if not differentiable:
                raise DTypeError(f"Tensor(value, prevs=…): a {self._value.dtype} value has no gradient to hand on")
            self._node = _hand_made_node(self, prevs)
        elif differentiable if requires_grad is None else requires_grad:
            self._node = _leaf_node(self)

    def _follow(self, source: Tensor, device: str | None, dtype: Any, requires_grad: bool | None) -> None:
        """Become a new handle of `source`'s value, connected to it unless requires_grad is False."""
        if requires_grad is False:
            source = source.detach()
        result = source if device is None else source.to(device)
        result = result if dtype is None else cast(result, result._device.dtype(dtype))
        result = unary(copying.identity, source) if result is source else result
        self._value, self._device, self._node = result._value, result._device, result._node
        if self._node is not None:
            self._node.handle = ref(self)
        elif requires_grad:
            if not _differentiable(self._device, self._value.dtype):
                raise DTypeError(f"Tensor(): a {self.dtype} tensor can't require a gradient: make it floating-point")
            self._node = _leaf_node(self)

    # The chapter's constructors ------------------------------------------------------------------------------------

    @classmethod
    def ones(
        cls, *shape: int, device: str | None = None, dtype: Any = None, requires_grad: bool | None = None
    ) -> Tensor:
        """A tensor of ones, of the default floating-point dtype unless told: `Tensor.ones(3, 4)`."""
        return cls._filled("ones", shape, device, dtype, requires_grad)

    @classmethod
    def zeros(
        cls, *shape: int, device: str | None = None, dtype: Any = None, requires_grad: bool | None = None
    ) -> Tensor:
        """A tensor of zeros, of the default floating-point dtype unless told: `Tensor.zeros(3, 4)`."""
        return cls._filled("zeros", shape, device, dtype, requires_grad)

    @classmethod
    def _filled(cls, name: str, shape: Any, device: str | None, dtype: Any, requires_grad: bool | None) -> Tensor:
        where = default_device() if device is None else find_device(device)
        value = create(name, where, (_sizes(f"Tensor.{name}", shape),), where.dtype(dtype) or where.default_float())
        return leaf(value, where, requires_grad)

    @classmethod
    def ones_like(cls, tensor: Any, *, requires_grad: bool | None = None) -> Tensor:
        """Ones of the shape, dtype and device of `tensor`, a Tensor or an array."""
        value, where = _raw(tensor)
        return leaf(where.xp.ones_like(value), where, requires_grad)

    @classmethod
    def zeros_like(cls, tensor: Any, *, requires_grad: bool | None = None) -> Tensor:
        """Zeros of the shape, dtype and device of `tensor`, a Tensor or an array."""
        value, where = _raw(tensor)
        return leaf(where.xp.zeros_like(value), where, requires_grad)

    @classmethod
    def from_random(
        cls,
        *shape: int,
        lower: float = 0,
        upper: float = 1,
        device: str | None = None,
        dtype: Any = None,
        requires_grad: bool | None = None,
    ) -> Tensor:
        """Uniform numbers in [lower, upper), up to rounding, drawn on the host: the same ones on each device.

        `agrad.random.seed` makes them repeatable.
        """
        if not lower <= upper:
            raise ValueError(f"Tensor.from_random: lower={lower} is above upper={upper}")
        where = default_device() if device is None else find_device(device)
        host = find_device("cpu")
        drawn = host.backend.draw(host, "uniform", (lower, upper, _sizes("Tensor.from_random", shape)), None)
        return leaf(where.asarray(drawn, where.dtype(dtype) or where.default_float()), where, requires_grad)

    @classmethod
    def random_like(cls, tensor: Any, *, lower: float = 0, upper: float = 1) -> Tensor:
        """Uniform numbers in [lower, upper) of the shape and device of `tensor`, and of its dtype if that is real."""
        value, where = _raw(tensor)
        dtype = value.dtype if where.xp.isdtype(value.dtype, "real floating") else None
        return cls.from_random(*value.shape, lower=lower, upper=upper, device=where.name, dtype=dtype)

    # What a tensor is ------------------------------------------------------------------------------------------------

    @property
    def value(self) -> Array:
        """The array itself, of the backend's own type: no copy."""
        value = self._value
        return value if value.shape else self._device.backend.present(value)

    @value.setter
    def value(self, value: Any) -> None:
        array = upload(value, self._device, None if hasattr(value, "dtype") else self._value.dtype, copy=None)
        if array.shape != self._value.shape or array.dtype != self._value.dtype:
            self._grad = None
        node = self._node
        if node is None:
            self._value = array
            return
        if not _differentiable(self._device, array.dtype):
            raise DTypeError(f"x.value = …: a tensor that takes part in graphs can't become {array.dtype}")
        update([(self, array)])
        node.cut(REPLACED)

    @property
    def backwards_grad(self) -> Array:
        """The gradient that the last backward pass gave this tensor: an array; zeros before the first one.

        Raises GraphError on a constant, which has none.
        """
        if self._grad is None and self._node is None:
            raise GraphError(f"a constant tensor has no gradient: {_why_constant(self)}")
        return self._device.backend.present(self._gradient())

    @backwards_grad.setter
    def backwards_grad(self, gradient: Any) -> None:
        if self._node is None:
            raise GraphError(f"a constant tensor has no gradient: {_why_constant(self)}")
        self._grad = None if gradient is None else self._cotangent("backwards_grad", gradient)
        self._written = None if gradient is None else self._written or _no_tape

    grad = backwards_grad

    def _gradient(self) -> Array:
        """The gradient as the backend gave it; that of a root, ones, is made when somebody looks."""
        gradient = self._grad
        if gradient is None:
            return self._device.xp.zeros_like(self.value)
        if gradient is NOT_KEPT:
            raise GraphError(_errors.GRADIENT_NOT_KEPT)
        return self._device.xp.ones_like(self.value) if gradient is _ONES else gradient

    @property
    def prevs(self) -> list[Edge]:
        """The incoming edges along which gradients flow, built when asked for.

        `local_grad` is the local derivative where the operation is elementwise. A `prev` that nobody holds any more
        is computed again if all that takes is still there; else GraphError names `agrad.keep_graph()`.
        """
        return [] if self._node is None else _edges(self, self._node)

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this tensor."""
        return self._node is not None

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was made by the user and not computed."""
        return self._node is None or self._node.primitive is LEAF

    @property
    def shape(self) -> Shape:
        """The lengths of the axes."""
        return tuple(self._value.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._value.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for n in self._value.shape:
            size *= n
        return size

    @property
    def dtype(self) -> DType:
        """The backend's dtype."""
        return self._value.dtype

    @property
    def device(self) -> str:
        """The name of the device."""
        return self._device.name

    # Backwards -------------------------------------------------------------------------------------------------------

    def backward(self, gradient: Any = None, *, zero_grad: bool = True) -> None:
        """Compute the gradient of this tensor with respect to every tensor of its graph that is still held.

        Args:
            gradient: the gradient of this tensor itself, of its shape; default: ones.
            zero_grad: False adds to the gradients that are there instead of replacing them.

        Raises:
            GraphError: this tensor depends on no differentiable leaf, or the graph is gone because parameters were
                updated. Nothing is changed then, nor by an error in a rule, but that gradients which an update has used
                may be zeros.

        Complex gradients point in the direction of steepest ascent, as in PyTorch: dL/dRe + i dL/dIm.
        """
        root = self._node
        if root is None:
            raise GraphError(f"backward(): this tensor depends on no differentiable leaf: {_why_constant(self)}")
        device = self._device
        if gradient is None:
            seed = (
                device.one(root.dtype)
                if not root.shape
                else device.xp.ones(root.shape, dtype=root.dtype, device=device.native)
            )
        else:
            seed = transposed(device, self._cotangent("backward", gradient))
        order, leaves = topological(root)
        owners = []
        for leaf in leaves:
            handle = leaf.handle()
            if handle is not None:
                owners.append(handle)
                if zero_grad and handle._written is None:
                    handle._grad = None  # an update has used it, so it need not take memory beside the new one
        through = None
        if len(owners) < len(leaves):
            through = useful(order, [node for node in (*order, *leaves) if node.handle() is not None])
        try:
            _deliver(sweep(order, seed, None, through), zero_grad)
        except MemoryError as error:
            raise _errors.diagnose("backward", device, (self._value,), error) from error
        if root.primitive is LEAF:
            self._written = _no_tape if zero_grad else (_no_tape, *_tapes(self._written))
            return
        if gradient is None and zero_grad and root.handle() is not None:
            self._grad = _ONES
        self._written = tape = Tape(order, leaves)
        reference = ref(tape)
        for handle in owners:
            handle._written = reference if zero_grad else (reference, *_tapes(handle._written))

    def _cotangent(self, function: str, gradient: Any) -> Array:
        """A gradient given by the user as an array like this tensor's value."""
        if isinstance(gradient, Tensor):
            gradient = gradient._value
        origin = device_of(gradient)
        if origin is not None and origin is not self._device:
            raise _errors.mixed_devices(function, self._device, origin)
        array = self._device.asarray(gradient, self._value.dtype, copy=True)
        if tuple(array.shape) != self.shape:
            raise ShapeError(f"{function}: a gradient of shape {tuple(array.shape)} for a tensor of shape {self.shape}")
        return array

    def gradient_update(self, lr: float) -> None:
        """One step of gradient descent: value - lr * gradient. Graphs that this leaf fed are let go.

        Raises GraphError on constants and on tensors that are not leaves.
        """
        descend("gradient_update", [self], lr)

    def detach(self) -> Tensor:
        """A constant of the same value."""
        return wrap(self._value, self._device)

    def to(self, device: str) -> Tensor:
        """This tensor on another device; gradients flow back."""
        target = find_device(device)
        if target is self._device:
            return self
        source = self._device
        result = wrap(transfer(self._value, target), target)
        if self._node is not None and is_recording():
            params = {"source": source, "target": target}
            held = (self,) if is_keeping() else None
            _record(copying.to_device, result, self._node, None, self._value, None, params, held)
        return result

    # Shapes and sums -------------------------------------------------------------------------------------------------

    @property
    def T(self) -> Tensor:
        """The axes reversed, as in NumPy: the transpose of a matrix."""
        ndim = self.ndim
        if ndim < 2:
            return unary(copying.identity, self)
        if ndim == 2:
            return unary(manipulation.matrix_transpose, self)
        return unary(manipulation.permute_dims, self, {"axes": tuple(reversed(range(ndim)))})

    @property
    def mT(self) -> Tensor:
        """The transpose of the last two axes."""
        if self.ndim < 2:
            raise ShapeError(f"mT: a tensor of shape {self.shape} has no matrices to transpose")
        return unary(manipulation.matrix_transpose, self)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape, given as integers or as one tuple; one of them may be -1."""
        sizes = as_shape("reshape", shape[0] if len(shape) == 1 else shape)
        return unary(manipulation.reshape, self, {"shape": resolve_reshape("reshape", self.size, sizes)})

    def broadcast_to(self, shape: Any) -> Tensor:
        """This tensor repeated along new axes and axes of length 1."""
        return unary(manipulation.broadcast_to, self, {"shape": as_shape("broadcast_to", shape)})

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The sum of all elements, or along `axis`, an integer or a tuple of them."""
        return reduce(statistical.sum, self, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The mean of all elements, or along `axis`, an integer or a tuple of them. Integers become floating-point."""
        return reduce(statistical.mean, floating(self), axis, keepdims)

    # Indexing --------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        if not self._value.shape:
            raise TypeError("len() of a 0-d tensor")
        return int(self._value.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if not self._value.shape:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Tensor:
        primitive, raw = indexing.getitem, index
        if type(index) is not int and type(index) is not slice:
            raw = raw_index(index, self._device)
            if self._node is not None and _has_mask(self._device, raw):
                primitive = indexing.select
        result = unary(primitive, self, {"index": _completed(raw, self)})
        if _COPIES and id(self._value) in _COPIES:  # a view would make the next assignment copy everything
            result._value = self._device.backend.owned(result._value)
        return result

    def __setitem__(self, index: Any, value: Any) -> None:
        device, params = self._device, {"index": full_index(index, self)}
        in_place = device.backend.in_place
        if in_place and (type(value) is float or type(value) is int):
            v, left = value, None
        else:
            value = self._assignable(value)
            v, left = value._value, value._node
        right = self._node
        recorded = (left is not None or right is not None) and is_recording()
        # A constant that a tracked value is written to is kept in the graph, so it is copied.
        alone = in_place and self._is_alone() and not (recorded and right is None)
        try:
            if alone:
                device.set_at(self._value, params["index"], v)
            else:
                array = device.forward[indexing.setitem](v, self._value, **params)
        except Exception as error:
            raise _errors.diagnose("setitem", device, (self._value, v), error) from error
        if alone and right is None:
            return
        result = wrap(self._value if alone else array, device)
        if recorded:
            held = (value, self) if is_keeping() else None
            _record(indexing.setitem, result, left, right, v, self._value, params, held)
        self._become(result)
        if in_place and not alone:
            _remember_copy(self._value)

    def _assignable(self, value: Any) -> Tensor:
        """The v of `x[i] = v` as a Tensor of this one's device and dtype."""
        kind = self._device.kind_of(self._value.dtype)
        if not isinstance(value, Tensor):
            tracked = stacked(value)
            value = wrap(_constant_array("x[i] = v", value, self), self._device) if tracked is None else tracked
        if value._device is not self._device:
            raise _errors.mixed_devices("x[i] = v", self._device, value._device)
        if value._value.dtype == self._value.dtype:
            return value  # type: ignore[no-any-return]
        if value._node is not None and kind not in ("real", "complex"):
            raise DTypeError(
                f"x[i] = v: v takes part in a graph, and its gradient would be lost in x, which is {self.dtype}: "
                f"make x floating-point, or assign v.detach()"
            )
        if kind != "complex" and self._device.kind_of(value._value.dtype) == "complex":
            raise _complex_in_real("x[i] = v", self, value._value)
        return cast(value, self._value.dtype)

    def _is_alone(self) -> bool:
        """Whether the array may be written to: an assignment made it as a copy, and only this handle refers to it.

        Views, exports, other handles, and graphs that keep it for a rule or as a constant, all hold references.
        """
        return id(self._value) in _COPIES and _holders(self) == _holders(_PROBE) and not is_keeping()

    def _become(self, result: Tensor) -> None:
        """Take over the value and the node of `result`: what `x[i] = v` and `x += y` do to the handle x."""
        if result._value.shape != self._value.shape:
            raise ShapeError(f"an in-place operation can't change the shape {self.shape} of a tensor to {result.shape}")
        if result._value.dtype != self._value.dtype:
            self._check_kind(result._value.dtype)
        before = None
        if is_keeping() and result._node is not None:
            before = wrap(self._value, self._device)
            before._node = self._node
            result._node.held = tuple([before if x is self else x for x in result._node.held])
        if result._value.dtype != self._value.dtype:
            result = cast(result, self._value.dtype)
        old, new = self._node, result._node
        if old is not None and old.primitive is LEAF and not is_recording():
            update([(self, result._value)])
            return
        self._value, self._node = result._value, new
        was_leaf = old is not None and (old.primitive is LEAF or old.handle is nobody)
        if old is not None and old is not new and old.primitive is not LEAF:
            old.handle = nobody if before is None else ref(before)
        if new is not None:  # the gradient of what was a leaf stays that of the leaf as it was made
            new.handle = nobody if was_leaf else ref(self)

    def _check_kind(self, dtype: DType) -> None:
        """Refuse to cast the result of an in-place operation to a lesser kind: values and gradients would be lost."""
        kinds = ("bool", "integral", "real", "complex")
        if kinds.index(self._device.kind_of(dtype)) > kinds.index(self._device.kind_of(self._value.dtype)):
            raise DTypeError(
                f"an in-place operation can't make {dtype} of a {self.dtype} tensor: write x = x + y instead of x += y"
            )

    # Conversions -----------------------------------------------------------------------------------------------------

    def item(self) -> Any:
        """The one element as a Python number. Waits for the device."""
        if self.size != 1:
            raise ShapeError(f"item(): a tensor of shape {self.shape} has not one element but {self.size}")
        return self.numpy().reshape(()).item()

    def numpy(self) -> Any:
        """A copy of the value as a numpy.ndarray on the host. Waits for the device; leaves the graph, knowingly."""
        return self._device.backend.to_numpy(self.value).copy()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ShapeError(
                f"the truth value of a tensor of shape {self.shape} is ambiguous: use agrad.any() or agrad.all()"
            )
        return bool(self.item())

    def __index__(self) -> int:
        if self.ndim or not self._device.xp.isdtype(self._value.dtype, "integral"):
            raise TypeError(f"a {self.dtype} tensor of shape {self.shape} can't be used as an index")
        return operator.index(self.item())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if not self._device.name == "cpu":
            raise ConversionError(
                f"np.asarray: this tensor is on device '{self._device}', and nothing leaves a device silently: "
                f"use x.numpy()"
            )
        if self._node is not None and is_transforming():
            raise ConversionError(
                "np.asarray: a tensor was converted to NumPy inside a transform, where its gradient would be lost: "
                "use agrad's functions, or x.detach().numpy() for a constant"
            )
        if self._node is not None:
            what = None if self._node.primitive is LEAF else "this tensor has a history, which the NumPy array does not"
            if what is None and self._device.backend.asked_by_client(sys._getframe(1)):
                what = "this tensor was converted by code that knows no gradients"
            if what:
                warnings.warn(
                    f"np.asarray: {what}: what is computed from it is not differentiated. x.numpy() says so silently.",
                    _errors.GraphLeavingWarning,
                    stacklevel=2,
                )
        return self._device.backend.asarray(self._value, self._device, dtype, copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "__call__":
            return call_counterpart(self._device, f"np.{ufunc.__name__}", ufunc, inputs, options)
        called = f"np.{ufunc.__name__}.{method}"
        return call_counterpart(self._device, called, getattr(ufunc, method), inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        called = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
        return call_counterpart(self._device, called, function, args, options)

    def __array_namespace__(self, *, api_version: str | None = None) -> Namespace:
        """The namespace of this tensor's device: `agrad` itself for the default device.

        It is the same for each `api_version`, since each version of the standard adds to the one before.
        """
        if api_version is not None and api_version not in API_VERSIONS:
            raise ValueError(
                f"__array_namespace__: the versions of the standard are {', '.join(API_VERSIONS)}, not {api_version!r}"
            )
        where = self._device
        return sys.modules["agrad"] if where.name == "cpu" and not is_told() else where.functions

    def __dlpack__(
        self, /, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        if self._node is not None:
            raise ConversionError(
                "DLPack: this tensor takes part in graphs, and its gradient would be lost: use x.detach()"
            )
        options = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        return self.value.__dlpack__(**{name: value for name, value in options.items() if value is not None})

    def __dlpack_device__(self) -> Any:
        return self.value.__dlpack_device__()

    def to_device(self, device: str, /, *, stream: Any = None) -> Tensor:
        """The standard's name of `to`. Raises DeviceError where a stream is given: the array library has its own."""
        if stream is not None:
            raise DeviceError(f"to_device: tensors are moved on the array library's current stream, not on {stream!r}")
        return self.to(device)

    def __repr__(self) -> str:
        host = self._device.backend.to_numpy(self.value)
        text = find_device("cpu").backend.format(host, "Tensor(")
        place = "" if self._device.name == "cpu" else f", device='{self._device}'"
        return f"Tensor({text}{place})"

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec else self, spec) if spec else repr(self)

    # Copies ----------------------------------------------------------------------------------------------------------

    def __copy__(self) -> Tensor:
        return Tensor(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        self._check_leaf("copy.deepcopy")
        result = wrap(self._device.xp.asarray(self.value, copy=True), self._device)
        if self._node is not None:
            result._node = _leaf_node(result)
            kept = None if self._grad is None or self._grad is NOT_KEPT else self._gradient()
            result._grad = self._grad if kept is None else self._device.xp.asarray(kept, copy=True)
            result._written = None if self._written is None else _no_tape
        memo[id(self)] = result
        return result

    def __reduce__(self) -> Any:
        self._check_leaf("pickle")
        kept = self._grad is not None and self._grad is not NOT_KEPT
        gradient = self._device.backend.to_numpy(self.backwards_grad) if kept else None
        return _restore, (self.numpy(), self._device.name, self.requires_grad, gradient, self._written is not None)

    def _check_leaf(self, function: str) -> None:
        if not self.is_leaf:
            raise GraphError(f"{function}: this tensor has a history, which can't be copied: use x.detach()")
        if self._node is not None and is_transforming():
            raise GraphError(
                f"{function}: inside a transform the copy would not be differentiated: Tensor(x) and copy.copy(x) stay "
                f"in the graph, x.detach() is a constant"
            )

    # Operators -------------------------------------------------------------------------------------------------------

    __hash__ = object.__hash__

    def __add__(self, other: Any) -> Tensor:
        return binary(_ADD, self, other)

    def __radd__(self, other: Any) -> Tensor:
        return binary(_ADD, other, self)

    def __sub__(self, other: Any) -> Tensor:
        return binary(_SUBTRACT, self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return binary(_SUBTRACT, other, self)

    def __mul__(self, other: Any) -> Tensor:
        return binary(_MULTIPLY, self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return binary(_MULTIPLY, other, self)

    def __truediv__(self, other: Any) -> Tensor:
        divisor = floating(other) if type(other) is Tensor and other._node is None else other
        return binary(_DIVIDE, self if self._node else floating(self), divisor)

    def __rtruediv__(self, other: Any) -> Tensor:
        return binary(_DIVIDE, other, self if self._node else floating(self))

    def __pow__(self, other: Any) -> Tensor:
        return binary(_POWER, self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return binary(_POWER, other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return binary(_MATMUL, self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return binary(_MATMUL, other, self)

    def __neg__(self) -> Tensor:
        return unary(elementwise.negative, self)

    def __pos__(self) -> Tensor:
        return unary(copying.identity, self)

    def __abs__(self) -> Tensor:
        return unary(elementwise.abs, self)

    def __iadd__(self, other: Any) -> Tensor:
        return _in_place(self, binary(_ADD, self, other))

    def __isub__(self, other: Any) -> Tensor:
        return _in_place(self, binary(_SUBTRACT, self, other))

    def __imul__(self, other: Any) -> Tensor:
        return _in_place(self, binary(_MULTIPLY, self, other))

    def __itruediv__(self, other: Any) -> Tensor:
        return _in_place(self, self / other)

    def __ipow__(self, other: Any) -> Tensor:
        return _in_place(self, binary(_POWER, self, other))

    def __imatmul__(self, other: Any) -> Tensor:
        return _in_place(self, binary(_MATMUL, self, other))

    def __ifloordiv__(self, other: Any) -> Tensor:
        return _in_place(self, binary(elementwise.floor_divide, self, other))

    def __imod__(self, other: Any) -> Tensor:
        return _in_place(self, binary(elementwise.remainder, self, other))

    def __iand__(self, other: Any) -> Tensor:
        return _in_place(self, plain("bitwise_and", self, other))

    def __ior__(self, other: Any) -> Tensor:
        return _in_place(self, plain("bitwise_or", self, other))

    def __ixor__(self, other: Any) -> Tensor:
        return _in_place(self, plain("bitwise_xor", self, other))

    def __ilshift__(self, other: Any) -> Tensor:
        return _in_place(self, plain("bitwise_left_shift", self, other))

    def __irshift__(self, other: Any) -> Tensor:
        return _in_place(self, plain("bitwise_right_shift", self, other))

    def __eq__(self, other: object) -> Any:
        return plain("equal", self, other)

    def __ne__(self, other: object) -> Any:
        return plain("not_equal", self, other)

    def __lt__(self, other: Any) -> Tensor:
        return plain("less", self, other)

    def __le__(self, other: Any) -> Tensor:
        return plain("less_equal", self, other)

    def __gt__(self, other: Any) -> Tensor:
        return plain("greater", self, other)

    def __ge__(self, other: Any) -> Tensor:
        return plain("greater_equal", self, other)

    def __floordiv__(self, other: Any) -> Tensor:
        return binary(elementwise.floor_divide, self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return binary(elementwise.floor_divide, other, self)

    def __mod__(self, other: Any) -> Tensor:
        return binary(elementwise.remainder, self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return binary(elementwise.remainder, other, self)

    def __invert__(self) -> Tensor:
        return plain("bitwise_invert", self)

    def __and__(self, other: Any) -> Tensor:
        return plain("bitwise_and", self, other)

    def __or__(self, other: Any) -> Tensor:
        return plain("bitwise_or", self, other)

    def __xor__(self, other: Any) -> Tensor:
        return plain("bitwise_xor", self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __lshift__(self, other: Any) -> Tensor:
        return plain("bitwise_left_shift", self, other)

    def __rlshift__(self, other: Any) -> Tensor:
        return plain("bitwise_left_shift", other, self)

    def __rshift__(self, other: Any) -> Tensor:
        return plain("bitwise_right_shift", self, other)

    def __rrshift__(self, other: Any) -> Tensor:
        return plain("bitwise_right_shift", other, self)


_ADD, _SUBTRACT, _MULTIPLY = elementwise.add, elementwise.subtract, elementwise.multiply
_DIVIDE, _POWER, _MATMUL = elementwise.divide, elementwise.power, linear_algebra.matmul


# Applying primitives -------------------------------------------------------------------------------------------------


def wrap(value: Array, device: Device) -> Tensor:
    """A constant Tensor around a raw array, which is not copied."""
    result: Tensor = _new(Tensor)
    result._value = value
    result._device = device
    result._node = result._grad = result._written = None
    return result


def unary(primitive: Primitive, x: Tensor, params: dict[str, Any] | None = None) -> Tensor:
    """Apply a primitive of one argument."""
    device = x._device
    value = x._value
    try:
        y = device.forward[primitive](value, **params) if params else device.forward[primitive](value)
    except Exception as error:
        raise _errors.diagnose(primitive.name, device, (value,), error) from error
    result: Tensor = _new(Tensor)
    result._value = y
    result._device = device
    result._node = result._grad = result._written = None
    node = x._node
    if node is not None and (mode := current_mode()) & RECORDING:
        _record(primitive, result, node, None, value, None, params, (x,) if mode & KEEPING else None)
    return result


def binary(primitive: Primitive, x1: Any, x2: Any, params: dict[str, Any] | None = None) -> Tensor:
    """Apply a primitive of two arguments, of which at least one is a Tensor; the other may be a raw array or a number.

    Gives NotImplemented where an argument is neither, so that Python can ask the other operand.
    """
    if isinstance(x1, Tensor):
        device, a, left = x1._device, x1._value, x1._node
        if isinstance(x2, Tensor):
            b, right = x2._value, x2._node
            if x2._device is not device:
                raise _errors.mixed_devices(primitive.name, device, x2._device)
        else:
            b, right = x2, None
            if type(b) is not float and type(b) is not int:
                b = _constant(primitive.name, x2, device)
                if b is NotImplemented:
                    return b  # type: ignore[no-any-return]
    else:
        device, b, right = x2._device, x2._value, x2._node
        a, left = x1, None
        if type(a) is not float and type(a) is not int:
            a = _constant(primitive.name, x1, device)
            if a is NotImplemented:
                return a  # type: ignore[no-any-return]
    try:
        y = device.forward[primitive](a, b, **params) if params else device.forward[primitive](a, b)
    except Exception as error:
        raise _errors.diagnose(primitive.name, device, (a, b), error) from error
    result: Tensor = _new(Tensor)
    result._value = y
    result._device = device
    result._node = result._grad = result._written = None
    if (left is not None or right is not None) and (mode := current_mode()) & RECORDING:
        _record(primitive, result, left, right, a, b, params, (x1, x2) if mode & KEEPING else None)
    return result


def variadic(primitive: Primitive, tensors: Sequence[Tensor], params: dict[str, Any]) -> Tensor:
    """Apply a primitive of a sequence of tensors, which are on one device."""
    device = tensors[0]._device
    for tensor in tensors:
        if tensor._device is not device:
            raise _errors.mixed_devices(primitive.name, device, tensor._device)
    values = tuple([tensor._value for tensor in tensors])
    try:
        y = device.forward[primitive](values, **params)
    except Exception as error:
        raise _errors.diagnose(primitive.name, device, values, error) from error
    result = wrap(y, device)
    if is_recording() and any(tensor._node is not None for tensor in tensors):
        parents = tuple([tensor._value if tensor._node is None else tensor._node for tensor in tensors])
        _record(primitive, result, parents, None, values, None, params, tensors if is_keeping() else None)
    return result


def _record(
    primitive: Primitive,
    result: Tensor,
    left: Any,
    right: Node | None,
    a: Any,
    b: Any,
    params: dict[str, Any] | None,
    held: Sequence[Any] | None,
) -> None:
    """Give `result` its node: parents or constants, and what the rules of `primitive` declare that they need."""
    y = result._value
    shape = y.shape
    result._node = node = Node()
    if left is None:
        node.a = a
        keep_a, keep_b, keep_y = primitive.keep[2]
    else:
        node.a = left
        keep_a, keep_b, keep_y = primitive.keep[1 if right is None else 3]
        if type(left) is Node and left.shape == shape:
            shape = left.shape  # one tuple for a chain of elementwise operations
    node.b = b if right is None else right
    node.k1 = a if keep_a else None
    node.k2 = b if keep_b else None
    node.ky = y if keep_y else None
    node.primitive = primitive
    node.params = params
    node.shape = shape
    node.dtype = y.dtype
    node.device = result._device
    node.handle = ref(result)
    node.held = held
    node.number = next_number()


def _leaf_node(handle: Tensor) -> Node:
    value = handle._value
    node = Node()
    node.primitive = LEAF
    node.a = node.b = node.k1 = node.k2 = node.ky = node.params = node.held = None
    node.shape = value.shape
    node.dtype = value.dtype
    node.device = handle._device
    node.handle = ref(handle)
    node.number = next_number()
    return node


def _constant(function: str, value: Any, device: Device) -> Any:
    """An operand that is no Tensor: a raw array of the same device, a number, or NotImplemented."""
    if isinstance(value, bool | int | float | complex):
        return value.item() if hasattr(value, "item") else value
    backend = backend_of(value)
    if backend is None:
        return NotImplemented
    number = backend.number(value)
    if number is not None:
        return number
    origin = device_of(value)
    if origin is not device:
        raise _errors.mixed_devices(function, device, origin)
    return value


def _constant_array(function: str, value: Any, like: Tensor) -> Array:
    """A constant operand as an array of the device of `like`; numbers take its dtype."""
    constant = _constant(function, value, like._device)
    if isinstance(constant, complex) and like._device.kind_of(like._value.dtype) != "complex":
        raise _complex_in_real(function, like, constant)
    if constant is NotImplemented or not hasattr(constant, "shape"):
        return like._device.asarray(value if constant is NotImplemented else constant, like._value.dtype)
    return constant


def _complex_in_real(function: str, x: Tensor, value: Any) -> DTypeError:
    return DTypeError(
        f"{function}: {_errors.describe(value)} does not fit into a {x.dtype} tensor: make x complex, or take "
        f"agrad.real(v)"
    )


def plain(name: str, *operands: Any) -> Tensor:
    """Call a function of the namespace that has no derivative: the result is a constant."""
    device = next(x._device for x in operands if isinstance(x, Tensor))
    values = []
    for operand in operands:
        if isinstance(operand, Tensor):
            if operand._device is not device:
                raise _errors.mixed_devices(name, device, operand._device)
            operand = operand._value
        else:
            operand = _constant(name, operand, device)
            if operand is NotImplemented:
                return NotImplemented  # type: ignore[no-any-return]
        values.append(operand)
    try:
        return wrap(getattr(device.xp, name)(*values), device)
    except Exception as error:
        raise _errors.diagnose(name, device, tuple(values), error) from error


def reduce(primitive: Primitive, x: Tensor, axis: Axis, keepdims: bool, correction: float | None = None) -> Tensor:
    """Apply a reduction; `axis=None` means all axes."""
    shape = x._value.shape
    axes = None if axis is None else normalize_axes(primitive.name, axis, len(shape))
    kept = (1,) * len(shape) if axes is None else keepdims_shape(shape, axes)
    params: dict[str, Any] = {"axis": axes, "keepdims": keepdims, "shape": kept}
    if primitive.name in _COUNTED:
        params["count"] = prod(shape if axes is None else [shape[i] for i in axes]) - (correction or 0)
    if correction is not None:
        params["correction"] = correction
    return unary(primitive, x, params)


_COUNTED = ("mean", "var", "std")


def cast(x: Tensor, dtype: DType) -> Tensor:
    """`x` in another dtype of its backend; itself where it has that already. To integers it becomes a constant."""
    if x._value.dtype == dtype:
        return x
    if x._node is not None and not _differentiable(x._device, dtype):
        x = x.detach()
    return unary(copying.astype, x, {"dtype": dtype})


def floating(x: Tensor) -> Tensor:
    """`x`, integers and booleans as the default floating-point dtype: what functions like exp are given."""
    if x._node is not None or _differentiable(x._device, x._value.dtype):
        return x
    return wrap(x._device.xp.astype(x._value, x._device.default_float()), x._device)


def _differentiable(device: Device, dtype: DType) -> bool:
    return device.kind_of(dtype) in ("real", "complex")


# Making tensors ------------------------------------------------------------------------------------------------------


def create(name: str, device: Device, args: tuple[Any, ...], dtype: Any, **options: Any) -> Array:
    """What a creation function of the device's library gives."""
    try:
        value: Array = getattr(device.xp, name)(*args, dtype=dtype, device=device.native, **options)
    except MemoryError as error:
        raise _errors.diagnose(name, device, (), error) from error
    return value


def leaf(value: Array, device: Device, requires_grad: bool | None) -> Tensor:
    result = wrap(value, device)
    if requires_grad is not False and _differentiable(device, value.dtype):
        result._node = _leaf_node(result)
    elif requires_grad:
        raise DTypeError(f"a {value.dtype} tensor can't require a gradient: make it floating-point")
    return result


def upload(value: Any, device: Device, dtype: Any, copy: bool | None = True) -> Array:
    """A user's value as a raw array on `device`."""
    if isinstance(value, Tensor):
        value = value._value
    dtype = device.dtype(dtype)
    origin = device_of(value)
    if origin is not None and origin is not device:
        return transfer(value, device, dtype)
    if origin is None and dtype is None and _holds_floats(value):
        dtype = device.default_float()
    return device.asarray(value, dtype, copy)


def _holds_floats(value: Any) -> bool:
    """Whether nested lists hold Python floats, and no complex numbers, so that the default dtype is meant."""
    if isinstance(value, list | tuple):
        kinds = [_holds_floats(item) if isinstance(item, list | tuple) else type(item) for item in value]
        return any(kind is True or kind is float for kind in kinds) and complex not in kinds
    return type(value) is float


def stacked(value: Any) -> Tensor | None:
    """The Tensor that `value` is, or that lists of Tensors make when stacked; None if there is no Tensor in it."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, list | tuple) or not _holds_tensors(value):
        return None
    like = _first_tensor(value)
    tracked = [(item, stacked(item)) for item in value]
    items = [
        wrap(_constant_array("Tensor", item, like), like._device) if part is None else part for item, part in tracked
    ]
    return variadic(manipulation.stack, items, {"axis": 0})


def _holds_tensors(value: Sequence[Any]) -> bool:
    return any(isinstance(v, Tensor) or (isinstance(v, list | tuple) and _holds_tensors(v)) for v in value)


def _first_tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    return next(
        _first_tensor(v) for v in value if isinstance(v, Tensor) or (isinstance(v, list | tuple) and _holds_tensors(v))
    )


def _raw(tensor: Any) -> tuple[Array, Device]:
    if isinstance(tensor, Tensor):
        return tensor._value, tensor._device
    device = device_of(tensor) or default_device()
    return device.asarray(tensor), device


def _sizes(function: str, shape: tuple[Any, ...]) -> Shape:
    return as_shape(function, shape[0] if len(shape) == 1 else shape)


def _restore(value: Any, device: str, requires_grad: bool, gradient: Any, is_new: bool) -> Tensor:
    """A pickled tensor; `is_new` says whether its gradient waits for an update."""
    result = Tensor(value, device=device, requires_grad=requires_grad)
    if gradient is not None:
        result._grad = upload(gradient, result._device, None)
        result._written = _no_tape if is_new else None
    return result


def full_index(index: Any, x: Tensor) -> Any:
    """The index of x[index] as the library of x takes it, with raw arrays."""
    return _completed(raw_index(index, x._device), x)


def _completed(plain: Any, x: Tensor) -> Any:
    """A raw index with an ellipsis for the axes it leaves out, which libraries may demand."""
    ndim = len(x._value.shape)
    if type(plain) is int or type(plain) is slice:
        return plain if ndim <= 1 else (plain, ...)
    parts = plain if type(plain) is tuple else (plain,)
    if not {type(part) for part in parts} <= _PLAIN_PARTS:
        return x._device.backend.index(x._value, plain)
    new_axes = parts.count(None)
    return parts if not new_axes and len(parts) == ndim else (*parts, ...)


_PLAIN_PARTS = {int, slice, type(None)}


def raw_index(index: Any, device: Device) -> Any:
    """An index with arrays in the place of tensors and lists."""
    if isinstance(index, tuple):
        return tuple([raw_index(part, device) for part in index])
    if isinstance(index, Tensor):
        if index._device is not device:
            raise _errors.mixed_devices("indexing", device, index._device)
        return index._value if index.ndim else operator.index(index) if not _is_bool(index) else index._value
    if isinstance(index, list):
        return device.asarray(index, None if index else "int64")
    origin = None if index is None or isinstance(index, int | slice) else device_of(index)
    if origin is not None and origin is not device:
        raise _errors.mixed_devices("indexing", device, origin)
    if origin is None and getattr(index, "shape", None) == ():
        return index.item()  # a scalar of NumPy's, which other libraries don't know
    return index


def _is_bool(x: Tensor) -> bool:
    return bool(x._device.xp.isdtype(x._value.dtype, "bool"))


def _has_mask(device: Device, index: Any) -> bool:
    """Whether an index has booleans in it."""
    for part in index if type(index) is tuple else (index,):
        kind = type(part)
        if kind in _PLAIN_PARTS or kind is type(...):
            continue
        if kind is bool or (hasattr(part, "dtype") and device.kind_of(part.dtype) == "bool"):
            return True
    return False


_COPIES: dict[int, ref[Any]] = {}
"""The copies that assignments made, by their `id`, as long as they live. No other array is ever written to."""


def _remember_copy(array: Array) -> None:
    key, forget = id(array), _COPIES.pop

    def end(_: ref[Any]) -> None:
        forget(key, None)

    _COPIES[key] = ref(array, end)


def _holders(handle: Tensor) -> int:
    """How many references there are to a tensor's array; compared with those of `_PROBE`, whose array is its alone."""
    return sys.getrefcount(handle._value)


_PROBE = wrap(object(), None)  # type: ignore[arg-type]


# Backwards and updates -----------------------------------------------------------------------------------------------


_no_tape = object()
"""Stands for the weak reference of a gradient that no backward pass wrote."""


def _tapes(written: Any) -> list[Any]:
    """Weak references to the tapes that wrote a leaf's gradient, of those that are still there."""
    references = written if isinstance(written, tuple) else (written,)
    return [reference for reference in references if isinstance(reference, ref) and reference() is not None]


def transposed(device: Device, gradient: Array) -> Array:
    """A gradient as a cotangent, or back: the conjugate of complex ones (see `_engine`)."""
    return device.xp.conj(gradient) if device.kind_of(gradient.dtype) == "complex" else gradient


def _deliver(found: dict[Node, Array], zero_grad: bool) -> None:
    """Give every handle its gradient; those of leaves are arrays of their own, which may be written to.

    All that can fail comes first, so that an error leaves every gradient as it was.
    """
    finished = []
    taken: set[int] = set()
    dtype, conjugated = None, False
    for node, g in found.items():
        handle, device = node.handle(), node.device
        if handle is None:
            continue
        if node.dtype is not dtype:
            dtype = node.dtype
            conjugated = device.kind_of(dtype) == "complex"
        if conjugated:
            g = device.xp.conj(g)
        if not zero_grad and handle._grad is not None:
            g = device.xp.add(handle._gradient(), g)
        elif node.a is None:  # a leaf
            g = device.xp.asarray(g, copy=True) if id(g) in taken else device.backend.owned(g)
        taken.add(id(g))
        finished.append((handle, g))
    for handle, g in finished:
        handle._grad = g


def update(changes: Sequence[tuple[Tensor, Array]]) -> None:
    """Rebind tensors to new values: each becomes a new leaf.

    The graphs whose backward pass wrote their gradients let go of what is downstream of them.
    """
    _release([handle for handle, _ in changes])
    _rebind(changes)


def _release(handles: Sequence[Tensor]) -> None:
    """Let the graphs whose backward pass wrote the gradients of `handles` go, downstream of these."""
    updated: dict[Tape, set[Tensor]] = {}
    for handle in handles:
        written = handle._written
        for reference in (written,) if type(written) is ref else _tapes(written):
            tape = reference()
            if tape in updated:
                updated[tape].add(handle)
            elif tape is not None:
                updated[tape] = {handle}
    for tape, those in updated.items():
        tape.release(those)


def _rebind(changes: Sequence[tuple[Tensor, Array]]) -> None:
    for handle, value in changes:
        handle._value = value
        handle._written = None
        handle._node = _leaf_node(handle)


def move(handles: Iterable[Tensor], device: str) -> None:
    """Move leaves and constants to a device, in place. Graphs that they fed are let go as by an update."""
    target = find_device(device)
    moved = [(handle, transfer(handle.value, target)) for handle in handles if handle._device is not target]
    tracked = [(handle, value) for handle, value in moved if handle._node is not None]
    for handle, value in moved:
        handle._value, handle._device, handle._grad = value, target, None
    update(tracked)


def descend(function: str, parameters: Iterable[Tensor], lr: float) -> None:
    """Gradient descent on those of `parameters` that got a gradient since their last update."""
    rate = lr if type(lr) is float else _rate(function, lr)
    origin = None if type(rate) is float else device_of(rate)
    updated = []
    for parameter in parameters:
        node = parameter._node
        if node is None:
            raise GraphError(f"{function}: a constant tensor can't be updated: {_why_constant(parameter)}")
        if node.a is not None:
            raise GraphError(f"{function}: only leaves can be updated; this tensor was computed: use x.detach()")
        if parameter._written is not None:
            updated.append(parameter)
            if parameter._grad is NOT_KEPT:
                raise GraphError(_errors.GRADIENT_NOT_KEPT)
            if origin is not None and origin is not parameter._device:
                raise _errors.mixed_devices(function, parameter._device, origin)
    _release(updated)  # first, so that the new values find the memory of the graph
    factor = -rate
    changes = []
    for parameter in updated:
        device = parameter._device
        try:
            value = (_descended if device.current is None else device.entering(_descended))(parameter, factor)
        except MemoryError as error:
            raise _errors.diagnose(function, device, (parameter._value,), error) from error
        changes.append((parameter, in_dtype_of(parameter, value)))
    _rebind(changes)


def _descended(parameter: Tensor, factor: Any) -> Array:
    value = factor * parameter._gradient()
    value += parameter._value
    return value


def in_dtype_of(parameter: Tensor, value: Array) -> Array:
    """A new value in the parameter's dtype: a float64 learning rate does not widen a float32 parameter."""
    dtype = parameter._value.dtype
    return value if value.dtype is dtype else parameter._device.xp.astype(value, dtype, copy=False)


def _rate(function: str, lr: Any) -> Any:
    """A learning rate as a Python number, or as the 0-d array that a tensor holds."""
    if isinstance(lr, int | float):
        return float(lr)
    backend = backend_of(lr)
    number = None if backend is None else backend.number(lr)
    if number is not None:
        return number
    rate = lr._value if isinstance(lr, Tensor) else lr
    if getattr(rate, "shape", None) != ():
        raise TypeError(f"{function}: the learning rate is a number, not {lr!r:.60}")
    return rate


def _why_constant(tensor: Tensor) -> str:
    if not _differentiable(tensor._device, tensor._value.dtype):
        return f"its dtype is {tensor.dtype}, and only floating-point and complex tensors are differentiable"
    return (
        "it was made with requires_grad=False, by detach(), under no_grad(), or from constants alone; "
        "Tensor(x, requires_grad=True) makes a leaf"
    )


def _in_place(handle: Tensor, result: Any) -> Tensor:
    if result is NotImplemented:
        return result  # type: ignore[no-any-return]
    handle._become(result)
    return handle


# Edges ---------------------------------------------------------------------------------------------------------------


def _by_hand(xp: Namespace, g: Any, index: int, edges: list[Edge], y: Array, device: Device) -> Array:
    """The rule of a node built by hand: what its edge's backward_fn makes of the node's gradient.

    It works on arrays. Where the pass is recorded, the record raises if somebody differentiates it.
    """
    edge = edges[index]
    seen = wrap(_plain(y), device)
    seen._grad = transposed(device, _plain(g))
    part = _plain(edge.backward_fn(seen, edge.local_grad, edge.prev))
    part = transposed(device, device.asarray(part, copy=True))
    if not isinstance(g, Tensor):
        return part
    return variadic(_BY_HAND_ONCE, [g, *[edge.prev for edge in edges]], {"part": part})


def _plain(x: Any) -> Any:
    return x._value if isinstance(x, Tensor) else x


def _not_twice(xp: Namespace, g: Any, index: int) -> Array:
    raise GraphError(
        "a node built with Tensor(value, prevs=[Edge(…)]) has no higher derivatives: its backward_fn works on "
        "arrays. Write the operation with agrad.custom_gradient"
    )


_BY_HAND_ONCE = Primitive(
    "the gradient of a node built by hand",
    lambda xp, arrays, part: part,
    mask=Mask.STOP,
    variadic=True,
    arrays=_not_twice,
)
BY_HAND = Primitive("a node built by hand", mask=Mask.STOP, variadic=True, arrays=_by_hand)


def _hand_made_node(handle: Tensor, prevs: Sequence[Edge]) -> Node | None:
    """A node with the edges that a reader of the book wrote; None where no gradient can flow along them."""
    edges = [Edge(*edge) for edge in prevs]
    for edge in edges:
        if not isinstance(edge.prev, Tensor):
            raise GraphError(f"Edge(prev=…): prev is the Tensor that the edge comes from, not {edge.prev!r:.60}")
        if not callable(edge.backward_fn):
            raise GraphError("Edge(backward_fn=…) is missing: a function (tensor, local_grad, prev) giving a gradient")
        if edge.prev._device is not handle._device:
            raise _errors.mixed_devices("Tensor(value, prevs=…)", handle._device, edge.prev._device)
    if not is_recording() or all(edge.prev._node is None for edge in edges):
        return None
    node = _leaf_node(handle)
    node.primitive = BY_HAND
    node.a = tuple([edge.prev._value if edge.prev._node is None else edge.prev._node for edge in edges])
    node.ky = handle._value
    node.params = {"edges": edges, "device": handle._device}
    node.held = [edge.prev for edge in edges] if is_keeping() else None
    return node


def _pointwise(tensor: Tensor, local_grad: Array, prev: Tensor) -> Array:
    """Elementwise operations: the gradient of the result times the local derivative."""
    xp = tensor._device.xp
    part = xp.multiply(tensor.backwards_grad, transposed(tensor._device, local_grad))
    return part if part.shape == prev._value.shape else unbroadcast(xp, part, prev.shape)


def _edges(handle: Tensor, node: Node) -> list[Edge]:
    if node.primitive.stale:
        raise GraphError("prevs: the graph of this tensor was let go when its parameters were updated")
    if node.primitive is BY_HAND:
        return list(node.params["edges"])  # type: ignore[index]
    arguments = node.a if type(node.a) is tuple else (node.a, node.b)
    return [_edge(handle, node, i, parent) for i, parent in enumerate(arguments) if type(parent) is Node]


def _edge(handle: Tensor, node: Node, index: int, parent: Node) -> Edge:
    primitive = node.primitive
    xp = node.device.xp
    prev = _prev(node, index, parent)

    cotangent = node.device.entering(primitive.cotangent)

    def local(g: Array) -> Array:
        return cotangent(xp, g, node, index)

    if primitive.mask is Mask.GUARD:
        ones = xp.ones(node.shape, dtype=node.dtype, device=node.device.native)
        return Edge(prev, node.device.backend.present(local(ones)), _pointwise)

    def backward_fn(tensor: Tensor, local_grad: Any, prev: Tensor) -> Array:
        part = transposed(node.device, local(transposed(node.device, tensor.backwards_grad)))
        return part if part.shape == prev._value.shape else unbroadcast(xp, part, prev.shape)

    backward_fn.__name__ = backward_fn.__qualname__ = f"{primitive.name}_backward"
    return Edge(prev, None, backward_fn)


def _prev(node: Node, index: int, parent: Node) -> Tensor:
    """The handle of a parent: the one that somebody holds, or a new one around its value computed again."""
    for handle in (parent.handle(), node.held and node.held[index]):
        if isinstance(handle, Tensor) and handle._node is parent:
            return handle
    kept = (node.k1 if index == 0 else node.k2) if node.primitive.arity < 3 else None
    prev = wrap(_recompute(parent) if kept is None else kept, parent.device)
    prev._node = parent
    if parent.primitive is not LEAF:
        parent.handle = ref(prev)
    return prev


def _recompute(wanted: Node) -> Array:
    """The value of a node whose handle is gone, from the nearest values that are still there."""
    values: dict[Node, Array] = {}
    stack = [wanted]
    while stack:
        node = stack[-1]
        if node in values:
            stack.pop()
            continue
        handle = node.handle()
        if handle is not None and handle._node is node:
            values[node] = handle._value
        elif node.ky is not None:
            values[node] = node.ky
        elif node.primitive.arity == 0 or node.primitive is BY_HAND:
            raise GraphError(
                "prevs: a tensor of this graph was let go, and its value can't be computed again because a leaf under "
                "it is gone or was changed: build the graph inside `with agrad.keep_graph():`"
            )
        else:
            missing = [parent for parent in node.parents() if parent not in values]
            if missing:
                stack.extend(missing)
                continue
            values[node] = _evaluate(node, values)
        stack.pop()
    return values[wanted]


def _evaluate(node: Node, values: dict[Node, Array]) -> Array:
    forward: Callable[..., Array] = node.device.forward[node.primitive]
    params = node.params or {}
    if node.primitive.arity == 3:
        return forward(tuple([values.get(x, x) if type(x) is Node else x for x in node.a]), **params)
    arguments = (node.a, node.b)[: node.primitive.arity]
    return forward(*[values[x] if type(x) is Node else x for x in arguments], **params)
