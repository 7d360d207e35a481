"""The house: which module may import which. Read from the source, so that the direction stays true.

LAYERS is the documentation of the architecture. An import points to a layer above it in this table or stays inside its
own layer, without circles, also where it is inside a function; imports for type checkers alone (`if TYPE_CHECKING:`)
may point anywhere. A module that is in no layer fails: give it a place.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

# First what knows nothing of the rest. A name stands for the module and, where it is a package, for all in it.
LAYERS = [
    ["scalar"],  #                               the teaching twin, on the standard library alone
    ["_typing", "_errors"],  #                   protocols; exceptions and their messages
    # Where arrays live, and its memory; indexing; axis arithmetic; no_grad and its like.
    ["backend", "memory", "_indexing", "_shapes", "_modes"],
    ["_graph", "_counterparts"],  #              Node, Edge, Primitive: plain records; calls of NumPy's functions
    ["rules", "_engine", "_masks"],  #           the rule book; the backward pass, also through masks
    ["_methods", "_tensor"],  #                  NumPy's array methods; the handle that a user holds
    ["ops"],  #                                  the functions of the standard
    ["linalg", "fft", "special", "random"],  #   its extensions; special functions; random numbers
    ["transforms"],  #                           grad, vjp, jvp, jacobian and their like
    ["functional", "losses"],  #                 networks: functions,
    ["nn", "optim", "_compile"],  #              models, optimisers, compiled steps
    ["testing", "io", "datasets", "plot"],  #    around it
    ["agrad"],  #                                the face, agrad/__init__.py: re-exports
    ["cli", "__main__"],  #                      the console script
]

# Modules of one layer that must not know each other.
STRANGERS = [{"rules", "_engine"}, {"rules", "_masks"}]

# What a module of agrad may import besides agrad and the standard library. Everything else may import nothing: no
# array library is named in agrad, but in host code.
THIRD_PARTY = {
    "backend": {"array_api_compat"},  # inside functions only
    "_indexing": {"array_api_compat"},  # inside functions only
    "datasets": {"numpy"},
    "io": {"numpy"},
    "plot": {"numpy", "matplotlib"},
    "cli": {"matplotlib", "tqdm"},
}
# Only the registry names the packages of the backends.
BACKENDS = {
    "agrad_numpy": {"numpy", "scipy"},
    "agrad_cupy": {"cupy", "cupyx", "cupy_backends"},
}
# All of agrad that a backend may import.
KNOWN_TO_BACKENDS = {"agrad.backend", "agrad._typing", "agrad._errors"}


class Import(NamedTuple):
    """One import statement, as far as the rules above look at it."""

    target: str  # the full name: a module, or something in it ("agrad.backend", "agrad.backend.Device")
    line: int
    for_types: bool  # inside `if TYPE_CHECKING:`
    lazy: bool  # inside a function


def modules() -> dict[str, Path]:
    """Every module of the three packages, by its full name."""
    found = {}
    for root, package in [(ROOT, "agrad"), *((ROOT / "backends", name) for name in BACKENDS)]:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(source: str, package: str) -> list[Import]:
    """The imports of a module that belongs to `package`; relative names are completed."""

    def targets(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            if called in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield node.args[0].value

    def walk(node: ast.AST, for_types: bool, lazy: bool) -> Iterator[Import]:
        for target in targets(node):
            yield Import(target, node.lineno, for_types, lazy)  # type: ignore[attr-defined]
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        guarded = node.body if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING") else []
        for child in ast.iter_child_nodes(node):
            yield from walk(child, for_types or child in guarded, lazy)

    return list(walk(ast.parse(source), for_types=False, lazy=False))


def imports_of(module: str) -> list[Import]:
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return imports(path.read_text(encoding="utf-8"), package)


def module_of(target: str) -> str:
    """The module that an import reaches: `agrad.backend.Device` is in `agrad.backend`."""
    while target not in MODULES and "." in target:
        target = target.rpartition(".")[0]
    return target


def part(module: str) -> str:
    """The name in LAYERS: `agrad.rules.linalg` is of `rules`, and the package itself is "agrad"."""
    return module.split(".")[1] if "." in module else module


def layer(module: str) -> int | None:
    return next((number for number, names in enumerate(LAYERS) if part(module) in names), None)


def outside(found: Import, at: str) -> bool:
    """Whether an import leaves both the standard library and the package `at`."""
    top = found.target.split(".")[0]
    return top != at and top not in sys.stdlib_module_names


def violations(module: str, found: Import) -> Iterator[str]:
    """What is wrong with one import of one module of agrad."""
    top = found.target.split(".")[0]
    if outside(found, at="agrad"):
        if top in BACKENDS:
            if part(module) != "backend":
                yield f"only agrad/backend.py names the backends, not {top}"
        elif top not in THIRD_PARTY.get(part(module), set()):
            yield f"{part(module)} may not import {top}"
        elif top == "array_api_compat" and not (found.lazy or found.for_types):
            yield "array_api_compat is imported inside functions only: importing it is slow"
    elif top == "agrad":
        if part(module) == "scalar":
            if part(module_of(found.target)) != "scalar":
                yield "agrad.scalar imports only the standard library"
        elif not found.for_types:
            yield from wrong_direction(module, module_of(found.target))


def wrong_direction(module: str, reached: str) -> Iterator[str]:
    here, there = layer(module), layer(reached)
    if here is None or there is None:
        return  # test_every_module_has_a_layer says so
    if there > here:
        yield f"{part(module)} may not import {part(reached)}, which is built on it"
    elif part(module) != part(reached) and {part(module), part(reached)} in STRANGERS:
        yield f"{part(module)} and {part(reached)} may not know each other"


@pytest.mark.parametrize("module", [name for name in MODULES if name.split(".")[0] == "agrad"])
def test_every_module_has_a_layer(module: str) -> None:
    assert layer(module) is not None, f"{module} is in no layer of tests/test_imports.py: give it a place"


@pytest.mark.parametrize("module", [name for name in MODULES if name.split(".")[0] == "agrad"])
def test_imports_point_one_way(module: str) -> None:
    wrong = [f"line {found.line}: {text}" for found in imports_of(module) for text in violations(module, found)]
    assert not wrong, f"{MODULES[module]}:\n" + "\n".join(wrong)


@pytest.mark.parametrize("module", [name for name in MODULES if name.split(".")[0] in BACKENDS])
def test_backends_know_the_protocol_and_their_library(module: str) -> None:
    package = module.split(".")[0]
    allowed = BACKENDS[package] | {"array_api_compat"}
    wrong = [
        f"line {found.line}: {found.target}"
        for found in imports_of(module)
        if outside(found, at=package)
        and found.target.split(".")[0] not in allowed
        and module_of(found.target) not in KNOWN_TO_BACKENDS
    ]
    assert not wrong, f"{MODULES[module]} may import {sorted(KNOWN_TO_BACKENDS | allowed)}, not\n" + "\n".join(wrong)


def test_no_circles() -> None:
    """Also inside a layer, and counting the imports inside functions."""
    reaches = {
        module: {module_of(found.target) for found in imports_of(module) if not found.for_types}
        & MODULES.keys() - {module}
        for module in MODULES
    }
    while leaves := {module for module, targets in reaches.items() if not targets}:
        reaches = {module: targets - leaves for module, targets in reaches.items() if module not in leaves}
    assert not reaches, f"these import each other, or something that does: {reaches}"


@pytest.mark.parametrize(
    ("module", "statement", "message"),
    [
        ("agrad.rules.linalg", "from agrad._engine import backward", "may not know each other"),
        ("agrad._graph", "from ._tensor import Tensor", "which is built on it"),
        ("agrad._graph", "def f():\n    from . import _tensor", "which is built on it"),
        ("agrad.ops.linalg", "import agrad as ag", "may not import agrad, which is built on it"),
        ("agrad.ops.linalg", "def f():\n    import numpy as np", "may not import numpy"),
        ("agrad.ops.linalg", "if TYPE_CHECKING:\n    import numpy as np", "may not import numpy"),
        ("agrad.ops.linalg", "importlib.import_module('cupy')", "may not import cupy"),
        ("agrad.nn", "import agrad_numpy", "only agrad/backend.py names the backends"),
        ("agrad.backend", "import array_api_compat", "inside functions only"),
        ("agrad.scalar.losses", "from agrad import _errors", "only the standard library"),
        ("agrad._graph", "if TYPE_CHECKING:\n    from ._tensor import Tensor", None),
        ("agrad.backend", "def f():\n    import array_api_compat", None),
        ("agrad.datasets", "import numpy as np\nimport math\nfrom ._tensor import Tensor", None),
        ("agrad.scalar.losses", "import math\nfrom .functional import exp", None),
    ],
)
def test_the_reader_sees(monkeypatch: pytest.MonkeyPatch, module: str, statement: str, message: str | None) -> None:
    """The checks above, on imports that are wrong and on some that are right."""
    names = ["agrad._tensor", "agrad._errors", "agrad._engine", "agrad.scalar", "agrad.scalar.functional"]
    monkeypatch.setattr(sys.modules[__name__], "MODULES", dict.fromkeys(["agrad", *names], ROOT))
    found = imports(statement, package=module.rpartition(".")[0])
    wrong = [text for one in found for text in violations(module, one)]
    assert found
    assert wrong == [] if message is None else len(wrong) == 1 and message in wrong[0]


def run(code: str) -> str:
    """Run code in a fresh interpreter that finds the packages of this checkout first."""
    path = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'backends')!r}]\n"
    done = subprocess.run([sys.executable, "-c", path + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_agrad_is_cheap() -> None:
    slow = {"cupy", "matplotlib", "importlib.metadata", "array_api_compat.numpy", "array_api_compat.cupy"}
    slow |= {"array_api_strict", "jax", "torch", "tqdm", "agrad_cupy", "agrad._compile", "scipy"}
    code = f"before = set(sys.modules); import agrad; print(*sorted({slow!r} & (sys.modules.keys() - before)))"
    assert run(code).split() == []


def test_every_module_can_be_imported_first() -> None:
    """Each module by itself, with an empty package in the place of agrad's face: it brings all that it needs."""
    others = {"agrad", "cli", "__main__", "plot"}  # the face itself, what is built on it, and what needs an extra
    alone = [name for name in MODULES if name.split(".")[0] == "agrad" and part(name) not in others]
    code = f"""
import importlib, types

for name in {alone!r}:
    for loaded in [loaded for loaded in sys.modules if loaded.split(".")[0] == "agrad"]:
        del sys.modules[loaded]
    sys.modules["agrad"] = face = types.ModuleType("agrad")
    face.__path__ = [{str(ROOT / "agrad")!r}]
    try:
        importlib.import_module(name)
    except Exception as error:
        sys.exit(f"import {{name}}: {{type(error).__name__}}: {{error}}")
"""
    run(code)
