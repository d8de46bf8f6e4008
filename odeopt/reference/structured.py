"""An implicit solver for large flows: scipy's BDF with systems of n unknowns in place of rows n.

The field of an optimizer's flow works on each coordinate by itself, once the gradient is known:
dz_i/dt = F(t, z_i, g_i). So its Jacobian is diagonal blocks and the Hessian with scaled rows,

    J = D + (L_a H in block (a, position)),   D_ab = diag dF_a/dz_b,   L_a = diag dF_a/dg

and I - c J is reduced to I - c diag(s) H, s_i = ((I - c D_i)^-1 L_i) of the position, by one small matrix for each
coordinate. D and L come from the field itself, with a gradient that stands still: r + 1 evaluations that take no
gradient. That is all the products with J (:meth:`Jacobian.product`), and all the systems, need.
"""

from types import SimpleNamespace

import numpy as np
from scipy import integrate
from scipy.linalg.lapack import dgetrf, dgetrs  # pyright: ignore[reportAttributeAccessIssue]
from scipy.sparse import csc_array
from scipy.sparse.linalg import LinearOperator, gmres

from ..abi import kernel
from ..flows.base import _Field
from ..problems.base import no_hessian
from ..spectrum import power_iteration

DENSE = 1000  # positions up to which the Hessian is formed and eliminated; above, GMRES takes its products
_STEP = 1e-7  # of a forward difference, times the entry; Newton's iteration needs no more digits
_LEAST = 1e-12  # of an entry that is 0, times the largest of its row
_ALIKE = 0.05  # by which a product may differ from a difference of the field
_POWERS, _ALONG = 20, 0.8  # of the power iteration, and the cosine between a vector and its product
_KRYLOV, _CLOSE = 40, 1e-4  # products of one system, and the residual that ends it


@kernel
def _held_gradient(x, g, data):
    """The gradient is the end of ``data``."""
    begin = data.size - x.size
    for i in range(x.size):
        g[i] = data[begin + i]
    return 0.0


class Structure:
    """The flow's field on a problem, coordinate by coordinate: makes its Jacobians."""

    def __init__(self, flow, problem):
        self.problem, self.shape = problem, (flow.rows, problem.dim)
        self._field, self._p = flow.field(problem), np.array(flow.p)
        # What a field reads of the problem's own data is where it was.
        self._data = np.concatenate([problem.data, np.zeros(problem.dim)])
        held = SimpleNamespace(compiled=True, fg=_held_gradient, hv=no_hessian, dim=problem.dim, data=self._data)
        self._held, self.products = _Field(flow, held, self._p), 0

    @classmethod
    def of(cls, flow, problem):
        """The structure, or None for a field that takes Hessian products, or of a problem that has none."""
        return cls(flow, problem) if problem.has_hessian and not flow.needs_hessian else None

    def _at(self, t, z, g):
        self._data[-g.size:] = g
        return self._held(t, z)

    def jacobian(self, t, z):
        """The :class:`Jacobian` at ``z``."""
        r, n = self.shape
        g = self.problem.grad(z[0])
        f = self._at(t, z, g)
        diagonal, scales = np.zeros((r, r, n)), np.zeros((r, n))
        numbers = self._numbers(z, f)
        for b in range(r):
            here = slice(0, 1) if b in numbers else slice(None)
            moved = z.copy()
            moved[b, here] += _step(z[b])[here]
            step = moved[b, here] - z[b, here]
            change = (self._at(t, moved, g) - f)[:, here] / step
            if b in numbers:  # what it does to the other rows, in all coordinates, is left to Newton's iteration
                diagonal[b, b, 0] = change[b, 0]
            else:
                diagonal[:, b] = change
        moved = g + _step(g)
        scales[:] = (self._at(t, z, moved) - f) / (moved - g)
        for row in numbers:
            diagonal[row, :row], diagonal[row, row + 1:], scales[row] = 0.0, 0.0, 0.0
        return Jacobian(self, z[0].copy(), np.nan_to_num(diagonal, posinf=0.0, neginf=0.0),
                        np.nan_to_num(scales, posinf=0.0, neginf=0.0))

    def _numbers(self, z, f):
        """Rows that hold one number, in element 0: weights of averages."""
        return [b for b in range(1, len(z)) if not (z[b, 1:].any() or f[b, 1:].any()) and (z[b, 0] or f[b, 0])]

    def invites(self, t, z):
        """Whether the largest eigenvalue of J is real and negative, by a power iteration: stiffness that implicit
        steps pass over, and not an oscillation; and whether the field is as supposed."""
        if not self.fits(t, z):
            return False
        jacobian = self.jacobian(t, z)

        def product(v):
            return jacobian.product(v.reshape(self.shape)).ravel()

        v = power_iteration(product, np.random.default_rng(0).standard_normal(z.size), _POWERS)[1]
        for _ in range(2):  # of an oscillation, one of two in succession shows it
            w = product(v)
            if not v @ w < -_ALONG * np.linalg.norm(v) * np.linalg.norm(w):
                return False
            v = w / np.linalg.norm(w)
        return True

    def fits(self, t, z):
        """Whether the field has the Jacobian above: held against its difference in a direction at random."""
        f, v = self._field(t, z), np.random.default_rng(0).standard_normal(z.shape)
        v *= np.abs(z)  # what is 0 stays: a root has no derivative there
        v[self._numbers(z, f)] = 0.0
        change = (self._field(t, z + _STEP * v) - f) / _STEP
        off = np.linalg.norm(self.jacobian(t, z).product(v) - change, axis=1)
        return bool((off <= _ALIKE * np.linalg.norm(change, axis=1) + 1e-9 * np.linalg.norm(f, axis=1)).all())


