"""Pages that a user writes: what is wrong with one is said in a line, before compiled code meets it.

Compiled kernels do not check indices: a page without its slots used to end in ``free(): invalid size``.
"""

from dataclasses import dataclass

import numpy as np
import pytest

import odeopt as oo
from odeopt import kernels
from odeopt.abi import kernel
from odeopt.flows import Flow
from odeopt.method import Slot
from odeopt.optimizers.base import Optimizer, fraction, number, positive


@kernel
def own_update(k, p, x, g, s):
    """p = (lr, beta); s = (m): quasi-hyperbolic momentum with nu = 1/2 (Ma, Yarats, ICLR 2019)."""
    m = s[0]
    for i in range(x.size):
        mi = m[i] + (1.0 - p[1]) * (g[i] - m[i])
        m[i] = mi
        x[i] = x[i] - 0.5 * p[0] * (g[i] + mi)
    return p[0]


@kernel
def own_nothing(k, p, x, g, s):
    """Forgets to return the step."""
    x[0] = x[0] - p[0] * g[0]


@kernel
def own_field(fg, hv, data, t, p, z, dz):
    """p = (tau)."""
    fg(z[0], dz[0], data)
    for i in range(z.shape[1]):
        g = dz[0, i]
        dz[1, i] = (g - z[1, i]) / p[0]
        dz[0, i] = -0.5 * (g + z[1, i])


@dataclass(frozen=True)
class Own(Optimizer):
    lr: float = positive(scales="h")
    beta: float = fraction(0.9, scales="1 - c h")
    kernel = staticmethod(own_update)
    slots = (Slot("mean", "average", "g"),)

    @property
    def flow(self):
        return Flow("own", "x' = -(g + m)/2, tau m' = g - m", own_field, {"tau": self.lr / (1 - self.beta)}, ("mean",))

    @property
    def scheme(self):
        return oo.schemes.semi_implicit_euler


@dataclass(frozen=True)
class NoSlots(Own):
    slots = ()


@dataclass(frozen=True)
class NoKernel(Optimizer):
    lr: float = positive()


@dataclass(frozen=True)
class NoTime(Own):
    kernel = staticmethod(own_nothing)


@dataclass(frozen=True)
class ShortFlow(Own):
    @property
    def flow(self):
        return Flow("own", "x' = -(g + m)/2", own_field, {"tau": 1.0})


@dataclass(frozen=True)
class TwoSlots(Own):
    slots = (*Own.slots, Slot("another"))

    def cold_start(self, x):
        return np.zeros((1, x.size))


@kernel
def own_division(k, p, x, g, s):
    """1/0 is an error in the interpreter and inf in compiled code."""
    x[0] = x[0] - p[0] * g[0] / max(1.0, 1.0 / int(k))
    return p[0]


@dataclass(frozen=True)
class Division(Own):
    kernel = staticmethod(own_division)


@dataclass(frozen=True)
class Plain(Own):
    nu: float = 0.5


class Undecorated(Own):
    nu: float = positive(0.5)


def test_a_page_of_ones_own_is_a_first_order_scheme():
    own, problem = Own(0.02), oo.problems.sine_bowl()
    assert own.title == "Own"
    assert oo.deviation(own, oo.Discretization(own.flow, own.scheme, own.h), problem) < 1e-12
    assert oo.convergence(own, problem, t_end=1.0, levels=6).order == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("page", "words"), [
    (NoSlots, r"NoSlots.kernel must stay inside its arrays, slots = \(\) and 2 numbers in p: index 0 is out of bounds"),
    (NoKernel, r"NoKernel must have a kernel"),
    (NoTime, r"NoTime.kernel must return the flow time of the step, got None"),
    (ShortFlow, r"the field of ShortFlow.flow must stay inside its arrays, slots = \(\) and 1 constants"),
    (TwoSlots, r"TwoSlots.cold_start must give 2 rows"),
    (Plain, r"Plain.nu must be declared with positive, "),
    (Undecorated, r"Undecorated must stand under @dataclass\(frozen=True\)"),
])
def test_what_is_wrong_with_a_page(page, words):
    with pytest.raises(TypeError, match=words):
        oo.record(page(0.01), oo.problems.beale(), steps=3)
    with pytest.raises(TypeError, match=words):
        page(0.01).init(np.ones(2))


def test_what_only_compiled_code_can_do_is_left_to_it():
    assert oo.record(Division(0.01), oo.problems.beale(), steps=3).ok


def test_what_is_wrong_with_a_class():
    with pytest.raises(TypeError, match=r"Bare.kernel must be a property or staticmethod"):
        type("Bare", (Optimizer,), {"kernel": own_update})
    with pytest.raises(TypeError, match=r"Word.slots must be a tuple of Slot, got 'mean'"):
        type("Word", (Optimizer,), {"slots": "mean"})
    with pytest.raises(ValueError, match="scales must be one of 'fixed', 'h'"):
        number(scales="lr")


def test_the_field_on_a_page_is_not_an_update(monkeypatch):
    monkeypatch.setattr(oo.optimizers, "ALL", {"own": Own})
    assert set(kernels._collect()) == {"own_update", "own_nothing", "own_division", "own"}


def test_a_plain_kernel_cannot_be_wrapped():
    def plain(k, p, x, g, s):
        x -= p[0] * g
        return p[0]

    @dataclass(frozen=True)
    class Plain(oo.Optimizer):
        lr: float = positive(default=0.1, scales="h")
        kernel = staticmethod(plain)

    for wrapper in (oo.EMA, oo.SWA, lambda opt: oo.Clipped(opt, norm=1.0)):
        with pytest.raises(TypeError, match="must be compiled .under odeopt.abi.kernel. to be called by another"):
            wrapper(Plain()).init(np.ones(2))
