"""Methods of matrices, on a problem whose unknowns are one: f = sum log cosh(A x - c) + .15 |x|^2, x a 3 x 2 matrix."""

import numpy as np
import places
import pytest

import odeopt as oo
from odeopt import flows
from odeopt.optimizers import LAMB, AdamW, Muon, NovoGrad


def matrix_problem(seed=0, size=6):
    """Strongly convex, smooth, of no symmetry; the text's derivatives are exact."""
    rng = np.random.default_rng(seed)
    a, c = rng.standard_normal((size + 1, size)), 2.0 * rng.standard_normal(size + 1)
    names = [f"x{i}" for i in range(1, size + 1)]
    sums = ["+".join(f"({w!r})*{name}" for w, name in zip(row, names)) for row in a.tolist()]
    text = "+".join(f"log(cosh({one}-({b!r})))" for one, b in zip(sums, c.tolist()))
    text += "+0.15*(" + "+".join(f"{name}^2" for name in names) + ")"
    return oo.Problem.from_expression(text, variables=names, x0=rng.standard_normal(size))


PROBLEM = matrix_problem()
SHAPES = [(3, 2), (2, 3), (2, -1), (6, 1)]
EXACT = {"steps": None, "momentum": 0.9, "weight_decay": 0.1}
VARIANTS = [
    Muon(0.01, nesterov=False, **EXACT), Muon(0.01, **EXACT), Muon(0.01, momentum=0.9, nesterov=False),
    Muon(0.01, momentum=0.9, adjust="match_rms_adamw"), Muon(0.01, momentum=0.9, steps=3, adjust="width"),
]


def polar(m):
    u, _, vt = np.linalg.svd(m, full_matrices=False)
    return u @ vt


@pytest.mark.parametrize("start", ["cold", "consistent"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("opt", VARIANTS, ids=repr)
def test_the_update_is_the_scheme_on_the_flow(opt, shape, start):
    """The field takes the polar factor from LAPACK's singular values, the update from rotations of its own.

    While the path is smooth: 60 steps, before a singular value of the average comes near 0."""
    opt = opt.changed(shape=shape)
    run = oo.record(opt, PROBLEM, steps=60, start=start)
    z = opt.flow_start(PROBLEM.x0, PROBLEM.grad(PROBLEM.x0), start)
    generic = oo.record(oo.Discretization(opt.flow, opt.scheme, opt.h), PROBLEM, z, steps=60)
    assert run.ok and np.linalg.norm(run.x[-1] - run.x[0]) > 0.1
    np.testing.assert_allclose(run.x, generic.x, rtol=0, atol=1e-12 * np.abs(run.x).max())


@pytest.mark.parametrize("start", ["cold", "consistent"])
@pytest.mark.parametrize("opt", VARIANTS[:4], ids=repr)
def test_orders_on_a_matrix(opt, start):
    """.998 in the numpy prototype, with and without Nesterov, the polar factor and five Newton-Schulz steps."""
    opt = opt.changed(shape=(3, 2), lr=0.004, momentum=0.96)
    for seed in range(3):
        study = oo.convergence(opt, matrix_problem(seed), t_end=0.4, levels=6, start=start, solver="DOP853",
                               rtol=1e-12, atol=1e-14)
        assert study.asymptotic and abs(study.order - 1) <= 0.05, study


def test_the_two_flows_part_by_what_the_iteration_leaves():
    """On one path five Newton-Schulz steps of the usual coefficients stay .1 away from the polar flow; steps that
    converge (15/8, -10/8, 3/8) come to it."""
    ends = {}
    for steps, coefficients in ((None, flows.muon.QUINTIC), (5, flows.muon.QUINTIC), (30, (1.875, -1.25, 0.375))):
        flow = flows.muon_flow(0.1, (3, 2), steps=steps, coefficients=coefficients)
        z = np.array([PROBLEM.x0, PROBLEM.grad(PROBLEM.x0)])
        ends[steps] = oo.reference(flow, PROBLEM, z, t_end=0.4)(0.4)
    moved = np.linalg.norm(ends[None] - PROBLEM.x0)
    assert 0.02 * moved < np.linalg.norm(ends[5] - ends[None]) < 0.5 * moved
    assert np.linalg.norm(ends[30] - ends[None]) < 1e-8


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (4, 4), (7, 1), (2, 2, 2)])
def test_the_polar_factor(shape, dtype):
    """Against LAPACK's, also of gradients whose squares overflow or vanish, and of rank one."""
    rng = np.random.default_rng(1)
    tolerance = 1e-12 if dtype == np.float64 else 5e-5
    sizes = (1.0, 1e30, 1e-30) if dtype == np.float32 else (1.0, 1e250, 1e-250)
    opt = Muon(1.0, steps=None, momentum=0.0, weight_decay=0.0, adjust="none")
    for size in sizes:
        g = (size * rng.standard_normal(shape)).astype(dtype)
        x = np.zeros(shape, dtype)
        opt.update(x, g, opt.init(x))
        flat = (shape[0], -1)
        np.testing.assert_allclose(-x.reshape(flat), polar(g.reshape(flat).astype(float) / size), atol=tolerance)
    g = np.outer([3.0, 4.0], [1.0, 0.0, 0.0]).astype(dtype)
    x = np.zeros((2, 3), dtype)
    opt.update(x, g, opt.init(x))
    np.testing.assert_allclose(x, -g / 5.0, atol=tolerance)


