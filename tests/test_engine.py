"""What the engine guarantees: order, accumulation, memory, updates. The derivatives themselves are tested elsewhere."""

from __future__ import annotations

import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import agrad as ag
from agrad import DeviceError, Edge, GraphError, ShapeError, Tensor
from agrad._graph import Mask, Node, Primitive
from agrad._tensor import binary, unary
from agrad.functional import relu, sigmoid, tanh
from agrad.nn import Model

UPDATED = "parameters were updated: run the forward pass again"


def host(array):
    """A gradient of any backend as a numpy.ndarray."""
    return Tensor(array, requires_grad=False).numpy()


def nodes():
    """How many nodes there are, in all graphs."""
    return sum(type(thing) is Node for thing in gc.get_objects())


def parameter(values, device, **options):
    return Tensor(values, device=device, **options)


# Order and accumulation ----------------------------------------------------------------------------------------------


def test_a_million_nodes_need_no_recursion():
    x = Tensor(1.0)
    y = x
    for _ in range(1_000_000):
        y = y + 1.0
    y.backward()
    assert x.grad == 1.0
    assert nodes() > 1_000_000
    del y
    assert nodes() < 1_000


def test_a_long_chain(device):
    x = parameter([1.0, -2.0], device)
    y = x
    for _ in range(20_000 if device == "cpu" else 2_000):
        y = -y
    (y * y).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [2.0, -4.0])
    del y


def test_a_long_chain_takes_little_for_a_node_and_leaves_nothing():
    x, length = Tensor(np.arange(3.0)), 10_000
    tracemalloc.start()
    try:
        y = x
        for _ in range(length):
            y = y + x
        y.backward()
        assert tracemalloc.get_traced_memory()[1] < 350 * length
        x.gradient_update(0.1)
        assert tracemalloc.get_traced_memory()[0] < 2 * length
    finally:
        tracemalloc.stop()


def test_a_diamond(device):
    x = parameter([0.5, -2.0], device)
    left, right = x * 3.0, x * x
    (left * right).sum().backward()
    np.testing.assert_allclose(host(x.grad), 9 * np.array([0.5, -2.0]) ** 2)


def test_a_deep_diamond_is_visited_once_per_node(device):
    x = parameter(1.0, device)
    y = x
    for _ in range(100):  # 2**100 paths
        y = y * 0.25 + y * 0.75
    y.backward()
    assert float(x.grad) == pytest.approx(1.0)


def test_a_node_used_twice_by_one_operation(device):
    x = parameter([2.0, 3.0], device)
    (x * x).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [4.0, 6.0])


def test_a_node_waits_for_all_its_uses(device):
    x = parameter(2.0, device)
    shared = x * x
    y = shared
    for _ in range(5):
        y = y * 1.0
    (y + shared).backward()
    assert float(x.grad) == 8.0
    assert float(shared.grad) == 2.0


def test_backward_twice_gives_the_same_numbers(device):
    x = parameter([0.3, -0.7], device)
    y = (tanh(x) * x).sum()
    y.backward()
    first = host(x.grad)
    y.backward()
    np.testing.assert_array_equal(host(x.grad), first)


def test_zero_grad_false_accumulates(device):
    x, other = parameter([0.3, -0.7], device), parameter([1.0, 1.0], device)
    y = x * x
    y.sum().backward(zero_grad=False)
    once = host(x.grad)
    y.sum().backward(zero_grad=False)
    (x * other).sum().backward(zero_grad=False)
    np.testing.assert_allclose(host(x.grad), 2 * once + 1.0)
    np.testing.assert_allclose(host(y.grad), [2.0, 2.0])


def test_zero_grad_resets_this_graph_only(device):
    x, other = parameter([1.0, 2.0], device), parameter([3.0, 4.0], device)
    (x * other).sum().backward()
    (x * 10.0).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [10.0, 10.0])
    np.testing.assert_array_equal(host(other.grad), [1.0, 2.0])


def test_a_root_that_is_not_one_number_is_seeded_with_ones(device):
    x = parameter([1.0, 2.0, 3.0], device)
    y = x * x
    y.backward()
    np.testing.assert_array_equal(host(x.grad), [2.0, 4.0, 6.0])
    np.testing.assert_array_equal(host(y.grad), [1.0, 1.0, 1.0])


