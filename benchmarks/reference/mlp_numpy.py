"""A multilayer perceptron trained by hand in NumPy, with new arrays and with `out=`: what speed is divided by.

Both are given the array library as their first argument: NumPy, or CuPy on a CUDA device.
"""


def train(np, x, labels, a, b, c, d, rate, steps):
    """Gradient descent on the cross entropy of relu(x a + b) c + d; updates a, b, c, d, returns the last loss."""
    n = len(x)
    rows = np.arange(n)
    for _ in range(steps):
        h = np.maximum(x @ a + b, 0)
        z = h @ c + d
        z = z - z.max(axis=1, keepdims=True)
        e = np.exp(z)
        s = e.sum(axis=1, keepdims=True)
        loss = (np.log(s[:, 0]) - z[rows, labels]).mean()
        dz = e / s
        dz[rows, labels] -= 1
        dz = dz / n
        dc = h.T @ dz
        dd = dz.sum(axis=0)
        dh = (dz @ c.T) * (h > 0)
        da = x.T @ dh
        db = dh.sum(axis=0)
        a -= rate * da
        b -= rate * db
        c -= rate * dc
        d -= rate * dd
    return float(loss)


class Buffers:
    """All the memory that `train_in_place` needs, made once."""

    def __init__(self, np, x, labels, a, b, c, d):
        n, hidden, classes = len(x), *c.shape
        self.right = np.arange(n) * classes + labels  # where the right classes are in a flattened (n, classes)
        self.h = np.empty((n, hidden), x.dtype)
        self.dh = np.empty_like(self.h)
        self.positive = np.empty((n, hidden), bool)
        self.z = np.empty((n, classes), x.dtype)
        self.dz = np.empty_like(self.z)
        self.z_flat, self.dz_flat = self.z.reshape(-1), self.dz.reshape(-1)
        self.s = np.empty((n, 1), x.dtype)
        self.picked = np.empty(n, x.dtype)
        self.da, self.db, self.dc, self.dd = (np.empty_like(weights) for weights in (a, b, c, d))


def train_in_place(np, buffers, x, a, b, c, d, rate, steps):
    """The same in the memory of `buffers`: every array operation writes to where an array is already."""
    h, dh, positive, z, dz, s = buffers.h, buffers.dh, buffers.positive, buffers.z, buffers.dz, buffers.s
    z_flat, dz_flat, right, picked = buffers.z_flat, buffers.dz_flat, buffers.right, buffers.picked
    weights = [(a, buffers.da), (b, buffers.db), (c, buffers.dc), (d, buffers.dd)]
    n, xt, ht, ct = len(x), x.T, h.T, c.T
    for _ in range(steps):
        np.dot(x, a, out=h)
        np.add(h, b, out=h)
        np.maximum(h, 0, out=h)
        np.dot(h, c, out=z)
        np.add(z, d, out=z)
        np.max(z, axis=1, keepdims=True, out=s)
        np.subtract(z, s, out=z)
        np.exp(z, out=dz)
        np.sum(dz, axis=1, keepdims=True, out=s)
        np.divide(dz, s, out=dz)
        np.log(s, out=s)
        np.take(z_flat, right, out=picked)
        loss = (s.sum() - picked.sum()) / n
        dz_flat[right] -= 1
        np.divide(dz, n, out=dz)
        np.dot(ht, dz, out=buffers.dc)
        np.sum(dz, axis=0, out=buffers.dd)
        np.dot(dz, ct, out=dh)
        np.greater(h, 0, out=positive)
        np.multiply(dh, positive, out=dh)
        np.dot(xt, dh, out=buffers.da)
        np.sum(dh, axis=0, out=buffers.db)
        for weight, gradient in weights:
            np.multiply(gradient, rate, out=gradient)
            np.subtract(weight, gradient, out=weight)
    return float(loss)