def _step(z):
    largest = np.abs(z).max()
    return _STEP * np.maximum(np.abs(z), _LEAST * largest if largest > 0 else 1e-20)


class Jacobian:
    """J = diagonal blocks ``diagonal`` (r, r, n) and H with rows scaled by ``scales`` (r, n), at position ``x``."""

    def __init__(self, structure, x, diagonal, scales):
        self._structure, self._x, self.diagonal, self.scales = structure, x, diagonal, scales
        self._hessian = None

    def hessian_product(self, v):
        """H v, by the matrix where it is known."""
        if self._hessian is not None:
            return self._hessian @ v
        self._structure.products += 1
        return self._structure.problem.hessp(self._x, v)

    def product(self, v):
        """J v of a state v (r, n)."""
        return np.einsum("abi,bi->ai", self.diagonal, v) + self.scales * self.hessian_product(v[0])

    def hessian(self):
        """H as a matrix, formed once."""
        if self._hessian is None:
            self._structure.products += self._x.size
            self._hessian = self._structure.problem.hess(self._x)
        return self._hessian

    def __rmul__(self, c):
        return _System(c, self)


class _Identity:
    """I, of which c J is taken."""

    def __sub__(self, system):
        return system


class _System:
    """I - c J: the memory is eliminated, then the position."""

    def __init__(self, c, jacobian):
        self.c, self.jacobian, self.factors = c, jacobian, None

    def factorised(self):
        """Itself, ready to solve."""
        jacobian, n = self.jacobian, self.jacobian.scales.shape[1]
        blocks = np.eye(len(jacobian.diagonal)) - self.c * jacobian.diagonal.transpose(2, 0, 1)
        self.small = np.linalg.inv(blocks)
        self.scales = self.c * np.einsum("iab,bi->ai", self.small, jacobian.scales)
        if n <= DENSE:
            matrix = np.asfortranarray(-self.scales[0][:, None] * jacobian.hessian())
            matrix[np.diag_indices(n)] += 1.0
            self.factors = dgetrf(matrix, overwrite_a=True)[:2]
        return self

    def solve(self, right):
        w = np.einsum("iab,bi->ai", self.small, right.reshape(self.scales.shape))
        return (w + self.scales * self.jacobian.hessian_product(self._position(w[0]))).ravel()

    def _position(self, right):
        """x of (I - diag(s) H) x = right."""
        if self.factors is not None:
            return dgetrs(*self.factors, right)[0]

        def product(v):
            return v - self.scales[0] * self.jacobian.hessian_product(v)

        operator = LinearOperator((right.size, right.size), product, dtype=right.dtype)  # pyright: ignore[reportCallIssue]
        return gmres(operator, right, rtol=_CLOSE, restart=_KRYLOV, maxiter=1)[0]


class BDF(integrate.BDF):
    """scipy's BDF with a :class:`Structure` in place of a Jacobian: its own systems are never formed."""

    def __init__(self, fun, t0, y0, t_bound, structure, **options):
        super().__init__(fun, t0, y0, t_bound, jac=csc_array((y0.size, y0.size)), **options)

        def jac(t, y):
            self.njev += 1
            return structure.jacobian(float(t), y.reshape(structure.shape))

        def lu(system):
            self.nlu += 1
            return system.factorised()

        self.jac, self.J, self.I = jac, jac(t0, y0), _Identity()
        self.lu, self.solve_lu = lu, _System.solve