def test_long_symmetric_products_are_made_in_blocks():
    """600 rows: three blocks of the product, the last one short; the result is that of plain numpy."""
    rng = np.random.default_rng(2)
    g = rng.standard_normal((600, 640))
    opt, x = Muon(1.0, momentum=0.0, weight_decay=0.0, steps=2, adjust="none"), np.zeros((600, 640))
    opt.update(x, g, opt.init(x))
    y, (a, b, c) = g / np.linalg.norm(g), flows.muon.QUINTIC
    for _ in range(2):
        gram = y @ y.T
        y = a * y + (b * gram + c * gram @ gram) @ y
    np.testing.assert_allclose(x, -y, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("adjust", "of_tall", "of_wide"), [
    ("original", 2.0, 1.0), ("match_rms_adamw", 0.2 * np.sqrt(8), 0.2 * np.sqrt(8)), ("width", 1.0, 2.0),
    ("none", 1.0, 1.0)])
def test_adjustments_of_the_step(adjust, of_tall, of_wide):
    opt = Muon(1.0, steps=None, weight_decay=0.0, adjust=adjust)
    for shape, factor in (((8, 2), of_tall), ((2, 8), of_wide)):
        x = np.zeros(shape)
        opt.update(x, np.random.default_rng(3).standard_normal(shape), opt.init(x))
        np.testing.assert_allclose(np.linalg.svd(x, compute_uv=False), factor, rtol=1e-12)


def test_vectors_among_the_parameters_are_adamws_and_may_have_their_own_rate():
    rng = np.random.default_rng(4)
    x, own = [rng.standard_normal((3, 2)), np.ones(5), np.array(2.0)], [np.ones(5), np.array(2.0)]
    muon, adamw = Muon(0.02), AdamW(0.003, weight_decay=0.1)
    state, other = muon.init(x, [{"arrays": [1, 2], "lr": 0.003}]), adamw.init(own)
    for _ in range(20):
        g = [rng.standard_normal(a.shape) for a in x]
        muon.update(x, g, state)
        adamw.update(own, g[1:], other)
    np.testing.assert_array_equal(x[1], own[0])
    np.testing.assert_array_equal(x[2], own[1])
    assert np.linalg.norm(x[0]) > 0.1


def test_one_row_is_normalised_momentum():
    opt = Muon(0.01, steps=None, nesterov=False, weight_decay=0.0, shape=(1, -1), adjust="none")
    x, m, state = PROBLEM.x0.copy(), np.zeros(6), None
    state = opt.init(x)
    mine = x.copy()
    for _ in range(50):
        g = PROBLEM.grad(mine)
        m = 0.95 * m + 0.05 * g
        mine = mine - 0.01 * m / np.linalg.norm(m)
        opt.update(x, g, state)
    np.testing.assert_allclose(x, mine, rtol=0, atol=1e-13)


