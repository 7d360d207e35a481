"""`agrad.compile`: the function that a user holds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any, overload

from .._errors import CompileError, diagnose
from .._modes import KEEPING, TRANSFORMING, current_mode
from .._tensor import Tensor, wrap
from ..backend import _devices, backend_of
from ._capture import Capture, Failed, Program
from ._program import BUSY, MISS
from ._scope import is_leaf
from ._trace import active, is_array, is_recording_here, lock

PROGRAMS = 16
"""So many programs, one for each signature, a function keeps: the last ones."""
RECORDS = 256
"""So often a function is recorded, and PROGRAMS times in a row; then it runs eagerly."""
UNSETTLED = 3
"""After so many captures in a row that change what they depend on, a function runs eagerly."""


@overload
def compile(function: Callable[..., Any], /, *, check: int = 0, keep_grads: bool = False) -> Compiled: ...


@overload
def compile(*, check: int = 0, keep_grads: bool = False) -> Callable[[Callable[..., Any]], Compiled]: ...


def compile(function: Callable[..., Any] | None = None, /, *, check: int = 0, keep_grads: bool = False) -> Any:
    """`function`, computed by a program of its own: recorded in one call, simplified, and replayed in the others.

    What is recorded is all that the function asks of arrays: a whole training step with forward pass, `backward()` and
    update, or a function without any of these, such as `agrad.grad(f)`. Also a decorator.

    Args:
        function: takes and gives tensors, numbers, arrays, and lists, tuples and dicts of these.
        check: compare every so many calls with what the function gives eagerly; 0 for never.
        keep_grads: keep the gradients that `backward()` computes for the tensors from outside, such as a model's
            parameters. Without it, asking for them raises GraphError.

    Tensors, arrays and floats among the arguments are inputs, and so is every tensor that the function reads elsewhere.
    A call with other shapes, dtypes, devices or other Python values, or one that finds other closures, globals or
    attributes, is recorded anew. What the function does besides, such as printing, happens in recorded calls only. A
    function that can't be recorded, because it looks at values (`if loss < 1`), say, runs as if it were not compiled:
    see `report()`.

    Raises:
        TypeError: `function` is not callable, or `check` is no natural number.
        CompileError: with `check`, by a call in which the program gives something else than the function.

    >>> import agrad as ag
    >>> w = ag.Tensor([3.0, -1.0])
    >>> @ag.compile
    ... def step(lr):
    ...     loss = (w * w).sum()
    ...     loss.backward()
    ...     w.gradient_update(lr)
    ...     return loss
    >>> [float(step(0.25)) for _ in range(3)]
    [10.0, 2.5, 0.625]
    >>> w
    Tensor([ 0.375, -0.125])
    """
    if type(check) is not int or check < 0:
        raise TypeError(f"compile: check is a natural number, not {check!r}")
    if function is None:
        return lambda function: compile(function, check=check, keep_grads=keep_grads)
    if not callable(function):
        raise TypeError(f"compile: a function is needed, not {function!r:.60}")
    return _again(function, keep_grads, check)


class Compiled:
    """A compiled function, made by `agrad.compile`."""

    def __init__(self, function: Callable[..., Any], keep_grads: bool) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._keep_grads = keep_grads
        self._programs: tuple[Program, ...] = ()
        self._replays: tuple[Callable[..., Any], ...] = ()
        self._reason: str | None = None
        self._passing: str | None = None
        self._unsettled = 0
        self._records = 0
        self._unused = 0
        """How many programs were made since one was used."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function gives."""
        try:
            for replay in self._replays:
                result = replay(args, kwargs)
                if result is not MISS:
                    return self._function(*args, **kwargs) if result is BUSY else result
        except MemoryError as error:
            raise self._out_of_memory(error) from error
        return self._otherwise(args, kwargs)

    def __reduce__(self) -> Any:
        return _again, (self._function, self._keep_grads, 0)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<compiled {getattr(self._function, '__qualname__', self._function)}>"

    def _out_of_memory(self, error: MemoryError) -> Exception:
        """The error of a program for which there was no memory: nothing was stored."""
        name = getattr(self._function, "__name__", "a compiled function")
        return diagnose(name, self._programs[0].device, (), error)

    def repeat(self, times: int, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function so many times with the same arguments, without leaving the program.

        Gives what it returns, a tensor or lists, tuples and dicts of tensors, of all calls: as constant tensors with a
        new first axis of that length. An error leaves the state of the last call that was finished.

        Raises:
            ValueError: `times` is not positive.
            TypeError: the function returns something else than tensors.

        >>> import agrad as ag
        >>> w = ag.Tensor(8.0)
        >>> @ag.compile
        ... def step():
        ...     (w * w).backward()
        ...     w.gradient_update(0.25)
        ...     return w.detach()
        >>> step.repeat(3)
        Tensor([4., 2., 1.])
        """
        if type(times) is not int or times < 1:
            raise ValueError(f"repeat: a positive number of times is needed, not {times!r}")
        first = self(*args, **kwargs)
        kept: list[tuple[Any, ...]] = [tuple(_arrays(first))]
        try:
            for program in self._programs:
                if program.loop()(times - 1, kept, args, kwargs) is None:
                    break
        except MemoryError as error:
            raise self._out_of_memory(error) from error
        if len(kept) > 1:
            self._unused = 0
        while len(kept) < times:
            kept.append(tuple(_arrays(self(*args, **kwargs))))
        columns = iter([list(column) for column in zip(*kept, strict=True)])
        return _stacked(first, columns)

    def report(self) -> Report:
        """What was recorded and what became of it, or why the function runs eagerly: to be printed.

        >>> import agrad as ag
        >>> @ag.compile
        ... def f(x):
        ...     return 0.0 if x.sum() < 0 else ag.sqrt(x)
        >>> f(ag.asarray([4.0]))
        Tensor([2.])
        >>> f.report().reason
        'Python asks for the value of a tensor that it computes or reads (float(), bool(), item(), numpy(), print)'
        """
        return Report(getattr(self._function, "__qualname__", str(self)), self._reason, self._passing, self._programs)

    def source(self) -> str:
        """The program of the last recorded call, as Python. Raises CompileError if there is none.

        >>> import agrad as ag
        >>> double = ag.compile(lambda x: x + x)
        >>> double(ag.asarray([1.0]))
        Tensor([2.])
        >>> "def replay" in double.source()
        True
        """
        if not self._programs:
            raise CompileError(f"source(): there is no program. {self.report()}")
        program = self._programs[0]
        return "\n".join([program.source, program.body.kernels]) if program.body.kernels else program.source

    def _otherwise(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call for which there is no program: record it, or just run."""
        if self._reason is not None or is_recording_here():
            return self._function(*args, **kwargs)
        if current_mode() & (KEEPING | TRANSFORMING):
            return self._function(*args, **kwargs)
        if not all(is_leaf(x) for x in (*args, *kwargs.values()) if isinstance(x, Tensor)):
            return self._function(*args, **kwargs)
        try:
            if lock.acquire(blocking=False):
                return self._capture(args, kwargs)
        finally:  # also where an interrupt came right after the lock was got
            if lock._is_owned():  # type: ignore[attr-defined]
                lock.release()
        return self._function(*args, **kwargs)  # another thread records: nobody waits for it

    def _capture(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        capture = Capture(self._function, args, kwargs, self._keep_grads)
        devices = len(_devices)
        try:
            result = capture.run()
        except Failed as failed:
            if not isinstance(failed.__cause__, Exception):
                raise failed.__cause__ from None  # type: ignore[misc]
            try:
                result = self._function(*args, **kwargs)  # raises the same again, if it was not for the recording
            except BaseException:
                capture.restore()
                raise
            if len(_devices) == devices:
                self._reason = str(failed)
            else:  # the next call will find the devices that this one was the first to use
                self._passing = str(failed)
            return result
        if capture.program is not None:
            self._add(capture.program)
        elif capture.passing:
            self._passing = capture.reason
            self._unsettled += 1
            if self._unsettled >= UNSETTLED:
                self._reason = f"{capture.reason}, in each of {UNSETTLED} calls"
        else:
            self._reason = capture.reason
        return result

    def _add(self, program: Program) -> None:
        self._records += 1
        if self._unused >= PROGRAMS or self._records > RECORDS:
            times = PROGRAMS if self._unused >= PROGRAMS else RECORDS
            self._reason = (
                f"its arguments, or what it reads, were different in each of {times} recorded calls; the last one "
                f"was {program.signature}"
            )
            self._programs, self._replays = (), ()
            return
        self._unsettled = 0
        self._unused += 1
        self._programs = (program, *self._programs[: PROGRAMS - 1])
        self._replays = tuple([self._first_use(program) for program in self._programs])

    def _first_use(self, program: Program) -> Callable[..., Any]:
        """The program's `replay`, which notices, once, that it was good for something."""

        def replay(args: Any, kwargs: Any) -> Any:
            result = program.replay(args, kwargs)
            if result is not MISS and result is not BUSY:
                self._unused = 0
                self._replays = tuple([program.replay for program in self._programs])
            return result

        return replay


class Checked(Compiled):
    """A compiled function that compares every n-th call with the function itself."""

    def __init__(self, function: Callable[..., Any], keep_grads: bool, check: int) -> None:
        super().__init__(function, keep_grads)
        self._every = check
        self._calls = 0

    def __reduce__(self) -> Any:
        return _again, (self._function, self._keep_grads, self._every)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function gives. Raises CompileError if the program gives something else."""
        self._calls += 1
        comparable = self._programs and not active and not any(op.impure for p in self._programs for op in p.plan.ops)
        if self._calls % self._every or not comparable or current_mode() & (KEEPING | TRANSFORMING):
            return super().__call__(*args, **kwargs)
        before = _State(self._function, args, kwargs)
        result = super().__call__(*args, **kwargs)
        compiled = before.now(result)
        before.restore()
        again = self._function(*args, **kwargs)
        eager = before.now(again)
        for path, ours, theirs in zip(before.paths(), compiled, eager, strict=False):
            if not _close(ours, theirs):
                raise CompileError(
                    f"{self!r}, call {self._calls}: the program gives {ours!r:.200} for {path}, and the function "
                    f"{theirs!r:.200}"
                )
        return again


def _again(function: Callable[..., Any], keep_grads: bool, check: int) -> Compiled:
    """A compiled function, of which a copy begins without programs."""
    return Checked(function, keep_grads, check) if check else Compiled(function, keep_grads)


class _State:
    """The tensors and states that a call can change, and what they are."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        capture = Capture(function, args, kwargs, False)
        capture.find_handles()
        self.handles = list(capture.handles.values())
        self.scope = capture.scope
        self.restore = capture.restore

    def paths(self) -> Iterator[str]:
        yield from (handle.path for handle in self.handles)
        yield from (cell.key for cell in self.scope.cells)
        while True:
            yield "the result"

    def now(self, result: Any) -> list[Any]:
        """Copies on the host."""
        values = [handle.tensor.numpy() for handle in self.handles]
        values += [_on_host(cell.holder[cell.key]) for cell in self.scope.cells]
        return values + [wrap(x, x_device).numpy() for x, x_device in _with_devices(result)]


def _with_devices(tree: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(tree, Tensor):
        yield tree._value, tree._device
    elif isinstance(tree, list | tuple | dict):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _with_devices(item)


def _on_host(value: Any) -> Any:
    """A number, or an array as NumPy's."""
    return backend_of(value).to_numpy(value) if is_array(value) else value  # type: ignore[union-attr]


def _close(ours: Any, theirs: Any) -> bool:
    """Whether two host arrays or numbers are equal up to what another order of rounding makes of them."""
    if not hasattr(theirs, "dtype"):
        return bool(ours == theirs) or abs(ours - theirs) <= 1e-9 * abs(theirs)
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if ours.dtype.kind not in "fc":
        return bool((ours == theirs).all())
    scale = abs(theirs[abs(theirs) < float("inf")]).max(initial=0.0)
    tolerance = (1e-4 if ours.dtype.itemsize <= 4 or ours.dtype.name == "complex64" else 1e-9) * (scale or 1.0)
    same = (ours == theirs) | ((ours != ours) & (theirs != theirs))
    return bool((same | (abs(ours - theirs) <= tolerance)).all())


class Report:
    """What `Compiled.report()` tells.

    Attributes:
        reason: why the function runs eagerly; None if it does not.
        captured: whether there is a program.
        programs: a dict for each recorded signature: `signature`; `recorded`, the operations of the recorded call;
            `operations`, those that are left; `calls`, the calls of the library that they take, of which those in a
            loop over the blocks of a large array count once; how many operations were `folded` into constants,
            `shared` with an equal one, `simplified`, or `dead`; `buffers` and their
            `bytes`.
    """

    def __init__(self, name: str, reason: str | None, passing: str | None, programs: tuple[Program, ...]) -> None:
        self.name = name
        self.reason = reason
        self.passing = passing
        self.programs = [_figures(program) for program in programs]

    @property
    def captured(self) -> bool:
        """Whether there is a program."""
        return bool(self.programs)

    def __str__(self) -> str:
        if self.reason:
            return f"{self.name} runs eagerly: {self.reason}"
        if not self.programs:
            why = f": {self.passing}" if self.passing else ""
            return f"{self.name} is not recorded yet{why}"
        return "\n".join([f"{self.name} is compiled"] + [_LINE.format(**figures) for figures in self.programs])

    __repr__ = __str__


_LINE = (
    "  {signature}: {recorded} operations recorded, {operations} left in {calls} calls ({folded} folded, {shared} "
    "shared, {simplified} simplified, {dead} dead); {buffers} buffers of {bytes} bytes in all"
)


def _figures(program: Program) -> dict[str, Any]:
    plan, body = program.plan, program.body
    return {
        "signature": program.signature,
        "recorded": plan.recorded,
        "operations": len(plan.ops),
        "calls": len(plan.ops) if body.calls is None else body.calls,
        "folded": plan.folded,
        "shared": plan.shared,
        "simplified": plan.simplified,
        "dead": plan.dead,
        "buffers": body.buffers,
        "bytes": body.bytes,
    }


def _arrays(tree: Any) -> Iterator[Any]:
    """The arrays of a result, which consists of tensors."""
    if isinstance(tree, Tensor):
        yield tree._value
    elif isinstance(tree, list | tuple | dict):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _arrays(item)
    else:
        raise TypeError(f"repeat: the function has to return tensors to be recorded, not {type(tree).__name__}")


def _stacked(tree: Any, columns: Iterator[list[Any]]) -> Any:
    if isinstance(tree, Tensor):
        device = tree._device
        arrays = [device.backend.present(array) for array in next(columns)]
        return wrap(device.xp.stack(arrays), device)
    if isinstance(tree, dict):
        return {key: _stacked(item, columns) for key, item in tree.items()}
    items = [_stacked(item, columns) for item in tree]
    return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
