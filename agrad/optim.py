"""Optimisers: rules that turn gradients into updates. They work on a model or on a dict of tensors.

A parameter that got no gradient since its last update is left alone, with its state. The formulas, and the order of
their operations, are those of PyTorch's optimisers of the same names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from ._errors import DeviceError, GraphError, diagnose
from ._graph import Primitive
from ._tensor import Tensor, in_dtype_of, update
from ._typing import Array, Namespace
from .backend import Device
from .nn import Model

State = dict[str, Any]


class Optimizer(ABC):
    """What all optimisers do: find the parameters that have a new gradient, and give each its new value.

    Args:
        parameters: a model, or tensors by name.
        lr: the learning rate; the attribute of this name may be changed at any time.

    >>> import agrad as ag
    >>> w = ag.Tensor([1.0, 2.0])
    >>> optimizer = SGD({"w": w}, lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    Tensor([0., 0.])
    """

    def __init__(self, parameters: Model | Mapping[str, Tensor], lr: float) -> None:
        if not isinstance(parameters, Model | Mapping):
            raise TypeError(f"{type(self).__name__}: a model or a dict of tensors is needed, not {parameters!r:.60}")
        _at_least_zero(self, lr=lr)
        self._source = parameters
        self.lr = lr
        self.state: dict[str, State] = {}
        """What is remembered of each parameter, by its name."""
        self._places: dict[str, Device] = {}
        if not self.parameters():
            raise ValueError(f"{type(self).__name__}: there are no parameters to train")

    def parameters(self) -> dict[str, Tensor]:
        """The tensors that are trained, by name."""
        found = self._source.parameters() if isinstance(self._source, Model) else dict(self._source)
        for name, tensor in found.items():
            if not isinstance(tensor, Tensor) or not tensor.requires_grad or not tensor.is_leaf:
                raise GraphError(f"{type(self).__name__}: parameter {name} is not a differentiable leaf Tensor")
        return found

    def step(self) -> None:
        """Update all parameters that got a gradient since their last update."""
        changes, states = [], {}
        for name, parameter in self.parameters().items():
            if parameter._written is not None:
                states[name] = dict(self.state.get(name, {}))
                if states[name] and self._places[name] is not parameter._device:
                    raise DeviceError(
                        f"{type(self).__name__}: what is remembered of parameter {name} is on device "
                        f"'{self._places[name]}', the parameter now on '{parameter._device}': make the optimiser "
                        f"after moving the model"
                    )
                self._places[name] = parameter._device
                device = parameter._device
                new_value = device.entering(self._new_value)
                try:
                    value = new_value(device, parameter.value, parameter.backwards_grad, states[name])
                except MemoryError as error:
                    raise diagnose(f"{type(self).__name__}.step", device, (parameter.value,), error) from error
                changes.append((parameter, in_dtype_of(parameter, value)))
        update(changes)
        _merge(self.state, states)

    def cells(self) -> Iterator[tuple[State, str]]:
        """The numbers and arrays that change from step to step, as dicts and keys: what `agrad.compile` reads anew."""
        yield vars(self), "lr"
        yield from _entries(self.state)

    def zero_grad(self) -> None:
        """Forget all gradients: needed only where backward passes accumulate with `zero_grad=False`."""
        for parameter in self.parameters().values():
            parameter._grad = parameter._written = None

    @abstractmethod
    def _new_value(self, device: Device, value: Array, gradient: Array, state: State) -> Array:
        """The value after one step; `state` is written to."""


def _merge(state: State, changes: State) -> None:
    """Write `changes` into `state`; the dicts that are there stay the same ones."""
    for key, value in changes.items():
        if isinstance(value, dict):
            _merge(state.setdefault(key, {}), value)
        else:
            state[key] = value


def _entries(state: State) -> Iterator[tuple[State, str]]:
    for key, value in state.items():
        if isinstance(value, dict):
            yield from _entries(value)
        else:
            yield state, key


def _at_least_zero(optimizer: Optimizer, **settings: float) -> None:
    for name, setting in settings.items():
        if not setting >= 0:
            raise ValueError(f"{type(optimizer).__name__}: {name} is not negative, as {setting} is")


def _momentum_step(
    xp: Namespace, value: Array, gradient: Array, velocity: Array, rate: float, momentum: float, nesterov: bool
) -> tuple[Array, Array]:
    velocity = momentum * velocity + gradient
    return value - rate * (gradient + momentum * velocity if nesterov else velocity), velocity


def _adam_step(
    xp: Namespace,
    value: Array,
    gradient: Array,
    mean: Array,
    square: Array,
    beta1: float,
    rest1: float,
    beta2: float,
    rest2: float,
    root: float,
    eps: float,
    rate: float,
) -> tuple[Array, Array, Array]:
    mean = mean * beta1 + gradient * rest1
    square = square * beta2 + gradient * gradient * rest2
    return value - rate * mean / (xp.sqrt(square) / root + eps), mean, square


# Nothing is differentiated through them: they are primitives so that a backend may have them as one kernel.
_momentum = Primitive("momentum", _momentum_step)
_adam = Primitive("adam", _adam_step)


class SGD(Optimizer):
    """Gradient descent: with momentum μ and weight decay λ, g = ∇ + λp, b ← μb + g, p ← p - lr b.

    Args:
        parameters: a model, or tensors by name.
        lr: the learning rate.
        momentum: μ; the first b is g.
        weight_decay: λ.
        nesterov: step along g + μb instead of b.

    >>> from agrad import Tensor
    >>> x = Tensor(1.0)
    >>> optimizer = SGD({"x": x}, lr=0.25)
    >>> (x * x).backward()
    >>> optimizer.step()
    >>> x
    Tensor(0.5)
    """

    def __init__(
        self,
        parameters: Model | Mapping[str, Tensor],
        lr: float,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(parameters, lr)
        _at_least_zero(self, momentum=momentum, weight_decay=weight_decay)
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov needs a momentum")
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.nesterov = nesterov

    def _new_value(self, device: Device, value: Array, gradient: Array, state: State) -> Array:
        if self.weight_decay:
            gradient = gradient + self.weight_decay * value
        if self.momentum:
            if "velocity" in state:
                step = device.forward[_momentum]
                value, state["velocity"] = step(
                    value, gradient, state["velocity"], self.lr, self.momentum, self.nesterov
                )
                return value
            state["velocity"] = gradient
            gradient = gradient + self.momentum * gradient if self.nesterov else gradient
        return value - self.lr * gradient


class Adam(Optimizer):
    """Adam: Kingma & Ba, "Adam: a method for stochastic optimization", 2015.

    m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², p ← p - lr m̂ / (√v̂ + ε), where m̂ and v̂ are corrected for their start at 0.

    Args:
        parameters: a model, or tensors by name.
        lr: the learning rate.
        betas: β₁ and β₂.
        eps: ε.
        weight_decay: λ; adds λp to the gradient. See `AdamW` for decay apart from the gradient.

    >>> from agrad import Tensor
    >>> x = Tensor([1.0, -3.0])
    >>> optimizer = Adam({"x": x}, lr=0.125)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x
    Tensor([ 0.875, -2.875])
    """

    def __init__(
        self,
        parameters: Model | Mapping[str, Tensor],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        _at_least_zero(self, eps=eps, weight_decay=weight_decay)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"{type(self).__name__}: betas are in [0, 1), not {betas}")
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay

    def _new_value(self, device: Device, value: Array, gradient: Array, state: State) -> Array:
        if self.weight_decay:
            gradient = gradient + self.weight_decay * value
        return self._adam(device, value, gradient, state)

    def _adam(self, device: Device, value: Array, gradient: Array, state: State) -> Array:
        xp = device.xp
        if xp.isdtype(value.dtype, "complex floating"):  # two parameters, as for PyTorch: the scale is of each
            parts = []
            for name, part in (("real", xp.real), ("imag", xp.imag)):
                state[name] = dict(state.get(name, {}))
                parts.append(self._adam(device, part(value), part(gradient), state[name]))
            return xp.astype(parts[0], value.dtype) + 1j * xp.astype(parts[1], value.dtype)
        beta1, beta2 = self.betas
        step = state["step"] = state.get("step", 0) + 1
        root, rate = (1 - beta2**step) ** 0.5, self.lr / (1 - beta1**step)
        if "mean" in state:
            value, state["mean"], state["square"] = device.forward[_adam](
                value,
                gradient,
                state["mean"],
                state["square"],
                *(beta1, 1 - beta1, beta2, 1 - beta2, root, self.eps, rate),
            )
            return value
        state["mean"], state["square"] = gradient * (1 - beta1), gradient * gradient * (1 - beta2)
        return value - rate * state["mean"] / (xp.sqrt(state["square"]) / root + self.eps)


class AdamW(Adam):
    """Adam with decoupled weight decay, p ← (1 - lr λ) p before each step: Loshchilov & Hutter, 2019.

    Arguments as for `Adam`; weight_decay is 0.01 unless told.

    >>> from agrad import Tensor
    >>> x = Tensor([1.0, -3.0])
    >>> optimizer = AdamW({"x": x}, lr=0.125, weight_decay=0.0)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x
    Tensor([ 0.875, -2.875])
    """

    def __init__(
        self,
        parameters: Model | Mapping[str, Tensor],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _new_value(self, device: Device, value: Array, gradient: Array, state: State) -> Array:
        return self._adam(device, value * (1 - self.lr * self.weight_decay), gradient, state)