def test_a_flow_of_one_shape_refuses_another_dimension():
    with pytest.raises(ValueError, match="^problem must have 6 unknowns for the flow 'Muon', got 2"):
        flows.muon_flow(0.1, (3, 2)).field(oo.problems.sine_bowl())
    again = oo.method.method_from(Muon(0.01, shape=(3, 2)).spec())
    assert again == Muon(0.01, shape=(3, 2))


def test_norms_of_lamb_and_novograd_are_those_of_each_array():
    rng = np.random.default_rng(5)
    for opt in (LAMB(0.01, weight_decay=0.1), NovoGrad(0.01, weight_decay=0.1)):
        xs = [rng.standard_normal((3, 2)), 100.0 * rng.standard_normal(4)]
        ys, gs = [x.copy() for x in xs], [rng.standard_normal(x.shape) for x in xs]
        together, alone = opt.init(xs), [opt.init(y) for y in ys]
        for _ in range(5):
            opt.update(xs, gs, together)
            for y, g, state in zip(ys, gs, alone):
                opt.update(y, g, state)
        for x, y in zip(xs, ys):
            np.testing.assert_array_equal(x, y)


def test_novograd_by_hand():
    """|g| = 5, then 10 with beta2 = .5: v = 25, 62.5; m = g/5, then .9 m + .1 g/sqrt(62.5)."""
    opt, x = NovoGrad(0.1, beta1=0.9, beta2=0.5, eps=0.0), np.zeros(2)
    state, g = opt.init(x), np.array([3.0, 4.0])
    opt.update(x, g, state)
    np.testing.assert_allclose(x, -0.1 * g / 5, rtol=1e-14)
    before = x.copy()
    opt.update(x, 2 * g, state)
    np.testing.assert_allclose(x - before, -0.1 * (0.9 * g / 5 + 0.1 * 2 * g / np.sqrt(62.5)), rtol=1e-14)


def test_lambs_steps_are_a_share_of_x():
    opt, x = LAMB(0.1), np.array([3.0, 4.0])
    state = opt.init(x)
    for g in ([1.0, 2.0], [-7.0, 0.1], [1e-3, 0.0]):
        before = x.copy()
        opt.update(x, np.array(g), state)
        assert np.linalg.norm(x - before) == pytest.approx(0.1 * np.linalg.norm(before), rel=1e-13)


MUON_OF_PEERS = {
    "torch/plain": Muon(0.01), "torch/no Nesterov": Muon(0.01, momentum=0.8, weight_decay=0.0, nesterov=False),
    "torch/match_rms_adamw, 3 steps": Muon(0.01, adjust="match_rms_adamw", steps=3),
    "optax/plain": Muon(0.01, eps=0.0, weights="optax", adjust="width"),
    "optax/no Nesterov": Muon(0.01, 0.8, eps=0.0, nesterov=False, adjust="width"),
    "optax/consistent_rms": Muon(0.01, eps=0.0, weights="optax", adjust="match_rms_adamw"),
}


@pytest.mark.parametrize("shape", ["5x3", "3x5", "4x4"])
@pytest.mark.parametrize("case", MUON_OF_PEERS)
def test_muon_is_that_of_torch_and_optax(case, shape):
    """Open loop, 40 steps, to 1e-12: torch 2.13 with its bfloat16 taken out, optax 0.2.8 (make_matrix_goldens.py)."""
    with np.load(places.GOLDEN / "matrices.npz", allow_pickle=False) as golden:
        x, tape, theirs = (golden[f"{shape}/{name}"] for name in ("x0", "tape", case))
    opt = MUON_OF_PEERS[case]
    state = opt.init(x)
    for g in tape:
        opt.update(x, g, state)
    assert np.abs(x - theirs).max() <= 1e-12 * np.abs(theirs).max()
