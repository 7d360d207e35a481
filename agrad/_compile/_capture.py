"""One call of a function, run for real and recorded, and made into a program.

The call's results and effects are the true ones, whatever comes of the program. Where there can be none,
`Capture.reason` says why.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from sys import getrefcount
from typing import Any

from .._engine import topological
from .._errors import GraphError
from .._graph import LEAF, Node, Tape
from .._modes import current_mode
from .._tensor import NOT_KEPT, Tensor
from ..backend import Body, Device, backend_of, device_of, find_device, switching
from ._plan import Plan, make_plan
from ._program import Handle, Writer, build, compiled_node
from ._reference import reference
from ._scope import _ATOMS, STRANGER, Cell, Scope, Watch, fingerprint, is_leaf
from ._trace import Number, Placeholder, Trace, Var, insist, is_array, is_number, real, recording


class Program:
    """What a capture came to: a function `replay`, its source, and figures about it."""

    def __init__(self, writer: Writer, plan: Plan, body: Body, title: str, signature: str) -> None:
        self.writer = writer
        self.plan = plan
        self.body = body
        self.title = title
        self.signature = signature
        self.carried: dict[str, str] = {}
        """The variables that a call changes for the next one, and what they become."""
        self.recorded: list[str] = []
        """The variables of what a call's result holds."""
        self.device = find_device("cpu")
        self.place: Device | None = None
        """The device that has to be the current one while it runs."""
        self.source = ""
        self.replay: Callable[..., Any] = _no_replay
        self._loop: Callable[..., Any] | None = None

    def loop(self) -> Callable[..., Any]:
        """The program of many calls, made when it is first asked for."""
        if self._loop is None:
            source = self.writer.loop(self.body, self.carried, self.recorded)
            self._loop = self.build("loop", source, dict(self.writer.names))
        return self._loop

    def build(self, name: str, source: str, names: dict[str, Any]) -> Callable[..., Any]:
        """The function of this name in `source`, which runs at the program's place."""
        function = build(name, source, names, self.title)
        return function if self.place is None else self.place.entering(function)


def _no_replay(args: Any, kwargs: Any) -> Any:
    raise AssertionError("a program is built before it runs")


class Failed(Exception):
    """The run could not be recorded; it raised what it would not have raised eagerly, or so it may be."""


class Leaf:
    """One argument, or one item of an argument that is a list, tuple or dict."""

    __slots__ = ("expression", "path", "value")

    def __init__(self, value: Any, expression: str, path: str) -> None:
        self.value = value
        self.expression = expression
        self.path = path


def flatten(args: tuple[Any, ...], kwargs: dict[str, Any], names: list[str]) -> tuple[list[Leaf], list[str]]:
    """The leaves of the arguments, and what has to hold of their structure, as Python expressions."""
    leaves: list[Leaf] = []
    checks = [f"len(args) != {len(args)}", f"len(kwargs) != {len(kwargs)}" if kwargs else "kwargs"]

    def look(value: Any, expression: str, path: str) -> None:
        if type(value) in (list, tuple):
            checks.append(f"{expression}.__class__ is not {type(value).__name__} or len({expression}) != {len(value)}")
            for i, item in enumerate(value):
                look(item, f"{expression}[{i}]", f"{path}_{i}")
        elif type(value) is dict and all(type(key) in (str, int) for key in value):
            checks.append(f"{expression}.__class__ is not dict or len({expression}) != {len(value)}")
            checks.extend(f"{key!r} not in {expression}" for key in value)
            for key, item in value.items():
                look(item, f"{expression}[{key!r}]", f"{path}_{key}")
        else:
            leaves.append(Leaf(value, expression, path))

    for i, value in enumerate(args):
        look(value, f"args[{i}]", names[i] if i < len(names) else f"args_{i}")
    for key in kwargs:
        checks.append(f"{key!r} not in kwargs")
    for key, value in kwargs.items():
        look(value, f"kwargs[{key!r}]", key)
    return leaves, checks


def rebuild(tree: Any, leaves: Iterator[Any]) -> Any:
    """Arguments of the same structure with other leaves, in the order of `flatten`."""
    if type(tree) in (list, tuple):
        return type(tree)([rebuild(item, leaves) for item in tree])
    if type(tree) is dict and all(type(key) in (str, int) for key in tree):
        return {key: rebuild(item, leaves) for key, item in tree.items()}
    return next(leaves)


