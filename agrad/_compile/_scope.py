"""What a function reads besides its arguments: closure cells, globals, attributes, and what is in them.

Before a capture, `Scope` takes down everything that is within reach of the function's code. Afterwards `Scope.guards`
gives the part that the code which really ran can have read, as statements "this place holds this object" that a
replay checks. What cannot be guarded is named.

Library code (the standard library, installed packages, agrad itself) is taken to be constant.
"""

from __future__ import annotations

import dis
import functools
import importlib.util
import io
import opcode
import os
import sys
import sysconfig
import types
import weakref
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, NamedTuple

from .._graph import LEAF
from .._tensor import Tensor
from ..backend import _backends, backend_of, seed_generators
from ..nn import Model
from ..optim import Optimizer
from ._trace import is_array, is_number

LIMIT = 20_000
"""So many places are looked at; a function that can reach more runs eagerly."""

_ATOMS = (int, float, complex, str, bytes, bool, type(None), type(Ellipsis), type(NotImplemented), range, slice)
_CONSTANT = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.CodeType)
_CONTAINERS = (list, tuple, dict, set, frozenset)
_PATHS = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
PROGRAM = "agrad.compile("
"""How the file names of compiled programs begin."""
_AGRAD = __file__.rpartition("_compile")[0]


_BY_NAME = {"getattr", "setattr", "vars", "__dict__", "__getattr__", "__getattribute__", "attrgetter"}
"""Code with one of these may read any attribute."""
_EVERYWHERE = {"globals", "eval", "exec", "locals", "__import__", "import_module"}


class Place(NamedTuple):
    """A place that held `value` when the capture began: `key` of `holder`, by what `kind` says."""

    kind: str
    holder: Any
    key: Any
    value: Any
    path: str

    def now(self) -> Any:
        """What is there now; `GONE` if there is nothing."""
        try:
            return _READ[self.kind](self.holder, self.key)
        except (KeyError, IndexError, AttributeError, ValueError):
            return GONE

    def holds(self) -> bool:
        """Whether the place still holds what it held."""
        now = self.now()
        return bool(now == self.value) if self.kind == "keys" else same(now, self.value)


STRANGER = "it runs"
"""How the reason begins that may be one of a single call: what runs may be called by the interpreter."""
GONE: Any = object()
_READ: dict[str, Callable[[Any, Any], Any]] = {
    "global": lambda holder, key: holder[key],
    "absent": lambda holder, key: key in holder,
    "item": lambda holder, key: holder[key],
    "cell": lambda holder, key: holder.cell_contents,
    "attribute": getattr,
    "member": lambda holder, key: vars(holder)[key],
    "referent": lambda holder, key: holder(),
    "cache": lambda holder, key: holder.cache_info().misses,
    "size": lambda holder, key: len(holder),
    "keys": lambda holder, key: [*holder],
    "names": lambda holder, key: len(vars(holder)),
    "set": lambda holder, key: frozenset(holder),
}


def same(a: Any, b: Any) -> bool:
    """Whether `a` is `b`, or an equal value of the same type that can't change."""
    if a is b:
        return True
    alike = type(a) is type(b) and (isinstance(a, (*_ATOMS, frozenset)) or is_number(a))
    return alike and bool(a == b) and repr(a) == repr(b)


def fingerprint(array: Any) -> int:
    """A number that is another one, but for a chance of 1 in 2^64, if the array holds something else."""
    backend = backend_of(array)
    return hash(backend.to_numpy(array).tobytes())  # type: ignore[union-attr]


def is_library(path: str | None) -> bool:
    """Whether code in this file is taken to be constant."""
    if path is None or path.startswith("<frozen"):
        return True
    return is_ours(path) or (path.startswith(_PATHS) and not path.startswith("<"))


@functools.lru_cache(maxsize=4096)
def is_library_class(cls: type) -> bool:
    """Whether a class is taken to be constant, with all that its methods do."""
    methods = [value for value in vars(cls).values() if isinstance(value, types.FunctionType)]
    if cls.__module__ == "__main__" or any(not is_library(_path(f.__code__, f.__globals__)) for f in methods):
        return False
    module = sys.modules.get(cls.__module__)
    return cls.__module__ == "builtins" or is_library(getattr(module, "__file__", "<unknown>"))


