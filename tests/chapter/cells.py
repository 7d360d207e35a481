# The code of "Vectorized computational graphs" (chapter 13 of the book that agrad grew from), cell by cell.
#
# Changed in it: the import lines, `.item()` in visualize_model (NumPy no longer turns an array of one element into a
# number), and the notebook's %timeit, which is left out. Nothing else.
#
# It is a notebook for any editor that knows `# %%`; test_chapter.py runs it and looks at what each cell shows. A cell's
# number is its section and its place there.
#
# ruff: noqa: B007, B018, E402, E741, F811, I001
# fmt: off

# %% 13.1-1
import numpy as np
from agrad import Tensor

x = Tensor.ones(3, 4)
y = Tensor.zeros_like(x)

x + y

# %% 13.1-2
Tensor(np.array([[1, 2], [3, 4]]))

# %% 13.1-3
Tensor.from_random(2, 4)

# %% 13.1-4
Tensor.zeros(5, 2)

# %% 13.1-5
x = Tensor.zeros(3, 4)
Tensor.ones_like(x)

# %% 13.1-6
x = Tensor.ones(3, 4)
y = Tensor.ones(3, 4)
z = x * y

# %% 13.1-7
z.backwards_grad    # this is a NumPy array

# %% 13.1-8
z.prevs             # and this is a list of Edges

# %% 13.2-1
x = Tensor.ones(3, 4)
2 + x

# %% 13.2-2
from agrad.functional import exp

x = Tensor(value=np.array([[1, 2], [3, 4]]))
exp(x)

# %% 13.2-3
x = Tensor.ones(3, 4)
x.sum()

# %% 13.2-4
x.sum(axis=0)

# %% 13.2-5
x.sum(axis=1)

# %% 13.2-6
y = Tensor(np.array([[1, 2], [3, 4]]))
y.mean()

# %% 13.2-7
y.mean(axis=0)

# %% 13.3-1
from agrad.functional import sigmoid, tanh

x = Tensor.from_random(1, 3)
A = Tensor.from_random(3, 5)
B = Tensor.from_random(5, 1)

y = sigmoid(tanh(x @ A) @ B)

# %% 13.3-2
y

# %% 13.3-3
y.shape

# %% 13.3-4
y.backward()

# %% 13.3-5
x.backwards_grad

# %% 13.3-6
A.backwards_grad

# %% 13.3-7
B.backwards_grad

# %% 13.4-1
import numpy as np
from agrad import Tensor


def generate_spiral_dataset(n_points, noise=0.5, twist=380):
    random_points = np.sqrt(np.random.rand(n_points)) * twist * 2 * np.pi / 360
    class_1 = np.column_stack((-np.cos(random_points) * random_points + np.random.rand(n_points) * noise,
                               np.sin(random_points) * random_points + np.random.rand(n_points) * noise))
    class_2 = np.column_stack((np.cos(random_points) * random_points + np.random.rand(n_points) * noise,
                               -np.sin(random_points) * random_points + np.random.rand(n_points) * noise))

    xs = np.vstack((class_1, class_2))
    ys = np.hstack((np.zeros(n_points), np.ones(n_points))).reshape(-1, 1)

    return Tensor(xs), Tensor(ys)


xs, ys = generate_spiral_dataset(200, noise=2)

# %% 13.4-2
import matplotlib.pyplot as plt

with plt.style.context("seaborn-v0_8-white"):
    plt.figure(figsize=(8, 8))
    plt.scatter([x[0] for x in xs], [x[1] for x in xs], c=ys, cmap=plt.cm.Spectral)
    plt.show()

# %% 13.4-3
from agrad.nn import Model
from agrad.functional import tanh, sigmoid


class TwoLayerNetwork(Model):
    def __init__(self):
        self.A = Tensor.from_random(2, 8)
        self.B = Tensor.from_random(8, 8)
        self.C = Tensor.from_random(8, 1)

    def forward(self, x):
        return sigmoid(tanh(tanh(x @ self.A) @ self.B) @ self.C)

    def parameters(self):
        return {"A": self.A, "B": self.B, "C": self.C}

