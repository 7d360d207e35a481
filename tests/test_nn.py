"""Model: how parameters are found, updated, copied, loaded and moved."""

from __future__ import annotations

import numpy as np
import pytest

import agrad as ag
from agrad import DeviceError, GraphError, ShapeError, Tensor
from agrad.backend import find_device
from agrad.functional import sigmoid, tanh
from agrad.nn import Model
from agrad.scalar import Scalar
from tests.conftest import STRICT


class Linear(Model):
    def __init__(self, n_in, n_out, device="cpu"):
        self.weight = Tensor.from_random(n_in, n_out, device=device)
        self.bias = Tensor.zeros(n_out, device=device)

    def forward(self, x):
        return x @ self.weight + self.bias


class Network(Model):
    """Parameters in nested models, lists, dicts and tuples; beside them things that are none."""

    def __init__(self, device="cpu"):
        self.layers = [Linear(2, 3, device), Linear(3, 3, device)]
        self.heads = {"left": Linear(3, 1, device), "scale": Tensor(2.0, device=device)}
        self.pair = (Tensor([1.0], device=device), "text")
        self.constant = Tensor([5.0], device=device, requires_grad=False)
        self.integers = Tensor([1, 2], device=device)
        self.name = "a network"
        self.width = 3
        self.nothing = None

    def forward(self, x):
        for layer in self.layers:
            x = tanh(layer(x))
        return (self.heads["left"](x) * self.heads["scale"] + self.pair[0] + self.constant).sum()


NAMES = [
    *("layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"),
    *("heads.left.weight", "heads.left.bias", "heads.scale", "pair.0"),
]


def test_parameters_are_found_by_themselves():
    network = Network()
    parameters = network.parameters()
    assert list(parameters) == NAMES
    assert parameters["layers.1.bias"] is network.layers[1].bias
    assert parameters["heads.scale"] is network.heads["scale"]


def test_a_parameter_that_is_held_twice_is_listed_once():
    class Tied(Model):
        def __init__(self):
            self.first = Linear(2, 2)
            self.second = self.first
            self.again = [self.first.weight, Tensor(1.0)]
            self.me = self

        def forward(self, x):
            return self.second(self.first(x)) @ self.again[0]

    model = Tied()
    assert list(model.parameters()) == ["first.weight", "first.bias", "again.1"]
    x = Tensor([[1.0, 2.0]], requires_grad=False)
    before = model.first.weight.numpy()
    model(x).sum().backward()
    gradient = model.first.weight.grad.copy()
    model.gradient_update(0.1)
    np.testing.assert_allclose(model.first.weight.value, before - 0.1 * gradient)


def test_what_was_computed_is_no_parameter():
    model = Linear(2, 2)
    model.cached = model(Tensor([[1.0, 2.0]]))
    assert list(model.parameters()) == ["weight", "bias"]


def test_a_model_may_list_its_parameters_itself():
    class Chapter(Model):
        def __init__(self):
            self.A = Tensor.from_random(2, 8)
            self.B = Tensor.from_random(8, 1)
            self.C = Tensor.from_random(1, 1)

        def forward(self, x):
            return sigmoid(tanh(x @ self.A) @ self.B @ self.C)

        def parameters(self):
            return {"A": self.A, "B": self.B}

    model = Chapter()
    before = model.parameter_values(), model.C.numpy()
    model(Tensor([[1.0, 2.0]], requires_grad=False)).backward()
    model.gradient_update(0.5)
    for name, value in before[0].items():
        assert (model.parameter_values()[name] != value).any()
    np.testing.assert_array_equal(model.C.value, before[1])


