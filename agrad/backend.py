"""Where arrays come from: the Backend protocol, devices, and the registry that finds them.

All that differs between array libraries is behind `Backend`. Devices are strings for users ("cpu", "cuda:1",
"torch:cpu") and `Device` objects inside; a backend is imported only when its device is asked for or one of its arrays
arrives.
"""

from __future__ import annotations

import operator
import re
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial, wraps
from importlib import import_module
from types import FrameType
from typing import Any, ClassVar, NamedTuple

from . import _indexing
from ._errors import BackendUnavailableError, DeviceError, DTypeError
from ._typing import Array, DType, Namespace

SIGNS = {
    operator.add: "+",
    operator.sub: "-",
    operator.mul: "*",
    operator.truediv: "/",
    operator.pow: "**",
    operator.floordiv: "//",
    operator.mod: "%",
    operator.matmul: "@",
    operator.and_: "&",
    operator.or_: "|",
    operator.xor: "^",
    operator.lshift: "<<",
    operator.rshift: ">>",
    operator.eq: "==",
    operator.ne: "!=",
    operator.lt: "<",
    operator.le: "<=",
    operator.gt: ">",
    operator.ge: ">=",
}
"""The signs of Python's operators, for executors that write Python."""


class Body(NamedTuple):
    """What an executor makes of a plan (see `Backend.executor`): lines of Python between loading and storing.

    `names` are the globals that the lines use besides the inputs, `results` the expressions that give the plan's
    outputs. A line may `return _MISS`, and then the call runs eagerly. The outputs are arrays of their own: no later
    run of the program writes to them.
    """

    lines: list[str]
    names: dict[str, Any]
    results: dict[Any, str]
    buffers: int = 0
    """How many arrays are kept between calls to be written to,"""
    bytes: int = 0
    """and their size."""
    calls: int | None = None
    """How many functions of the library a run calls, where that is not the number of the plan's operations; those in a
    loop over the blocks of an array count once."""
    once: int = 0
    """How many of the lines, at the beginning, compute what is the same in every turn of a loop: see `Plan.once`."""