def test_the_gradient_of_the_root_can_be_given(device):
    x = parameter([1.0, 2.0, 3.0], device)
    for gradient in ([1.0, 10.0, 100.0], Tensor([1.0, 10.0, 100.0], device=device), np.array([1, 10, 100])):
        y = x * x
        y.backward(gradient if device == "cpu" or not isinstance(gradient, np.ndarray) else gradient.tolist())
        np.testing.assert_array_equal(host(x.grad), [2.0, 40.0, 600.0])
        np.testing.assert_array_equal(host(y.grad), [1.0, 10.0, 100.0])


def test_a_given_gradient_is_copied():
    x, gradient = Tensor([1.0, 2.0]), np.ones(2)
    x.backward(gradient)
    gradient[:] = 7
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])


def test_a_given_gradient_of_another_shape_is_an_error(device):
    x = parameter([1.0, 2.0], device)
    with pytest.raises(ShapeError, match=r"backward: a gradient of shape \(3,\) for a tensor of shape \(2,\)"):
        (x * x).backward([1.0, 2.0, 3.0])


def test_a_leaf_can_be_the_root(device):
    x = parameter([1.0, 2.0], device)
    x.backward()
    np.testing.assert_array_equal(host(x.grad), [1.0, 1.0])
    x.gradient_update(0.5)
    np.testing.assert_array_equal(x.numpy(), [0.5, 1.5])


# Roots without a leaf ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Tensor([1.0], requires_grad=False) * 2.0, "requires_grad=False"),
        (lambda: ag.ones(3) * 2.0, "from constants alone"),
        (lambda: Tensor([1.0]).detach(), r"detach\(\)"),
        (lambda: Tensor([1, 2, 3]), "its dtype is int64, and only floating-point and complex"),
        (lambda: Tensor([1.0]) > 0, "its dtype is bool"),
    ],
)
def test_backward_on_a_constant_says_why(make, reason):
    with pytest.raises(GraphError, match=r"backward\(\): this tensor depends on no differentiable leaf: .*" + reason):
        make().backward()


def test_backward_on_what_was_made_under_no_grad_says_why(device):
    with ag.no_grad():
        y = parameter([1.0], device) * 2.0
    with pytest.raises(GraphError, match=r"depends on no differentiable leaf: .*under no_grad\(\)"):
        y.backward()


# What gradients are --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_have_the_shape_dtype_and_device_of_their_tensor(device, dtype):
    other_dtype = "float64" if dtype == "float32" else "float32"
    x = parameter([[1.0], [2.0]], device, dtype=dtype)
    row = parameter([1.0, 2.0, 3.0], device, dtype=other_dtype)
    number = parameter(2.0, device, dtype=dtype)
    y = x * row
    z = (y * number).sum()
    z.backward()
    for tensor in (x, row, number, y, z):
        gradient = Tensor(tensor.grad, requires_grad=False)
        assert tuple(tensor.grad.shape) == tensor.shape
        assert tensor.grad.dtype == tensor.dtype
        assert gradient.device == tensor.device
    np.testing.assert_allclose(host(x.grad), [[12.0], [12.0]])
    np.testing.assert_allclose(host(row.grad), [6.0, 6.0, 6.0])
    np.testing.assert_allclose(host(number.grad), 18.0)


def test_gradients_of_what_has_none_yet_are_zeros(device):
    x = parameter([[1.0, 2.0]], device, dtype="float32")
    assert tuple(x.grad.shape) == (1, 2)
    assert x.grad.dtype == x.dtype
    np.testing.assert_array_equal(host((x * 2).grad), [[0.0, 0.0]])