def test_what_a_nested_model_lists_counts():
    """Neither what it leaves out is trained, nor what only it knows of is missed."""
    pytest.importorskip("array_api_strict")
    hidden = Tensor(2.0)

    class Inner(Model):
        def __init__(self):
            self.a, self.frozen = Tensor(1.0), Tensor(3.0)

        def forward(self, x):
            return self.a * self.frozen * hidden * x

        def parameters(self):
            return {"a": self.a, "hidden": hidden}

    class Outer(Model):
        def __init__(self):
            self.inner, self.own = Inner(), Tensor(1.0)

        def forward(self, x):
            return self.inner(x) * self.own

    class More(Outer):
        def parameters(self):
            return {"more": self.own, **super().parameters()}

    model = Outer()
    assert list(model.parameters()) == ["inner.a", "inner.hidden", "own"]
    assert list(More().parameters()) == ["more", "inner.a", "inner.hidden", "own"]
    model(1.0).backward()
    model.gradient_update(0.1)
    assert [x.item() for x in (model.inner.a, model.inner.frozen, hidden)] == pytest.approx([0.4, 3.0, 1.7])
    model.to(STRICT)
    assert {x.device for x in (model.inner.a, model.inner.frozen, hidden, model.own)} == {STRICT}


def test_a_model_needs_a_forward():
    class Nothing(Model):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Nothing()


def test_calling_is_forward():
    class Sum(Model):
        def forward(self, x, *, scale=1.0):
            return x * scale

    assert Sum()(Tensor(2.0), scale=3.0).item() == 6.0
    assert Sum().parameters() == {}


def test_gradient_update(device):
    network = Network(device)
    x = Tensor([[0.5, -1.0]], device=device, requires_grad=False)
    before = {name: p.numpy() for name, p in network.parameters().items()}
    network(x).backward()
    gradients = {name: Tensor(p.grad).numpy() for name, p in network.parameters().items()}
    network.gradient_update(0.1)
    for name, p in network.parameters().items():
        assert p.is_leaf
        np.testing.assert_allclose(p.numpy(), before[name] - 0.1 * gradients[name], rtol=1e-6)


def test_a_gradient_is_applied_once(device):
    network = Network(device)
    x = Tensor([[0.5, -1.0]], device=device, requires_grad=False)
    network(x).backward()
    network.gradient_update(0.1)
    before = {name: p.numpy() for name, p in network.parameters().items()}
    network.layers[0](x).sum().backward()
    network.gradient_update(0.1)
    for name, p in network.parameters().items():
        assert (p.numpy() != before[name]).any() == name.startswith("layers.0")


def test_an_update_of_what_is_no_leaf_changes_nothing():
    class Wrong(Model):
        def __init__(self):
            self.a = Tensor(1.0)
            self.b = Tensor(1.0) * 2.0

        def forward(self, x):
            return self.a * self.b * x

        def parameters(self):
            return {"a": self.a, "b": self.b}

    model = Wrong()
    model(1.0).backward()
    with pytest.raises(GraphError, match="gradient_update: only leaves can be updated"):
        model.gradient_update(0.1)
    assert model.a.item() == 1.0
    with pytest.raises(TypeError, match="gradient_update: the learning rate is a number, not 'fast'"):
        Linear(1, 1).gradient_update("fast")


# Copies --------------------------------------------------------------------------------------------------------------


def test_copies_are_not_touched_by_updates(device):
    network = Network(device)
    x = Tensor([[0.5, -1.0]], device=device, requires_grad=False)
    copies, result = network.copy_parameters(), network(x).item()
    assert list(copies) == NAMES
    for _ in range(3):
        network(x).backward()
        network.gradient_update(0.1)
    assert network(x).item() != result
    network.load_parameters(copies)
    assert network(x).item() == result
    network(x).backward()
    network.gradient_update(0.1)
    network.load_parameters(copies)
    assert network(x).item() == result


def test_parameter_values_are_arrays(device):
    network = Network(device)
    values = network.parameter_values()
    assert list(values) == NAMES
    for name, value in values.items():
        assert type(value) is type(network.parameters()[name].value)


def test_loading_from_tensors_arrays_numbers_and_other_devices(device):
    model = Linear(1, 2, device)
    dtype = model.weight.dtype
    for values in (Tensor([[1.0, 2.0]]), np.array([[1, 2]]), [[1.0, 2.0]], Tensor([[1.0, 2.0]], device=device)):
        model.load_parameters({"weight": values})
        assert (model.weight.device, model.weight.dtype) == (find_device(device).name, dtype)
        np.testing.assert_array_equal(model.weight.numpy(), [[1.0, 2.0]])
        assert model.weight.is_leaf and model.weight.requires_grad
        model.load_parameters({"weight": [[0.0, 0.0]]})