class Capture:
    """Runs `function` once, and tries to make a program of what it did."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], keep_grads: bool
    ) -> None:
        self.function, self.args, self.kwargs, self.keep_grads = function, args, kwargs, keep_grads
        self.mode = current_mode()
        self.reason: str | None = None
        self.program: Program | None = None
        self.passing = False
        """Whether the reason is one of this call alone."""
        code = getattr(_innermost(function), "__code__", None)
        names = list(code.co_varnames[: code.co_argcount]) if code else []
        self.leaves, self.structure = flatten(args, kwargs, names)
        roots = [(leaf.path, leaf.value) for leaf in self.leaves if not _is_input(leaf.value)]
        self.scope = Scope([(_name(function), function), *roots])
        self.handles: dict[int, Handle] = {}
        self.arrays: list[tuple[Var, str, str | None]] = []
        self.numbers: list[tuple[Var, str, str]] = []
        self.cells: list[tuple[Cell, Var]] = []
        self.changed: list[tuple[Cell, Var, Var]] = []
        self.made: dict[int, str] = {}
        """The variables of the program's new tensors, by the ids of the recorded call's."""
        self.place: Device | None = None

    # The run ---------------------------------------------------------------------------------------------------------

    def run(self) -> Any:
        """What the function gives. Raises what it raises, with all tensors as they were."""
        self.find_handles()
        if any(handle.node is not None and handle.node.primitive is not LEAF for handle in self.handles.values()):
            self.passing = True
            self.reason = "a tensor that it reads is part of a graph outside: it just ran"
            return self.function(*self.args, **self.kwargs)
        devices = {handle.tensor._device for handle in self.handles.values()}
        self.trace = trace = Trace(next(iter(devices)).backend.fused if len(devices) == 1 else frozenset())
        watch = Watch(trace.fail, self._reads_gradient)
        finished = False
        with recording(trace):  # until no tensor has a placeholder any more, since other threads may read them
            try:
                leaves = iter(self._inputs())
                args, kwargs = rebuild(self.args, leaves), rebuild(self.kwargs, leaves)
                result = watch.run(self.function, args, kwargs)
                del args, kwargs, leaves
                finished = True
                self.reason = trace.reason
                trace.close()
                outcome = None if self.reason else self._outcome(result)
            except BaseException as error:
                if finished:
                    raise
                raise Failed(trace.reason or f"it can't be recorded: {type(error).__name__}: {error}") from error
            finally:
                if finished:
                    result = insist(lambda: self._materialise(result))
                else:
                    insist(self._undo)
        if outcome is not None:
            self._finish(outcome, watch.ran, watch.library)
        trace.forget()
        return result

    def find_handles(self) -> None:
        for leaf in self.leaves:
            if isinstance(leaf.value, Tensor):
                self.handles.setdefault(id(leaf.value), Handle(leaf.value, leaf.path, leaf.expression))
        for key, (tensor, path) in self.scope.tensors.items():
            self.handles.setdefault(key, Handle(tensor, path, None))

    def _inputs(self) -> list[Any]:
        """Make Vars of all that may be read; what stands for the leaves of the arguments."""
        trace = self.trace
        replaced: list[Any] = []
        for handle in self.handles.values():
            handle.var = trace.var(handle.value)
            handle.tensor._value = trace.placeholder(handle.value, handle.var)
        for leaf in self.leaves:
            value = leaf.value
            if isinstance(value, float):
                var = trace.var(float(value))
                self.numbers.append((var, leaf.path, leaf.expression))
                replaced.append(Number(float(value), trace, var))
            elif not isinstance(value, Tensor) and _is_input(value):
                var = trace.var(value)
                self.arrays.append((var, leaf.path, leaf.expression))
                replaced.append(trace.placeholder(value, var))
            else:
                replaced.append(value)
        for array, path in self.scope.arrays.values():
            self.arrays.append((trace.input(array), path, None))
        for cell in self.scope.cells:
            if type(cell.value) in (int, float):
                var = trace.var(cell.value)
                cell.holder[cell.key] = Number(cell.value, trace, var)
            elif is_array(cell.value):
                var = trace.var(cell.value)
                cell.holder[cell.key] = trace.placeholder(cell.value, var)
            else:
                continue
            self.cells.append((cell, var))
        return replaced

    def _reads_gradient(self, tensor: Tensor | None) -> None:
        """A gradient is read (of all tensors, for None): one from before would not be there in a replay."""
        handles = self.handles.values() if tensor is None else [self.handles.get(id(tensor))]
        for handle in handles:
            if handle is not None and handle.node is not None and type(handle.tensor._grad) is not Placeholder:
                self.trace.fail(f"it reads or adds to a gradient of {handle.path} from before the call")

    # What came of it -------------------------------------------------------------------------------------------------

    def _outcome(self, result: Any) -> Any:
        """How to make the result, after a look at what the run did; None, with the reason, where that can't be."""
        self.outputs: list[Var] = []
        try:
            self._effects()
            self.place = self._place()
            return self._result(result, self._swept(result))
        except _NoProgram as why:
            self.reason = str(why)
            return None

    def _place(self) -> Device | None:
        """The device that has to be the current one for what was recorded."""
        if not switching:
            return None
        values = [var.value for op in self.trace.ops for var in [*op.outs, *op.uses()]]
        places = {device_of(value) for value in values if is_array(value)} & set(switching)
        if len(places) > 1:
            names = " and ".join(sorted(f"'{place}'" for place in places))
            raise _NoProgram(f"it computes on {names}: compile what is done on each")
        return next(iter(places), None)

    def _finish(self, outcome: Any, ran: set[Any], library: set[Any]) -> None:
        """Make the program, or say why there is none."""
        places, tensors, self.reason = self.scope.guards(ran, library)
        if self.reason:
            self.passing = self.reason.startswith(STRANGER)
            return
        self.writer = writer = Writer(self.mode, self.keep_grads)
        writer.structure(self.structure)
        for leaf in self.leaves:
            if not _is_input(leaf.value):
                self._static_argument(leaf)
        contents = self.scope.contents
        changed = [place.path for place in places if not _still(place)]
        changed += [self.scope.arrays[id(x)][1] for x in self.scope.reached if fingerprint(x) != contents[id(x)]]
        if changed:
            self.passing = True
            self.reason = f"{changed[0]} is changed by the call itself"
            return
        used = {*self.outputs, *[x for op in self.trace.ops for x in op.uses()]} if self.scope.reached else set()
        for array in self.scope.reached:
            if self.trace.known[id(array)] not in used:  # Python may have taken elements out of it
                writer.content(array, self.scope.arrays[id(array)][1], contents[id(array)])
        for place in places:
            if place.kind != "cache":  # somebody else's use of it changes nothing
                writer.guard(place)
        write = self._write if self.place is None else self.place.entering(self._write)
        write(outcome, {id(tensor) for tensor in tensors})
        if not self.keep_grads:
            for handle in self.handles.values():
                if handle.gradient is not None:
                    handle.tensor._grad = NOT_KEPT

    def _static_argument(self, leaf: Leaf) -> None:
        value = leaf.value
        if value is None or isinstance(value, bool):
            self.writer.checks.append(f"{leaf.expression} is not {value}")
        elif isinstance(value, _ATOMS) or is_number(value):
            name = self.writer.name(f"_was_{leaf.path}", value)
            self.writer.checks.append(f"({leaf.expression} is not {name} and not _same({leaf.expression}, {name}))")
        else:
            self.writer.checks.append(f"{leaf.expression} is not {self.writer.hold(f'_was_{leaf.path}', value)}")

    def _effects(self) -> None:
        """What the run did to the tensors from outside, and to the cells of optimisers."""
        for handle in self.handles.values():
            tensor = handle.tensor
            node = tensor._node
            if (node is None) != (handle.node is None) or not is_leaf(tensor):
                raise _NoProgram(
                    f"{handle.path} takes part in a graph after the call, which somebody may differentiate"
                )
            if tensor._device is not handle.device:
                raise _NoProgram(f"{handle.path} is moved to another device")
            new = self._var(tensor._value, handle.path)
            handle.new = None if new is handle.var else new
            if type(tensor._grad) is Placeholder:
                handle.gradient = tensor._grad._var
                handle.is_written = tensor._written is not None
            elif tensor._grad is not handle.grad:
                raise _NoProgram(f"the gradient of {handle.path} is set by hand")
        for cell, var in self.cells:
            now = cell.holder.get(cell.key)
            if not isinstance(now, Placeholder | Number):
                raise _NoProgram(f"the state {cell.key!r} of an optimiser is set by hand")
            if now._var is not var:
                self.outputs.append(now._var)
                self.changed.append((cell, var, now._var))

    def _var(self, value: Any, path: str) -> Var:
        if type(value) is Placeholder and value._trace is self.trace:
            return value._var
        found = self.trace.known.get(id(value))
        if found is None:
            raise _NoProgram(f"{path} is given an array that agrad's functions did not make")
        return found

    def _swept(self, result: Any) -> set[Node]:
        """The nodes through which a backward pass went inside the call, from something that it returns."""
        found: set[Node] = set()
        for tensor in _tensors(result):
            if isinstance(tensor._written, Tape):
                found.update(tensor._written.nodes)
        return found

    def _result(self, tree: Any, swept: set[Node]) -> Any:
        """How to make what the function returned: nested tuples of a kind and what it takes."""
        if isinstance(tree, Tensor):
            return self._tensor_result(tree, swept)
        if type(tree) is Placeholder or type(tree) is Number:
            self.outputs.append(tree._var)
            return "array" if type(tree) is Placeholder else "number", tree._var
        if type(tree) in (list, tuple) or (isinstance(tree, tuple) and hasattr(tree, "_fields")):
            return "sequence", type(tree), [self._result(item, swept) for item in tree]
        if type(tree) is dict:
            return "dict", {key: self._result(item, swept) for key, item in tree.items()}
        known = id(tree) in self.scope.places or any(tree is leaf.value for leaf in self.leaves)
        if isinstance(tree, _ATOMS) or (known and not is_array(tree)):
            return "same", tree
        if is_array(tree):
            var = self._var(tree, "the result")
            self.outputs.append(var)
            return "array", var
        raise _NoProgram(f"it returns a {type(tree).__name__}, which can't be made again")

    def _tensor_result(self, tensor: Tensor, swept: set[Node]) -> Any:
        handle = self.handles.get(id(tensor))
        if handle is not None:
            return "handle", handle
        node = tensor._node
        if node is not None and node.primitive is LEAF:
            raise _NoProgram("it returns a new leaf, which somebody may differentiate with respect to")
        if node is not None and node not in swept and not _is_stale(node):
            raise _NoProgram(
                "its result takes part in a graph, which somebody may differentiate: compile a function that "
                "calls backward(), or agrad.grad(f); or call it under agrad.no_grad()"
            )
        var = self._var(tensor._value, "the result")
        self.outputs.append(var)
        return "tensor", var, tensor._device, node is not None, id(tensor)

    # Writing ---------------------------------------------------------------------------------------------------------

    def _write(self, spec: Any, guarded: set[int]) -> None:
        trace, writer = self.trace, self.writer
        handles = list(self.handles.values())
        for handle in handles:
            self.outputs += [var for var in (handle.new, handle.gradient if self.keep_grads else None) if var]
        inputs = [handle.var for handle in handles if handle.var is not None]
        inputs += [var for var, *_ in self.arrays] + [var for var, *_ in self.numbers] + [var for _, var in self.cells]
        everywhere = [*{handle.device for handle in handles}, *_devices_of(spec), find_device("cpu")]
        plan = make_plan(everywhere[0].xp, trace.ops, dict.fromkeys(inputs), self.outputs)
        read = set(plan.inputs)
        devices = {handle.device for handle in handles if handle.var in read} | _devices_of(spec)
        libraries = {backend_of(var.value) for op in plan.ops for var in op.outs if var.dtype is not None}
        device = next(iter(devices)) if len(devices) == 1 and len(libraries) <= 1 else None
        loaded = []
        for handle in handles:
            changes = handle.new is not None or handle.gradient is not None
            if (
                handle.argument
                or handle.var in read
                or changes
                or id(handle.tensor) in guarded
                or _mentions(spec, handle)
            ):
                writer.handle(handle)
                loaded.append(handle)
        self._aliases(loaded, guarded)
        for var, path, expression in self.arrays:
            if expression or var in read:
                writer.array(var, path, expression)
        for var, path, expression in self.numbers:
            writer.number(var, path, expression)
        for cell, var in self.cells:
            holder = writer.hold("_state", cell.holder)
            if type(cell.value) in (int, float):
                writer.number(var, cell.key, f"{holder}[{cell.key!r}]")
            else:
                writer.array(var, cell.key, f"{holder}[{cell.key!r}]")
        plan.names = writer.variables
        changing = {handle.var for handle in loaded if handle.new is not None and handle.var is not None}
        plan.put_first_what_stays(changing | {var for _, var, _ in self.changed})
        body = None if device is None else device.backend.executor(plan, device)
        if body is None:
            body = reference(plan, device or everywhere[0])
        program = Program(writer, plan, body, _name(self.function), self._signature())
        results = dict(zip(self.outputs, [body.results[var] for var in plan.outputs], strict=True))
        for handle in loaded:
            writer.store(handle, results)
            if handle.new is not None and handle.var in writer.variables:
                program.carried[writer.variables[handle.var]] = results[handle.new]
        for cell, var, new in self.changed:
            writer.stores.append(f"{writer.hold('_state', cell.holder)}[{cell.key!r}] = {results[new]}")
            program.carried[writer.variables[var]] = results[new]
        making: list[str] = []
        result = self._making(spec, results, making)
        writer.names.update(body.names)
        program.recorded = [results.get(var) or writer.variables[var] for var in _recorded(spec)]
        program.source = writer.replay(body, result, making)
        program.device, program.place = device or everywhere[0], self.place
        program.replay = program.build("replay", program.source, writer.names)
        plan.forget()
        self.program = program

    def _aliases(self, handles: list[Handle], guarded: set[int]) -> None:
        """Tensors that were two have to be so again where it matters, and those that were one have to be one again."""
        for i, handle in enumerate(handles):
            if handle.argument and id(handle.tensor) in guarded:  # the function finds it elsewhere too
                name = self.writer.tensors[id(handle.tensor)]
                held = self.writer.hold(f"_known_{handle.path}", handle.tensor)
                self.writer.loads.append(f"if {name} is not {held}: return _MISS")
            for other in handles[:i]:
                if not (handle.argument or other.argument):
                    continue
                if any(h.node is not None or h.new is not None for h in (handle, other)):
                    self.writer.distinct(handle, other)
        for leaf in self.leaves:
            known = self.handles.get(id(leaf.value)) if isinstance(leaf.value, Tensor) else None
            if known is not None and known.argument != leaf.expression:
                self.writer.loads.append(
                    f"if {leaf.expression} is not {self.writer.tensors[id(leaf.value)]}: return _MISS"
                )

    def _making(self, spec: Any, results: dict[Any, str], making: list[str]) -> str:
        """The expression of the result; what has to be done before goes into `making`."""
        writer = self.writer
        kind = spec[0]
        if kind == "same":
            value = spec[1]
            return repr(value) if value is None or isinstance(value, bool) else writer.hold("_result", value)
        if kind == "handle":
            return writer.tensors[id(spec[1].tensor)]
        if kind == "number":
            return results[spec[1]]
        if kind == "sequence":
            items = [self._making(item, results, making) for item in spec[2]]
            if spec[1] is list:
                return f"[{', '.join(items)}]"
            text = f"({', '.join(items)}{',' if len(items) == 1 else ''})"
            return text if spec[1] is tuple else f"{writer.hold('_' + spec[1].__name__, spec[1])}{text}"
        if kind == "dict":
            items = [f"{self._key(key)}: {self._making(item, results, making)}" for key, item in spec[1].items()]
            return "{" + ", ".join(items) + "}"
        if kind == "array":
            backend = backend_of(spec[1].value)
            return f"{writer.hold('_present', backend.present)}({results[spec[1]]})"  # type: ignore[union-attr]
        _, var, device, tracked, key = spec
        if key in self.made:  # the same tensor again
            return self.made[key]
        name = self.made[key] = writer.name("result")
        node = writer.name("_compiled", compiled_node(var.shape, var.dtype, device)) if tracked else None
        making += [
            f"{name} = _new(_Tensor)",
            f"{name}._value = {results[var]}",
            f"{name}._device = {writer.hold('_device', device)}",
            f"{name}._node = {node}",
            f"{name}._grad = {'_NOT_KEPT' if tracked else None}",
            f"{name}._written = None",
        ]
        return name

    def _key(self, key: Any) -> str:
        return repr(key) if isinstance(key, str | int) else self.writer.hold("_key", key)

    def _signature(self) -> str:
        parts = []
        for leaf in self.leaves:
            value = leaf.value
            if isinstance(value, Tensor) or (is_array(value) and not is_number(value)):
                parts.append(f"{leaf.path}: {value.dtype}{list(value.shape)}")
            elif isinstance(value, float):
                parts.append(f"{leaf.path}: float")
            else:
                parts.append(f"{leaf.path}={value!r:.40}")
        return f"({', '.join(parts)})"

    # Afterwards ------------------------------------------------------------------------------------------------------

    def _undo(self) -> None:
        """Make all tensors and states what they were before the run."""
        self.restore()
        self._release(None)

    def restore(self) -> None:
        """Make all tensors and states what they were."""
        for handle in self.handles.values():
            handle.restore()
        self.scope.restore()

    def _materialise(self, result: Any) -> Any:
        """Put real values in the place of placeholders, wherever these were left."""
        for handle in self.handles.values():
            _settle(handle.tensor)
        for cell, _ in self.cells:
            if cell.key in cell.holder:
                cell.holder[cell.key] = real(cell.holder[cell.key])
        result = self._release(result)
        return result

    def _release(self, result: Any) -> Any:
        for tensor in _tensors(result):
            _settle(tensor)
        result = _present(result)
        _patch_leaks(self.trace.placeholders)
        return result


