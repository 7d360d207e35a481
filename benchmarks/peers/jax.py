"""JAX: the whole step compiled by XLA, called once a step or inside a loop that is compiled too."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._measure import Contestant, Outcome
from benchmarks.workloads.spiral import SpiralProblem


class Spiral(Contestant):
    """The loss, its gradient and the update in one `jax.jit`, waited for after each step as a loop that logs would."""

    def __init__(self, problem: SpiralProblem) -> None:
        # By default each call hands its work to a second thread: that is not one thread, and twice as slow here.
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        self.problem = problem
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
            self.xs = jnp.asarray(problem.xs)
            self.ys = jnp.asarray(problem.ys)

    def reset(self) -> None:
        """New arrays with the initial weights."""
        with jax.enable_x64(True):
            self.weights = tuple(jnp.asarray(weight) for weight in self.problem.fresh_weights())

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