def test_what_was_loaded_is_a_copy():
    model, array = Linear(1, 2), np.array([[1.0, 2.0]])
    model.load_parameters({"weight": array})
    array[:] = 7.0
    np.testing.assert_array_equal(model.weight.value, [[1.0, 2.0]])


def test_loading_ends_the_graphs_that_wrote_gradients():
    model = Linear(1, 1)
    loss = model(Tensor([[1.0]], requires_grad=False)).sum()
    loss.backward()
    model.load_parameters({"weight": [[3.0]]})
    with pytest.raises(GraphError, match="parameters were updated"):
        loss.backward()


@pytest.mark.parametrize(
    ("extra", "error", "message"),
    [
        (
            {"weights": 1.0},
            KeyError,
            r"load_parameters: the model has no parameter weights; it has \['weight', 'bias'\]",
        ),
        ({"bias": [1.0]}, ShapeError, r"load_parameters: bias has shape \(2,\), and a value of shape \(1,\) was given"),
    ],
)
def test_errors_in_loading_change_nothing(extra, error, message):
    model = Linear(1, 2)
    before = model.weight.numpy()
    with pytest.raises(error, match=message):
        model.load_parameters({"weight": [[7.0, 7.0]], **extra})
    np.testing.assert_array_equal(model.weight.value, before)


# Devices -------------------------------------------------------------------------------------------------------------


def test_moving_a_model(device):
    network = Network()
    x = Tensor([[0.5, -1.0]], requires_grad=False)
    result = network(x).item()
    assert network.to(device) is network
    everything = [*network.parameters().values(), network.constant, network.integers]
    assert {t.device for t in everything} == {find_device(device).name}
    there = network(x.to(device))
    assert there.item() == pytest.approx(result)
    there.backward()
    network.gradient_update(0.1)
    network.to("cpu")
    assert network(x).item() != result
    assert list(network.parameters()) == NAMES


def test_moving_forgets_gradients():
    pytest.importorskip("array_api_strict")
    model = Linear(1, 1)
    model(Tensor([[2.0]], requires_grad=False)).sum().backward()
    weight = model.weight
    model.to(STRICT)
    assert model.weight is weight
    assert not Tensor(weight.grad).numpy().any()
    model.gradient_update(0.1)
    np.testing.assert_array_equal(model.bias.numpy(), [0.0])
    with pytest.raises(DeviceError, match="there is no device"):
        model.to("nowhere")


def test_moving_what_parameters_names():
    pytest.importorskip("array_api_strict")
    hidden = Tensor(1.0)

    class Odd(Model):
        def forward(self, x):
            return hidden * x

        def parameters(self):
            return {"hidden": hidden}

    Odd().to(STRICT)
    assert hidden.device == STRICT


# Scalars -------------------------------------------------------------------------------------------------------------


class Scalars(Model):
    def __init__(self):
        self.rows = [[Scalar(1.0), Scalar(2.0)], [Scalar(3.0)]]
        self.tensor = Tensor(4.0)

    def forward(self, x):
        return self.rows[0][0] * x + self.rows[0][1] * self.rows[1][0]


def test_scalars_are_parameters_too():
    model = Scalars()
    assert list(model.parameters()) == ["rows.0.0", "rows.0.1", "rows.1.0", "tensor"]
    assert model.parameter_values() == {"rows.0.0": 1.0, "rows.0.1": 2.0, "rows.1.0": 3.0, "tensor": 4.0}
    copies = model.copy_parameters()
    model(2.0).backward()
    model.gradient_update(0.5)
    assert [s.value for s in (*model.rows[0], *model.rows[1])] == [0.0, 0.5, 2.0]
    assert model.tensor.item() == 4.0
    model.load_parameters(copies)
    assert model.rows[0][1].value == 2.0
    model.load_parameters({"rows.1.0": 9.0, "tensor": 1.0})
    assert (model.rows[1][0].value, model.tensor.item()) == (9.0, 1.0)


def test_models_are_a_part_of_agrad():
    assert ag.nn.Model is Model