@pytest.mark.usefixtures("current")
@pytest.mark.parametrize(
    "compute",
    [
        lambda x, y: x + y,
        lambda x, y: (x + y) + (x + y),
        lambda x, y: x.reshape(4).reshape(2, 2) + y.T.T,
        lambda x, y: x.broadcast_to((1, 2, 2)) + y,
        lambda x, y: (x[:, :] + y.T).sum(),
    ],
)
def test_gradients_of_leaves_share_no_memory(device, compute):
    if device.startswith("jax"):
        pytest.skip("JAX arrays can't be written to")
    x, y = parameter([[1.0, 2.0], [3.0, 4.0]], device), parameter([[5.0, 6.0], [7.0, 8.0]], device)
    z = compute(x, y)
    z.backward()
    before = host(y.grad), host(z.grad)
    x.grad[0, 0] = 99.0
    assert host(x.grad)[0, 0] == 99.0
    np.testing.assert_array_equal(host(y.grad), before[0])
    np.testing.assert_array_equal(host(z.grad), before[1])


@pytest.mark.usefixtures("current")
def test_a_gradient_of_one_number_can_be_written_to(device):
    if device.startswith("jax"):
        pytest.skip("JAX arrays can't be written to")
    for root in (lambda x: x + 1.0, lambda x: x):
        x = parameter(1.0, device)
        root(x).backward()
        x.grad[()] = 5.0
        assert float(x.grad) == 5.0
        again = parameter(1.0, device)
        root(again).backward()
        assert float(again.grad) == 1.0


def test_complex_gradients_point_to_steepest_ascent(device):
    z = parameter([1.0 + 2.0j, -0.5j], device)
    (ag.real(z) ** 2 + 3.0 * ag.imag(z)).sum().backward()
    np.testing.assert_allclose(host(z.grad), [2.0 + 3.0j, 3.0j])


def test_a_real_leaf_of_a_complex_graph_has_a_real_gradient(device):
    x = parameter([1.0, 2.0], device)
    ag.real(x * parameter([2.0 + 1.0j, 1.0j], device, requires_grad=False)).sum().backward()
    assert x.grad.dtype == x.dtype
    np.testing.assert_allclose(host(x.grad), [2.0, 0.0])


# What is computed, and what is kept ----------------------------------------------------------------------------------


def counting_product(calls):
    """A product whose rules write down that they were called."""

    def left(xp, g, b):
        calls.append("a")
        return g * b

    def right(xp, g, a):
        calls.append("b")
        return g * a

    return Primitive("counting_product", lambda xp, a, b: a * b, a=left, b=right)


def test_no_gradient_is_computed_for_constants(device):
    calls = []
    product = counting_product(calls)
    x, constant = parameter(2.0, device), parameter(3.0, device, requires_grad=False)
    binary(product, binary(product, x, constant), binary(product, constant, constant)).backward()
    assert calls == ["a", "a"]
    calls.clear()
    binary(product, constant, x).backward()
    assert calls == ["b"]


def test_no_gradient_is_computed_that_nobody_needs(device):
    calls = []
    product = counting_product(calls)
    x = parameter(2.0, device)
    y = binary(product, x, binary(product, parameter(3.0, device), parameter(4.0, device)))
    y.backward()  # the leaves 3 and 4 are gone
    assert calls == ["a"]
    assert float(x.grad) == 12.0


def test_a_leaf_that_is_gone_needs_no_gradient_but_what_is_held_above_it_does(device):
    calls = []
    count = Primitive("count", lambda xp, x: x * 1.0, x=lambda xp, g: calls.append(1) or g)
    middle = unary(count, parameter(3.0, device))
    unary(count, middle).backward()
    assert len(calls) == 1
    assert float(middle.grad) == 1.0


def test_only_held_tensors_have_gradients_and_the_others_cost_nothing(device):
    x = parameter([1.0, 2.0], device)
    y = x * 2.0
    gone = weakref.ref(z := y * y)
    total = (z * 3.0).sum()
    del z
    assert gone() is None
    total.backward()
    np.testing.assert_array_equal(host(y.grad), [12.0, 24.0])
    np.testing.assert_array_equal(host(x.grad), [24.0, 48.0])