class _NoProgram(Exception):
    """Why there can be no program."""


def _is_input(value: Any) -> bool:
    """Whether an argument's value is read anew in every call."""
    return isinstance(value, Tensor | float) or (is_array(value) and not is_number(value))


def _still(place: Any) -> bool:
    return bool(place.holds())


def _innermost(function: Any) -> Any:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return getattr(function, "__func__", function)


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _tensors(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [tensor for item in tree for tensor in _tensors(item)] if isinstance(tree, list | tuple) else []


def _recorded(spec: Any) -> list[Var]:
    """The Vars of what a call's result holds."""
    if spec[0] in ("tensor", "array", "number"):
        return [spec[1]]
    if spec[0] == "handle":
        return [spec[1].new or spec[1].var]
    items = spec[2] if spec[0] == "sequence" else spec[1].values() if spec[0] == "dict" else ()
    return [var for item in items for var in _recorded(item)]


def _is_stale(root: Node) -> bool:
    """Whether `backward()` raises there, since a part of the graph was let go."""
    try:
        topological(root)
    except GraphError:
        return True
    return False


def _devices_of(spec: Any) -> set[Device]:
    if isinstance(spec, tuple) and spec and spec[0] == "tensor":
        return {spec[2]}
    if isinstance(spec, tuple) and spec and spec[0] == "sequence":
        return set().union(*map(_devices_of, spec[2]))
    if isinstance(spec, tuple) and spec and spec[0] == "dict":
        return set().union(*map(_devices_of, spec[1].values()))
    return set()


def _mentions(spec: Any, handle: Handle) -> bool:
    if spec[0] == "sequence":
        return any(_mentions(item, handle) for item in spec[2])
    if spec[0] == "dict":
        return any(_mentions(item, handle) for item in spec[1].values())
    return spec[0] == "handle" and spec[1] is handle


def _present(tree: Any) -> Any:
    """A result with real arrays and numbers in it."""
    if type(tree) is Placeholder:
        value = tree._real
        return backend_of(value).present(value)  # type: ignore[union-attr]
    if type(tree) is Number:
        return tree._real
    if type(tree) in (list, tuple):
        return type(tree)([_present(item) for item in tree])
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[_present(item) for item in tree])
    if type(tree) is dict:
        return {key: _present(item) for key, item in tree.items()}
    return tree


