"""The program of one capture: checks, loading, the executor's lines, storing. Generated as source and compiled.

`replay(args, kwargs)` gives `_MISS` where the call is not the one that was captured, and has then changed nothing.
Nothing is stored before everything is computed.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable
from itertools import count
from sys import getrefcount
from threading import Lock
from typing import Any

from .. import _tensor
from .._graph import COMPILED, LEAF, Node, next_number
from .._modes import current_mode
from .._tensor import NOT_KEPT, Tensor
from ..backend import Body, Device, backend_of
from ._scope import PROGRAM, Place, fingerprint, same
from ._trace import Var, active, is_number

MISS: Any = object()
"""What a program gives for a call that is not the one that was recorded."""
BUSY: Any = object()
"""What it gives while it runs already."""
_numbers = count(1)
_EQUAL = (int, float, complex, str, bytes, frozenset, range, slice)


class Handle:
    """A Tensor that the function reads or rebinds, as it was before and as it is after a run."""

    def __init__(self, tensor: Tensor, path: str, argument: str | None) -> None:
        self.tensor = tensor
        self.path = path
        self.argument = argument
        """The expression that gives it from the arguments; None where it is always the same tensor."""
        self.device = tensor._device
        self.value = tensor._value
        self.node = tensor._node
        self.grad = tensor._grad
        self.written = tensor._written
        self.var: Var | None = None
        self.new: Var | None = None
        """What its value becomes."""
        self.gradient: Var | None = None
        self.is_written = False
        """Whether a gradient waits for an update after the run."""

    def restore(self) -> None:
        """Make the tensor what it was."""
        tensor = self.tensor
        tensor._device, tensor._value, tensor._node = self.device, self.value, self.node
        tensor._grad, tensor._written = self.grad, self.written


class Writer:
    """Writes the program. Names are given by what they stand for, so that the source can be read."""

    def __init__(self, mode: int, keep_grads: bool) -> None:
        lock = Lock()
        self.mode = mode
        self.keep_grads = keep_grads
        self.checks: list[str] = []
        self.loads: list[str] = []
        self.nodes: list[str] = []
        self.stores: list[str] = []
        self.names: dict[str, Any] = {
            "_MISS": MISS,
            "_BUSY": BUSY,
            "_mode": current_mode,
            "_tracing": active,
            "_same": same,
            "_new": object.__new__,
            "_Tensor": Tensor,
            "_leaf": _leaf,
            "_waiting": _waiting,
            "_NOT_KEPT": NOT_KEPT,
            "_no_tape": _tensor._no_tape,
            "_leaf_node": _tensor._leaf_node,
            "_references": getrefcount,
            "_running": lock.locked,
            "_alone": lock,
        }
        self.globals: set[str] = set()
        self.held: dict[int, str] = {}
        self.variables: dict[Var, str] = {}
        self.tensors: dict[int, str] = {}
        self.lasts: dict[int, str] = {}

    def name(self, wanted: str, value: Any = None) -> str:
        """A name that nothing has yet, close to `wanted`."""
        clean = _NO_NAME.sub("_", wanted).strip("_") or "x"
        if clean[0].isdigit() or clean[1:].isdigit():  # v1, c2, b3 are the executors' names
            clean = f"x_{clean}"
        name = clean
        for i in count(2):
            if name not in self.names and name not in _RESERVED:
                break
            name = f"{clean}_{i}"
        self.names[name] = value
        return name

    def hold(self, wanted: str, value: Any) -> str:
        """The name of an object, which the program holds."""
        name = self.held.get(id(value))
        if name is None:
            name = self.held[id(value)] = self.name(wanted, value)
        return name

    # Checks ----------------------------------------------------------------------------------------------------------

    def structure(self, checks: list[str]) -> None:
        """What the arguments have to be."""
        self.checks += checks

    def guard(self, place: Place) -> None:
        """A place that has to hold what it held."""
        holder = self.hold(f"_in_{place.path.rpartition('.')[0] or 'globals'}", place.holder)
        key = place.key if isinstance(place.key, str | int | bool | None) else self.hold("_key", place.key)
        text = repr(key) if isinstance(place.key, str | int | bool | None) else key
        now = {
            "global": f"{holder}[{text}]",
            "absent": f"({text} in {holder})",
            "item": f"{holder}[{text}]",
            "cell": f"{holder}.cell_contents",
            "attribute": f"{holder}.{key}" if str(key).isidentifier() else f"getattr({holder}, {text})",
            "member": f"{holder}.__dict__[{text}]",
            "referent": f"{holder}()",
            "size": f"len({holder})",
            "keys": f"[*{holder}]",
            "names": f"len({holder}.__dict__)",
            "set": f"frozenset({holder})",
        }[place.kind]
        if place.value is None or isinstance(place.value, bool):
            self.checks.append(f"{now} is not {place.value}")
        elif place.kind in ("size", "names", "keys"):
            self.checks.append(f"{now} != {place.value}")
        elif isinstance(place.value, _EQUAL) or is_number(place.value):
            value = self.name(f"_was_{place.path}", place.value)
            self.checks.append(f"({now} is not {value} and not _same({now}, {value}))")
        else:
            self.checks.append(f"{now} is not {self.hold(f'_was_{place.path}', place.value)}")

    def content(self, array: Any, path: str, was: int) -> None:
        """An array that has to hold what it held."""
        self.names["_fingerprint"] = fingerprint
        self.checks.append(f"_fingerprint({self.hold(path, array)}) != {was}")

    # Loading ---------------------------------------------------------------------------------------------------------

    def handle(self, handle: Handle) -> None:
        """Load a tensor's value, and check that it is one as it was."""
        tensor = handle.tensor
        if handle.argument is None:
            name = self.hold(f"_{handle.path}_", tensor)
        else:
            name = self.name(f"_{handle.path}_")
            self.loads += [f"{name} = {handle.argument}", f"if {name}.__class__ is not _Tensor: return _MISS"]
        self.tensors[id(tensor)] = name
        value, last = self.name(handle.path), self.name(f"_last_{handle.path}")
        is_constant = handle.node is None
        fits = self.name(f"_fits_{handle.path}", _fits(tensor._device, handle.value, is_constant))
        another = f"{value} is not {last}" + (f" or {name}._node is not None" if is_constant else "")
        self.loads += [f"{value} = {name}._value", f"if {another}: {last} = {fits}({name}, {value})"]
        if not is_constant:
            node, word = self.name(f"_node_{handle.path}"), "not " if handle.written is None else ""
            leaf = "_leaf" if handle.written is None else "_waiting"
            self.globals.add(node)
            self.loads.append(
                f"if {name}._node is not {node} or {name}._written is {word}None: {node} = {leaf}({name})"
            )
        self.globals.add(last)
        self.lasts[id(tensor)] = last
        if handle.var is not None:
            self.variables[handle.var] = value

    def distinct(self, first: Handle, second: Handle) -> None:
        """Two tensors are two, or one, as they were."""
        a, b = self.tensors[id(first.tensor)], self.tensors[id(second.tensor)]
        self.loads.append(f"if {a} is {b}: return _MISS")

    def array(self, var: Var, path: str, expression: str | None) -> None:
        """Load a raw array, an argument or one that is always the same object."""
        if expression is None:
            self.variables[var] = self.hold(path, var.value)
            return
        self.variables[var] = name = self.name(path)
        fits = self.name(f"_fits_{path}", _fits_array(var.value))
        self.loads += [f"{name} = {expression}", f"if not {fits}({name}): return _MISS"]

    def number(self, var: Var, path: str, expression: str) -> None:
        """Load a number of the host."""
        self.variables[var] = name = self.name(path)
        kind = type(var.value).__name__
        self.loads.append(f"{name} = {expression}")
        if kind == "float":
            self.loads += [
                f"if {name}.__class__ is not float:",
                f"    if not isinstance({name}, float): return _MISS",
                f"    {name} = float({name})",
            ]
        else:
            self.loads.append(f"if {name}.__class__ is not {kind}: return _MISS")

    # Storing ---------------------------------------------------------------------------------------------------------

    def store(self, handle: Handle, results: dict[Any, str]) -> None:
        """Give a tensor its new value.

        What has to be called for that is in `nodes`; `stores` are assignments alone. The interpreter looks for
        interrupts in calls and loops, so one comes before all of them or after.
        """
        name = self.tensors[id(handle.tensor)]
        if handle.new is not None:
            new = results[handle.new]
            self.stores.append(f"{name}._value = {self.lasts[id(handle.tensor)]} = {new}")
        if handle.node is not None and (handle.new is not None or handle.gradient is not None):
            kept = self.keep_grads and handle.gradient is not None
            if handle.new is not None:
                node = self.name(f"_new_{handle.path}")
                self.nodes.append(f"{node} = _leaf_node({name}) if _references({name}._node) > 3 else {name}._node")
                self.stores.append(f"{name}._node = {node}")
            if handle.gradient is not None:
                self.stores.append(f"{name}._grad = {results[handle.gradient] if kept else '_NOT_KEPT'}")
            if handle.is_written or handle.written is not None:  # else it is None already
                self.stores.append(f"{name}._written = {'_no_tape' if handle.is_written else None}")

    # The program -----------------------------------------------------------------------------------------------------

    def replay(self, body: Body, result: str, making: list[str]) -> str:
        """The text of `replay`, which is one call."""
        lines = [*body.lines, *self.nodes, *making, *self.stores, f"return {result}"]
        return self._function("replay(args, kwargs)", lines)

    def loop(self, body: Body, carried: dict[str, str], recorded: list[str]) -> str:
        """The text of `loop`, which is many calls with the same arguments.

        `carried` are the variables that the next turn finds changed. `kept` gets what is `recorded` of each turn. An
        error leaves the state of the last turn that was finished.
        """
        turn = [line.replace("return _MISS", "break") for line in body.lines[body.once :]]
        turn.append(f"turn = ({', '.join(recorded)}{',' if recorded else ''})")
        stored = {line.rpartition(" = ")[2] for line in self.stores} & {*body.results.values()}
        finished = {**carried, **{f"last_{new}": new for new in stored - {*carried.values()}}, "finished": "True"}
        turn.append(f"{', '.join(finished)} = {', '.join(finished.values())}")
        turn.append("kept.append(turn)")
        after = {new: name for name, new in finished.items()}
        stores = [*self.nodes, *[_renamed(line, after) for line in self.stores]]
        lines = ["finished = False", "try:", *[f"    {line}" for line in body.lines[: body.once]]]
        lines += ["    for _ in range(turns):", *[f"        {line}" for line in turn]]
        lines += ["finally:", "    if finished:", *[f"        {line}" for line in stores or ["pass"]]]
        return self._function("loop(turns, kept, args, kwargs)", lines)

    def _function(self, head: str, body: list[str]) -> str:
        lines = [f"def {head}:"]
        if self.globals:
            lines.append(f"    global {', '.join(sorted(self.globals))}")
        checks = [f"_tracing or _mode() != {self.mode}", *self.checks]
        lines += ["    try:", "        if ("]
        lines += [f"            {'or ' if i else ''}{check}" for i, check in enumerate(checks)]
        lines += ["        ):", "            return _MISS"]
        lines += [f"        {line}" for line in self.loads]
        lines.append(
            "    except (AttributeError, LookupError, ValueError): return _MISS  # or a name, key or cell is gone"
        )
        # The buffers are those of one call at a time: another thread's, or one from a signal's handler, runs eagerly.
        # An interrupt can't come between the lock and the block, as it could between a call of `acquire` and a `try`.
        lines += ["    if _running(): return _BUSY", "    with _alone:"]
        lines += [f"        {line}" for line in body]
        return "\n".join(lines) + "\n"


