"""Long random programs with views, assignments, swaps and updates, called several times while everything changes.

What they return, what they make of the tensors that they find, and that nothing which was returned is written to again,
is compared with what they do eagerly.
"""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import agrad as ag
from agrad import Tensor
from tests.compile.test_programs import SHAPES, STEPS, Step

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

LARGE = [(40, 3), (130, 70), (70, 130), (400, 2)]
"""Shapes of tall matrices, and of arrays that are large enough to be used again."""


def _rows(x: Tensor) -> bool:
    return bool(x.ndim and x.shape[0])


VIEWS: list[Any] = [
    lambda x: ag.reshape(x, (-1,)),
    lambda x: ag.permute_dims(x, tuple(range(x.ndim))[::-1]),
    lambda x: x[::-1] if _rows(x) else x[None],
    lambda x: x[..., ::2] if x.ndim and x.size else x,
    lambda x: x[1:] if _rows(x) else x,
    lambda x: x[0] if _rows(x) else x,
    lambda x: ag.moveaxis(x, 0, -1) if x.ndim else x,
    lambda x: ag.concat([x, x * 2]) if x.ndim else x,
    lambda x: x.detach(),
    lambda x: ag.astype(ag.astype(x, "float32") * 2, x.dtype),
    lambda x: x * ag.astype(x > 0, x.dtype),
    lambda x: ag.sort(x) if x.ndim else x,
    lambda x: ag.cumulative_sum(x, axis=-1) if x.ndim else x,
]


class Run:
    """One call of a random program: its choices come from `numbers`, its tensors from `state` and the arguments."""

    def __init__(self, numbers: list[int], state: Any, x: Tensor, raw: Any, rate: float) -> None:
        self.numbers = iter(numbers)
        self.state, self.raw, self.rate = state, raw, rate
        self.tensors = [x, *state.parameters, *state.constants]
        self.result: dict[str, Any] = {}

    def choose(self, n: int) -> int:
        return next(self.numbers, 7) % n

    def pick(self, tensors: Any = None) -> Tensor:
        tensors = self.tensors if tensors is None else tensors
        return tensors[self.choose(len(tensors))]

    def add(self, x: Tensor) -> None:
        if x.size <= 20_000 and x.ndim <= 3:
            self.tensors.append(ag.tanh(x) if self.choose(2) and x.size else x)

    def run(self, steps: int) -> dict[str, Any]:
        ways = (self.operate, self.operate, self.operate, self.view, self.view, self.write, self.rebind, self.train)
        for _ in range(steps):
            self.pick_way(ways)
        for i in range(1 + self.choose(4)):
            x = self.pick(self.tensors[-8:])
            self.result[f"last {i}"] = x.detach() if x.requires_grad else x
            if self.choose(3) == 0:
                self.result[f"again {i}"] = self.result[f"last {i}"]
        return self.result

    def pick_way(self, ways: Any) -> None:
        ways[self.choose(len(ways))]()

    def operate(self) -> None:
        step: Step = STEPS[self.choose(len(STEPS))]
        self.add(step(self.tensors, self.choose))

    def view(self) -> None:
        x = self.pick()
        if self.choose(4) == 0:
            x = x * self.state.scale + self.rate
        elif self.choose(4) == 0:
            raw = self.state.raw if self.choose(2) else self.raw
            x = ag.sum(x) * raw
        self.tensors.append(VIEWS[self.choose(len(VIEWS))](x))

    def write(self) -> None:
        """Assignments to something that was made, of which there is a view already."""
        made = self.pick() * 1
        self.tensors.append(made[...] if made.ndim else made)
        if self.choose(2) and _rows(made):
            made[0] = ag.sum(self.pick())
        elif _rows(made):
            made[1:] = made[:-1] * 2
        else:
            made += self.rate
        self.add(made)

    def rebind(self) -> None:
        """Another value for a constant from outside, of which there is a view already."""
        constant = self.pick(self.state.constants)
        self.tensors.append(ag.reshape(constant, (-1,)))
        way = self.choose(5)
        if way == 0:
            constant += 1.0
        elif way == 1 and _rows(constant):
            constant[0] = ag.sum(ag.tanh(self.pick())).detach()
        elif way == 2:
            other = self.pick([x for x in self.state.constants if x.shape == constant.shape])
            constant.value, other.value = other.value, constant.value
        else:
            constant.value = self.pick([x for x in self.tensors if x.shape == constant.shape]).detach().value

    def train(self) -> None:
        loss = ag.sum(ag.tanh(self.pick(self.state.parameters)))
        for _ in range(2):
            x = self.pick()
            loss = loss + (ag.mean(ag.tanh(x)) if x.size else ag.sum(x))
        loss.backward()
        self.result[f"loss {len(self.result)}"] = loss.detach()
        for parameter in self.state.parameters:
            if parameter._written is not None:
                self.tensors.append(ag.asarray(parameter.grad) * 1)
                parameter.gradient_update(self.rate)
        self.tensors = [x if x.is_leaf else x.detach() for x in self.tensors]


