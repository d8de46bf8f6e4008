"""Large flows solved implicitly, coordinate by coordinate: their Jacobians, their systems, and who gets them."""

import numpy as np
import pytest

import odeopt as oo
from odeopt.reference import solvers, structured

N = 410
RATES = np.geomspace(1.0, 1e4, N)
STIFF = oo.problems.quadratic(RATES, x0=np.ones(N))
SMALL = oo.problems.rosenbrock(dim=6)


def _rough(flow, n):
    """A state with memory: the weights of averages are numbers in element 0."""
    z = np.random.default_rng(1).uniform(0.5, 1.5, (flow.rows, n))
    for row in (i for i, slot in enumerate(flow.slots, 1) if "weight" in slot):
        z[row, 1:] = 0.0
        z[row, 0] *= 0.5
    return z


@pytest.mark.parametrize("optimizer", [oo.GradientDescent(0.01), oo.Momentum(0.01), oo.RMSprop(0.01), oo.Adam(0.01),
                                       oo.NAdam(0.01), oo.Adagrad(0.01), oo.AdaBelief(0.01), oo.Adadelta(1.0),
                                       oo.RMSprop(0.01, centered=True)], ids=lambda o: o.key)
def test_products_with_the_jacobian_are_exact(optimizer):
    flow = optimizer.flow
    z, structure = _rough(flow, SMALL.dim), structured.Structure.of(flow, SMALL)
    v = np.random.default_rng(2).standard_normal(z.shape)
    v[structure._numbers(z, flow.field(SMALL)(0.5, z))] = 0.0
    field = flow.field(SMALL)
    difference = (field(0.5, z + 1e-5 * v) - field(0.5, z - 1e-5 * v)) / 2e-5
    found = structure.jacobian(0.5, z)
    assert np.allclose(found.product(v), difference, rtol=1e-5, atol=1e-5 * np.abs(difference).max())
    assert structure.fits(0.5, z)
    if flow.jacobian:
        whole = flow.jacobian(0.5, z, SMALL.grad(z[0]), SMALL.hess(z[0]), flow.p)
        assert np.allclose(found.product(v).ravel(), whole @ v.ravel(), rtol=1e-5, atol=1e-5 * np.abs(difference).max())


@pytest.mark.parametrize("most", [1000, 0], ids=["elimination", "krylov"])
def test_systems_are_solved_without_being_formed(most, monkeypatch):
    monkeypatch.setattr(structured, "DENSE", most)
    flow = oo.RMSprop(0.01, centered=True).flow
    z = _rough(flow, SMALL.dim)
    jacobian = structured.Structure.of(flow, SMALL).jacobian(0.0, z)
    right, c = np.random.default_rng(3).standard_normal(z.size), 1e-3
    x = (structured._Identity() - c * jacobian).factorised().solve(right)
    back = x - c * jacobian.product(x.reshape(z.shape)).ravel()
    assert np.linalg.norm(back - right) <= (1e-9 if most else 1e-3) * np.linalg.norm(right)


def test_fields_of_other_kinds_are_seen():
    """A norm couples the coordinates; AdaMax's field takes Hessian products."""
    for flow in (oo.flows.normalized_flow(), oo.AdaGradNorm(0.1).flow):
        assert not structured.Structure.of(flow, SMALL).fits(0.0, _rough(flow, SMALL.dim))
    assert structured.Structure.of(oo.AdaMax(0.01).flow, SMALL) is None
    assert structured.Structure.of(oo.RMSprop(0.01).flow, oo.Problem(SMALL.fun, SMALL.grad, dim=6)) is None


@pytest.mark.parametrize("most", [1000, 0], ids=["elimination", "krylov"])
def test_large_stiff_flows_go_on_with_implicit_steps(most, monkeypatch):
    """410 decays, rates to 10,000: DOP853 would take 20,000 evaluations for their stability alone."""
    monkeypatch.setattr(structured, "DENSE", most)
    sol = oo.reference(oo.flows.gradient_flow(), STIFF, t_end=2.0, check=not most)
    assert sol.success and sol.method == "BDF" and sol.nfev < 11_000
    assert np.abs(sol(0.5) - np.exp(-0.5 * RATES)).max() < 1e-7
    assert most or sol.uncertainty < 1e-5


def test_the_memory_takes_part():
    """RMSprop's flow far from its edge: the same by steps that resolve its stiffness."""
    flow, problem = oo.RMSprop(0.002, 0.9).flow, oo.problems.quadratic(np.geomspace(1.0, 100.0, 300), x0=np.ones(300))
    implicit = oo.reference(flow, problem, t_end=0.5, solver="BDF", rtol=1e-8, atol=1e-11)
    explicit = oo.reference(flow, problem, t_end=0.5, solver="DOP853", check=False)
    assert implicit.success and explicit.success and implicit.nfev < 8000
    assert np.abs(implicit(0.5) - explicit(0.5)).max() < max(10 * implicit.uncertainty, 1e-6)


