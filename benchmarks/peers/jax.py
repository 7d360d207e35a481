"""JAX: the whole step compiled by XLA, called once a step."""

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

        @jax.jit
        def step(
            weights: tuple[jax.Array, ...], xs: jax.Array, ys: jax.Array
        ) -> tuple[jax.Array, tuple[jax.Array, ...]]:
            value, gradients = jax.value_and_grad(loss)(weights, xs, ys)
            return value, tuple(w - rate * g for w, g in zip(weights, gradients, strict=True))

        self.step = step
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
