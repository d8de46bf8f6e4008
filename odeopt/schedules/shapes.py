"""The kernels of the schedules and the functions that make them.

Lengths are in steps and real, and a step that misses a boundary by rounding has come to it; levels
are fractions of the hyperparameter's value ``base`` in the optimizer, so that one schedule serves every
optimizer and every ``refined`` one, except where "absolute" is said. ``k`` counts from 0: step k (the
k + 1st) uses the value at k.
"""


import numpy as np

from .. import checks
from ..abi import kernel
from ..schemes import chebyshev_steps
from .base import Schedule, increasing, reached, sequence, snapped, whole

_MOST = 2.0**53  # steps that float64 tells apart; larger ones would not be integers, either
_SHORTEST = 2.0**-52  # of the lengths, in steps
_CYCLES = ("triangular", "triangular2", "exponential")
_SHAPES = {"linear": 0.0, "cosine": 1.0, "hold": 2.0}


@kernel
def _constant(k, base, c):
    """c[0] base."""
    return c[0] * base


@kernel
def _exponential(k, base, c):
    """base r^(k/K); c = (r, K, 1 for a staircase, and where it ends, if it does)."""
    u = k / c[1]
    factor = c[0] ** (whole(u) if c[2] > 0.0 else u)
    if c.size > 3:
        factor = max(factor, c[3]) if c[0] < 1.0 else min(factor, c[3])
    return base * factor


@kernel
def _natural_exponential(k, base, c):
    """base exp(-r k/K); c = (r, K, 1 for a staircase)."""
    u = k / c[1]
    return base * np.exp(-c[0] * (whole(u) if c[2] > 0.0 else u))


@kernel
def _inverse_time(k, base, c):
    """base/(1 + r k/K); c = (r, K, 1 for a staircase)."""
    u = k / c[1]
    return base / (1.0 + c[0] * (whole(u) if c[2] > 0.0 else u))


@kernel
def _multistep(k, base, c):
    """base r^(number of milestones <= k); c = (r, milestones)."""
    value = base
    for i in range(1, c.size):
        if reached(k, c[i]):
            value *= c[0]
    return value


@kernel
def _polynomial(k, base, c):
    """base (end + (start - end) (1 - k/K)^power), then constant; c = (K, power, start, end)."""
    left = 1.0 - min(snapped(k / c[0]), 1.0)
    return base * (c[3] + (c[2] - c[3]) * left ** c[1])


@kernel
def _cosine(k, base, c):
    """base (end + (1 - end) ((1 + cos(pi u))/2)^power), u = k/T within the period; c = (T, growth, end, power).

    growth 0 is a single period, then constant. Otherwise the m-th one begins at T (growth^m - 1)/(growth - 1).
    """
    period, at, more = c[0], k, c[1] - 1.0
    if c[1] == 0.0:
        at = min(k, period)
    elif c[1] == 1.0:
        at = max(k - period * whole(k / period), 0.0)
    else:
        m = whole(np.log1p(k * more / period) / np.log1p(more))
        begun = snapped(np.expm1(m * np.log1p(more)) / more)  # in first periods
        at = max(k - period * begun, 0.0)
        period *= 1.0 + begun * more
    half = 0.5 * (1.0 + np.cos(np.pi * at / period if at < 1e300 else np.pi * (at / period)))
    return base * (c[2] + (1.0 - c[2]) * (half if c[3] == 1.0 else half ** c[3]))


@kernel
def _piecewise(k, base, c):
    """Through n knots; c = (shape, 1 for fractions of base, n knots, n levels)."""
    n = (c.size - 2) // 2
    knots, levels = c[2 : 2 + n], c[2 + n :]
    scale = base if c[1] > 0.0 else 1.0
    if k <= knots[0]:
        return scale * levels[0]
    if reached(k, knots[n - 1]):
        return scale * levels[n - 1]
    i = 0
    while i < n - 2 and reached(k, knots[i + 1]):
        i += 1
    u = max((k - knots[i]) / (knots[i + 1] - knots[i]), 0.0)
    if c[0] == 1.0:
        u = 0.5 * (1.0 - np.cos(np.pi * u))
    elif c[0] == 2.0:
        u = 0.0
    return scale * (levels[i] + (levels[i + 1] - levels[i]) * u)


@kernel
def _cyclic(k, base, c):
    """c = (steps up, steps down, low, high, form, rate, 1 for fractions of base)."""
    period = c[0] + c[1]
    cycle = whole(k / period)
    at = max(k - cycle * period, 0.0) if cycle > 0.0 else k  # 0 times a period that overflows is no number
    height = min(at / c[0], 1.0) if at <= c[0] else max((period - at) / c[1], 0.0)
    if c[4] == 1.0:
        height *= 0.5**cycle
    elif c[4] == 2.0:
        height *= c[5] ** k
    return (base if c[6] > 0.0 else 1.0) * (c[2] + (c[3] - c[2]) * height)


