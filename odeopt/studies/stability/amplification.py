"""The amplification matrix of a method on a quadratic, probed from the method's own kernel.

On f = (c/2) x^2 one step of a linear method multiplies (x, memory) by a matrix A(c). Its columns are
what the compiled kernel makes of the unit states; nothing is derived by hand. A method is stable on
curvature c when the spectral radius of A is at most 1.

Adaptive methods are not linear, but their linearisation at the minimum with a given preconditioner
is: the unit states are scaled by 2^-500, a power of two, so that squares of gradients vanish exactly
and the step is linear to the last bit while the second-moment memory stays what it was set to
("frozen preconditioner"). Methods whose step does not shrink with the gradient (sign descent,
Rprop, Lion, normalised steps) have no such matrix, and the attempt is a ValueError;
``odeopt.studies.stability.periodic`` shows where they end instead.
"""

from typing import Any

import numpy as np

from ... import checks
from ...discretization import Discretization
from ...engine import loops
from ...flows import gradient_flow, linear_test_flow, linear_test_problem
from ...method import LINEAR
from ...optimizers import Optimizer
from ...problems import quadratic
from ...schemes import Scheme

TINY = 2.0**-500
_WEIGHTS = np.array([0.75, -0.625, 0.5, -0.375, 0.25])  # of a combination of unit states
_BEGINNING = 16  # steps after which a multistep scheme has begun
LATE = 10**15  # a step number at which starts, bias corrections and momentum warm-ups are over

def amplification_matrix(method: Any, curvature: Any = 1.0, *, preconditioner: float = 1.0, k: int = LATE) -> Any:
    """The matrix that one step multiplies (x, memory) by, on curvature ``curvature``.

    Parameters
    ----------
    method : Optimizer, Scheme or Discretization
        A Scheme stands for itself on gradient flow with step 1, so that A is the stability function
        R(-curvature); a Discretization keeps its flow and its (single) step h.
    curvature : float, complex, or (n,) array
        Second derivative c of the quadratic. Complex c stands for a linear field g = c x and is
        what stability regions are drawn with (not for Discretizations of flows with memory).
    preconditioner : float
        For adaptive methods: the number that the gradient is divided by, held fixed; from 1e-140 to 1e150.
    k : int
        Step number, for methods whose coefficients change with it; default: late.

    Returns
    -------
    (r, r) or (n, r, r) array
        Rows and columns in the order x, then the slots that are linear in the gradients; for a scheme that keeps
        something from step to step (a multistep one: its last fields), then that.

    Raises
    ------
    ValueError
        A method whose step is not linear at the minimum; an unknown kind of memory; a flow whose field depends on
        time.
    """
    c = np.atleast_1d(np.asarray(0.0 if checks.dimensions(curvature) > 1 else curvature))
    if c.dtype.kind == "c" and not checks.is_masked(curvature):
        c = c.astype(np.complex128)
    else:
        c = checks.point("curvature", curvature if np.ndim(curvature) else [curvature])
    if checks.dimensions(curvature) > 1 or not np.isfinite(c).all():
        raise ValueError(f"curvature must be a finite number or a vector of them, got {checks.shown(curvature)}")
    preconditioner = divided_by(method, preconditioner)
    if isinstance(method, Optimizer):
        matrices = probe(method, c, preconditioner, checks.integer("k", k), check=True)
    elif isinstance(method, Scheme):
        matrices = _of_scheme(method, c)
    elif isinstance(method, Discretization):
        matrices = _of_discretization(method, c)
    else:
        raise TypeError(f"method must be an Optimizer, a Scheme or a Discretization, got {type(method).__name__}")
    return matrices if np.ndim(curvature) else matrices[0]


def divided_by(method: Any, preconditioner: Any) -> float:
    """``preconditioner``, checked; 1 for a method that divides by nothing, in whose step it has no say."""
    found = checks.real("preconditioner", preconditioner, 1e-140, 1e150)  # its square is a number, beside that of TINY
    slots = method.bare.slots if isinstance(method, Optimizer) else ()
    return found if any(slot.role not in (*LINEAR, "weight") for slot in slots) else 1.0


def spectral_radius(matrices: Any) -> Any:
    """Largest modulus of the eigenvalues of (..., r, r) matrices; inf where one is not finite."""
    matrices = np.asarray(matrices)
    good = np.isfinite(matrices).all(axis=(-2, -1))
    safe = np.where(good[..., None, None], matrices, 0.0)
    if matrices.shape[-1] == 1:
        radius = np.abs(safe[..., 0, 0])
    else:
        radius = np.abs(np.linalg.eigvals(safe)).max(axis=-1)
    radius = np.where(good, radius, np.inf)
    return radius if radius.ndim else float(radius)


def probe(optimizer, c, preconditioner=1.0, k=LATE, *, check=False):
    """(n, r, r) matrices of an optimizer for curvatures ``c`` (n,); ``check``: refuse what is not linear."""
    return _probe(optimizer, c, preconditioner, k, check)[0]


def matrix_with_rows(optimizer, curvature, preconditioner):
    """The matrix of an optimizer, and which rows of (x, slots) its own are: slots that this variant of the method
    never touches have none."""
    matrices, rows = _probe(optimizer, np.array([curvature]), preconditioner, LATE, True)
    return matrices[0], rows