def _path(code: types.CodeType, names: dict[str, Any]) -> str:
    """The file that code is from: of the methods that a library makes from text, as for a dataclass, its module's."""
    return str(names.get("__file__") or "<unknown>") if code.co_filename == "<string>" else code.co_filename


def is_ours(path: str) -> bool:
    """Whether it is a file of agrad, or of a backend, or what a compiled program says that it is from."""
    return path.startswith((_AGRAD, PROGRAM, *_backend_paths(len(_backends))))


@functools.lru_cache(maxsize=4096)
def _backend_paths(_: int) -> tuple[str, ...]:
    files = [getattr(sys.modules.get(type(x).__module__), "__file__", None) for x in _backends.values()]
    return tuple({file.rpartition(os.sep)[0] + os.sep for file in files if file})


@functools.lru_cache(maxsize=4096)
def names_of(code: types.CodeType) -> set[str]:
    """All names of globals and attributes in `code` and in the functions that it makes."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= names_of(constant)
    return found


_GLOBALS = {opcode.opmap[name] for name in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL")}
_SHIFTED = opcode.opmap["LOAD_GLOBAL"]
_EXTENDED = opcode.opmap["EXTENDED_ARG"]


@functools.lru_cache(maxsize=4096)
def globals_of(code: types.CodeType) -> set[str]:
    """The names of globals in `code` and in the functions that it makes."""
    found = set()
    high = 0
    instructions = code.co_code
    for i in range(0, len(instructions), 2):
        operation, argument = instructions[i], instructions[i + 1] | high
        high = argument << 8 if operation == _EXTENDED else 0
        if operation in _GLOBALS:
            found.add(code.co_names[argument >> 1 if operation == _SHIFTED else argument])
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= globals_of(constant)
    return found


@functools.lru_cache(maxsize=4096)
def imports_of(code: types.CodeType) -> list[tuple[str, int]]:
    """The modules that `code`, and the functions that it makes, import, each with the level of its relative import."""
    found, level = [], 0
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_CONST", "LOAD_SMALL_INT") and type(step.argval) is int:
            level = step.argval
        elif step.opname == "IMPORT_NAME":
            found.append((step.argval, level))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found += imports_of(constant)
    return found


@functools.lru_cache(maxsize=4096)
def owners_of(code: types.CodeType, name: str) -> set[str | None]:
    """Of which globals and variables `code` takes the attribute `name`; None stands for something else."""
    found: set[str | None] = set()
    before = None
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD") and step.argval == name:
            found.add(before)
        if step.opname.startswith("LOAD_"):
            before = step.argval if type(step.argval) is str and "ATTR" not in step.opname else None
        elif step.opname not in ("CACHE", "PUSH_NULL", "PRECALL"):
            before = None
    return found


def nested(code: types.CodeType) -> Iterator[types.CodeType]:
    """`code`, and the code of the functions that it makes."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from nested(constant)


class Cell(NamedTuple):
    """A number or array in a dict that an optimiser changes itself: an input, and an output where it changes."""

    holder: dict[str, Any]
    key: str
    value: Any