@kernel
def _growing(k, base, c):
    """base alpha^(-2k-1), alpha the larger root of x^2 - (1 + m - base w) x + m; c = (w, m)."""
    half = 0.5 * (1.0 + c[1] - base * c[0])
    alpha = half + np.sqrt(half * half - c[1]) if half > 0.0 else np.nan
    return base * alpha ** (-2.0 * k - 1.0)


@kernel
def _silver(k, base, c):
    """base (1 + (1 + sqrt 2)^(nu - 1)), nu = number of times that 2 divides floor(k) + 1."""
    j, power = int(whole(min(max(k, 0.0), _MOST))) + 1, 1.0 / (1.0 + np.sqrt(2.0))
    for _ in range(63):
        if j % 2 != 0:
            break
        j //= 2
        power *= 1.0 + np.sqrt(2.0)
    return base * (1.0 + power)


@kernel
def _table(k, base, c):
    """base c[1 + floor(k)], again from the start after the last one if c[0] > 0, else the last."""
    n, i = c.size - 1, int(whole(min(max(k, 0.0), _MOST)))
    i = i % n if c[0] > 0.0 else max(min(i, n - 1), 0)
    return base * c[1 + i]


def constant(factor=1.0, drives="lr"):
    """The hyperparameter as it is (times ``factor``)."""
    return Schedule("constant", _constant, (checks.real("factor", factor, 0),), drives)


def exponential(rate, every=1, staircase=False, drives="lr", *, end=None):
    """base rate^(k/every), in whole powers when ``staircase``, until it comes to ``end`` (fraction of base).

    exponential_decay of [A001]; torch's ExponentialLR for every=1; optax's exponential_decay with end_value.
    ``rate`` > 1 grows. Without ``end`` there is no bound; ``end`` lies on the side to which the rate goes: in [0, 1]
    for ``rate`` < 1, in [1, inf) above.
    """
    rate = checks.real("rate", rate, 0, open_low=True)
    bound = () if end is None else (checks.real("end", end, *((0, 1) if rate < 1 else (1, np.inf))),)
    return Schedule("exponential", _exponential, (rate, *_per(every, staircase), *bound), drives)


def natural_exponential(rate, every=1, staircase=False, drives="lr"):
    """base exp(-rate k/every) (natural_exp_decay of [A001])."""
    return Schedule("natural exponential", _natural_exponential, (checks.real("rate", rate),
                                                                  *_per(every, staircase)), drives)


def inverse_time(rate, every=1, staircase=False, drives="lr"):
    """base/(1 + rate k/every): the decay that [A004] derives for Amos."""
    return Schedule("inverse time", _inverse_time, (checks.real("rate", rate, 0), *_per(every, staircase)), drives)


def _per(every, staircase):
    checks.choice("staircase", staircase, (True, False))
    return _length(every, "every"), float(staircase)


def step(every, factor=0.1, drives="lr"):
    """Times ``factor`` every ``every`` steps (torch's StepLR)."""
    return Schedule("step", _exponential, (checks.real("factor", factor, 0, open_low=True), *_per(every, True)), drives)


def multistep(milestones, factor=0.1, drives="lr"):
    """Times ``factor`` at each of the steps ``milestones`` (torch's MultiStepLR)."""
    return Schedule("multistep", _multistep, (checks.real("factor", factor, 0, open_low=True),
                                              *increasing("milestones", milestones)), drives)


def polynomial(steps, power=1.0, end=0.0, drives="lr"):
    """From 1 to ``end`` (fractions of base) as (1 - k/steps)^power, then constant.

    torch's PolynomialLR for end=0.
    """
    return Schedule("polynomial", _polynomial, (_length(steps), checks.real("power", power, 0, open_low=True), 1.0,
                                                checks.real("end", end, 0)), drives)


def linear(steps, start=1.0, end=0.0, drives="lr"):
    """From ``start`` to ``end`` (fractions of base) in a straight line, then constant (torch's LinearLR)."""
    return Schedule("linear", _polynomial, (_length(steps), 1.0, checks.real("start", start, 0),
                                            checks.real("end", end, 0)), drives)


