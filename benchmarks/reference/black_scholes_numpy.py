"""Delta and vega of call options by hand in NumPy, with new arrays, with `out=`, and from the textbook's formulas.

All are given the array library and its `ndtr`, the normal distribution function: SciPy's, or CuPy's on a CUDA device.
"""

from math import pi, sqrt

DENSITY = 1 / sqrt(2 * pi)  # of the normal distribution, at 0


def gradient(np, ndtr, spot, strike, years, volatility, rate):
    """The chain rule, by hand: the derivatives of the sum of the prices in `spot` and in `volatility`.

    price = spot ndtr(d1) - discounted ndtr(d2), d2 = d1 - width, d1 = drift / width.
    """
    root = np.sqrt(years)
    width = volatility * root
    drift = np.log(spot / strike) + (rate + volatility * volatility / 2) * years
    discounted = strike * np.exp(-rate * years)
    d1 = drift / width
    d2 = d1 - width
    d_d2 = -discounted * (DENSITY * np.exp(-d2 * d2 / 2))
    d_d1 = spot * (DENSITY * np.exp(-d1 * d1 / 2)) + d_d2
    d_drift = d_d1 / width
    d_width = -d_d2 - d_drift * d1
    return ndtr(d1) + d_drift / spot, d_width * root + d_drift * volatility * years


class Buffers:
    """All the memory that `gradient_in_place` needs, made once; the results are `delta` and `vega`."""

    def __init__(self, np, spot):
        self.root, self.width, self.d1, self.work, self.delta, self.vega = (np.empty_like(spot) for _ in range(6))


def gradient_in_place(np, ndtr, buffers, spot, strike, years, volatility, rate):
    """The same operations in the memory of `buffers`: each writes to where an array is already."""
    root, width, d1, work, delta, vega = (
        buffers.root,
        buffers.width,
        buffers.d1,
        buffers.work,
        buffers.delta,
        buffers.vega,
    )
    np.sqrt(years, out=root)
    np.multiply(volatility, root, out=width)
    np.divide(spot, strike, out=d1)
    np.log(d1, out=d1)
    np.multiply(volatility, volatility, out=work)
    np.multiply(work, 0.5, out=work)
    np.add(work, rate, out=work)
    np.multiply(work, years, out=work)
    np.add(d1, work, out=d1)
    np.divide(d1, width, out=d1)
    np.subtract(d1, width, out=work)  # d2
    np.multiply(work, work, out=work)
    np.multiply(work, -0.5, out=work)
    np.exp(work, out=work)
    np.multiply(years, -rate, out=delta)
    np.exp(delta, out=delta)
    np.multiply(delta, strike, out=delta)
    np.multiply(delta, work, out=vega)
    np.multiply(vega, DENSITY, out=vega)  # -d_d2
    np.multiply(d1, d1, out=work)
    np.multiply(work, -0.5, out=work)
    np.exp(work, out=work)
    np.multiply(work, DENSITY, out=work)
    np.multiply(work, spot, out=work)
    np.subtract(work, vega, out=work)  # d_d1
    np.divide(work, width, out=work)  # d_drift
    np.multiply(work, d1, out=width)
    np.subtract(vega, width, out=vega)  # d_width
    np.multiply(vega, root, out=vega)
    ndtr(d1, out=delta)
    np.divide(work, spot, out=d1)
    np.add(delta, d1, out=delta)
    np.multiply(work, volatility, out=work)
    np.multiply(work, years, out=work)
    np.add(vega, work, out=vega)
    return delta, vega


def closed_form(np, ndtr, spot, strike, years, volatility, rate):
    """The textbook's formulas: spot density(d1) and discounted density(d2) are equal, so most of the above cancels."""
    root = np.sqrt(years)
    d1 = (np.log(spot / strike) + (rate + volatility * volatility / 2) * years) / (volatility * root)
    return ndtr(d1), spot * (DENSITY * np.exp(-d1 * d1 / 2)) * root