class Backend(ABC):
    """One array library.

    A package brings one by subclassing this and offering it in the entry-point group `agrad.backends` under the name of
    its device kind; the entry point is a function without arguments that gives it.

    What is not abstract has a default in the terms of the standard, and may be overridden by something faster.
    """

    kind: str
    """The device kind: what stands before the colon of a device's name."""

    arrays_from: str
    """The top-level module in which the type of this library's arrays is defined."""

    asynchronous: bool = False
    """Whether reading a value makes the host wait, so that values are not checked."""

    in_place: bool = False
    """Whether an array that nobody else refers to may be written to.

    That takes arrays that can be written to, and that whatever else sees an array's memory, such as a view or an
    export, holds a reference to the array object.
    """

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why no device of this kind can be used here, and what to do; None if one can."""

    @abstractmethod
    def library(self, native: Any) -> Namespace:
        """The array namespace, complete in the sense of the standard, for the device `native`."""

    @abstractmethod
    def devices(self) -> dict[str, Any]:
        """The library's own device objects by the name that users write; the first one is the default."""

    @abstractmethod
    def device_name(self, array: Array) -> str:
        """The name of the device that `array` is on."""

    @abstractmethod
    def to_numpy(self, array: Array) -> Any:
        """`array` as a numpy.ndarray on the host; it may share memory."""

    def format(self, array: Array, prefix: str) -> str:
        """The elements of a host array as text for a repr whose lines begin under the end of `prefix`.

        Asked of the host's backend alone: all others print through `to_numpy`, so they need none.
        """
        raise NotImplementedError(f"device kind '{self.kind}' prints through the host")

    @abstractmethod
    def asarray(self, value: Any, device: Device, dtype: DType | None, copy: bool | None) -> Array:
        """`value` (nested lists, numbers, a NumPy array, an array of this library) as an array on `device`."""

    def fast(self, device: Device) -> dict[str, Callable[..., Array]]:
        """Faster forward functions for primitives, by their names; the plain ones are their test oracle."""
        return {}

    def fast_backward(self, device: Device) -> dict[str, dict[str, Callable[..., Array]]]:
        """Faster backward rules: by primitive and argument, of the same parameters as the plain ones, their oracle."""
        return {}

    def special(self, name: str) -> Callable[..., Array] | None:
        """The library's own special function that computes the primitive `name`; None if it has none.

        Asked when the primitive is first used, so what it needs is imported then. The plain code is its test oracle.
        """
        return None

    fused: frozenset[str] = frozenset()
    """Primitives that the executor knows, so that a plan has them as one operation and not in their parts."""

    def executor(self, plan: Any, device: Device) -> Body | None:
        """The program of a compiled function, in this library's own way, from a plan of `agrad._compile`.

        `plan.ops` are in order, each with `name`, `function`, `args`, `kwargs`, `outs`; `plan.inputs` and
        `plan.outputs` are the values (`shape`, `dtype`, `is_constant`, `value`) that come in, by the names
        `plan.names`, and go out. None leaves it to the reference executor, which calls `function` for each operation.
        """
        return None

    def generator(self, device: Device, seed: int | None) -> Any:
        """A random generator with the methods of numpy.random.Generator, drawing on `device`."""
        return None

    def draw(self, device: Device, method: str, args: tuple[Any, ...], dtype: Any) -> Array:
        """What a method of the generator of `device` gives; drawn on the host and uploaded where there is none."""
        drawing = generator(device)
        if drawing is None:
            drawing = generator(find_device("cpu"))
        return device.asarray(getattr(drawing, method)(*args), dtype)

    @property
    def reads(self) -> bool:
        """Whether a value may be looked at on the way, to find a shorter one that gives the same.

        Not where the host would wait, and not where a compiled function is recorded, which has to do for other values.
        """
        return not self.asynchronous

    def confirm(self, condition: Array) -> bool:
        """Whether a condition that correct data meets is met; true where looking would make the host wait."""
        return self.asynchronous or bool(condition)

    def index_add(self, array: Array, index: Any, values: Array) -> Array:
        """A new array: `array` with `values` added at `index`, where an element may be named several times."""
        return _indexing.index_add(self.library(None), array, index, values)

    def add_at(self, array: Array, index: Any, values: Array) -> None:
        """Add to `array` itself, as `index_add` does to a copy. Called only where arrays are written `in_place`."""
        raise NotImplementedError(f"arrays of device kind '{self.kind}' are not written to")

    def index_set(self, array: Array, index: Any, values: Array) -> Array:
        """A new array: `array` with `values` at `index`."""
        if hasattr(array, "at"):  # arrays that cannot be written to bring this functional form along
            return array.at[index].set(values)
        xp = self.library(None)
        result = xp.asarray(array, copy=True)
        index, values = _indexing.without_new_axes(xp, array, index, values)
        try:
            result[index] = values
        except IndexError:  # the standard has no assignment at integer arrays
            return _indexing.index_set(xp, array, index, values)
        return result

    def index(self, array: Array, index: Any) -> Any:
        """The index of `array`, in which there are arrays, as this library takes it."""
        return index

    def default_float(self, device: Device) -> DType:
        """The dtype of real floating-point data that nobody chose."""
        return device.xp.float64

    def send(self, array: Array, target: Device, dtype: DType | None) -> Array:
        """A copy of an array of this library on a device of another, of the same dtype unless told."""
        dtype = dtype_name(array.dtype) if dtype is None else dtype
        return target.asarray(self.to_numpy(array), dtype, copy=True)

    def number(self, value: Any) -> Any:
        """`value` as a Python number if it is one of this library's scalars, which must not widen; else None."""
        return None

    def owned(self, array: Array) -> Array:
        """`array`, or a copy of it if it is a view or read-only: safe to be handed out and written to."""
        return array

    def present(self, array: Array) -> Array:
        """`array` as a user is to see it: an array also where the library computed a scalar."""
        return array

    def quiet(self) -> AbstractContextManager[Any]:
        """A context in which floating-point warnings are off."""
        return nullcontext()

    def asked_by_client(self, frame: FrameType | None) -> bool:
        """Whether what runs in `frame`, and asks for this library's array of a Tensor, will compute with it.

        That is other people's code, in which a gradient would be lost unseen; a user, or a plot, may just look.
        """
        return False

    def counterpart(self, function: Any) -> str | Callable[..., Any] | None:
        """What runs in the place of one of this library's functions, or a ufunc's method, that is called on a Tensor.

        The name of agrad's function, or a function of agrad's namespace and the call's arguments; None if nothing does.
        """
        return None


class ArrayNamespace:
    """A library's namespace as the rules see it: with index_add, index_set, to_device, and with faster functions."""

    special: Any
    """The special functions, which compute as the primitives of the device do."""

    def __init__(self, library: Namespace, **extra: Any) -> None:
        self.__dict__.update(extra)
        self._library = library

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._library, name)
        self.__dict__[name] = value
        return value