def cosine(steps, end=0.0, drives="lr", *, power=1.0):
    """Half a cosine from 1 to ``end`` (fraction of base), then constant.

    end + (1 - end) ((1 + cos(pi k/steps))/2)^power:
    torch's CosineAnnealingLR up to its T_max for power=1; optax's cosine_decay_schedule, whose ``exponent`` is the
    ``power``. Source: Loshchilov, Hutter, arXiv:1608.03983.
    """
    return Schedule("cosine", _cosine, (_length(steps), 0.0, checks.real("end", end, 0),
                                        checks.real("power", power, 0, open_low=True)), drives)


def cosine_restarts(period, growth=1.0, end=0.0, drives="lr"):
    """``cosine`` again and again, each period ``growth`` times as long.

    torch's CosineAnnealingWarmRestarts. Source: Loshchilov, Hutter, arXiv:1608.03983, eq. 5.
    """
    return Schedule("cosine restarts", _cosine, (_length(period, "period"), checks.real("growth", growth, 1),
                                                 checks.real("end", end, 0), 1.0), drives)


def warmup(steps, then=None, start=0.0, drives="lr"):
    """From ``start`` (fraction of base) up to base in a straight line, ``then`` any schedule.

    ``then`` begins at its own step 0 after ``steps`` steps; default: constant.
    """
    if then is not None and not isinstance(then, Schedule):
        raise TypeError(f"then must be a Schedule, got {type(then).__name__}")
    drives = drives if then is None else then.drives
    return sequence((linear(steps, start, 1.0, drives), then or constant(drives=drives)), (_length(steps),))


def piecewise(knots, levels, shape="linear", absolute=False, drives="lr"):
    """Through the points (knot, level), joined by lines, half cosines, or held; constant outside.

    ``shape`` is "linear", "cosine" or "hold". Levels are fractions of base unless ``absolute``.
    """
    knots = increasing("knots", knots)
    levels = tuple(checks.real("levels", level, 0) for level in checks.entries("levels", levels))
    if len(knots) < 2 or len(levels) != len(knots):
        raise ValueError(f"levels must be as many as knots, and at least 2, got {len(levels)} and {len(knots)}")
    absolute = checks.switch("absolute", absolute)
    constants = (_SHAPES[checks.choice("shape", shape, tuple(_SHAPES))], float(not absolute), *knots, *levels)
    return Schedule("piecewise", _piecewise, constants, drives)


def one_cycle(steps, warm=0.3, start=1 / 25, end=1e-4 / 25, shape="cosine", three_phase=False, drives="lr"):
    """Up from ``start`` to base in the part ``warm`` of the steps, then down to ``end``.

    With ``three_phase`` down to ``start`` first, as fast as up. torch's OneCycleLR with
    max_lr = base, start = 1/div_factor, end = start/final_div_factor.
    Source: Smith, Topin, arXiv:1708.07120.
    """
    start, end = checks.real("start", start, 0), checks.real("end", end, 0)
    three_phase = checks.switch("three_phase", three_phase)
    knots = _cycle(steps, warm, three_phase)
    return piecewise(knots, (start, 1.0, start, end) if three_phase else (start, 1.0, end), shape, drives=drives)


def one_cycle_momentum(steps, warm=0.3, low=0.85, high=0.95, shape="cosine", three_phase=False, drives="momentum"):
    """The momentum of ``one_cycle``: from ``high`` to ``low`` where the learning rate peaks, and back.

    Absolute levels.
    """
    low, high = checks.real("low", low, 0, 1, open_high=True), checks.real("high", high, 0, 1, open_high=True)
    three_phase = checks.switch("three_phase", three_phase)
    levels = (high, low, high, high) if three_phase else (high, low, high)
    return piecewise(_cycle(steps, warm, three_phase), levels, shape, absolute=True, drives=drives)


def _cycle(steps, warm, three_phase):
    steps = _length(steps)
    warm = checks.real("warm", warm, 0, 0.5 if three_phase else 1, open_low=True, open_high=True)
    if warm * steps <= 1:
        raise ValueError(f"warm must be more than one step, got {warm} of {steps:g}")
    peak = warm * steps - 1
    return (0.0, peak, 2 * warm * steps - 2, steps - 1) if three_phase else (0.0, peak, steps - 1)


