"""Every exception of agrad, and the builders of the messages that several places share.

A message says which function, which shapes, dtypes or devices, and what to do about it. The builders run on the
failing path only.
"""

from __future__ import annotations

from typing import Any


class AgradError(Exception):
    """The base of all errors that agrad raises on purpose."""

    def __init_subclass__(cls) -> None:
        cls.__module__ = "agrad"  # where users find it, and what a traceback shows


class DeviceError(AgradError, ValueError):
    """An unknown device, or arrays of different devices in one operation."""


class BackendUnavailableError(DeviceError):
    """The device is known, and cannot be used on this machine; the message says why."""


class ShapeError(AgradError, ValueError):
    """Shapes that do not fit."""


class AxisError(ShapeError, IndexError):
    """An axis that an array has not."""


class OperandError(AgradError, ValueError):
    """Values that an operation does not take."""


class DTypeError(AgradError, TypeError):
    """A dtype that cannot do what was asked."""


class OutOfMemoryError(AgradError, MemoryError):
    """A device has no memory for an array. Values are as they were; of a failed update the graph may be gone."""


class GraphError(AgradError, RuntimeError):
    """Something that the computational graph cannot do (any more)."""


class ConversionError(AgradError, TypeError):
    """A conversion that would leave the graph or the device without a word."""


class CompileError(AgradError, RuntimeError):
    """A compiled function that computes something else than the function, or has no program."""


class UnsupportedFunctionError(AgradError, TypeError):
    """A NumPy function without a counterpart in agrad was called on a Tensor."""


class GraphLeavingWarning(UserWarning):
    """A tensor with history was converted to a NumPy array: what follows is not differentiated."""


PARAMETERS_UPDATED = (
    "backward(): parameters were updated: run the forward pass again. The graph of this tensor was let go when "
    "tensors that it depends on were updated."
)
VALUE_REPLACED = (
    "backward(): the value of a tensor in this graph was replaced (x.value = …) after the forward pass: "
    "run the forward pass again."
)

COMPILED = (
    "backward(): this tensor came out of a compiled function, which keeps no graph: call backward() inside of it, or "
    "compile the gradient, agrad.compile(agrad.grad(f))."
)
GRADIENT_NOT_KEPT = (
    "this tensor has no gradient: a compiled step does not keep those that it computes. "
    "agrad.compile(step, keep_grads=True) does, and a gradient that the step returns is there too."
)


def mixed_devices(function: str, first: Any, second: Any) -> DeviceError:
    """Arrays of two devices met in `function`."""
    return DeviceError(
        f"{function}: one operand is on device '{first}', another on '{second}', and nothing crosses devices silently: "
        f"move one of them, e.g. x.to('{first}')."
    )


def describe(operand: Any) -> str:
    """Shape and dtype of an operand, or its repr where it is a number."""
    shape = getattr(operand, "shape", None)
    return repr(operand) if shape is None else f"{tuple(shape)} {operand.dtype}"


def _out_of_memory(call: str, device: Any, error: MemoryError) -> OutOfMemoryError:
    """What was asked for, in the library's words, what is used, and what to try."""
    text = f"{call} on device '{device}' ran out of memory: {str(error).rstrip('.')}. "
    memory = device.backend.memory(device)
    advice = "Let go of tensors and graphs that are not needed any more (del, agrad.no_grad()), take smaller batches "
    advice += "or float32, or compute again instead of keeping (agrad.checkpoint)"
    if memory is None:
        return OutOfMemoryError(f"{text}{advice}.")
    limit = "" if memory.limit is None else f", and may hold {_size(memory.limit)}"
    text += f"Arrays use {_size(memory.used)}, their pool holds {_size(memory.held)}{limit}; "
    text += f"{_size(memory.free)} of the device's {_size(memory.total)} are free. {advice}; "
    if memory.limit is not None:
        return OutOfMemoryError(f"{text}or raise the limit (agrad.memory.set_limit).")
    return OutOfMemoryError(f"{text}see what else uses the device (nvidia-smi).")


def _size(number: float) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number /= 1024
    return f"{number:.4g} GiB"


def diagnose(function: str, device: Any, operands: tuple[Any, ...], error: Exception) -> Exception:
    """The error to raise instead of `error`, which the backend raised in `function`."""
    known = ValueError | TypeError | IndexError | RuntimeError | MemoryError
    if isinstance(error, AgradError) or not isinstance(error, known):
        return error
    listed = ", ".join(describe(operand) for operand in operands)
    if isinstance(error, MemoryError):
        return _out_of_memory(f"{function}({listed})", device, error)
    text = f"{function}({listed}) on device '{device}': {error}"
    if isinstance(error, IndexError):
        return IndexError(text)
    if any(word in str(error) for word in ("shape", "broadcast", "dimension", "size", "empty", "axis", "axes")):
        return ShapeError(text)  # also where a library raises TypeError for shapes that do not fit
    return DTypeError(text) if isinstance(error, TypeError) else OperandError(text)
