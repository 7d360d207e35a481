"""What an operation does to one element, in CUDA C++.

The code is CuPy's own, which its ufuncs carry with them, so a kernel of many operations gives what their kernels give
one after the other: the signs of remainders, NaN in a maximum, powers of integers.
"""

from __future__ import annotations

import operator
import re
from typing import Any, NamedTuple

import cupy

TYPES = {
    "bool": "bool",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned int",
    "uint64": "unsigned long long",
    "float32": "float",
    "float64": "double",
    "complex64": "complex<float>",
    "complex128": "complex<double>",
}
"""What the standard's dtypes are called in CUDA C++."""
_OPERATORS = {
    operator.add: cupy.add,
    operator.sub: cupy.subtract,
    operator.mul: cupy.multiply,
    operator.truediv: cupy.true_divide,
    operator.floordiv: cupy.floor_divide,
    operator.mod: cupy.remainder,
    operator.pow: cupy.power,
    operator.neg: cupy.negative,
    operator.pos: cupy.positive,
    operator.abs: cupy.absolute,
    operator.invert: cupy.invert,
    operator.and_: cupy.bitwise_and,
    operator.or_: cupy.bitwise_or,
    operator.xor: cupy.bitwise_xor,
    operator.lshift: cupy.left_shift,
    operator.rshift: cupy.right_shift,
    operator.eq: cupy.equal,
    operator.ne: cupy.not_equal,
    operator.lt: cupy.less,
    operator.le: cupy.less_equal,
    operator.gt: cupy.greater,
    operator.ge: cupy.greater_equal,
}
_WRAPPED = {"ceil": cupy.ceil, "floor": cupy.floor, "trunc": cupy.trunc}
"""Functions of array-api-compat that call a ufunc for floating-point numbers."""


class Code(NamedTuple):
    """How an element of the result is made of one element of each operand."""

    given: tuple[cupy.dtype[Any], ...]
    """What the operands are cast to: in0, in1, …"""
    made: cupy.dtype[Any]
    routine: str
    """C++ that sets out0; it may use the types in0_type, … and out0_type."""
    preamble: str = ""


def is_var(x: Any) -> bool:
    """Whether an argument of an operation is a value of the plan."""
    return hasattr(x, "is_constant")


def is_array(x: Any) -> bool:
    """Whether an argument is an array of the plan, and no number of the host."""
    return is_var(x) and x.dtype is not None


def is_number(x: Any) -> bool:
    """Whether an argument is a number of the host that a kernel can be given."""
    if is_var(x):
        return x.dtype is None and type(x.value) in (int, float)
    return type(x) in (bool, int, float, complex)


def code_of(op: Any) -> Code | None:
    """The code of an operation of one result; None if it is no function of single elements, or not known here."""
    out = op.outs[0]
    if op.several or not is_array(out) or out.value.dtype.name not in TYPES:
        return None
    made = out.value.dtype
    if op.name == "astype" and op.args and is_array(op.args[0]):
        given = op.args[0].value.dtype
        narrows = given.kind == "c" and made.kind != "c"
        return None if narrows else Code((given,), made, "out0 = out0_type(in0)")
    if op.name == "copy" and is_array(op.args[0]):
        return Code((made,), made, "out0 = in0")
    if op.name == "asarray" and not out.shape and is_number(op.args[0]):
        return Code((made,), made, "out0 = in0")
    if op.kwargs or not all(is_array(x) or is_number(x) for x in op.args) or not any(map(is_array, op.args)):
        return None
    if op.name == "where" and len(op.args) == 3:
        return Code((cupy.dtype(bool), made, made), made, "out0 = in0 ? in1 : in2")
    if op.name == "sign" and made.kind == "f":
        return Code((made,), made, "out0 = in0 > 0 ? in0_type(1) : in0 < 0 ? in0_type(-1) : in0 - in0")
    if op.name == "sign" and made.kind == "c":
        return Code((made,), made, "const auto size = abs(in0); out0 = size == 0 ? in0_type(0) : in0 / size")
    return _of_ufunc(op, made)


def operands(op: Any) -> list[Any]:
    """The arguments that an element of the result is made of."""
    return [x for x in op.args if is_var(x) or is_number(x)] if op.name != "astype" else [op.args[0]]


