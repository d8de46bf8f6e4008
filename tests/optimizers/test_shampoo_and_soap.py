"""Shampoo and SOAP on matrices: against their flows, against their peers, and at the ends of floating point."""

import numpy as np
import places
import pytest
from test_matrix_methods import PROBLEM, matrix_problem

import odeopt as oo
from odeopt.optimizers import SOAP, AdamW, RMSprop, Shampoo

EXACT = {"basis": "exact", "every": 1, "eps": 1e-3}
IDENTICAL = [
    Shampoo(0.01), Shampoo(0.01, bias_correction=False, weight_decay=0.1), Shampoo(0.01, max_dim=2),
    SOAP(0.01, **EXACT), SOAP(0.01, 0.9, 0.98, 0.9, max_dim=2, **EXACT),
]
BOTH = [Shampoo(0.01), SOAP(0.01, every=1), SOAP(0.01, **EXACT)]
names = {"ids": lambda one: f"{one.title} {getattr(one, 'basis', '')} {one.max_dim}"}


@pytest.mark.parametrize("start", ["cold", "consistent"])
@pytest.mark.parametrize("shape", [(3, 2), (2, 3)], ids=str)
@pytest.mark.parametrize("opt", IDENTICAL, **names)
def test_the_update_is_the_scheme_on_the_flow(opt, shape, start):
    opt = opt.changed(shape=shape)
    run = oo.record(opt, PROBLEM, steps=200, start=start)
    z = opt.flow_start(PROBLEM.x0, PROBLEM.grad(PROBLEM.x0), start)
    generic = oo.record(oo.Discretization(opt.flow, opt.scheme, opt.h), PROBLEM, z, steps=200)
    assert run.ok and np.linalg.norm(run.x[-1] - run.x[0]) > 0.1
    np.testing.assert_allclose(run.x, generic.x, rtol=0, atol=1e-12 * np.abs(run.x).max())


def test_no_scheme_is_claimed_where_roots_or_bases_lag():
    for opt in (Shampoo(every=2, shape=(3, 2)), SOAP(shape=(3, 2)), SOAP(basis="exact", shape=(3, 2))):
        assert opt.scheme is None and opt.flow is not None


ORDERS = [
    (Shampoo(0.01, 0.9, eps=1e-9), 1.0), (Shampoo(0.01, 0.9, bias_correction=False), 0.5),
    (Shampoo(0.01, 0.9, eps=1e-2, every=3, weight_decay=0.1), 1.0), (SOAP(0.01, 0.9, 0.9, 0.9, **EXACT), 1.0),
    (SOAP(0.0025, 0.975, 0.975, 0.975, every=1, eps=1e-2), 1.0),
]


@pytest.mark.parametrize("start", ["cold", "consistent"])
@pytest.mark.parametrize("opt, cold", ORDERS)
def test_orders_on_a_matrix(opt, cold, start):
    """1.001 for Shampoo in the numpy prototype; SOAP's flow has none before this. Power steps lag by O(h)."""
    opt, order = opt.changed(shape=(3, 2)), cold if start == "cold" else 1.0
    assert opt.declared_order(start) == order
    for seed in range(3):
        study = oo.convergence(opt, matrix_problem(seed), t_end=0.6, levels=6, start=start, solver="DOP853",
                               rtol=1e-10, atol=1e-12)
        assert study.asymptotic and abs(study.order - order) <= 0.05, study


def test_the_first_step_is_along_the_polar_factor():
    """One gradient in the averages: (G G^T)^(-1/4) G (G^T G)^(-1/4) = U V^T, and SOAP's diagonal is 1."""
    rng = np.random.default_rng(1)
    for shape in ((3, 2), (2, 4), (3, 3), (2, 2, 2)):
        for opt in (Shampoo(1.0, eps=0.0), SOAP(1.0, basis="exact", eps=1e-12, weight_decay=0.0)):
            g, x = rng.standard_normal(shape), np.zeros(shape)
            opt.update(x, g, opt.init(x))
            u, _, vt = np.linalg.svd(g.reshape(shape[0], -1), full_matrices=False)
            np.testing.assert_allclose(-x.reshape(shape[0], -1), u @ vt, atol=1e-3)