def _renamed(line: str, names: dict[str, str]) -> str:
    """A storing line that stores a variable under another name."""
    head, equals, value = line.rpartition(" = ")
    return f"{head}{equals}{names.get(value, value)}"


_NO_NAME = re.compile(r"\W")
_RESERVED = {*dir(builtins), *keyword.kwlist, "args", "kwargs", "replay", "loop", "turns", "turn", "finished", "kept"}


def build(function: str, source: str, names: dict[str, Any], title: str) -> Callable[..., Any]:
    """Compile the text of a function; tracebacks through it show its lines."""
    filename = f"{PROGRAM}{title}) #{next(_numbers)}"
    names["__name__"], names["__loader__"] = filename, _Loader(source)
    exec(compile(source, filename, "exec"), names)
    built: Callable[..., Any] = names.pop(function)  # else a cycle would keep the program until it is collected
    return built


class _Loader:
    """What tracebacks ask for the source."""

    def __init__(self, source: str) -> None:
        self.source = source

    def get_source(self, name: str) -> str:
        return self.source


def _leaf(tensor: Tensor) -> Any:
    """The node of a leaf without a gradient that waits for an update. Raises LookupError for another tensor."""
    if tensor._node is None or tensor._node.primitive is not LEAF or tensor._written is not None:
        raise LookupError("the program is for a leaf")
    return tensor._node