def test_a_graph_is_freed_without_the_garbage_collector(device):
    gc.collect()
    gc.disable()
    try:
        before = nodes()
        x = parameter([1.0, 2.0], device)
        y = tanh(x * 2.0) @ x
        y.backward()
        x.gradient_update(0.1)
        y = (x * x).sum()
        y.backward()
        assert nodes() >= before + 3
        alive = weakref.ref(x), weakref.ref(y)
        del x, y
        assert [reference() for reference in alive] == [None, None]
        assert nodes() == before
    finally:
        gc.enable()


def test_training_makes_no_garbage():
    model = Spiral(4)
    for _ in range(2):
        step(model)
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            step(model)
        assert gc.collect() == 0
    finally:
        gc.enable()


SIZE = 100_000
ARRAY = SIZE * 8


def memory_of(build):
    """Bytes that the graph of `build(x)` holds beyond its leaf, and the result."""
    x = Tensor.ones(SIZE)
    build(x)  # whatever is imported or cached the first time
    gc.collect()
    tracemalloc.start()
    try:
        result = build(x)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert result.requires_grad
    return held


def repeated(operation, times=10):
    def build(x):
        y = x
        for _ in range(times):
            y = operation(y, x)
        return y

    return build


@pytest.mark.parametrize(
    ("name", "operation", "arrays"),
    [
        ("add keeps nothing", lambda y, x: y + x, 1),
        ("adding a number keeps nothing", lambda y, x: y + 2.0, 1),
        ("multiplying by a number keeps nothing", lambda y, x: y * 2.0, 1),
        ("multiply keeps both, of which one is the leaf", lambda y, x: y * x, 10),
        ("tanh keeps its result", lambda y, x: tanh(y), 10),
        ("exp keeps its result, which the next one does not need again", lambda y, x: ag.exp(y * 0.0), 10),
        ("sum keeps a shape", lambda y, x: y.sum().broadcast_to((SIZE,)) + 0.0, 1),
        ("square keeps its argument", lambda y, x: ag.square(y), 10),
    ],
)
def test_a_graph_keeps_what_its_rules_declare(name, operation, arrays):
    held = memory_of(repeated(operation))
    assert arrays * ARRAY <= held < (arrays + 0.2) * ARRAY, name


def test_nothing_is_kept_for_a_constant_argument():
    constant = Tensor.ones(SIZE, requires_grad=False)
    held = memory_of(repeated(lambda y, x: y * constant))
    assert ARRAY <= held < 1.2 * ARRAY  # the result; the constant itself is there anyway


def test_no_grad_keeps_nothing():
    x = Tensor.ones(SIZE)
    tracemalloc.start()
    try:
        with ag.no_grad():
            result = repeated(lambda y, x: tanh(y))(x)
        assert tracemalloc.get_traced_memory()[0] < 1.2 * ARRAY
    finally:
        tracemalloc.stop()
    assert not result.requires_grad


# Updates -------------------------------------------------------------------------------------------------------------


class Spiral(Model):
    def __init__(self, width, points=50, device="cpu"):
        self.A = Tensor.from_random(2, width, device=device)
        self.B = Tensor.from_random(width, width, device=device)
        self.C = Tensor.from_random(width, 1, device=device)
        self.data = Tensor.from_random(points, 2, device=device, requires_grad=False)
        self.labels = Tensor.ones(points, 1, device=device, requires_grad=False)

    def forward(self, x):
        return sigmoid(tanh(tanh(x @ self.A) @ self.B) @ self.C)


def step(model):
    loss = ag.losses.binary_cross_entropy(model(model.data), model.labels)
    loss.backward()
    model.gradient_update(0.1)
    return loss


def test_a_training_loop_never_holds_two_graphs():
    def peak(width):
        """The most that three steps take, with the results of the step before still in the loop's variables."""
        model = Spiral(width, points=2000)
        tracemalloc.start()
        try:
            for _ in range(3):
                preds = model(model.data)
                loss = ag.losses.binary_cross_entropy(preds, model.labels)
                loss.backward()
                model.gradient_update(0.1)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def graph(width):
        """What one forward and backward pass takes at most."""
        model = Spiral(width, points=2000)
        tracemalloc.start()
        try:
            preds = model(model.data)
            ag.losses.binary_cross_entropy(preds, model.labels).backward()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(8)  # imports and caches
    slope = (peak(100) - peak(50)) / (graph(100) - graph(50))
    assert slope < 1.3  # two graphs at once would be at least 1.5