def _settle(tensor: Tensor) -> None:
    """Real arrays in a tensor and in the graph above it."""
    tensor._value = real(tensor._value)
    tensor._grad = real(tensor._grad)
    stack: list[Any] = [tensor._node]
    if isinstance(tensor._written, Tape):
        stack += tensor._written.nodes
    seen: set[Node] = set()
    while stack:
        node = stack.pop()
        if type(node) is not Node or node in seen:
            continue
        seen.add(node)
        _settle_node(node)
        stack.extend(node.a if type(node.a) is tuple else (node.a, node.b))


def _settle_node(node: Node) -> None:
    node.a, node.b, node.k1, node.k2, node.ky = real((node.a, node.b, node.k1, node.k2, node.ky))
    if node.params:
        node.params = {key: real(value) for key, value in node.params.items()}


_HELD = 3
"""References to a placeholder that nobody else holds: the trace's list, the loop's variable, the call's argument."""


def _patch_leaks(placeholders: list[Placeholder]) -> None:
    """Find out who else holds placeholders, and give them real arrays: tensors in a list of the user's, say."""
    leaked = [x for x in placeholders if getrefcount(x) > _HELD]
    if not leaked:
        return
    lost = {id(x): x for x in leaked}
    for holder in gc.get_referrers(*leaked):
        if holder is leaked or holder is placeholders:
            continue
        if type(holder) is Tensor:
            _settle(holder)
        elif type(holder) is Node:
            _settle_node(holder)
        elif type(holder) is dict and holder is not lost:
            for key, value in list(holder.items()):
                if id(value) in lost:
                    holder[key] = real(value)
        elif type(holder) is list:
            holder[:] = [real(item) if id(item) in lost else item for item in holder]
