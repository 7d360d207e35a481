"""JAX: the whole step compiled by XLA, called once a step or inside a loop that is compiled too."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr

from benchmarks._measure import Contestant, Outcome, Unavailable
from benchmarks.peers import _bases
from benchmarks.workloads.black_scholes import BlackScholesProblem
from benchmarks.workloads.mlp import MlpProblem
from benchmarks.workloads.spiral import SpiralProblem


def _device(device: str) -> Any:
    """JAX's own device for one of agrad's device names: the card, or the CPU."""
    # By default each call on the CPU hands its work to a second thread: that is not one thread, and twice as slow.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    card = _bases.card(device)
    if card is None:
        return jax.devices("cpu")[0]
    try:
        return jax.devices("cuda")[card]
    except (RuntimeError, IndexError):
        raise Unavailable(f"sees no {device}") from None


class Spiral(Contestant):
    """The loss, its gradient and the update in one `jax.jit`, waited for after each step as a loop that logs would."""

    def __init__(self, problem: SpiralProblem) -> None:
        self.problem = problem
        self.device = _device(problem.device)
        rate, epsilon = problem.rate, problem.epsilon

        def loss(weights: tuple[jax.Array, ...], xs: jax.Array, ys: jax.Array) -> jax.Array:
            a, b, c = weights
            p = jax.nn.sigmoid(jnp.tanh(jnp.tanh(xs @ a) @ b) @ c)
            return -(ys * jnp.log(p + epsilon) + (1 - ys) * jnp.log(1 - p + epsilon)).mean()

        def step(
            weights: tuple[jax.Array, ...], xs: jax.Array, ys: jax.Array
        ) -> tuple[jax.Array, tuple[jax.Array, ...]]:
            value, gradients = jax.value_and_grad(loss)(weights, xs, ys)
            return value, tuple(w - rate * g for w, g in zip(weights, gradients, strict=True))

        self.plain_step = step
        self.step = jax.jit(step)
        with jax.enable_x64(True):
            self.xs, self.ys = jax.device_put((problem.xs, problem.ys), self.device)

    def reset(self) -> None:
        """New arrays with the initial weights."""
        with jax.enable_x64(True):
            self.weights = jax.device_put(self.problem.fresh_weights(), self.device)

    def run(self, steps: int) -> None:
        """One call a step."""
        step, weights, xs, ys = self.step, self.weights, self.xs, self.ys
        with jax.enable_x64(True):
            for _ in range(steps):
                loss, weights = step(weights, xs, ys)
                jax.block_until_ready(weights)
        self.loss, self.weights = loss, weights

    def outcome(self) -> Outcome:
        """The last loss and the weights."""
        return dict(zip("ABC", map(np.asarray, self.weights), strict=True), loss=np.asarray(self.loss))


class ScannedSpiral(Spiral):
    """The same step inside `lax.scan`, which records the losses: all steps in one call."""

    def __init__(self, problem: SpiralProblem) -> None:
        super().__init__(problem)
        step = self.plain_step

        def loop(
            weights: tuple[jax.Array, ...], xs: jax.Array, ys: jax.Array, steps: int
        ) -> tuple[tuple[jax.Array, ...], jax.Array]:
            def turn(weights: tuple[jax.Array, ...], _: None) -> tuple[tuple[jax.Array, ...], jax.Array]:
                loss, weights = step(weights, xs, ys)
                return weights, loss

            return jax.lax.scan(turn, weights, length=steps)

        self.loop = jax.jit(loop, static_argnums=3)

    def run(self, steps: int) -> None:
        """One call, compiled for this number of steps when it is first made."""
        with jax.enable_x64(True):
            self.weights, losses = self.loop(self.weights, self.xs, self.ys, steps)
            jax.block_until_ready(self.weights)
        self.loss = losses[-1]


Weights = dict[str, jax.Array]


class Mlp(Contestant):
    """The loss, its gradient and the update in one `jax.jit`, waited for at the end."""

    def __init__(self, problem: MlpProblem) -> None:
        self.problem = problem
        self.device = _device(problem.device)
        rate = problem.rate

        def loss(weights: Weights, x: jax.Array, labels: jax.Array) -> jax.Array:
            h = jax.nn.relu(x @ weights["A"] + weights["b"])
            logs = jax.nn.log_softmax(h @ weights["C"] + weights["d"])
            return -jnp.take_along_axis(logs, labels[:, None], axis=1).mean()

        @jax.jit
        def step(weights: Weights, x: jax.Array, labels: jax.Array) -> tuple[jax.Array, Weights]:
            value, gradients = jax.value_and_grad(loss)(weights, x, labels)
            return value, jax.tree.map(lambda weight, gradient: weight - rate * gradient, weights, gradients)

        self.step = step
        self.x, self.labels = jax.device_put((problem.x, problem.labels), self.device)

    def reset(self) -> None:
        """New arrays with the initial weights."""
        self.weights = jax.device_put(dict(self.problem.weights), self.device)

    def run(self, steps: int) -> None:
        """One call a step."""
        step, weights, x, labels = self.step, self.weights, self.x, self.labels
        for _ in range(steps):
            loss, weights = step(weights, x, labels)
        self.loss, self.weights = jax.block_until_ready((loss, weights))

    def outcome(self) -> Outcome:
        """The last loss and the weights."""
        return {"loss": np.asarray(self.loss), **{name: np.asarray(w) for name, w in self.weights.items()}}


class BlackScholes(Contestant):
    """`jax.grad` of the formula in one `jax.jit`."""

    def __init__(self, problem: BlackScholesProblem) -> None:
        device, rate = _device(problem.device), problem.rate

        def total(spot: jax.Array, volatility: jax.Array, strike: jax.Array, years: jax.Array) -> jax.Array:
            width = volatility * jnp.sqrt(years)
            d1 = (jnp.log(spot / strike) + (rate + volatility**2 / 2) * years) / width
            d2 = d1 - width
            return jnp.sum(spot * ndtr(d1) - strike * jnp.exp(-rate * years) * ndtr(d2))

        self.gradient = jax.jit(jax.grad(total, (0, 1)))
        with jax.enable_x64(True):
            columns = (problem.spot, problem.volatility, problem.strike, problem.years)
            self.arguments = jax.device_put(columns, device)

    def reset(self) -> None:
        """Every call starts from nothing."""
        self.greeks = None

    def run(self, steps: int) -> None:
        """One gradient a step."""
        with jax.enable_x64(True):
            for _ in range(steps):
                self.greeks = self.gradient(*self.arguments)
            jax.block_until_ready(self.greeks)

    def outcome(self) -> Outcome:
        """Delta and vega."""
        return dict(zip(("delta", "vega"), map(np.asarray, self.greeks), strict=True))