def _probe(optimizer, c, preconditioner, k, check):
    optimizer = optimizer.bare  # an average has no say in the next step, and small gradients are not clipped
    memory = np.concatenate([[np.nan], optimizer.frozen(preconditioner)])
    rows = np.flatnonzero(np.isnan(memory)).tolist()  # the position, and the slots that are linear in the gradients
    pairs = np.iscomplexobj(c)

    def step(state):  # (r, n) rows of x and linear memory, scaled by TINY
        z = np.tile(memory[:, None], (1, c.size * (2 if pairs else 1)))
        z[rows] = np.ascontiguousarray(state).view(np.float64)
        g = np.ascontiguousarray(c * state[0]).view(np.float64)
        x, s = z[0].copy(), np.ascontiguousarray(z[1:])
        with np.errstate(all="ignore"):
            optimizer.kernel(k, optimizer.p_for(x), x, g, s)
        out = np.vstack([x, s])[rows]
        return out.view(np.complex128) if pairs else out

    def unit(weights):
        return np.tile((TINY * np.asarray(weights, dtype=c.dtype))[:, None], (1, c.size))

    columns = [step(unit(e)) / TINY for e in np.eye(len(rows))]
    matrices = np.moveaxis(np.array(columns), (0, 1, 2), (2, 1, 0))
    if check:
        _check_linear(optimizer.key, matrices, lambda w: step(unit(w)) / TINY)
    used = [0, *(j for j in range(1, len(rows)) if not _idle(matrices, j))]
    return matrices[:, used][:, :, used], [rows[j] for j in used]


def _idle(matrices, j):
    """Whether slot j is one that this variant of the method carries along and never touches."""
    rest = np.arange(matrices.shape[-1]) != j
    return not (matrices[:, j, rest].any() or matrices[:, rest, j].any()) and bool((matrices[:, j, j] == 1).all())


def _check_linear(name, matrices, step):
    """The step of a combination of unit states must be the combination of their steps."""
    weights = np.resize(_WEIGHTS, matrices.shape[-1])
    expected = (matrices @ weights).T
    with np.errstate(all="ignore"):
        found = step(weights)
        scale = 1 + np.abs(matrices).sum(axis=(1, 2))
        bad = np.abs(found - expected) > 1e-12 * scale
    if bad.any() and np.isfinite(matrices).all():
        raise ValueError(f"method must be linear at the minimum to have an amplification matrix, and {name} is not: "
                         "its step does not shrink in proportion to the gradient")


def _of_scheme(scheme, c):
    if np.iscomplexobj(c):
        return _of_step(scheme.name, linear_test_flow(), scheme, 1.0, linear_test_problem(-c), np.complex128)
    return _of_discretization(Discretization(gradient_flow(), scheme, 1.0), c)


def _of_discretization(method, c):
    if np.iscomplexobj(c):
        raise ValueError("curvature must be real for a Discretization; give its Scheme for a stability region")
    if np.size(method.h) != 1 or method.rtol is not None:
        raise ValueError("method must be a Discretization with one fixed step h")
    flow, problem = method.flow, quadratic(c)
    field, z = flow.field(problem), np.full((flow.rows, c.size), 0.5)
    with np.errstate(all="ignore"):
        if not np.array_equal(field(1.0, z), field(2.75, z)):
            raise ValueError(f"method must have one amplification matrix, and the field of {flow.name} depends on time")
    return _of_step(method.title, flow, method.scheme, float(np.ravel(method.h)[0]), problem, np.float64)


def _of_step(name, flow, scheme, h, problem, dtype):
    """(n, r, r) matrices of one step on the state and on what the scheme keeps of it in ``w``."""
    scheme.fit(flow, problem)
    rhs, step, compiled = scheme.kernels(flow, problem)
    loop = loops.runnable(loops.advance_loop, compiled)
    p, rows = scheme.parameters(flow), flow.rows

    def advance(z, w):
        with np.errstate(all="ignore"):
            loop(problem.fg, problem.hv, problem.data, rhs, step, p, np.array([h]), 1, z[None], w, np.zeros(1))
        return z, w

    def spread(weights):  # the same for each curvature
        return np.tile(np.asarray(weights, dtype=dtype)[:, None], 8 * problem.dim // np.dtype(dtype).itemsize
                       ).view(np.float64)

    # Multistep schemes begin with other formulas; at rest these pass and leave nothing but flags and counts in w.
    rest = scheme.workspace(np.zeros((rows, problem.dim)))
    for _ in range(_BEGINNING):
        advance(np.zeros((rows, problem.dim)), rest)
    rest = rest if np.isfinite(rest).all() else scheme.workspace(np.zeros((rows, problem.dim)))
    moved = advance(spread(np.resize(_WEIGHTS, rows)), rest.copy())

    def reaches(row, kept):
        """Whether what is in this row of w has a say in the next state, or in a row that has."""
        w = rest.copy()
        w[row] += 1.0
        z, w = advance(spread(np.resize(_WEIGHTS, rows)), w)
        seen = [not np.array_equal(old[of], new[of], equal_nan=True)
                for old, new, of in ((moved[0], z, slice(None)), (moved[1], w, kept))]
        return any(seen)

    kept = []
    while found := [row for row in range(len(rest)) if row not in kept and reaches(row, kept)]:
        kept += found

    def one(weights):
        z, w = spread(weights[:rows]), rest.copy()
        w[kept] += spread(weights[rows:])
        z, w = advance(z, w)
        return np.vstack([z, w[kept] - rest[kept]]).view(dtype)

    size = rows + len(kept)
    matrices = np.moveaxis(np.array([one(e) for e in np.eye(size)]), (0, 1, 2), (2, 1, 0))
    _check_linear(name, matrices, one)
    if kept and not np.array_equal(advance(np.zeros((rows, problem.dim)), rest.copy())[1][kept], rest[kept]):
        raise ValueError(f"method must take equal steps to have an amplification matrix, and {name} changes in each")
    return matrices