class Perceptron(Model):
    """Hidden layers with relu, all of one width."""

    def __init__(self, layers, width):
        self.layers = [[Tensor.from_random(width, width, dtype="float32"), Tensor.zeros(width, dtype="float32")]]
        for _ in range(layers - 1):
            self.layers.append([Tensor(x.value) for x in self.layers[0]])

    def forward(self, x):
        for matrix, bias in self.layers:
            x = relu(x @ matrix + bias)
        return x


def test_a_training_loop_takes_what_the_rules_declare_the_parameters_the_gradients_and_one_array_to_work_with():
    layers, width, batch = 6, 128, 256
    model = Perceptron(layers, width)
    data = Tensor.from_random(batch, width, dtype="float32", requires_grad=False)

    def train():
        for _ in range(3):
            loss = (model(data) * 0.001).mean()
            loss.backward()
            model.gradient_update(1e-6)

    train()  # imports and caches
    for x in model.parameters().values():
        x.backwards_grad = None
    result = batch * width * 4
    parameters = layers * (width + 1) * width * 4
    tracemalloc.start()
    try:
        train()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A product keeps its operands, relu its result, which is the next product's operand.
    assert peak < 1.1 * (layers * result + parameters + parameters + result)


@pytest.mark.parametrize(
    ("name", "function", "arrays"),
    [
        ("product", lambda x: x @ x, 1.0),
        ("sum", lambda x: x + x, 1.0),
        ("tanh", tanh, 1.0),
        ("sigmoid", sigmoid, 2.0),
        ("relu", relu, 1.0),
    ],
)
def test_an_operation_allocates_its_result_and_little_else(name, function, arrays):
    x = Tensor(np.ones((200, 200)), requires_grad=False)
    function(x)
    tracemalloc.start()
    try:
        result = function(x)
        assert tracemalloc.get_traced_memory()[1] < (arrays + 0.05) * x.value.nbytes
    finally:
        tracemalloc.stop()
    assert result.shape == x.shape


def test_the_gradient_of_a_product_is_the_array_that_the_product_makes():
    x, y = Tensor(np.ones((200, 200))), Tensor(np.ones((200, 200)))
    loss = (x @ y).sum()
    loss.backward()
    tracemalloc.start()
    try:
        loss.backward(np.asarray(2.0))
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    array = x.value.nbytes
    assert now < 2.05 * array  # two gradients
    assert peak < 3.05 * array  # and that of the product, on its way


def test_backward_after_an_update_says_what_to_do(device):
    model = Spiral(3, device=device)
    loss = step(model)
    before = {name: host(p.grad) for name, p in model.parameters().items()}
    with pytest.raises(GraphError, match=UPDATED):
        loss.backward()
    for name, p in model.parameters().items():
        np.testing.assert_array_equal(host(p.grad), before[name])


def test_the_graph_is_let_go_after_an_update():
    x = Tensor(np.ones(SIZE))
    tracemalloc.start()
    try:
        loss = tanh(tanh(tanh(x))).sum()
        loss.backward()
        assert tracemalloc.get_traced_memory()[0] > 3.9 * ARRAY  # three results, one gradient
        x.gradient_update(0.1)
        assert tracemalloc.get_traced_memory()[0] < 2.1 * ARRAY  # a value, a gradient
    finally:
        tracemalloc.stop()
    assert loss.item() == pytest.approx(SIZE * np.tanh(np.tanh(np.tanh(1.0))))


def two_heads(device):
    trunk, left, right = (parameter(v, device) for v in ([0.5, -1.0], [2.0, 3.0], [-1.0, 4.0]))
    shared = tanh(trunk * 2.0)
    return trunk, left, right, (shared * left).sum(), (shared * right).sum()