def test_oscillations_are_no_stiffness():
    """Undamped oscillations of high frequency: implicit steps would have to resolve them, too."""
    flow = oo.flows.heavy_ball_flow(0.1)
    structure = structured.Structure.of(flow, STIFF)
    z = np.random.default_rng(4).standard_normal((2, N))
    assert not structure.invites(0.0, z)
    assert structured.Structure.of(oo.flows.gradient_flow(), STIFF).invites(0.0, z[:1])


def test_a_trial_costs_what_it_says(monkeypatch):
    """One that loses leaves its evaluations to who goes on."""
    monkeypatch.setattr(structured.Structure, "invites", lambda *_: True)
    problem = oo.problems.quadratic(np.full(N, 4e4), x0=np.ones(N))
    ball = oo.reference(oo.flows.heavy_ball_flow(0.01), problem, t_end=1.5, check=False)
    assert ball.success and ball.method == "DOP853" and ball.nfev > solvers.PATIENCE_LARGE


def test_differences_are_a_ten_millionth_of_their_entry():
    """Of an entry that is 0, of 1e-12 times the largest one; of 1e-20 where all are."""
    np.testing.assert_allclose(structured._step(np.array([0.0, 1e-3, -5.0])), [5e-19, 1e-10, 5e-7], rtol=1e-13)
    np.testing.assert_allclose(structured._step(np.zeros(2)), 1e-27, rtol=1e-13)


def test_hessian_products_are_counted_until_the_matrix_is_known():
    structure = structured.Structure.of(oo.flows.gradient_flow(), SMALL)
    z, v = SMALL.x0[None], np.ones((1, 6))
    jacobian = structure.jacobian(0.0, z)
    assert structure.products == 0
    by_products = jacobian.product(v)
    assert structure.products == 1
    matrix = jacobian.hessian()
    assert structure.products == 7 and jacobian.hessian() is matrix
    np.testing.assert_allclose(jacobian.product(v), by_products, rtol=1e-12)
    np.testing.assert_allclose(matrix, SMALL.hess(SMALL.x0), rtol=1e-12)
    assert structure.products == 7


@pytest.mark.parametrize(("n", "asked"), [(400, True), (401, False)])
def test_flows_of_400_numbers_hand_their_jacobian_to_implicit_solvers(n, asked):
    taken = []
    problem = oo.Problem(lambda x: 0.5 * float(x @ x), np.copy, x0=np.ones(n),
                         hess=lambda x: taken.append(x) or np.eye(n))
    taken.clear()
    solvers.solve(oo.flows.gradient_flow(), problem, problem.x0[None], 0.0, 1e-3, 1e-3, 1e-3, "Radau")
    assert bool(taken) == asked


class Pacing:
    """A solver that goes ``step`` in each step and spends 100 evaluations on it."""

    def __init__(self, field, step):
        self.field, self.step_length, self.t, self.status, self.y = field, step, 0.0, "running", np.zeros(1)

    def step(self):
        self.field.count += 100
        self.t += self.step_length

    def dense_output(self):
        return "piece"


def test_a_trial_is_won_by_twice_the_pace():
    """In 1000 evaluations, counted in their second half; who loses gives back what it has spent."""
    for step, won in ((2.1, True), (1.9, False)):
        field = solvers._Counted(None, None, 5000)
        steps = solvers._trial(Pacing(field, step), field, 0.01, None)
        assert (steps is not None) == won and field.allowed == (5000 if won else 6000)
        if won:
            assert [found[0] for found in steps] == pytest.approx(2.1 * np.arange(1, 11))
            assert [found[3] for found in steps] == list(range(100, 1001, 100))


def test_jacobians_and_systems_are_counted_as_scipys():
    flow, calls = oo.RMSprop(0.01, 0.9).flow, {"njev": 0, "nlu": 0}
    structure = structured.Structure.of(flow, SMALL)
    field, z0 = flow.field(SMALL), flow.start(SMALL.x0)
    z0[1] = 1.0

    def counted(name, function):
        def call(*args):
            calls[name] += 1
            return function(*args)
        return call

    structure.jacobian = counted("njev", structure.jacobian)
    solver = structured.BDF(lambda t, y: field(t, y.reshape(z0.shape)).ravel(), 0.0, z0.ravel(), 1.0, structure,
                            rtol=1e-6, atol=1e-9)
    solver.lu = counted("nlu", solver.lu)
    while solver.status == "running":
        solver.step()
    assert solver.status == "finished"
    assert solver.njev == calls["njev"] > 1 and solver.nlu == calls["nlu"] > 3
