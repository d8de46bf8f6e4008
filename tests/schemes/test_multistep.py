"""Stability of schemes that keep the last field in ``w``, of flows that depend on time."""

import numpy as np
import pytest

import odeopt as oo
from odeopt import flows, schemes


def adams_bashforth(rhs, fg, hv, data, p, t, h, z, w):
    """z += h (3 F(n)/2 - F(n-1)/2); the first step is Euler's. ``w``: F(n), F(n-1), whether there is one."""
    rows = z.shape[0]
    rhs(fg, hv, data, t, p, z, w[:rows])
    for j in range(rows):
        for i in range(z.shape[1]):
            f = w[j, i]
            z[j, i] += h * (1.5 * f - 0.5 * w[rows + j, i]) if w[2 * rows, 0] > 0.0 else h * f
            w[rows + j, i] = f
    w[2 * rows, 0] = 1.0
    return 0.0


def offset(rhs, fg, hv, data, p, t, h, z, w):
    """The same, keeping F(n-1) + 5: at rest what is kept is not 0."""
    for j in range(z.shape[0]):
        for i in range(z.shape[1]):
            w[z.shape[0] + j, i] -= 5.0 * (w[2 * z.shape[0], 0] > 0.0)
    adams_bashforth(rhs, fg, hv, data, p, t, h, z, w)
    for j in range(z.shape[0]):
        for i in range(z.shape[1]):
            w[z.shape[0] + j, i] += 5.0
    return 0.0


def growing(rhs, fg, hv, data, p, t, h, z, w):
    """Explicit Euler, whose steps grow with the number of the step."""
    rhs(fg, hv, data, t, p, z, w[:1])
    for i in range(z.shape[1]):
        z[0, i] += h * (1.0 + w[1, i]) * w[0, i]
        w[1, i] += 1.0
    return 0.0


AB2 = schemes.Scheme("Adams-Bashforth 2", adams_bashforth, 2, 1, lambda rows: 2 * rows + 1)


def test_the_matrix_of_a_multistep_scheme_holds_what_it_keeps():
    """Hairer, Wanner, section V.1: the real interval of Adams-Bashforth of order 2 is [-1, 0]."""
    c = 0.3
    assert oo.stability_limit(AB2) == pytest.approx(1.0, abs=1e-11)
    matrix = oo.amplification_matrix(AB2, c)
    assert np.sort(np.linalg.eigvals(matrix)) == pytest.approx(np.sort(np.roots([1.0, 1.5 * c - 1.0, -0.5 * c])))
    complex_ = oo.amplification_matrix(AB2, c - 0.4j)
    assert np.sort_complex(np.linalg.eigvals(complex_)) == pytest.approx(
        np.sort_complex(np.roots([1.0, 1.5 * (c - 0.4j) - 1.0, -0.5 * (c - 0.4j)])))
    h, a = 0.2, 0.5
    damped = oo.amplification_matrix(oo.Discretization(flows.heavy_ball_flow(a), AB2, h), c)
    lam = np.roots([1.0, a, c])
    expected = np.concatenate([np.roots([1.0, -1.5 * h * x - 1.0, 0.5 * h * x]) for x in lam])
    assert np.sort_complex(np.linalg.eigvals(damped)) == pytest.approx(np.sort_complex(expected))


def test_what_a_scheme_keeps_at_rest_is_no_part_of_its_matrix():
    kept = schemes.Scheme("offset", offset, 2, 1, lambda rows: 2 * rows + 1)
    np.testing.assert_allclose(oo.amplification_matrix(kept, 0.3), oo.amplification_matrix(AB2, 0.3), atol=1e-14)


def test_the_limit_is_where_runs_begin_to_grow():
    for h, shrinks in ((0.99, True), (1.01, False)):
        run = oo.record(oo.Discretization(flows.gradient_flow(), AB2, h), oo.problems.quadratic([1.0], x0=[1.0]),
                        steps=4000)
        assert (abs(run.x[-1, 0]) < 1e-3) == shrinks


def test_one_step_schemes_have_the_matrix_of_one_step():
    for scheme in (schemes.rk4, schemes.dormand_prince, schemes.implicit_euler, schemes.ALL["rkc"]):
        assert oo.amplification_matrix(scheme, 0.7).shape == (1, 1)
    assert oo.amplification_matrix(schemes.rk4, 0.7) == pytest.approx(np.polyval([1 / 24, 1 / 6, 1 / 2, 1, 1], -0.7))


def test_what_has_no_single_matrix_is_refused_by_name():
    with pytest.raises(ValueError, match="the field of Nesterov depends on time"):
        oo.stability_limit(oo.Discretization(flows.nesterov_flow(), schemes.rk4, 0.1, t0=1.0))
    with pytest.raises(ValueError, match="growing.*(not|changes in each)"):
        oo.stability_limit(schemes.Scheme("growing", growing, 1, 1, lambda rows: 2))
