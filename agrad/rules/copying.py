"""Functions that hand their argument on: as it is, in another dtype, on another device."""

from __future__ import annotations

from .._graph import Mask, Primitive

identity = Primitive("identity", lambda xp, x: x, mask=Mask.LINEAR, x=lambda xp, g: g)
astype = Primitive("astype", lambda xp, x, dtype: xp.astype(x, dtype), mask=Mask.LINEAR, x=lambda xp, g: g)
to_device = Primitive(
    "to_device",
    lambda xp, x, source, target: xp.to_device(x, target),
    mask=Mask.STOP,
    x=lambda xp, g, source: xp.to_device(g, source),
)