def test_an_axis_that_is_too_long_is_left_alone():
    """Shampoo's one side has the exponent -1/2; both sides too long are the step of a vector."""
    rng = np.random.default_rng(2)
    tape, x, y = rng.standard_normal((5, 3, 6)), np.zeros((3, 6)), np.zeros((3, 6))
    opt, mean, q = Shampoo(0.1, 0.9, max_dim=3, eps=1e-3), np.zeros((3, 3)), 0.0
    state = opt.init(x)
    for g in tape:
        mean, q = 0.9 * mean + 0.1 * g @ g.T, 0.9 * q + 0.1
        values, vectors = np.linalg.eigh(mean / q)
        y -= 0.1 * vectors @ np.diag((values + 1e-3) ** -0.5) @ vectors.T @ g
        opt.update(x, g, state)
    np.testing.assert_allclose(x, y, rtol=0, atol=1e-13)
    for opt, vector in ((Shampoo(0.1, 0.9, max_dim=2, eps=1e-3),
                         RMSprop(0.1, 0.9, eps=1e-3, bias_correction=True)),
                        (SOAP(0.1, max_dim=2), AdamW(0.1, 0.95, 0.95, weight_decay=0.01))):
        x, y = np.ones((3, 6)), np.ones(18)
        states = opt.init(x), vector.init(y)
        for g in tape:
            opt.update(x, g, states[0])
            vector.update(y, g.ravel(), states[1])
        np.testing.assert_allclose(x.ravel(), y, rtol=0, atol=1e-14)


def test_roots_are_kept_between_renewals():
    rng = np.random.default_rng(3)
    g = rng.standard_normal((3, 2))
    for opt in (Shampoo(0.1, every=3), SOAP(0.1, every=3, weight_decay=0.0)):
        x = np.zeros((3, 2))
        state = opt.init(x)
        for k in range(7):
            before = state.slots[0].copy()
            opt.update(x, g + rng.standard_normal((3, 2)), state)
            roots = slice(13, 26)  # of 9 + 4 entries each: L and R, then their roots or bases
            same = np.array_equal(before.ravel()[roots], state.slots[0].ravel()[roots])
            assert same == (k % 3 != 0), (opt, k)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("opt", BOTH, **names)
def test_both_precisions_and_the_ends_of_them(opt, dtype):
    """float32 gives what float64 gives; huge gradients stop the matrix without NaN, NaN shows, zero is no move."""
    rng = np.random.default_rng(4)
    tape, ends = rng.standard_normal((20, 4, 3)), {}
    for kind in (dtype, np.float64):
        x = np.ones((4, 3), kind)
        state = opt.init(x)
        for g in tape:
            opt.update(x, g.astype(kind), state)
        assert x.dtype == kind and state.slots[0].dtype == kind
        ends[kind] = x
    np.testing.assert_allclose(ends[dtype], ends[np.float64], rtol=0, atol=2e-4 if dtype == np.float32 else 0)
    huge = 0.9 * np.finfo(dtype).max * np.where(tape[0] > 0, 1, -1)
    state = opt.init(x := np.ones((4, 3), dtype))
    with np.errstate(over="ignore", invalid="ignore"):
        for g in (tape[0], huge, tape[1], -huge, tape[2], tape[3]):
            opt.update(x, g.astype(dtype), state)
            assert np.isfinite(x).all() and not np.isnan(state.slots[0]).any()
        for bad in (np.nan, np.inf):
            state, x = opt.init(x := np.ones((4, 3), dtype)), x
            opt.update(x, tape[0].astype(dtype), state)
            g = tape[1].astype(dtype)
            g[1, 1] = bad
            opt.update(x, g, state)
            assert not np.isfinite(x[1, 1])
    plain = opt.changed(eps=0.0, weight_decay=0.0)
    state = plain.init(x := np.ones((4, 3), dtype))
    for _ in range(3):
        plain.update(x, np.zeros((4, 3), dtype), state)
    assert (x == 1).all()