def test_a_shared_trunk_outlives_the_update_of_one_head(device):
    trunk, left, right, loss1, loss2 = two_heads(device)
    loss1.backward()
    left.gradient_update(0.1)
    with pytest.raises(GraphError, match=UPDATED):
        loss1.backward()
    loss2.backward()
    shared = np.tanh(2 * np.array([0.5, -1.0]))
    np.testing.assert_allclose(host(right.grad), shared, rtol=1e-6)
    np.testing.assert_allclose(host(trunk.grad), 2 * (1 - shared**2) * [-1.0, 4.0], rtol=1e-6)


def test_the_update_of_a_shared_trunk_ends_the_other_head(device):
    trunk, _, right, loss1, loss2 = two_heads(device)
    loss1.backward()
    trunk.gradient_update(0.1)
    with pytest.raises(GraphError, match=UPDATED):
        loss2.backward()
    np.testing.assert_array_equal(host(right.grad), [0.0, 0.0])


def test_an_update_ends_all_graphs_that_added_to_the_gradient(device):
    w = parameter(2.0, device)
    loss1, loss2 = w * w, w * 3.0
    loss1.backward()
    loss2.backward(zero_grad=False)
    assert float(w.grad) == 7.0
    w.gradient_update(0.1)
    for loss in (loss1, loss2):
        with pytest.raises(GraphError, match=UPDATED):
            loss.backward()


def test_accumulating_holds_no_graphs():
    w = Tensor(2.0)
    for _ in range(50):
        (w * w).backward(zero_grad=False)
    assert w.grad == 200.0
    assert len(w._written) <= 2


def test_a_gradient_is_applied_once(device):
    used, unused = parameter(1.0, device), parameter(1.0, device)
    (used * unused).backward()
    for p in (used, unused):
        p.gradient_update(0.5)
    (used * 2.0).backward()
    for p in (used, unused):
        p.gradient_update(0.5)
    assert float(used) == -0.5
    assert float(unused) == 0.5


def test_a_gradient_that_was_set_is_applied(device):
    x = parameter([1.0, 2.0], device)
    x.backwards_grad = [2.0, 4.0]
    x.gradient_update(0.5)
    np.testing.assert_array_equal(x.numpy(), [0.0, 0.0])


def test_a_gradient_that_was_taken_away_is_not_applied(device):
    x = parameter([1.0, 2.0], device)
    (x * x).sum().backward()
    x.backwards_grad = None
    x.gradient_update(0.5)
    np.testing.assert_array_equal(x.numpy(), [1.0, 2.0])
    np.testing.assert_array_equal(host(x.grad), [0.0, 0.0])


def test_an_update_touches_no_array_that_somebody_has(device):
    x = parameter([1.0, 2.0], device)
    value = x.value
    y = x * x
    y.sum().backward()
    edge = y.prevs[0]
    x.gradient_update(0.5)
    np.testing.assert_array_equal(host(value), [1.0, 2.0])
    np.testing.assert_array_equal(host(edge.local_grad), [1.0, 2.0])
    np.testing.assert_array_equal(x.numpy(), [0.0, 0.0])


@pytest.mark.parametrize("rate", [0.5, np.float64(0.5), np.float32(0.5), np.array(0.5), Tensor(0.5), 1])
def test_an_update_keeps_the_dtype(rate):
    x = Tensor([1.0, 2.0], dtype="float32")
    (x * x).sum().backward()
    x.gradient_update(rate)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x.numpy(), np.array([1.0, 2.0]) * (1 - 2 * float(rate)))


def test_updates_that_cannot_be():
    with pytest.raises(GraphError, match=r"gradient_update: a constant tensor can't be updated: .*requires_grad=False"):
        Tensor(1.0, requires_grad=False).gradient_update(0.1)
    with pytest.raises(GraphError, match=r"gradient_update: only leaves can be updated; .*x.detach\(\)"):
        (Tensor(1.0) * 2).gradient_update(0.1)
    for rate in ("fast", None, np.ones(2)):
        with pytest.raises(TypeError, match=r"gradient_update: the learning rate is a number, not"):
            Tensor(1.0).gradient_update(rate)
    x = Tensor(1.0)
    y = x * 2.0
    y.backward()
    with pytest.raises(DeviceError, match=r"gradient_update: one operand is on device 'cpu', another on"):
        x.gradient_update(Tensor(0.1, device="array_api_strict:device1"))
    y.backward()  # an update that cannot be leaves the graph alone