def compare(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    one, other = ours.numpy(), theirs.numpy()
    scale = max(1.0, np.max(np.abs(other[np.isfinite(other)]), initial=0.0))
    np.testing.assert_allclose(one, other, rtol=0, atol=(1e-8 if other.itemsize == 8 else 2e-3) * scale)


class Pair:
    """Two states that are changed alike: a compiled function has one, the function the other."""

    def __init__(self, seed: int, device: str, dtype: str) -> None:
        self.device, self.dtype = device, dtype
        self.chance, self.draws = random.Random(seed), np.random.default_rng(seed)
        shapes = [self.chance.choice([*SHAPES, *(LARGE if device == "cpu" else [])]) for _ in range(3)]
        parameters, constants = ([self.chance.choice(shapes) for _ in range(2)] for _ in range(2))
        self.shape, self.raw_shape = self.chance.choice(shapes), self.chance.choice(shapes)
        values = [[self.draws.normal(size=shape) for shape in part] for part in (parameters, constants)]
        raw = self.array(self.raw_shape)
        self.states = [
            SimpleNamespace(
                parameters=[Tensor(x, device=device, dtype=dtype) for x in values[0]],
                constants=[Tensor(x, device=device, dtype=dtype, requires_grad=False) for x in values[1]],
                raw=raw,
                scale=1.5,
            )
            for _ in range(2)
        ]
        self.before: Any = None

    def array(self, shape: Any) -> Any:
        return ag.asarray(self.draws.normal(size=shape), device=self.device, dtype=self.dtype).value

    def arguments(self) -> list[Any]:
        """The arguments of both functions: new ones, or something that there is already."""
        x, raw, rate = self.array(self.shape), self.array(self.raw_shape), self.chance.choice([0.1, 0.02])
        xs = [ag.asarray(x, device=self.device, copy=True) for _ in range(2)]
        way = self.chance.randrange(5)
        fitting = [i for i, y in enumerate(self.states[0].constants) if y.shape == self.shape]
        if way == 0 and fitting:
            i = self.chance.choice(fitting)
            xs = [state.constants[i] for state in self.states]
        elif way == 1 and self.before is not None:
            names = [name for name, y in self.before[1].items() if y.shape == self.shape]
            if names:
                name = self.chance.choice(names)
                xs = [result[name] for result in self.before]
        elif way == 2:
            raw = self.states[0].raw
        return [(x, raw, rate) for x in xs]

    def change(self) -> None:
        """Something else than the arguments."""
        way = self.chance.randrange(6)
        if way == 0:
            scale = self.chance.choice([1.5, 2.5])
            for state in self.states:
                state.scale = scale
        elif way < 3:
            part, i = ("parameters", "constants")[way - 1], self.chance.randrange(2)
            value = self.array(getattr(self.states[0], part)[i].shape)
            for state in self.states:
                getattr(state, part)[i].value = ag.asarray(value, copy=True).value
        elif way == 3:
            raw = self.array(self.raw_shape)
            for state in self.states:
                state.raw = raw
        elif way == 4 and self.device == "cpu":
            self.states[0].raw[...] = self.draws.normal(size=self.raw_shape)


@settings(
    max_examples=30,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
)
@given(
    numbers=st.lists(st.integers(0, 10**6), min_size=60, max_size=200),
    steps=st.sampled_from([4, 8, 16, 30]),
    seed=st.integers(0, 10**6),
    dtype=st.sampled_from(["float64", "float64", "float32"]),
)
def test_programs_among_changes(device: str, numbers: list[int], steps: int, seed: int, dtype: str) -> None:
    pair = Pair(seed, device, dtype)
    ours, theirs = pair.states
    compiled = ag.compile(lambda x, raw, rate: Run(numbers, ours, x, raw, rate).run(steps))
    returned: list[tuple[Any, Any]] = []
    with np.errstate(all="ignore"):
        for i in range(6):
            if i > 1:
                pair.change()
            mine, yours = pair.arguments()
            wanted = Run(numbers, theirs, *yours).run(steps)
            given = compiled(*mine)
            assert given.keys() == wanted.keys()
            for name, value in wanted.items():
                compare(given[name], value)
            for part in ("parameters", "constants"):
                for one, other in zip(getattr(ours, part), getattr(theirs, part), strict=True):
                    compare(one, other)
                    returned.append((one.value, one.numpy()))
            named = {name: y for name, y in given.items() if not any(y is t for t in (mine[0], *ours.constants))}
            returned += [(y.value, y.numpy()) for y in named.values()]
            for a, b in itertools.combinations(wanted, 2):
                assert (given[a] is given[b]) == (wanted[a] is wanted[b])
            pair.before = ({name: given[name] for name in named}, {name: wanted[name] for name in named})
    for array, value in returned:
        np.testing.assert_array_equal(ag.asarray(array).numpy(), value)
    assert compiled.report().captured, str(compiled.report())
