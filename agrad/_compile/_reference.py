"""The reference executor: a plan as a line of Python for each operation, on any array library.

It calls what was recorded, no more. A backend's own executor gives the same kind of `Body`.
"""

from __future__ import annotations

import operator
from typing import Any

from ..backend import SIGNS, Body, Device
from ._plan import Plan
from ._trace import Op, Var


def reference(plan: Plan, device: Device) -> Body:
    """The body of a program that executes `plan` by calling what was recorded."""
    return _Writer(plan, device).body()


def name_of(var: Var) -> str:
    """What a value is called that an operation gives."""
    return f"v{var.index}" if var.index >= 0 else f"own{-var.index}"


class _Writer:
    def __init__(self, plan: Plan, device: Device) -> None:
        self.plan = plan
        self.device = device
        self.names: dict[str, Any] = {}
        self.values: dict[Any, str] = {}
        self.functions: dict[Any, str] = {}

    def body(self) -> Body:
        lines: list[str] = []
        made_once = {var for op in self.plan.ops[: self.plan.once] for var in op.outs}
        last = self.plan.last_uses()
        quiet = False
        once = 0
        for i, op in enumerate(self.plan.ops):
            if i == self.plan.once:
                quiet, once = False, len(lines)
            if op.quiet and not quiet:
                self.names["_quiet"] = self.device.backend.quiet
                lines.append("with _quiet():")
            quiet = op.quiet
            indent = "    " if quiet else ""
            lines.append(indent + self.line(op))
            done = {var for var in op.uses() if last.get(var) == i and not var.is_constant and var.op is not None}
            if i >= self.plan.once:
                done -= made_once
            done |= {var for var in op.outs if var not in last}
            if done:
                lines.append(indent + "del " + ", ".join(sorted(map(self.value, done))))
        results = {var: self.value(var) for var in self.plan.outputs}
        return Body(lines, self.names, results, once=once)

    def line(self, op: Op) -> str:
        if op.name == "confirm":
            return f"if not {self.call(op)}: return _MISS"
        outs = ", ".join(map(name_of, op.outs))
        return f"{outs}{',' if op.several and len(op.outs) == 1 else ''} = {self.call(op)}"

    def call(self, op: Op) -> str:
        args = [self.value(arg) for arg in op.args]
        symbol = SIGNS.get(op.function)
        if symbol and len(args) == 2:
            return f"{args[0]} {symbol} {args[1]}"
        if op.function is operator.neg:
            return f"-{args[0]}"
        if op.function is operator.getitem:
            return f"{args[0]}[{args[1]}]"
        args += [f"{key}={self.value(value)}" for key, value in op.kwargs.items()]
        return f"{self.function(op)}({', '.join(args)})"

    def function(self, op: Op) -> str:
        name = self.functions.get(op.function)
        if name is None:
            name = f"_{op.name.replace('.', '_')}"
            while name in self.names:
                name += "_"
            self.names[name] = op.function
            self.functions[op.function] = name
        return name

    def value(self, tree: Any) -> str:
        """An argument as text."""
        kind = type(tree)
        if kind is Var:
            if tree.is_constant:
                return self.constant(tree, tree.value)
            return self.plan.names.get(tree) or name_of(tree)
        if kind is tuple:
            return f"({', '.join(map(self.value, tree))}{',' if len(tree) == 1 else ''})"
        if kind is list:
            return f"[{', '.join(map(self.value, tree))}]"
        if kind is dict:
            return "{" + ", ".join(f"{key!r}: {self.value(item)}" for key, item in tree.items()) + "}"
        if kind is float and tree - tree != 0:  # infinite, or NaN
            return self.constant(repr(tree), tree)
        if kind in (int, float, bool, str, type(None)):
            return f"({tree!r})" if kind in (int, float) and repr(tree).startswith("-") else repr(tree)
        return self.constant(id(tree), tree)

    def constant(self, key: Any, value: Any) -> str:
        name = self.values.get(key)
        if name is None:
            name = self.values[key] = f"c{len(self.values)}"
            self.names[name] = value
        return name