def cyclic(up, down=None, low=0.1, high=1.0, form="triangular", rate=0.999, absolute=False, drives="lr"):
    """From ``low`` to ``high`` in ``up`` steps and back in ``down`` (default: as many), again and again.

    torch's CyclicLR with max_lr = base, low = base_lr/max_lr; the momentum that goes with it there is
    ``cyclic(up, low=max_momentum, high=base_momentum, absolute=True, drives="momentum")``.
    Source: Smith, arXiv:1506.01186.

    Parameters
    ----------
    up, down : float > 0
        In steps.
    low, high : float >= 0, defaults 0.1 and 1
        Fractions of base, or levels if ``absolute``. ``high`` may be the smaller one.
    form : {"triangular", "triangular2", "exponential"}
        The height of the triangles: all alike; half as high from one cycle to the next; or times ``rate`` from one
        step to the next (torch's "exp_range" with gamma = ``rate``).
    rate : float in (0, 1], default 0.999
        For form="exponential".
    absolute : bool
    drives : str
        The hyperparameter.
    """
    up = _length(up, "up")
    down = up if down is None else _length(down, "down")
    low, high = checks.real("low", low, 0), checks.real("high", high, 0)
    form = float(_CYCLES.index(checks.choice("form", form, _CYCLES)))
    rate = checks.real("rate", rate, 0, 1, open_low=True)
    return Schedule("cyclic", _cyclic, (up, down, low, high, form, rate,
                                        float(not checks.switch("absolute", absolute))), drives)


def ramp(start, end, steps, drives="momentum"):
    """From ``start`` to ``end`` (absolute) in a straight line over ``steps`` steps, then constant.

    Hinton's momentum: small at first (0.5), raised later (0.9) ([A003]).
    """
    start, end = checks.nonnegative("start", start), checks.nonnegative("end", end)
    return piecewise((0.0, _length(steps)), (start, end), absolute=True, drives=drives)


def growing(weight_decay, momentum=0.0, drives="lr"):
    """base alpha^(-2k-1): the exponentially growing rate that stands for weight decay.

    On a scale-invariant objective it does without decay what the constant rate ``base`` does with
    ``weight_decay`` ([A002]). alpha is the larger root of
    x^2 - (1 + momentum - base weight_decay) x + momentum; for momentum 0, alpha = 1 - base weight_decay.
    The momentum buffer must not contain the learning rate (torch's form). NaN where no root is
    positive: base weight_decay > (1 - sqrt(momentum))^2.
    Source: Li, Arora, arXiv:1910.07454.
    """
    return Schedule("growing", _growing, (checks.real("weight_decay", weight_decay, 0),
                                          checks.real("momentum", momentum, 0, 1, open_high=True)), drives)


def table(factors, repeat=False, drives="lr"):
    """base times ``factors[k]``; after the last one it stays, or begins again with ``repeat``."""
    factors = checks.point("factors", factors)
    if (factors < 0).any():
        raise ValueError(f"factors must be nonnegative, got {factors.min():g}")
    return Schedule("table", _table, (float(checks.choice("repeat", repeat, (True, False))), *factors.tolist()), drives)


def chebyshev(condition, steps, order="stable", drives="lr"):
    """The N = ``steps`` step sizes with the smallest worst residual on quadratics, for base = 1/L.

    h_j = 2/(L + mu - (L - mu) cos((2j - 1) pi/(2N))) with L/mu = ``condition``, again from the start
    after N.

    After N steps every component is below 1/T_N((condition + 1)/(condition - 1)) of its start.
    Single steps are far beyond 2/L, so the order matters in floating point: "stable" is
    Lebedev's and Finogenov's for N a power of 2 (elsewhere it takes the nearest larger one and leaves
    out), "natural" goes with j. Source: Lebedev, Finogenov, USSR Comput. Math. 11 (1971) 155.
    """
    condition = checks.real("condition", condition, 1)
    n = checks.integer("steps", steps, 1)
    checks.choice("order", order, ("stable", "natural"))
    if order == "stable":
        factors = chebyshev_steps(1 / condition, 1.0, n)
    else:
        factors = chebyshev_steps(1 / condition, 1.0, n, order="increasing")[::-1]
    return Schedule("chebyshev", _table, (1.0, *factors.tolist()), drives)


def silver(drives="lr"):
    """base (1 + rho^(nu - 1)), rho = 1 + sqrt 2, nu = how often 2 divides k + 1, for base = 1/L.

    On convex L-smooth f, after N = 2^m - 1 steps f - f* <= L R^2/(1 + sqrt(4 rho^(2m) - 3)), better
    than any constant step. Source: Altschuler, Parrilo, arXiv:2309.16530, theorem 1.1.
    """
    return Schedule("silver", _silver, (), drives)


def _length(value, name="steps"):
    return checks.real(name, value, _SHORTEST)


__all__ = ["chebyshev", "constant", "cosine", "cosine_restarts", "cyclic", "exponential", "growing", "inverse_time",
           "linear", "multistep", "natural_exponential", "one_cycle", "one_cycle_momentum", "piecewise", "polynomial",
           "ramp", "silver", "step", "table", "warmup"]
