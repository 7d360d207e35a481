"""The network of section 13.5, trained beside the same network written out in NumPy."""

import random
from itertools import product

import numpy as np
import pytest

from agrad.nn import Model
from agrad.scalar import Scalar, losses
from agrad.scalar import functional as f_scalar

# From here to `parameters` word for word the chapter's.

n_hidden_neurons = 32


class ScalarNetwork(Model):
    def __init__(self):
        self.A = [[Scalar.from_random() for j in range(n_hidden_neurons)] for i in range(2)]
        self.B = [Scalar.from_random() for i in range(n_hidden_neurons)]

    def forward(self, x):
        fs = [sum([self.A[i][j] * x[i] for i in range(2)]) for j in range(n_hidden_neurons)]
        fs_relu = [f_scalar.tanh(f) for f in fs]
        gs = sum([self.B[i] * fs_relu[i] for i in range(n_hidden_neurons)])
        return f_scalar.sigmoid(gs)

    def parameters(self):
        A_dict = {f"a{i}{j}": self.A[i][j] for i, j in product(range(2), range(n_hidden_neurons))}
        B_dict = {f"b{i}": self.B[i] for i in range(n_hidden_neurons)}
        return {**A_dict, **B_dict}


def test_the_network_of_section_13_5():
    random.seed(5)
    n_samples = 20
    xs_scalar = [[Scalar.from_random(), Scalar.from_random()] for _ in range(n_samples)]
    ys_scalar = [Scalar.from_random() for _ in range(n_samples)]
    scalar_net = ScalarNetwork()
    a = np.array([[p.value for p in row] for row in scalar_net.A])
    b = np.array([p.value for p in scalar_net.B])
    xs = np.array([[p.value for p in row] for row in xs_scalar])
    ys = np.array([p.value for p in ys_scalar])

    def scalar_network_step():
        preds = [scalar_net(x) for x in xs_scalar]
        loss = losses.binary_cross_entropy(preds, ys_scalar)
        loss.backward()
        scalar_net.gradient_update(0.01)
        return loss.value

    for _ in range(5):
        h = np.tanh(xs @ a)
        p = 1 / (1 + np.exp(-h @ b))
        q = 1 - p
        expected = -np.mean(ys * np.log(p + 1e-16) + (1 - ys) * np.log(q + 1e-16))
        dz = ((1 - ys) / (q + 1e-16) - ys / (p + 1e-16)) / n_samples * p * q
        da, db = xs.T @ (dz[:, None] * b * (1 - h * h)), h.T @ dz
        assert scalar_network_step() == pytest.approx(expected, rel=1e-10)
        assert [[p.backwards_grad for p in row] for row in scalar_net.A] == pytest.approx(da, rel=1e-6)
        assert [p.backwards_grad for p in scalar_net.B] == pytest.approx(db, rel=1e-6)
        a -= 0.01 * da
        b -= 0.01 * db
    assert [p.value for p in scalar_net.B] == pytest.approx(b, rel=1e-8)


def test_training_goes_down():
    random.seed(11)
    xs = [[random.uniform(-1, 1), random.uniform(-1, 1)] for _ in range(15)]
    ys = [1 if x[0] > 0.3 * x[1] else 0 for x in xs]
    scalar_net = ScalarNetwork()
    values = []
    for _ in range(40):
        loss = losses.binary_cross_entropy([scalar_net(x) for x in xs], ys)
        values.append(loss.value)
        loss.backward()
        scalar_net.gradient_update(0.05)
    assert values[-1] < 0.6 * values[0]