def _waiting(tensor: Tensor) -> Any:
    """The node of a leaf with a gradient that waits for an update. Raises LookupError for another tensor."""
    if tensor._node is None or tensor._node.primitive is not LEAF or tensor._written is None:
        raise LookupError("the program is for a leaf with a gradient")
    return tensor._node


def _fits(device: Device, value: Any, is_constant: bool) -> Callable[[Any, Any], Any]:
    shape, dtype, backend = value.shape, value.dtype, device.backend

    def fits(tensor: Any, array: Any) -> Any:
        """The array of a tensor on the device, and of the shape and dtype, that the program is for; or LookupError."""
        if (
            (is_constant and tensor._node is not None)
            or tensor._device is not device
            or backend_of(array) is not backend
            or array.shape != shape
            or array.dtype != dtype
        ):
            raise LookupError("the program is for other arrays")
        return array

    return fits


def _fits_array(value: Any) -> Callable[[Any], bool]:
    shape, dtype, backend = value.shape, value.dtype, backend_of(value)
    place = backend.device_name(value)  # type: ignore[union-attr]

    def fits(array: Any) -> bool:
        """Whether an array is on the device, and of the shape and dtype, that the program is for."""
        return (
            backend_of(array) is backend
            and array.shape == shape
            and bool(array.dtype == dtype)
            and backend.device_name(array) == place  # type: ignore[union-attr]
        )

    return fits


def compiled_node(shape: Any, dtype: Any, device: Device) -> Node:
    """The node of the tensors that a program gives in the place of tracked ones: `backward()` on them says why not."""
    node = Node()
    node.primitive = COMPILED
    node.a = node.b = node.k1 = node.k2 = node.ky = node.params = node.handle = node.held = None
    node.shape, node.dtype, node.device, node.number = shape, dtype, device, next_number()
    return node
