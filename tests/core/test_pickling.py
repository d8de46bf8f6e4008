"""What is public can be copied and sent to another process, which uses it: no address travels."""

import concurrent.futures as cf
import copy
import multiprocessing
import pickle

import numpy as np
import pytest
from numba.core.serialize import dumps
from scipy.integrate import solve_ivp

import odeopt as oo
from odeopt import stochastic as st
from odeopt.interop import solver_class

BEALE = oo.problems.beale()
HALVES = oo.schedules.sequence([oo.schedules.constant(), oo.schedules.cosine(10)], [5]).refined(2.0)


def own_rhs(fg, hv, data, t, p, z, dz):
    fg(z[0], dz[0], data)
    dz[0] *= -p[0]


def own():
    """A problem, a flow and a scheme of lambdas and closures."""
    a = 2.0
    problem = oo.Problem(lambda x: a * float(x @ x), lambda x: 2 * a * x, dim=2)

    def rhs(fg, hv, data, t, p, z, dz):
        own_rhs(fg, hv, data, t, [a], z, dz)

    flow = oo.flows.base.Flow("own", "x' = -a g", rhs)
    scheme = oo.schemes.Scheme("own", oo.schemes.explicit_euler.step, 1, 1, work=lambda rows: rows + 0 * int(a),
                               check=lambda flow, problem: None)
    return problem, flow, scheme


def trained():
    """A method that is made of another one, its state after a step, and the arrays: all with a plan made."""
    method, x = oo.SWA(oo.Adam(1e-2)), np.ones(3)
    state = method.init(x)
    method.update(x, np.ones(3), state)
    return method, state, x


def things():
    """Everything that may be sent, by name."""
    problem, flow, scheme = own()
    rk4 = oo.schemes.explicit_runge_kutta("own RK4", [[0, 0], [0.5, 0]], [0, 1], order=2)
    return {
        "trained": trained(), "problem": BEALE, "own problem": problem, "own flow": flow, "own scheme": scheme,
        "schemes": [value for value in vars(oo.schemes).values() if isinstance(value, oo.schemes.Scheme)],
        "own tableau": rk4, "discretization": oo.Discretization(oo.Adam(1e-2).flow, oo.schemes.rk4, 1e-3),
        "own discretization": oo.Discretization(flow, scheme, 1e-2), "schedule": HALVES,
        "rule": oo.schedules.ReduceLROnPlateau(), "noise": st.gaussian(np.eye(2)),
        "solvers": [solver_class(oo.schemes.rk4), solver_class(oo.Discretization(
            oo.flows.gradient_flow(), oo.schemes.heun, 1e-2), BEALE)],
        "field": oo.Momentum(1e-2).flow.field(BEALE), "sde": st.sde(oo.GradientDescent(1e-2)),
        "reference": oo.reference(oo.Adam(1e-2), BEALE, t_end=0.1, schedule=oo.schedules.cosine(30)),
        "jitted": oo.reference(oo.Adam(1e-2), BEALE, t_end=0.1, solver="jitted"),
        "run": oo.record(oo.Adam(1e-2), BEALE, steps=5, schedule=oo.schedules.cosine(9)),
        "paths": st.sample(oo.Adam(1e-2), BEALE, st.gaussian(0.1), steps=5, paths=2),
        "optimizers": [oo.Adam(1e-2), oo.RMSprop(0.1, centered=True), oo.SWA(oo.Momentum(0.1))],
    }


def used(sent):
    """Numbers that come from using every one of them."""
    method, state, x = sent["trained"]
    x = x.copy()
    for _ in range(3):
        method.update(x, np.full(3, 0.5), state)
    own_problem, flow = sent["own problem"], sent["own flow"]
    found = {
        "x": x, "average": method.average(state), "schedule": sent["schedule"](np.arange(20)),
        "field": sent["field"](0.5, np.ones((2, 2))), "reference": sent["reference"](0.05),
        "jitted": sent["jitted"](0.05), "own": own_problem.grad(np.ones(2)), "factor": sent["noise"].factor(np.ones(2)),
        "run": oo.record(oo.Adam(1e-2), sent["problem"], steps=4, schedule=oo.schedules.cosine(9),
                         resume=sent["run"]).x,
        "paths": st.sample(sent["optimizers"][0], sent["problem"], st.gaussian(0.1), steps=3, resume=sent["paths"]).x,
        "scheduled": oo.record(sent["optimizers"][0], BEALE, steps=20, schedule=sent["schedule"]).x,
        "sde": st.simulate(sent["sde"], BEALE, sent["noise"], steps=3).x,
    }
    field = oo.flows.gradient_flow().field(BEALE)
    for i, solver in enumerate(sent["solvers"]):
        found[f"solver {i}"] = solve_ivp(lambda t, y: field(t, y[None])[0], (0, 0.1), [1.0, 1.0], method=solver).y
    methods = [sent["discretization"], sent["own discretization"], oo.Discretization(flow, sent["own scheme"], 0.1),
               oo.Discretization(oo.flows.gradient_flow(), sent["own tableau"], 1e-3)]
    for i, one in enumerate(methods):
        found[i] = oo.record(one, own_problem if one.flow.name == "own" else BEALE, steps=3).x
    for scheme in sent["schemes"]:
        found[scheme.name] = np.array([scheme.work(2), scheme.step is getattr(oo.schemes, "none", scheme.step)])
    return found


def equal(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key], equal_nan=True) for key in one)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],
                         ids=["deepcopy", "pickle"])
def test_copies_do_what_their_originals_do(copied):
    assert equal(used(copied(things())), used(things()))


def test_another_process_uses_what_is_sent_to_it():
    with cf.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert equal(pool.submit(used, things()).result(timeout=120), used(things()))


def test_kernels_of_the_package_travel_by_name():
    for thing in (oo.Adam(1e-2).flow, oo.schemes.rk4, HALVES, st.gaussian(1.0), BEALE):
        assert len(pickle.dumps(thing)) < 3000
        again = pickle.loads(pickle.dumps(thing))
        for name, value in vars(thing).items():
            if hasattr(value, "py_func"):
                assert getattr(again, name) is value


@pytest.mark.skipif(not BEALE.compiled, reason="without the compiler there are no addresses")
def test_no_address_is_in_what_is_sent():
    state = trained()[1]
    assert state._plan[0] is not None
    assert pickle.loads(pickle.dumps(state))._plan[0] is copy.deepcopy(state)._plan[0] is None
    field, z = oo.Momentum(1e-2).flow.field(BEALE), np.ones((2, 2))
    addresses = field.first[0].tobytes()
    for sent in (pickle.dumps(field), dumps(field)):  # as a pool and as a cluster do
        assert addresses not in sent and np.array_equal(pickle.loads(sent)(0.0, z), field(0.0, z))
