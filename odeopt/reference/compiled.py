"""``CompiledDOP853``: SciPy's DOP853 with whole steps in compiled code, for large states.

Method, error estimate, step control and dense output are SciPy's, to round-off. On the digits' logistic loss with two
rows SciPy's own part of a step takes half of the time of its 12 gradients, and it holds the interpreter's lock; and
three of 15 evaluations go into polynomials between steps, of which here those are made that are asked for.
"""

import functools

import numpy as np
from scipy import integrate

from ..abi import INDICES, INTEGER, MATRIX, NOTHING, REAL, VECTOR, fg_at, hv_at, kernel, rhs_at

_METHOD = integrate.DOP853
_STAGES, _ALL = _METHOD.n_stages, _METHOD.n_stages + 1 + len(_METHOD.C_EXTRA)
_SAFETY, _LEAST, _MOST, _POWER = 0.9, 0.2, 10.0, -1 / (_METHOD.error_estimator_order + 1)  # of the next step


def _tableau():
    """Row s: the weights of the stages before stage s, and its node; after the method's the dense output's."""
    table = np.zeros((_ALL, _ALL + 1))
    table[:_STAGES, :_STAGES], table[:_STAGES, -1] = _METHOD.A, _METHOD.C
    table[_STAGES, :_STAGES], table[_STAGES, -1] = _METHOD.B, 1.0
    table[_STAGES + 1:, :-1], table[_STAGES + 1:, -1] = _METHOD.A_EXTRA, _METHOD.C_EXTRA
    return table


_TABLE = _tableau()


def _stages(addresses, data, p, t, h, y, table, first, last, k, stage):
    """The stages ``first`` to ``last`` - 1 into rows of ``k`` (stages rows, n); the last point into ``stage``."""
    rhs = rhs_at(addresses[0], addresses[1])
    fg, hv = fg_at(addresses[2], addresses[3]), hv_at(addresses[4], addresses[5])
    rows, n = y.shape
    for s in range(first, last):
        for j in range(rows):
            for l in range(n):
                stage[j, l] = 0.0
        for m in range(s):
            weight = table[s, m]
            if weight != 0.0:
                for j in range(rows):
                    for l in range(n):
                        stage[j, l] += weight * k[m * rows + j, l]
        for j in range(rows):
            for l in range(n):
                stage[j, l] = y[j, l] + h * stage[j, l]
                k[s * rows + j, l] = 0.0
        rhs(fg, hv, data, t + table[s, table.shape[1] - 1] * h, p, stage, k[s * rows : (s + 1) * rows])


@functools.cache
def _compiled_stages():
    return kernel(_stages, NOTHING(INDICES, VECTOR, VECTOR, REAL, REAL, MATRIX, MATRIX, INTEGER, INTEGER,
                                   MATRIX, MATRIX))


def _run(field, t, h, y, first, last, k, stage):
    _compiled_stages()(*field.first, field.data, field.p, t, h, y.reshape(stage.shape), _TABLE, first, last,
                       k.reshape(-1, stage.shape[1]), stage)


class CompiledDOP853(integrate.DOP853):
    """DOP853 on a compiled field.

    Parameters
    ----------
    field : odeopt.flows.base._Field
    spend : callable
        ``spend(count)`` is told of evaluations before they are made.
    watch : callable or None
        ``watch(t)`` is called before each try of a step.
    times : array, optional
        In rising order, where the solution will be read: steps without one get their polynomial when it is asked for.
    """

    def __init__(self, fun, t0, y0, t_bound, *, field, spend, watch, times=None, **options):
        super().__init__(fun, t0, y0, t_bound, **options)
        self._field, self._spend, self._watch, self._times = field, spend, watch, times
        self._stage = np.empty(field.shape)

    def _stages(self, t, h, y, first, last):
        if self._watch is not None:
            self._watch(t)
        self._spend(last - first)
        self.nfev += last - first
        _run(self._field, t, h, y, first, last, self.K_extended, self._stage)

    def _step_impl(self):
        t, y = self.t, self.y
        least = 10 * np.abs(np.nextafter(t, self.direction * np.inf) - t)
        h_abs, rejected = min(max(self.h_abs, least), self.max_step), False
        self.K[0] = self.f
        while True:
            if h_abs < least:
                return False, self.TOO_SMALL_STEP
            t_new = t + self.direction * h_abs
            if self.direction * (t_new - self.t_bound) > 0:
                t_new = self.t_bound
            h = t_new - t
            h_abs = np.abs(h)
            self._stages(t, h, y, 1, _STAGES + 1)
            y_new = self._stage.ravel().copy()
            error = self._estimate_error_norm(self.K, h, self.atol + np.maximum(np.abs(y), np.abs(y_new)) * self.rtol)
            if error < 1:
                break
            h_abs *= max(_LEAST, _SAFETY * error**_POWER) if np.isfinite(error) else _LEAST
            rejected = True
        factor = min(1.0 if rejected else _MOST, _SAFETY * error**_POWER if error > 0 else _MOST)
        self.h_previous, self.y_old = h, y
        self.t, self.y, self.h_abs, self.f = t_new, y_new, h_abs * factor, self.K[-1].copy()
        return True, None

    def _dense_output_impl(self):
        assert self.t_old is not None  # there has been a step
        piece = _Polynomial(self._field, self.t_old, self.t, self.y_old, self.K[0].copy())
        if self._times is None or np.searchsorted(self._times, self.t_old, "right") < np.searchsorted(
                self._times, self.t, "right"):
            self._stages(self.t_old, self.h_previous, self.y_old, _STAGES + 1, _ALL)
            piece.terms = _terms(self.h_previous, self.y_old, self.y, self.K_extended)
        return piece


def _terms(h, y_old, y, k):
    """Hairer, Norsett, Wanner I, section II.6: nested in s and 1 - s, the first term outermost."""
    change = y - y_old
    return np.concatenate([[change, h * k[0] - change, 2 * change - h * (k[_STAGES] + k[0])], h * (_METHOD.D @ k)])


class _Polynomial(integrate.DenseOutput):
    """DOP853's continuous extension of one step, of order 7; its terms are computed where they are missing."""

    def __init__(self, field, t_old, t, y_old, f_old):
        super().__init__(t_old, t)
        self.y_old, self.terms, self._from = y_old, None, (field, f_old)

    def _computed(self):
        field, f_old = self._from
        k, stage, h = np.empty((_ALL, f_old.size)), np.empty(field.shape), self.t - self.t_old
        k[0] = f_old
        _run(field, self.t_old, h, self.y_old, 1, _STAGES + 1, k, stage)
        y = stage.ravel().copy()
        _run(field, self.t_old, h, self.y_old, _STAGES + 1, _ALL, k, stage)
        return _terms(h, self.y_old, y, k)

    def _call_impl(self, t):
        if self.terms is None:
            self.terms = self._computed()
        s = (t - self.t_old) / (self.t - self.t_old)
        s = s[..., None]
        y = np.zeros((*np.shape(t), self.y_old.size))
        for i, term in enumerate(self.terms[::-1]):
            y += term
            y *= 1 - s if i % 2 else s
        return (y + self.y_old).T
