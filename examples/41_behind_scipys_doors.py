"""An optimizer behind scipy's doors: Adam as a method of ``minimize`` and as a method of ``solve_ivp``.

The same update, called by ``scipy.optimize.minimize`` and by ``scipy.integrate.solve_ivp``, gives
the numbers of ``odeopt.record``; scipy's own DOP853 shows the flow that it follows.
"""

from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

import odeopt as oo
from odeopt.interop import minimize_method, solver_class

PROBLEM = oo.problems.beale()
ADAM, STEPS = oo.Adam(0.02), 100
FLOW = ADAM.flow
Y0 = ADAM.flow_start(PROBLEM.x0, PROBLEM.grad(PROBLEM.x0)).ravel()


FIELD = FLOW.field(PROBLEM)


METHOD: Any = solver_class(ADAM, PROBLEM)  # SciPy's stubs know no classes of others


def field(t, y):
    """Adam's flow as solve_ivp wants it."""
    return FIELD(t, y.reshape(FLOW.rows, 2)).ravel()


def paths():
    """Positions by record, minimize, solve_ivp with Adam, and solve_ivp with DOP853 at the same times."""
    run = oo.record(ADAM, PROBLEM, steps=STEPS)
    by_minimize = minimize(PROBLEM.value_and_grad, PROBLEM.x0, jac=True, method=minimize_method(ADAM),
                           options={"maxiter": STEPS, "gtol": 0.0, "return_all": True}).allvecs
    span = (0.0, float(run.t[-1]))
    by_solver = solve_ivp(field, span, Y0, method=METHOD).y[:2].T
    flow = solve_ivp(field, span, Y0, method="DOP853", rtol=1e-9, atol=1e-12, t_eval=run.t).y[:2].T
    return run.x, np.array(by_minimize), by_solver, flow


def main():
    """(computed, theory, tolerance): one and the same run, near its flow."""
    own, by_minimize, by_solver, flow = paths()
    return [(by_minimize, own, 0.0), (by_solver, own, 1e-15), (np.abs(own - flow).max() < 0.1, True)]


def draw(ax):
    """The three runs on top of each other, and the flow."""
    own, by_minimize, by_solver, flow = paths()
    ax.plot(*flow.T, color="black", lw=1, label="flow (DOP853)")
    ax.plot(*own.T, "o", ms=7, mfc="none", label="record")
    ax.plot(*by_minimize.T, "x", ms=5, label="scipy.optimize.minimize")
    ax.plot(*by_solver.T, ".", ms=4, label="scipy.integrate.solve_ivp")
    ax.set(xlabel="x", ylabel="y", title="Adam on Beale's function, three ways")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