class _Forward(dict[Any, Callable[..., Array]]):
    """The function that computes each primitive on one device, resolved when it is first used."""

    def __init__(self, device: Device) -> None:
        self.backend = device.backend
        self.fast = device.fast
        self.xp = device.xp

    def __missing__(self, primitive: Any) -> Callable[..., Array]:
        xp = self.xp
        function = self.fast.get(primitive.name) or self.backend.special(primitive.name)
        if function is None:
            function = partial(primitive.forward, xp) if primitive.forward else getattr(xp, primitive.name)
        self[primitive] = function
        return function


class Special:
    """The special functions as rules see them on arrays: each computed as its primitive is on this device."""

    def __init__(self, forward: Any) -> None:
        self._forward = forward

    def __getattr__(self, name: str) -> Any:
        value = self._forward[Functions.primitives[name]]
        self.__dict__[name] = value
        return value


class _Backward(dict[Any, tuple[Callable[..., Array], ...]]):
    """The backward rules of each primitive on one device, resolved when they are first used."""

    def __init__(self, device: Device) -> None:
        self.rules = device.backend.fast_backward(device)

    def __missing__(self, primitive: Any) -> tuple[Callable[..., Array], ...]:
        callers: tuple[Callable[..., Array], ...] = primitive.callers(self.rules.get(primitive.name, {}))
        self[primitive] = callers
        return callers


class Device:
    """A place where arrays live: one object per name, so that `is` compares."""

    __slots__ = ("_kinds", "_ones", "backend", "backward", "fast", "forward", "functions", "name", "native", "xp")

    def __init__(self, name: str, backend: Backend, native: Any) -> None:
        self.name = name
        self.backend = backend
        self.native = native
        self.xp = ArrayNamespace(
            backend.library(native),
            index_add=backend.index_add,
            index_set=backend.index_set,
            to_device=transfer,
        )
        self.fast = backend.fast(self)
        self.forward = _Forward(self)
        self.xp.special = Special(self.forward)
        self.backward = _Backward(self)
        self.functions = Functions(self)
        self._kinds: dict[DType, str] = {}
        self._ones: dict[DType, Array] = {}

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Device({self.name!r})"

    def __reduce__(self) -> Any:
        return find_device, (self.name,)

    def asarray(self, value: Any, dtype: DType | None = None, copy: bool | None = None) -> Array:
        """`value` as an array on this device."""
        return self.backend.asarray(value, self, self.dtype(dtype), copy)

    def dtype(self, dtype: Any) -> DType | None:
        """This backend's dtype of the same name as `dtype`: a name, a Python type or any backend's dtype."""
        if dtype is None:
            return None
        if dtype is float:
            return self.backend.default_float(self)
        name = _PYTHON_DTYPES.get(dtype) if isinstance(dtype, type) else None
        name = name or dtype_name(dtype)
        found = getattr(self.xp, name, None) if name in DTYPES else None
        if found is None:
            raise DTypeError(f"{dtype!r} is not a dtype of the standard; those are {', '.join(DTYPES)}")
        return found

    def default_float(self) -> DType:
        """The dtype of real floating-point data that nobody chose."""
        return self.backend.default_float(self)

    def kind_of(self, dtype: DType) -> str:
        """What a dtype is: "real" or "complex" floating-point, "integral" or "bool"."""
        kind = self._kinds.get(dtype)
        if kind is None:
            names = ("real floating", "complex floating", "integral", "bool")
            kind = next(name for name in names if self.xp.isdtype(dtype, name)).partition(" ")[0]
            self._kinds[dtype] = kind
        return kind

    def one(self, dtype: DType) -> Array:
        """A 1 without axes, made once, which must not be written to; NumPy indexes it to a scalar, which can't be."""
        one = self._ones.get(dtype)
        if one is None:
            one = self._ones[dtype] = self.xp.ones((), dtype=dtype, device=self.native)[()]
        return one


DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64", "complex64", "complex128"),
)
EXTENSIONS = ("fft", "linalg", "special")
"""The namespaces inside the namespace: the standard's extensions, and the special functions."""
_CONSTANTS = (*DTYPES, "e", "inf", "nan", "newaxis", "pi")
_PYTHON_DTYPES = {bool: "bool", int: "int64", complex: "complex128"}