@pytest.mark.parametrize("opt", [*BOTH, Shampoo(0.01, every=4), oo.SWA(SOAP(0.01), 2)], ids=repr)
def test_states_of_several_shapes(opt, tmp_path):
    """Lists of arrays, a file in between, groups, threads: the same as arrays alone; vectors among them."""
    rng = np.random.default_rng(5)
    shapes = ((5, 2), (2, 7), (4,), (), (2, 2, 3))
    xs = [np.array(rng.standard_normal(shape)) for shape in shapes]
    ys, alone = [x.copy() for x in xs], []
    state = opt.init(xs, [{"arrays": [1], "lr": 0.02}])
    for i, y in enumerate(ys):
        one = opt.changed(lr=0.02) if i == 1 else opt
        alone.append((one, one.init(y)))
    for k in range(6):
        gs = [np.array(rng.standard_normal(shape)) for shape in shapes]
        opt.update(xs, gs, state, threads=2)
        if k == 2:
            state.save(tmp_path / "state")
            state = type(state).load(tmp_path / "state")
        for y, g, (one, own) in zip(ys, gs, alone):
            one.update(y, g, own)
    for x, y, row, (_, own) in zip(xs, ys, state.row(-1), alone):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(row, own.row(-1))
    assert [row.shape for row in state.row(state.names[0])] == list(shapes)


def test_a_state_of_other_matrices_is_refused():
    x = np.ones((4, 6))
    state = Shampoo().init(x)
    with pytest.raises(ValueError, match=r"^state must come from this optimizer: .* rows for an array of \(4, 6\)"):
        Shampoo(max_dim=5).update(x, x.copy(), state)
    with pytest.raises(ValueError, match="^shape must say both numbers, rows and columns, got .2, -1"):
        SOAP(shape=(2, -1))
    for opt in (Shampoo(shape=(3, 2)), SOAP(shape=(3, 2))):
        with pytest.raises(ValueError, match="^shape must fit the vector of 5 entries, got .3, 2"):
            opt.init(np.ones(5))
        assert oo.method.method_from(opt.spec()) == opt


PEERS = {
    "Shampoo": (Shampoo(0.01, bias_correction=False, eps=0.0), (1 - 0.95) * 1e-3),
    "ScalableShampoo": (Shampoo(0.01, bias_correction=False, eps=0.0), 1e-3),
    "SOAP/every 10": (SOAP(0.01, eps=0.0, weight_decay=0.0), None),
    "SOAP/every 3": (SOAP(0.01, 0.9, 0.98, 0.9, eps=0.0, weight_decay=0.0, every=3), None),
    "SOAP/every 1, short axes": (SOAP(0.01, eps=0.0, weight_decay=0.0, every=1, max_dim=4), None),
}


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (4, 3), (3, 4)], ids=str)
@pytest.mark.parametrize("case", PEERS)
def test_they_are_those_of_pytorch_optimizer(case, shape):
    """Open loop, 40 steps, to 1e-12: pytorch_optimizer 4.1 in float64 (golden/make_matrix_goldens.py says how its
    Shampoo, whose L and R are sums, is given the averages; both of its forms begin at a multiple of I)."""
    key, (opt, start) = "x".join(map(str, shape)), PEERS[case]
    with np.load(places.GOLDEN / "matrices.npz", allow_pickle=False) as golden:
        if f"{key}/{case}" not in golden:
            pytest.skip("L or R has a kernel of two dimensions at the start, of which SOAP's first basis is any")
        x, tape, theirs = (golden[f"{key}/{name}"] for name in ("x0", "tape", case))
    state = opt.init(x)
    if start is not None:
        squares = [start * np.eye(n).ravel() for n in shape]
        state.slots[0].reshape(-1)[: sum(n * n for n in shape)] = np.concatenate(squares)
    for g in tape:
        opt.update(x, g, state)
    assert np.abs(x - theirs).max() <= 1e-12 * np.abs(theirs).max()
