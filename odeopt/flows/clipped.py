"""A flow driven by the clipped gradient: wherever its field takes g it gets c(g) g, or each g_i cut to [-v, v].

    by norm     g -> min(1, C/(|g| + 1e-6)) g       (the 1e-6 is torch's)
    by value    g_i -> min(max(g_i, -v), v)

Gradient flow by norm is x' = -c(g) g: the orbit of gradient flow, at a speed of at most C; where |g| < C - 1e-6 it is
gradient flow itself. By value the orbit is another one. Both fields are Lipschitz and have a kink where the
clipping begins, so that a scheme of order p follows them to order min(p, 2).

Sources: Pascanu, Mikolov, Bengio, arXiv:1211.5063, algorithm 1; Zhang, He, Sra, Jadbabaie, arXiv:1905.11881.
"""

import functools

import numpy as np

from .. import abi, checks, clipping
from ..abi import interpreted, kernel
from ..spec import factory
from ..sums import scaled_norm
from .base import Flow


@functools.cache
def _field_of(inner):
    """The field ``inner`` with the clipped gradient for ``fg``; p = (norm, value, constants of ``inner``)."""

    def plain(fg, hv, data, t, p, z, dz):
        def clipped(x, g, data):
            f = fg(x, g, data)
            clipping.clip(np.asarray(g), np.asarray(g), p[0], p[1], *scaled_norm(np.asarray(g)))
            return f

        interpreted(inner)(clipped, hv, data, t, p[2:], z, dz)

    if not abi.is_compiled(inner):
        return plain

    @kernel
    def rhs(fg, hv, data, t, p, z, dz):
        # By its module: as a global of its own it would be an address of this process, and nothing could be kept.
        inner(clipping.clipped_gradient, hv, clipping.boxed(fg, data, p[0], p[1]), t, p[2:], z, dz)

    rhs.plain, rhs.made = plain, (_field_of, inner)  # for the interpreter and for other processes
    return rhs


@factory
def clipped_flow(flow, *, norm=None, value=None):
    """``flow`` driven by the gradient clipped to ``norm`` or, entry by entry, to ``value`` (one of them, > 0).

    ValueError for a field that takes Hessian products: those would be of the objective, not of what is clipped.
    """
    if not isinstance(flow, Flow):
        raise TypeError(f"flow must be a Flow, got {checks.shown(flow)}")
    norm, value = clipping.bounds(norm, value)
    if flow.needs_hessian or type(flow) is not Flow:
        raise ValueError(f"flow must be a field of its own without Hessian products to be clipped, got {flow.name!r}")
    words = f"|g| at most {norm:g}" if norm is not None else f"|g_i| at most {value:g}"
    return Flow(f"{flow.name}, clipped", f"{flow.equation}, {words}", _field_of(flow.rhs),
                {"largest norm": norm or 0.0, "largest entry": value or 0.0, **dict(flow.constants)}, flow.slots,
                flow.order_of_position, evaluations=flow.evaluations, dim=flow.dim)