class Scope:
    """The snapshot of all that is within reach of some roots."""

    def __init__(self, roots: list[tuple[str, Any]]) -> None:
        self.roots = roots
        self.places: dict[int, list[Place]] = {}
        self.kept: list[Any] = []
        self.tensors: dict[int, tuple[Tensor, str]] = {}
        self.arrays: dict[int, tuple[Any, str]] = {}
        self.contents: dict[int, int] = {}
        """Fingerprints of these arrays."""
        self.reached: list[Any] = []
        """Those of them that the code which ran can have read."""
        self.cells: list[Cell] = []
        self.states: list[tuple[dict[str, Any], dict[str, Any]]] = []
        """What optimisers remember, in dicts inside of dicts, and copies of these."""
        self._celled: set[tuple[int, Any]] = set()
        self.opaque: dict[int, str] = {}
        self.names: set[str] = set()
        self.codes: set[types.CodeType] = set()
        self.count = 0
        self.too_many = False
        self._modules: dict[int, tuple[Any, str]] = {}
        stack = [(value, path) for path, value in roots]
        while stack:
            self._visit(stack)
            for module, path in list(self._modules.values()):
                self._module(module, path, stack)

    # Looking ---------------------------------------------------------------------------------------------------------

    def _visit(self, stack: list[tuple[Any, str]]) -> None:
        while stack:
            value, path = stack.pop()
            key = id(value)
            if isinstance(value, _ATOMS) or key in self.places or isinstance(value, _CONSTANT) or is_number(value):
                continue
            if isinstance(value, Tensor):
                self.tensors.setdefault(key, (value, path))
                continue
            if self.count > LIMIT:
                self.too_many = True
                return
            found = self.places[key] = []
            self.kept.append(value)
            self._look(value, path, found)
            self.count += len(found) + 1
            stack.extend((place.value, place.path) for place in found)

    def _look(self, value: Any, path: str, found: list[Place]) -> None:
        """The places that `value` has."""
        kind: type = type(value)
        if isinstance(value, types.FunctionType):
            if is_library(value.__code__.co_filename):
                self._cells(value, path, found)
            else:
                self._function(value, path, found)
        elif isinstance(value, types.MethodType):
            found.append(Place("attribute", value, "__self__", value.__self__, path.rpartition(".")[0] or path))
            found.append(Place("attribute", value, "__func__", value.__func__, path))
        elif isinstance(value, types.ModuleType):
            if not is_library(vars(value).get("__file__")):
                self._modules[id(value)] = (value, path)
        elif isinstance(value, functools.partial):
            for key in ("func", "args", "keywords"):
                found.append(Place("attribute", value, key, getattr(value, key), f"{path}.{key}"))
        elif isinstance(value, staticmethod | classmethod):
            found.append(Place("attribute", value, "__func__", value.__func__, path))
        elif isinstance(value, property):
            found.append(Place("attribute", value, "fget", value.fget, path))
        elif isinstance(value, functools.cached_property):
            found.append(Place("attribute", value, "func", value.func, path))
        elif isinstance(value, type):
            self._class(value, path, found)
        elif type(value) in _CONTAINERS or isinstance(value, _CONTAINERS):
            self._container(value, path, found)
        elif is_array(value):
            self._array(value, path)
        elif isinstance(value, Model | Optimizer):
            self._instance(value, path, found)
        elif "__wrapped__" in _vars(value):
            found.append(Place("attribute", value, "__wrapped__", value.__wrapped__, path))
            if hasattr(type(value), "cache_info"):
                found.append(Place("cache", value, None, value.cache_info().misses, f"the cache of {path}"))
            self._own(value, path, found)
        elif isinstance(value, weakref.ref):
            found.append(Place("referent", value, None, value(), path))
        elif _is_value(value):
            pass
        elif _can_be_seen(kind):
            self._instance(value, path, found)
        else:
            self.opaque[id(value)] = f"{path}, of type {type(value).__name__}"

    def _own(self, function: Any, path: str, found: list[Place]) -> None:
        """The attributes that somebody gave a function."""
        for name, item in _vars(function).items():
            if not name.startswith("_"):
                found.append(Place("attribute", function, name, item, f"{path}.{name}"))

    def _array(self, array: Any, path: str) -> None:
        self.arrays.setdefault(id(array), (array, path))
        try:
            self.contents[id(array)] = fingerprint(array)
        except (TypeError, ValueError, RuntimeError):  # of a dtype that NumPy lacks
            self.opaque[id(array)] = f"{path}, of dtype {array.dtype}"

    def _function(self, function: types.FunctionType, path: str, found: list[Place]) -> None:
        code = function.__code__
        self.names |= names_of(code)
        self.codes.update(nested(code))
        names = function.__globals__
        for name in sorted(globals_of(code)):
            if name in names:
                found.append(Place("global", names, name, names[name], name))
            else:  # a builtin, until somebody gives the module such a name
                found.append(Place("absent", names, name, False, name))
        for name, level in imports_of(code):
            self._import(f"{'.' * level}{name}", names.get("__package__"), found)
        self._cells(function, path, found)
        self._own(function, path, found)
        for key in ("__defaults__", "__kwdefaults__"):
            if getattr(function, key) is not None:
                found.append(Place("attribute", function, key, getattr(function, key), f"{path}.{key}"))

    def _cells(self, function: types.FunctionType, path: str, found: list[Place]) -> None:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                found.append(Place("cell", cell, None, cell.cell_contents, name))
            except ValueError:  # an empty cell
                continue

    def _import(self, name: str, package: str | None, found: list[Place]) -> None:
        """What an import inside a function finds, if it was imported before."""
        try:
            name = importlib.util.resolve_name(name, package)
        except ImportError:
            return
        for end in [i for i, c in enumerate(name) if c == "."] + [len(name)]:
            module = sys.modules.get(name[:end])
            if module is not None and not is_library(_vars(module).get("__file__")):
                found.append(Place("item", sys.modules, name[:end], module, name[:end]))

    def _module(self, module: Any, path: str, stack: list[tuple[Any, str]]) -> None:
        """The attributes of a module that some code names."""
        found = self.places[id(module)]
        have = {place.key for place in found}
        for name in sorted(self.names & vars(module).keys() - have):
            found.append(Place("attribute", module, name, vars(module)[name], f"{path}.{name}"))
            stack.append((vars(module)[name], f"{path}.{name}"))

    def _class(self, cls: type, path: str, found: list[Place]) -> None:
        if is_library_class(cls):
            return
        members: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            if not is_library_class(base):
                found.append(Place("attribute", cls, "__bases__", base, base.__name__))
                members.update(vars(base))
        for name, value in members.items():
            if isinstance(value, types.GetSetDescriptorType | types.MemberDescriptorType):
                continue
            plain = isinstance(value, types.FunctionType | property) or not hasattr(type(value), "__get__")
            if plain or name in vars(cls):  # of a descriptor the class itself gives something else
                found.append(Place("attribute" if plain else "member", cls, name, value, f"{path}.{name}"))

    def _container(self, value: Any, path: str, found: list[Place]) -> None:
        if isinstance(value, set | frozenset):
            if type(value) is set:
                found.append(Place("set", value, None, frozenset(value), path))
            return
        items = value.items() if isinstance(value, dict) else enumerate(value)
        if type(value) is dict and all(type(key) in (str, int) for key in value):
            found.append(Place("keys", value, None, [*value], path))
        elif not isinstance(value, tuple):
            found.append(Place("size", value, None, len(value), path))
        for key, item in items:
            if (id(value), key) not in self._celled:
                found.append(Place("item", value, key, item, f"{path}[{key!r:.40}]"))
        if type(value) not in _CONTAINERS and hasattr(value, "__dict__"):
            self._instance(value, path, found)

    def _instance(self, value: Any, path: str, found: list[Place]) -> None:
        if isinstance(value, Optimizer):
            for holder, key in value.cells():
                self._celled.add((id(holder), key))
                self.cells.append(Cell(holder, key, holder[key]))
            self.states += [(state, dict(state)) for state in _dicts(value.state)]
        found.append(Place("attribute", value, "__class__", type(value), f"type({path})"))
        attributes = dict(_vars(value))
        for base in type(value).__mro__:
            for name in _slots(base):
                if isinstance(vars(base).get(name), types.MemberDescriptorType):
                    try:
                        attributes[name] = vars(base)[name].__get__(value)
                    except AttributeError:  # nothing is there
                        continue
        if type(value).__dictoffset__:
            found.append(Place("names", value, None, len(vars(value)), path))
        for base in type(value).__mro__:
            if not is_library_class(base):
                for name, item in vars(base).items():
                    if (
                        name not in attributes
                        and not name.startswith("__")
                        and not hasattr(item, "__get__")
                        and name != "_abc_impl"
                    ):
                        attributes[name] = item
        for name, item in attributes.items():
            if (id(_vars(value)), name) not in self._celled:
                found.append(Place("attribute", value, name, item, f"{path}.{name}"))

    # Afterwards ------------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Make the states of optimisers what they were."""
        for state, was in self.states:
            state.clear()
            state.update(was)
        for cell in self.cells:
            cell.holder[cell.key] = cell.value

    def guards(
        self, ran: set[types.CodeType], library: set[types.CodeType]
    ) -> tuple[list[Place], list[Tensor], str | None]:
        """The places that the code `ran` can have read, the tensors in them, and what can't be guarded, if anything.

        What is in objects of library classes, the `library` code that ran can have read.
        """
        names = {name for code in ran for name in names_of(code)}
        inner = {name for code in library for name in names_of(code)}
        if names & _EVERYWHERE:
            return [], [], f"it uses {sorted(names & _EVERYWHERE)[0]}(), which can read anything"
        if self.too_many:
            return [], [], f"more than {LIMIT} objects are within its reach: too many to see whether they change"
        inside = {part for code in ran for part in nested(code)}
        stranger = next(iter(ran - self.codes), None)
        if names & _BY_NAME:
            every = (place for places in self.places.values() for place in places if place.kind == "attribute")
            names = self.names | {place.key for place in every}
        chosen: list[Place] = []
        tensors: dict[int, Tensor] = {}
        seen: set[int] = set()
        marks: set[tuple[int, Any, str]] = set()
        stack = [value for _, value in self.roots]
        while stack:
            value = stack.pop()
            if isinstance(value, Tensor):
                tensors[id(value)] = value
                continue
            if id(value) in seen:
                continue
            seen.add(id(value))
            if id(value) in self.contents:
                self.reached.append(value)
            if id(value) in self.opaque:
                return [], [], f"it uses {self.opaque[id(value)]}, of which nobody can tell whether it changes"
            for place in self.places.get(id(value), ()):
                if not _is_read(place, value, names, inner, inside):
                    continue
                if _is_chance(place, ran):
                    return [], [], _FOREIGN.format(place.path)
                if place.value is sys and "modules" in names:
                    return [], [], "it uses sys.modules, where it can find anything"
                if place.kind not in _COUNTING:
                    stack.append(place.value)
                mark = (id(place.holder), place.key if isinstance(place.key, str | int) else id(place.key), place.kind)
                if _can_change(place, value, ran) and mark not in marks:
                    marks.add(mark)
                    chosen.append(place)
        if stranger is not None:
            return [], [], f"{STRANGER} {stranger.co_qualname}, which it comes to in a way that can't be followed"
        return chosen, list(tensors.values()), None