def dtype_name(dtype: Any) -> str:
    """The standard's name of any backend's dtype.

    >>> import numpy
    >>> dtype_name(numpy.dtype("float32")), dtype_name(numpy.float32), dtype_name("float32")
    ('float32', 'float32', 'float32')
    """
    if isinstance(dtype, str):
        return dtype
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
    return str(name).rsplit(".", 1)[-1].rstrip("_'>")


API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")
"""The versions of the standard that agrad's functions are those of."""


class Functions:
    """agrad's functions as the namespace of one device: creation functions default to it, dtypes are its backend's.

    One object per device, always the same one: it is what `Tensor.__array_namespace__` gives.
    """

    registered: ClassVar[dict[str, Callable[..., Any]]] = {}
    """The public functions by name, filled by the `public` decorator where each is defined."""
    creating: ClassVar[set[str]] = set()
    """The names of those that take `device=` and default to the namespace's own."""
    primitives: ClassVar[dict[str, Any]] = {}
    """The primitives of the special functions by name, which rules call as `xp.special.…`."""
    __array_api_version__: ClassVar[str] = API_VERSIONS[-1]
    """The newest version of the standard."""

    def __init__(self, device: Device, extension: str = "") -> None:
        self._device = device
        self._prefix = f"{extension}." if extension else ""
        self.__name__ = f"agrad.{extension}" if extension else "agrad"  # others tell libraries apart by it

    def __getattr__(self, name: str) -> Any:
        full = self._prefix + name
        function = self.registered.get(full)
        value: Any
        if function is not None:
            value = self._here(function) if full in self.creating else function
        elif name in EXTENSIONS and not self._prefix:
            value = Functions(self._device, name)
        elif name in _CONSTANTS and not self._prefix:
            value = getattr(self._device.xp, name)
        else:
            raise AttributeError(f"agrad has no function {full!r}")
        self.__dict__[name] = value
        return value

    def _here(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` with this device as the default, also for callers that hand on the `device=None` they got."""

        @wraps(function)
        def create(*args: Any, device: str | None = None, **options: Any) -> Any:
            return function(*args, device=self._device.name if device is None else device, **options)

        return create

    def __dir__(self) -> list[str]:
        if self._prefix:
            return sorted(name.removeprefix(self._prefix) for name in self.registered if name.startswith(self._prefix))
        return sorted({*[name for name in self.registered if "." not in name], *EXTENSIONS, *_CONSTANTS})

    def __repr__(self) -> str:
        return f"<agrad {self._prefix.replace('.', ' ')}functions on {self._device.name}>"


class GenericBackend(Backend):
    """Any library that speaks the standard, carried without knowing it: devices are called "<library>:<device>"."""

    def __init__(self, kind: str, library: Namespace) -> None:
        self.kind = kind
        self.arrays_from = kind
        self._library = library
        self._info = library.__array_namespace_info__()
        self._mixes: bool | None = None

    def unavailable(self) -> str | None:
        """Nothing stands against it: the library was imported."""
        return None

    def library(self, native: Any) -> Namespace:
        """The namespace that array-api-compat gives for this library, or the library itself."""
        return self._library

    def devices(self) -> dict[str, Any]:
        """The devices that the library's own inspection lists."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a library may warn of device types that it lists itself
            natives = [native for native in self._info.devices() if native is not None]
        listed = {f"{self.kind}:{_label(native)}": native for native in natives}
        default = self._info.default_device()
        if default is None:  # the library decides anew for each array
            return listed
        name = f"{self.kind}:{_label(default)}"
        return {name: listed.pop(name, None), **listed}

    def device_name(self, array: Array) -> str:
        """The kind and the library's name for where `array` is."""
        from array_api_compat import device

        return f"{self.kind}:{_label(device(array))}"

    def asarray(self, value: Any, device: Device, dtype: DType | None, copy: bool | None) -> Array:
        """`value` on `device`, its dtype kept if it is an array; a history in the library's own graphs is left."""
        if backend_of(value) is self:
            from array_api_compat import to_device

            value = _without_history(value)
            moved = value if self.device_name(value) == device.name else to_device(value, device.native)
            return self._library.asarray(moved, dtype=dtype, copy=copy)
        if dtype is None and hasattr(value, "dtype"):
            dtype = device.dtype(value.dtype)
        shape = getattr(value, "shape", None)
        if type(value).__module__.partition(".")[0] == "numpy":
            value = value.tolist() if value.ndim == 0 or value.size == 0 else value
        array = self._library.asarray(value, dtype=dtype, device=device.native, copy=copy)
        return array if shape in (None, array.shape) else self._library.reshape(array, shape)

    def to_numpy(self, array: Array) -> Any:
        """`array` moved to the library's host device, if it has one of that name, and from there to NumPy."""
        from array_api_compat import to_device

        host = [native for name, native in self.devices().items() if native is not None and "cpu" in name.lower()]
        array = _without_history(array)
        array = to_device(array, host[0]) if host else array
        return find_device("cpu").backend.asarray(array, find_device("cpu"), None, None)

    def index(self, array: Array, index: Any) -> Any:
        """With arrays alone where the library has these alone, as the standard has."""
        parts = index if isinstance(index, tuple) else (index,)
        if not _indexing.is_mixed(self._library, array, parts) or self._mixes_indices():
            return index
        return _indexing.arrays_alone(self._library, array, parts)

    def _mixes_indices(self) -> bool:
        """Whether the library takes arrays among slices: it is asked once."""
        if self._mixes is None:
            xp = self._library
            try:
                self._mixes = xp.zeros((1, 1))[xp.zeros(1, dtype=xp.int64), :].shape == (1, 1)
            except IndexError:
                self._mixes = False
        return self._mixes

    def owned(self, array: Array) -> Array:
        """A copy: whether an array is a view of another one, the standard doesn't say. Immutable arrays stay."""
        return array if hasattr(array, "at") else self._library.asarray(array, copy=True)

    def quiet(self) -> AbstractContextManager[Any]:
        """NumPy's: it is what warns inside the libraries that are built on it."""
        return find_device("cpu").backend.quiet()

    def default_float(self, device: Device) -> DType:
        """The library's own default."""
        return self._info.default_dtypes(device=device.native)["real floating"]


def _without_history(array: Array) -> Array:
    """`array` outside of the graphs of its own library, if that differentiates too."""
    return array.detach() if getattr(array, "requires_grad", False) else array


def _label(native: Any) -> str:
    """What a library calls its device, as short text: "cpu", "cuda:0", "device1"."""
    platform = getattr(native, "platform", None)
    if platform:
        return f"{platform}:{native.id}" if native.id else str(platform)
    quoted = re.search(r"'(.+?)'", text := str(native))
    return quoted[1] if quoted else text


_PACKAGES = {"cpu": "agrad_numpy", "cuda": "agrad_cupy"}
_backends: dict[str, Backend] = {}
_devices: dict[str, Device] = {}
_by_type: dict[type, Backend | None] = {}


def find_device(name: str | Device) -> Device:
    """The device called `name`. Raises DeviceError if there is none, BackendUnavailableError if it can't be used.

    >>> find_device("cpu")
    Device('cpu')
    """
    if isinstance(name, Device):
        return name
    try:
        return _devices[name]
    except (KeyError, TypeError):
        return _make_device(name)


def _make_device(name: Any) -> Device:
    if not isinstance(name, str):
        raise DeviceError(f'a device is given by its name, e.g. "cpu" or "cuda:1", not by {name!r}')
    kind = name.partition(":")[0]
    backend = find_backend(kind, name)
    reason = backend.unavailable()
    if reason:
        raise BackendUnavailableError(f"device '{name}' can't be used: {reason}")
    known = backend.devices()
    canonical = next(iter(known)) if name == kind else name
    if canonical not in known:
        raise DeviceError(f"there is no device '{name}'; of this kind there are: {', '.join(known)}")
    device = _devices.get(canonical)
    if device is None:
        device = _devices.setdefault(canonical, Device(canonical, backend, known[canonical]))
    _devices[name] = device
    return device


def find_backend(kind: str, name: str = "") -> Backend:
    """The backend of a device kind: agrad's own, an installed package's, or a library that speaks the standard.

    Raises DeviceError if there is none; `name` is the device that was asked for, for the message.

    >>> find_backend("cpu").kind
    'cpu'
    """
    backend = _backends.get(kind)
    if backend is None:
        backend = _backends.setdefault(kind, _load_backend(kind, name))
    return backend


def _load_backend(kind: str, name: str) -> Backend:
    package = _PACKAGES.get(kind)
    if package:
        return _checked(import_module(package).backend(), kind)
    plugins = _plugins()
    if kind in plugins:
        return _checked(plugins[kind].load()(), kind)
    library = _standard_library(kind) if ":" in name and kind.isidentifier() else None
    if library is None:
        kinds = ", ".join([*_PACKAGES, *sorted(plugins)])
        raise DeviceError(
            f"there is no device '{name or kind}': known kinds are {kinds}; other array libraries are named "
            f'"<library>:<device>", e.g. "torch:cpu", and must be installed'
        )
    return GenericBackend(kind, library)


def _checked(backend: Any, kind: str) -> Backend:
    if not isinstance(backend, Backend) or backend.kind != kind:
        raise DeviceError(f"the package for device kind '{kind}' gave {backend!r}, which is not a Backend of that kind")
    return backend


def _plugins() -> dict[str, Any]:
    """The entry points of other packages; importing the metadata machinery costs 50 ms, hence only here."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group="agrad.backends")}


def _standard_library(kind: str) -> Namespace | None:
    """The namespace of the library `kind`: by array-api-compat, its `numpy` submodule, or itself."""
    for module in (f"array_api_compat.{kind}", f"{kind}.numpy", kind):
        try:
            library = import_module(module)
        except ImportError:
            continue
        if hasattr(library, "__array_namespace_info__"):
            return library
    return None


def backend_of(value: Any) -> Backend | None:
    """The backend whose array (or scalar) `value` is; None if it is no array.

    >>> import numpy
    >>> backend_of(numpy.zeros(2)).kind, backend_of([0.0, 0.0])
    ('cpu', None)
    """
    kind = type(value)
    try:
        return _by_type[kind]
    except KeyError:
        backend = _by_type[kind] = _recognise(value)
        return backend


def _recognise(value: Any) -> Backend | None:
    module = type(value).__module__.partition(".")[0]
    for kind, package in _PACKAGES.items():
        if module == _ARRAYS_FROM[kind]:
            backend = find_backend(kind)
            return backend if hasattr(value, "dtype") and package in sys.modules else None
    if isinstance(value, type) or not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return None  # a library's dtypes and devices are from the same module as its arrays
    for backend in list(_backends.values()):
        if backend.arrays_from == module:
            return backend
    from array_api_compat import array_namespace, is_array_api_obj

    if not is_array_api_obj(value):
        return None
    library = array_namespace(value)
    kind = library.__name__.removeprefix("array_api_compat.").partition(".")[0]
    return _backends.setdefault(kind, GenericBackend(kind, library))


_ARRAYS_FROM = {"cpu": "numpy", "cuda": "cupy"}


def device_of(array: Array) -> Device | None:
    """The device of a raw array; None if `array` is not one.

    >>> import numpy
    >>> device_of(numpy.zeros(2)), device_of(1.0)
    (Device('cpu'), None)
    """
    backend = backend_of(array)
    if backend is None or backend.number(array) is not None:
        return None
    return find_device(backend.device_name(array))


def transfer(array: Array, target: Device, dtype: DType | None = None) -> Array:
    """A copy of a raw array on another device, of the same dtype unless told.

    >>> import numpy
    >>> transfer(numpy.ones(2), find_device("array_api_strict:device1"))
    Array([1., 1.], dtype=array_api_strict.float64, device=array_api_strict.Device('device1'))
    """
    source = device_of(array)
    if source is not None and source.backend is not target.backend:
        return source.backend.send(array, target, dtype)
    return target.asarray(array, dtype, copy=True)


_generators: dict[str, Any] = {}
_seed: int | None = None


def generator(device: Device) -> Any:
    """The random generator of a device, made from the seed when it is first asked for."""
    found = _generators.get(device.name)
    if found is None:
        found = _generators.setdefault(device.name, device.backend.generator(device, _seed))
    return found


def seed_generators(seed: int | None) -> None:
    """Start every device's generator again from `seed`; None takes fresh entropy."""
    global _seed
    _seed = seed
    _generators.clear()


def devices() -> dict[str, str]:
    """Every device kind that agrad knows, and whether it can be used: "available", or why not.

    >>> devices()["cpu"]
    'available'
    """
    found: dict[str, str] = {}
    for kind in (*_PACKAGES, *_plugins(), *_backends):
        try:
            backend = find_backend(kind)
            reason = backend.unavailable()
        except Exception as error:  # another package's: whatever it is, the other devices are there
            reason = f"its backend can't be loaded: {error}"
        if reason:
            found.setdefault(kind, reason)
        else:
            found.update(dict.fromkeys(backend.devices(), "available"))
    return found