def test_a_new_value_between_forward_and_backward_is_noticed(device):
    x = parameter([1.0, 2.0], device)
    y = (x * x).sum()
    x.value = [3.0, 4.0]
    with pytest.raises(GraphError, match=r"was replaced \(x.value = …\) after the forward pass"):
        y.backward()
    (x * x).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [6.0, 8.0])


def test_a_new_value_of_an_intermediate_is_noticed(device):
    x = parameter([1.0, 2.0], device)
    y = x * 2.0
    z = (y * y).sum()
    y.value = [1.0, 1.0]
    with pytest.raises(GraphError, match="was replaced"):
        z.backward()
    assert y.is_leaf


# Errors, modes, threads ----------------------------------------------------------------------------------------------


def test_an_error_in_the_middle_leaves_every_gradient_as_it_was(device):
    def fails(tensor, local_grad, prev):
        raise ZeroDivisionError("in the middle")

    x, y = parameter([1.0, 2.0], device), parameter([3.0, 4.0], device)
    (x * y).sum().backward()
    middle = Tensor(y.value, prevs=[Edge(prev=y, local_grad=None, backward_fn=fails)])
    total = x * middle
    before = host(x.grad), host(y.grad)
    with pytest.raises(ZeroDivisionError, match="in the middle"):
        total.sum().backward()
    np.testing.assert_array_equal(host(x.grad), before[0])
    np.testing.assert_array_equal(host(y.grad), before[1])
    np.testing.assert_array_equal(host(total.grad), [0.0, 0.0])
    assert (x * 2.0).requires_grad


def test_a_gradient_that_an_update_has_used_is_there_until_the_next_pass_begins(device):
    def fails(tensor, local_grad, prev):
        raise ZeroDivisionError("in the middle")

    x = parameter([1.0, 2.0], device)
    (x * x).sum().backward()
    x.gradient_update(0.5)
    np.testing.assert_array_equal(host(x.grad), [2.0, 4.0])
    wrong = Tensor(x.value, prevs=[Edge(prev=x, local_grad=None, backward_fn=fails)])
    with pytest.raises(ZeroDivisionError, match="in the middle"):
        wrong.backward(zero_grad=False)
    np.testing.assert_array_equal(host(x.grad), [2.0, 4.0])
    with pytest.raises(ZeroDivisionError, match="in the middle"):
        wrong.backward()
    np.testing.assert_array_equal(host(x.grad), [0.0, 0.0])


def test_a_rule_that_gives_a_wrong_shape_is_named(device):
    wrong = Primitive("wrong", lambda xp, x: x * 1.0, x=lambda xp, g: xp.ones((5,)), mask=Mask.STOP)
    x = parameter([1.0, 2.0], device)
    with pytest.raises(
        ShapeError, match=r"rule of 'wrong' gave a gradient of shape \(5,\) for an argument of shape \(2,\)"
    ):
        unary(wrong, x).backward()


def test_threads_train_as_one_does():
    def train(seed, results):
        generator = np.random.default_rng(seed)
        model = Spiral(4)
        for p in (model.A, model.B, model.C):
            p.value = generator.uniform(size=p.shape)
        model.data = Tensor(generator.uniform(size=(50, 2)), requires_grad=False)
        for _ in range(100):
            if seed % 2:
                with ag.no_grad():
                    model(model.data)
            loss = step(model)
        results[seed] = loss.item(), model.A.numpy()

    alone, together = {}, {}
    for seed in range(8):
        train(seed, alone)
    threads = [threading.Thread(target=train, args=(seed, together)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(together) == list(range(8))
    for seed, (loss, weights) in alone.items():
        assert together[seed][0] == loss
        np.testing.assert_array_equal(together[seed][1], weights)


def test_threads_can_share_a_leaf():
    x = Tensor(np.arange(5.0))
    losses = [(x * float(i)).sum() for i in range(8)]
    threads = [threading.Thread(target=loss.backward) for loss in losses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert x.grad[0] in range(8)
    np.testing.assert_array_equal(x.grad, np.full(5, x.grad[0]))