def _dicts(state: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield state
    for value in state.values():
        if isinstance(value, dict):
            yield from _dicts(value)


def _is_chance(place: Place, ran: set[types.CodeType]) -> bool:
    """Whether a library's module or function is, or has inside and is asked for, a generator of random numbers."""
    value = place.value
    if isinstance(value, types.ModuleType):
        parts = value.__name__.split(".")
        if parts[0] == "agrad" or "random" in parts or not hasattr(value, "random"):
            return parts[0] != "agrad" and "random" in parts
        asked = {(code, owner) for code in ran if "random" in code.co_names for owner in owners_of(code, "random")}
        return any(owner in (None, place.path) or owner in code.co_varnames for code, owner in asked)
    if isinstance(value, Tensor) or not callable(value):
        return False
    owner = getattr(value, "__self__", None)
    module = getattr(value, "__module__", None) if owner is None else type(owner).__module__
    parts = str(module).split(".")
    return "random" in parts and parts[0] != "agrad"


def _is_value(value: Any) -> bool:
    """Whether it is a value that does not change: an enumeration's member, a dtype, a library's function or class."""
    kind = type(value)
    if isinstance(value, Enum) or "dtype" in kind.__name__.lower() or kind is object:
        return True
    module = kind.__module__
    if module.partition(".")[0] in _VALUES:
        return not module.startswith("agrad.scalar")
    return callable(value) and is_library(getattr(sys.modules.get(module), "__file__", None))


_VALUES = ("agrad", "re", "datetime", "decimal", "fractions", "pathlib", "uuid", "typing", "logging", "warnings")
_COUNTING = ("absent", "cache", "keys", "names", "size")
"""Kinds of places whose value is no object that the function could get hold of."""
_IMMUTABLE = 1 << 8
"""The flag of types that Python code can't change, as those that are written in C."""
_OPEN = (object, dict, list, tuple, set, frozenset, types.SimpleNamespace)
"""Types written in C whose state can be seen."""


@functools.lru_cache(maxsize=4096)
def _can_be_seen(cls: type) -> bool:
    """Whether what instances hold is in attributes, not in a part that is written in C, as of files and generators."""
    in_c = (base for base in cls.__mro__ if base.__flags__ & _IMMUTABLE and not issubclass(base, BaseException))
    written_in_c = any(base not in _OPEN for base in in_c)
    attributes = cls.__dictoffset__ or any("__slots__" in vars(base) for base in cls.__mro__)
    return bool(attributes) and not written_in_c and not issubclass(cls, io.IOBase)


def _vars(value: Any) -> Any:
    """The attributes that an object itself has. Asks nothing that the object could answer."""
    try:
        return object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}