# %% 13.4-4
model = TwoLayerNetwork()

# %% 13.4-5
from itertools import product


def visualize_model(model, xs, ys, res=100, xrange=(-10, 10), yrange=(-10, 10)):
    with plt.style.context("seaborn-v0_8-white"):
        plt.figure(figsize=(8, 8))

        res = 100
        x = np.linspace(xrange[0], xrange[1], res)
        y = np.linspace(yrange[0], yrange[1], res)
        xx, yy = np.meshgrid(x, y)
        zz = np.zeros_like(xx)

        for i, j in product(range(res), range(res)):
            zz[i, j] = model.forward(Tensor([xx[i, j], yy[i, j]])).value.item()

        # plot the decision boundary
        plt.contourf(xx, yy, zz, levels=100, cmap='coolwarm_r', alpha=0.4)
        plt.xlabel('x')
        plt.ylabel('y')
        plt.title('the decision boundary of our model')

        # plot the data
        plt.scatter([x[0] for x in xs], [x[1] for x in xs], c=ys, cmap=plt.cm.Spectral, zorder=10)

        plt.show()

# %% 13.4-6
visualize_model(model, xs, ys)

# %% 13.4-7
from agrad.losses import binary_cross_entropy


n_steps = 100000
lr = 0.1

for i in range(1, n_steps + 1):
    preds = model(xs)
    l = binary_cross_entropy(preds, ys)
    l.backward()
    model.gradient_update(lr)

    if i == 1 or i % 10000 == 0:
        print(f"step no. {i}, loss = {l.value}")

# %% 13.4-8
def train_model():
    model = TwoLayerNetwork()
    n_steps = 1000
    lr = 0.1

    for i in range(1, n_steps + 1):
        preds = model(xs)
        l = binary_cross_entropy(preds, ys)
        l.backward()
        model.gradient_update(lr)

# %% 13.4-9
train_model()

# %% 13.4-10
visualize_model(model, xs, ys)

# %% 13.5-1
n_hidden_neurons = 32

# %% 13.5-2
import numpy as np
from agrad.scalar import Scalar
from agrad import Tensor


n_samples = 1000

xs_scalar = [[Scalar.from_random(), Scalar.from_random()] for _ in range(n_samples)]
ys_scalar = [Scalar.from_random() for _ in range(n_samples)]

xs_tensor = Tensor(np.array([[x1.value, x2.value] for x1, x2 in xs_scalar]))
ys_tensor = Tensor(np.array([y.value for y in ys_scalar]).reshape(-1, 1))

# %% 13.5-3
from agrad.nn import Model
from agrad.scalar import functional as f_scalar
from itertools import product


class ScalarNetwork(Model):
    def __init__(self):
        self.A = [[Scalar.from_random() for j in range(n_hidden_neurons)]
                  for i in range (2)]
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

# %% 13.5-4
from agrad.scalar.losses import binary_cross_entropy as bce_scalar


scalar_net = ScalarNetwork()

def scalar_network_step():
    preds = [scalar_net(x) for x in xs_scalar]
    l = bce_scalar(preds, ys_scalar)
    l.backward()
    scalar_net.gradient_update(0.01)

# %% 13.5-5
scalar_network_step()

# %% 13.5-6
from agrad import functional as f_tensor


class TensorNetwork(Model):
    def __init__(self):
        self.A = Tensor.from_random(2, n_hidden_neurons)
        self.B = Tensor.from_random(n_hidden_neurons, 1)

    def forward(self, x):
        return f_tensor.sigmoid(f_tensor.tanh(x @ self.A) @ self.B)

    def parameters(self):
        return {"A": self.A, "B": self.B}

# %% 13.5-7
from agrad.losses import binary_cross_entropy as bce_tensor


tensor_net = TensorNetwork()

def tensor_network_step():
    preds = tensor_net(xs_tensor)
    l = bce_tensor(preds, ys_tensor)
    l.backward()
    tensor_net.gradient_update(0.01)

# %% 13.5-8
tensor_network_step()