def _of_ufunc(op: Any, made: cupy.dtype[Any]) -> Code | None:
    bare = getattr(op.function, "__wrapped__", op.function)  # where there are several GPUs, in what chooses one
    function = bare if isinstance(bare, cupy.ufunc) else _OPERATORS.get(op.function)
    if function is None and made.kind == "f":
        function = _WRAPPED.get(op.name)
    if function is None or function.nin != len(op.args) or function.nout != 1 or function._loop_prep:
        return None
    if function._preamble and getattr(cupy, function.name.removeprefix("cupy_"), None) is not function:
        return None  # those of different special functions may define the same names
    arrays = [x.value.dtype for x in op.args if is_array(x)]
    try:
        dtypes = [
            x.value.dtype if is_array(x) else cupy.result_type(*arrays, x.value if is_var(x) else x) for x in op.args
        ]
    except OverflowError:  # a number that does not fit: it raises when it is called, as it is to
        return None
    for loop in function._ops.ops:
        if all(map(cupy.can_cast, dtypes, loop.in_types)):
            fits = type(loop.routine) is str and loop.out_types[0] == made
            known = all(cupy.dtype(t).name in TYPES for t in loop.in_types)
            given = tuple(map(cupy.dtype, loop.in_types))
            return Code(given, made, loop.routine, function._preamble or "") if fits and known else None
    return None


def literal(value: Any, dtype: cupy.dtype[Any]) -> str:
    """A number as C++ writes it, of the type that `dtype` is."""
    kind = dtype.kind
    if kind == "b":
        return "true" if value else "false"
    if kind == "c":
        value = complex(value)
        part = cupy.dtype("float32" if dtype.itemsize == 8 else "float64")
        return f"{TYPES[dtype.name]}({literal(value.real, part)}, {literal(value.imag, part)})"
    if kind == "f":
        return _floating(float(value), dtype)
    text = f"{int(value)}ULL" if kind == "u" else f"{int(value)}LL"
    if int(value) == -(2**63):
        text = f"({int(value) + 1}LL - 1)"
    return f"{TYPES[dtype.name]}({text})" if " " not in TYPES[dtype.name] else f"({TYPES[dtype.name]})({text})"


def _floating(value: float, dtype: cupy.dtype[Any]) -> str:
    if value != value:
        text = "__longlong_as_double(0x7ff8000000000000LL)"
    elif value in (float("inf"), -float("inf")):
        text = f"{'-' if value < 0 else ''}__longlong_as_double(0x7ff0000000000000LL)"
    else:
        text = repr(value)
    text = f"({text})" if text.startswith("-") else text
    return f"float({text})" if dtype.itemsize == 4 else text


def cast(text: str, source: cupy.dtype[Any] | None, target: cupy.dtype[Any]) -> str:
    """An expression of dtype `source` as one of dtype `target`."""
    if source == target:
        return text
    kind = TYPES[target.name]
    return f"({kind})({text})" if " " in kind else f"{kind}({text})"


_SIMPLE = re.compile(r"\s*out0 = ([^;\n]+);?\s*")


def statement(code: Code, name: str, texts: list[str]) -> list[str]:
    """The C++ that computes a constant `name` of operands that have been cast already."""
    kinds = {f"in{i}_type": TYPES[dtype.name] for i, dtype in enumerate(code.given)}
    kinds["out0_type"] = TYPES[code.made.name]
    simple = _SIMPLE.fullmatch(code.routine)
    if simple and not (set(re.findall(r"\w+_type\b", simple[1])) & {k for k, v in kinds.items() if " " in v}):
        words = kinds | {f"in{i}": text for i, text in enumerate(texts)}
        expression = re.sub(r"\b(?:in\d+|out0)(?:_type)?\b", lambda found: words[found[0]], simple[1])
        return [f"const {kinds['out0_type']} {name} = {expression};"]
    lines = [f"{kinds['out0_type']} {name};", "{"]
    lines += [f"    typedef {kind} {alias};" for alias, kind in kinds.items()]
    lines += [f"    const in{i}_type in{i} = {text};" for i, text in enumerate(texts)]
    routine = [line for line in code.routine.strip().splitlines() if line.strip()]
    lines += ["    out0_type out0;", *[f"    {line}" for line in routine]]
    if not routine[-1].rstrip().endswith((";", "}")):
        lines[-1] += ";"
    return [*lines, f"    {name} = out0;", "}"]