@functools.lru_cache(maxsize=4096)
def _from_library(cls: type) -> bool:
    """Whether the methods of a library's class may look at an instance."""
    return any(base is not object and is_library_class(base) for base in cls.__mro__)


def _slots(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    private = f"_{cls.__name__.lstrip('_')}"
    return tuple(f"{private}{name}" if name.startswith("__") and name[-2:] != "__" else name for name in names)


def _is_read(place: Place, owner: Any, names: set[str], inner: set[str], inside: set[types.CodeType]) -> bool:
    """Whether the code that ran can have looked at the place."""
    if isinstance(owner, types.FunctionType):
        if is_library_code(owner.__code__):
            return True  # agrad's own, which is a transform around a function: what it closes over
        is_own = place.kind == "attribute" and place.key not in ("__defaults__", "__kwdefaults__")
        return place.key in names if is_own else owner.__code__ in inside
    if place.kind in ("attribute", "member") and isinstance(place.key, str):
        special = place.key in ("__self__", "__func__", "__class__", "__bases__", "func", "args", "keywords", "fget")
        special = special or place.key == "__wrapped__"
        if isinstance(owner, type) and isinstance(place.value, types.FunctionType | property):
            return True  # its own places are looked at only if it ran
        if special or place.key in names or isinstance(owner, Model | Optimizer):
            return True
        kind: type = type(owner)
        return bool(place.key in inner and _from_library(kind))
    return True


def _can_change(place: Place, owner: Any, ran: set[types.CodeType]) -> bool:
    if isinstance(owner, types.FunctionType) and is_library_code(owner.__code__):
        return False
    if place.kind == "item":
        return not isinstance(place.holder, tuple)
    if place.kind in ("attribute", "member"):
        if isinstance(place.holder, type):
            method: Any = getattr(place.value, "fget", None) or getattr(place.value, "__func__", place.value)
            if isinstance(method, types.FunctionType):
                return method.__code__ in ran
            return bool(place.key != "__bases__")
        return place.key not in ("__self__", "__func__", "func", "args", "keywords", "fget", "__wrapped__")
    return True


def is_leaf(tensor: Tensor) -> bool:
    """Whether a tensor is a constant or a leaf: no graph stands above it."""
    return tensor._node is None or tensor._node.primitive is LEAF


class Watch:
    """Sees, by the interpreter's profile hook, which code runs, and what only makes sense eagerly."""

    def __init__(self, fail: Callable[[str], None], on_gradient: Callable[[Tensor | None], None]) -> None:
        self.ran: set[types.CodeType] = set()
        self.library: set[types.CodeType] = set()
        self.fail = fail
        self.on_gradient = on_gradient
        self.before: Any = None
        self.base: Any = None

    def run(self, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """Call a function and watch."""
        self.before, self.base = sys.getprofile(), sys._getframe()
        try:
            sys.setprofile(self._event)
            return function(*args, **kwargs)
        finally:
            sys.setprofile(self.before)
            self.base = None

    def _refuse(self, frame: Any, reason: str) -> None:
        """Fail, but not for what a module does while it is imported, which is once."""
        while frame is not None and frame is not self.base:
            if frame.f_code.co_name == "<module>":
                return
            frame = frame.f_back
        self.fail(reason)

    def _event(self, frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            code = frame.f_code
            origin = _ORIGINS.get(code) or _origin(code, frame.f_globals)
            if origin == "user":
                self.ran.add(code)
            elif origin == "library":
                self.library.add(code)
            elif origin == "outside" and _asked_by(frame) == "user":
                self._refuse(frame, _OUTSIDE.format("the environment"))
            elif origin == "random":
                if _ORIGINS.get(frame.f_back.f_code) != "agrad":
                    self._refuse(frame, _FOREIGN.format(code.co_qualname))
            elif code is _GRADIENT:
                self.on_gradient(frame.f_locals["self"])
            elif code is _SEEDING:
                self._refuse(frame, "it seeds agrad.random, which a program would not do again")
            elif code is _BACKWARD and not frame.f_locals["zero_grad"]:
                self.on_gradient(None)
        elif event == "c_call":
            owner = getattr(argument, "__self__", None)
            kind = argument if owner is None or type(owner) is types.ModuleType else type(owner)
            reason = _REASONS[kind] if kind in _REASONS else _reason(kind, argument)
            if reason:  # whoever is called back in between, such as a profiler, may look at the clock
                caller = _ORIGINS.get(frame.f_code)
                if caller == "user" or (caller != "agrad" and reason.startswith(_FOREIGN[:20])):
                    self._refuse(frame, reason)


_GRADIENT = Tensor._gradient.__code__
_BACKWARD = Tensor.backward.__code__
_SEEDING = seed_generators.__code__
_ORIGINS: dict[types.CodeType, str] = {}
"""Of code that ran: "user", "agrad", "library", "random" for the standard library's generators, or "outside"."""
_REASONS: dict[Any, str | None] = {}
"""Of C functions of modules, and of types whose methods were called: why they make every call another one, if so."""
_OUTSIDE = "it asks for something from outside Python ({})"
_FOREIGN = "it draws from a foreign generator ({}): what agrad.random draws is drawn anew in every call"


def _asked_by(frame: Any) -> str:
    """Whose code called what the library is doing in this frame."""
    while frame is not None:
        origin = _ORIGINS.get(frame.f_code) or _origin(frame.f_code, frame.f_globals)
        if origin in ("user", "agrad"):
            return origin
        frame = frame.f_back
    return "library"


def _origin(code: types.CodeType, names: dict[str, Any]) -> str:
    path = _path(code, names)
    if is_ours(path) and not str(names.get("__name__")).startswith("agrad.scalar"):
        origin = "agrad"
    elif str(names.get("__name__")).startswith("namedtuple_"):  # made by collections from text
        origin = "library"
    elif not is_library(path):
        origin = "user"
    else:
        origin = "random" if str(names.get("__name__")) in ("random", "secrets") else "library"
        if code.co_qualname.startswith("_Environ.__") and names.get("__name__") == "os":
            origin = "outside"
    if len(_ORIGINS) > LIMIT:  # of functions made while the program runs
        _ORIGINS.clear()
    _ORIGINS[code] = origin
    return origin


def _reason(kind: Any, function: Any) -> str | None:
    """Why a C function makes every call another one: chance, clocks, files."""
    module = kind.__module__ if isinstance(kind, type) else getattr(function.__self__, "__name__", "")
    parts = str(module).replace("_", ".").split(".")
    name = getattr(function, "__qualname__", repr(function))
    reason: str | None = None
    if "random" in parts or name in ("urandom", "getrandbits"):
        reason = _FOREIGN.format(name)
    elif "time" in parts or "datetime" in parts or (module == "builtins" and name in ("input", "open")):
        reason = _OUTSIDE.format(name)
    _REASONS[kind] = reason
    return reason


@functools.lru_cache(maxsize=4096)
def is_library_code(code: types.CodeType) -> bool:
    """Whether this code is taken to be constant."""
    return is_library(code.co_filename)
