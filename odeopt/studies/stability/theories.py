"""The continuous models of a method at the edge of stability, each a thing that advances in steps of the method.

All start at x0 and integrate their own field, nothing of the run enters. ``THEORIES`` holds them by name.

gradient flow        the average motion alone, w' = -P^-1 g
modified flow        the page's modified flow of order 2
principal flow       w' = sum log|1 - s_i|/s_i (u_i'g) u_i over the eigenpairs of lr H, exact for gradient descent on
                     quadratics where s < 1; beyond, of the complex logarithm the real part: the envelope
                     (arXiv:2302.01952)
central flow         w' = -P^-1 (g + grad <Sigma, H>/2), Sigma such that no eigenvalue passes the limit
                     (arXiv:2410.24206; for momentum and Adam by the same argument with their own limit)
two-gradient flow    w' = -P^-1 (g(w + u) + g(w - u))/2, u = U a in the critical eigenvectors U of P^-1 H and a
                     multiplied in each step by the method's exact factor at the curvature that it feels between w + u
                     and w - u. The decomposition into centre, direction and size is the one that
                     arXiv:2606.18080 (edge flow) describes in its abstract; that paper's own equations for the
                     three were not found in public text
rod flow             centre z and half-difference d of consecutive states, Sigma = d d': z' = F - F'F/2,
                     Sigma' = (F+ F+' + F- F-')/4 - 2 Sigma with F+- the step at z +- d and F their mean
                     (arXiv:2602.01480 for gradient descent; the same formulas for the step of any method in the space
                     of position and momentum, with v smooth, as arXiv:2605.06821 says in words). F' is taken at z,
                     and Sigma has a rod in each of its first directions
"""

import numpy as np

from ...method import LINEAR
from ...reference.stabilized import rkc_coefficients
from ...spectrum import largest_eigenpairs, tracked_eigenpairs
from .averaged import Averaged
from .central import curvature_gradient, least
from .products import Counted

_NEAR = 0.75  # of the limit: below it no oscillation is looked for
_SMALLEST = 1e-14  # of |w|: what round-off leaves of an oscillation in a run
_SPREAD = 1e-2  # of |1 - s| in the principal flow: nearer to 0 its logarithm is that of this
_ROD = 6  # columns that are kept of the rod's Sigma
_STAGES = 1000  # at most; the flows take some ten, and not more than a hundred
_BLOCK = 256  # rows of a tall matrix at once
_PIECES = 3  # substeps of the rod flow


def critical_pairs(problem, x, p, count, start=None):
    """The ``count`` largest eigenvalues of P^-1 H at ``x`` and their vectors U (n, count), U'PU = I; ``start``:
    those of a point nearby, with which the last of several is less accurate than the others: it is there so that
    what passes them is seen."""
    root = np.sqrt(p)

    def product(v):
        return problem.hessp(x, v / root) / root

    if start is None or problem.dim <= 20:
        values, vectors = largest_eigenpairs(product, problem.dim, count, tolerance=1e-6)
    else:
        values, vectors = tracked_eigenpairs(product, start * root[:, None], wanted=max(count - 1, 1))
    return values, vectors / root[:, None]


def rkc_step(field, y, h, radius):
    """One step of RKC2 with as many stages as h times the spectral ``radius`` asks for; OverflowError for more than
    ``_STAGES``, where a flow grows without bound."""
    stages = np.sqrt(1.54 * h * radius + 1)
    if not stages < _STAGES:
        raise OverflowError
    c = rkc_coefficients(max(2, 1 + int(stages)))
    f = field(y)
    older, newer = y, y + c.first * h * f
    for mu, nu, gain, gamma in zip(c.mu, c.nu, c.gain, c.gamma):
        older, newer = newer, (1 - mu - nu) * y + mu * newer + nu * older + h * (gain * field(newer) + gamma * f)
    return newer


def principal_axes(columns, count):
    """The first ``count`` of U S, columns = U S V'.

    By R of a QR factorisation in blocks of rows: the SVD of so tall a matrix is shared among LAPACK's threads, which on
    a busy machine wait for each other a hundred times as long as they work.
    """
    r = np.zeros((0, columns.shape[1]))
    for i in range(0, columns.shape[0], _BLOCK):
        r = np.linalg.qr(np.vstack([r, columns[i : i + _BLOCK]]), mode="r")
    return columns @ np.linalg.svd(r, full_matrices=False)[2][:count].T


class GradientFlow:
    """The average motion, and what the others share: y = (w, v), P and the critical pairs at y."""

    every = 5  # steps after which the eigenvalues are looked at again
    longest = 4.0  # steps of the method in one of the integrator, which is stable at any; 1 in the fast beginning

    def __init__(self, system: Averaged, x0, directions):
        self.system, self.problem, self.count = system, Counted(system.problem), directions
        self.n, self.y, self.age = x0.size, np.concatenate([x0, system.v0]), 0
        self.u, self.known = np.zeros((self.n, 0)), None
        self.look()

    @property
    def w(self):
        """The position."""
        return self.y[: self.n]

    @property
    def memory(self):
        """v."""
        return self.y[self.n :]

    def look(self):
        """The critical pairs where the flow is."""
        self.p, self.dp = self.system.preconditioner(self.memory)
        # One more than wanted: what passes them is seen coming.
        count = min(self.count + 1, self.n)
        values, self.known = critical_pairs(self.problem, self.w, self.p, count, self.known)
        self.values, self.u, self.age = values[: self.count], self.known[:, : self.count], 0

    def field(self, y, force: "np.ndarray | float" = 0.0, kick: "np.ndarray | float" = 0.0):
        """(w', v') with ``force`` added to the gradient and ``kick`` to its square."""
        g = self.problem.grad(y[: self.n])
        p, _ = self.system.preconditioner(y[self.n :])
        return np.concatenate([-(g + force) / p, self.system.memory_rate(y[self.n :], g * g + kick)])

    def radius(self):
        """Of the field's Jacobian."""
        return 1.1 * max(self.values[0], 0.5) + 0.1 + self.system.rate

    def advance(self, dt):
        """Move by ``dt`` steps of the method."""
        if self.age >= self.every:
            self.look()
        self.y = rkc_step(self.field, self.y, dt, self.radius())
        self.age += dt


class ModifiedFlow(GradientFlow):
    """The page's modified flow of order 2, whose time unit is ``flow.h``."""

    def __init__(self, system, x0, directions):
        self.flow = system.optimizer.modified_flow(2)
        super().__init__(system, x0, directions)
        self.y, self._field = x0.copy(), self.flow.field(system.problem)

    @property
    def memory(self):
        """v = g^2, the limit at fixed factors; it is what the equation of this flow divides by."""
        if not self.system.adaptive:
            return np.zeros(0)
        g = self.system.problem.grad(self.w)
        return np.array([g @ g]) if self.system.scalar else g * g

    def field(self, y, force=0.0, kick=0.0):
        self.problem.count += 3
        return self.flow.h * self._field(0.0, y[None]).ravel()

    def radius(self):
        s = self.values[0]
        return super().radius() + max(0.0, self.flow.coefficient * 2 / self.flow.h) * s * s


class PrincipalFlow(GradientFlow):
    """Of gradient descent: the eigenpairs tracked by their logarithm, the others to order 2."""

    every, longest = 1, 1.0

    def field(self, y, force=0.0, kick=0.0):
        g = self.problem.grad(y[: self.n])
        parts = self.u.T @ g
        rest = g - self.p * (self.u @ parts)
        step = rest / self.p
        move = -step - 0.5 * self.problem.hessp(y[: self.n], step) / self.p
        return move + self.u @ (self._logarithms() * parts)

    def _logarithms(self):
        s = np.where(np.abs(self.values) < 1e-8, 1e-8, self.values)
        return np.log(np.maximum(np.abs(1 - s), _SPREAD)) / s

    def radius(self):
        return super().radius() + max(np.abs(self._logarithms() * self.values).max(), 2.0)


class CentralFlow(GradientFlow):
    """The oscillation's covariance is what keeps the eigenvalues at the limit."""

    every = 1

    def __init__(self, system, x0, directions):
        self.amount = np.zeros((directions, directions))
        super().__init__(system, x0, directions)

    def advance(self, dt):
        before = self.u
        self.look()
        system, limit, w, v, p, u = self.system, self.system.limit, self.w, self.y[self.n :], self.p, self.u
        m = int((self.values > _NEAR * limit).sum())
        force, kick = 0.0, 0.0
        if m:
            u, g = u[:, :m], self.problem.grad(w)
            pairs = [(i, j) for i in range(m) for j in range(m)]
            third = {(i, j): curvature_gradient(self.problem, w, u[:, i], u[:, j], points=2)
                     for i, j in pairs if i <= j}
            third = np.array([third[min(pair), max(pair)] for pair in pairs])
            product = np.array([u[:, i] * u[:, j] for i, j in pairs])
            drift = g / p - u @ (u.T @ g)  # the critical components are at rest on the valley's axis
            a = np.diag(limit - self.values[:m]) + dt * (
                limit * product @ (self.dp * system.memory_rate(v, g * g) if system.adaptive else 0 * p)
                + third @ drift).reshape(m, m)
            memory = np.sqrt(limit**3 * system.rate * self.dp) * p * product
            memory = memory.sum(axis=1, keepdims=True) if system.scalar else memory
            factor = np.sqrt(dt) * np.hstack([np.sqrt(0.5 / p) * third, memory])
            turn = u.T @ (p[:, None] * before[:, :m])
            x = least(a, factor, turn @ self.amount[:m, :m] @ turn.T)
            self.amount = np.zeros_like(self.amount)
            self.amount[:m, :m] = x
            force = 0.5 * x.ravel() @ third
            kick = limit**2 * p * p * np.einsum("ni,ij,nj->n", u, x, u)
        self.y = rkc_step(lambda y: self.field(y, force, kick), self.y, dt, self.radius())


class TwoGradientFlow(GradientFlow):
    """The oscillation is carried along; a' = the method's factor, once for each step."""

    every, longest = 1, 1.0

    def __init__(self, system, x0, directions):
        super().__init__(system, x0, directions)
        # x0 is one end of the oscillation; the other lies across the valley, as far as its curvature says.
        oscillates = self.values > 0.5 * system.limit
        self.a = np.where(oscillates, self.u.T @ self.problem.grad(x0) / np.where(oscillates, self.values, 1.0), 0.0)
        self.y[: self.n] -= self.u @ self.a
        self.debt = 0.5  # of steps since a was multiplied: it is that of step k from k - 1/2 to k + 1/2

    def field(self, y, force=0.0, kick=0.0):
        w, shift = y[: self.n], self.u @ self.a
        one, other = self.problem.grad(w + shift), self.problem.grad(w - shift)
        p, _ = self.system.preconditioner(y[self.n :])
        square = 0.5 * (one * one + other * other)
        return np.concatenate([-0.5 * (one + other) / p, self.system.memory_rate(y[self.n :], square)])

    def advance(self, dt):
        before = self.u
        self.look()
        self.a = self.u.T @ (self.p * (before @ self.a))
        self.y = rkc_step(self.field, self.y, dt, self.radius())
        self.debt += dt
        while self.debt >= 1.0:
            self.debt -= 1.0
            self._multiply()

    def _multiply(self):
        least_size = _SMALLEST * (1 + np.linalg.norm(self.w)) / np.sqrt((self.u * self.u).sum(axis=0))
        self.a = np.where(np.abs(self.a) < least_size, np.where(self.a < 0, -least_size, least_size), self.a)
        shift, w = self.u @ self.a, self.w
        felt = 0.5 * self.u.T @ (self.problem.grad(w + shift) - self.problem.grad(w - shift))
        s = felt @ self.a / (self.a @ self.a)
        factor, slope = self.system.factor(s)
        self.a = factor * self.a + slope * (felt - s * self.a)


class RodFlow:
    """z: position and the slots, d: of the position and the slots that are linear in the gradients."""

    longest = 1.0

    def __init__(self, system: Averaged, x0, directions):
        optimizer = system.optimizer
        self.system, self.problem, self.count = system, Counted(system.problem), directions + 1
        self.z = np.vstack([x0[None], system.start])
        roles = ["position", *(slot.role for slot in optimizer.slots)]
        self.linear = [i for i, role in enumerate(roles) if role == "position" or role in LINEAR]
        self.square = roles.index("square") if system.adaptive else None
        step = self.step(self.z)
        self.columns = 0.5 * step[self.linear].reshape(-1, 1)
        self.z, self.ahead = self.z + 0.5 * step, 0.5  # the middle of the first rod

    @property
    def w(self):
        """The position."""
        return self.z[0]

    @property
    def memory(self):
        """v."""
        return np.zeros(0) if self.square is None else self.z[self.square][: 1 if self.system.scalar else None]

    def step(self, z):
        """What the method's own step adds to the state z."""
        optimizer = self.system.optimizer
        x, s = z[0].copy(), z[1:].copy()
        optimizer.kernel(10**6, optimizer.p_for(x), x, self.problem.grad(x), s)
        return np.vstack([x[None], s]) - z

    def slopes(self, z, columns):
        """z' and the columns of the source of Sigma, (F F' + sum of o o')/2, of a rod in each of the first directions
        of Sigma: o is half of F+ - F-, and what F+ + F- adds is summed. With one direction that is the paper's."""
        here, shape = self.step(z), (len(self.linear), -1)
        mean, odd = here.copy(), []
        for axis in principal_axes(columns, self.count).T:
            d = np.zeros_like(z)
            d[self.linear] = axis.reshape(shape)
            one, other = self.step(z + d), self.step(z - d)
            mean += 0.5 * (one + other) - here
            odd.append(0.5 * (one - other)[self.linear].ravel())
        h = 1e-6 * (1 + np.linalg.norm(z)) / max(np.linalg.norm(mean), 1e-300)
        bend = (self.step(z + h * mean) - here) / h
        return mean - 0.5 * bend, np.sqrt(0.5) * np.column_stack([mean[self.linear].ravel(), *odd])

    def advance(self, dt):
        """Move by ``dt`` steps of the method."""
        dt, self.ahead = max(dt - self.ahead, 0.0), max(self.ahead - dt, 0.0)
        if dt == 0.0:
            return
        h = dt / _PIECES
        keep, share = np.exp(-h), np.sqrt(0.5 * (1 - np.exp(-2 * h)))
        for _ in range(_PIECES):
            first, source = self.slopes(self.z, self.columns)
            ahead = np.hstack([keep * self.columns, share * source])
            second, later = self.slopes(self.z + h * first, ahead)
            columns = np.hstack([keep * self.columns, np.sqrt(0.5) * share * source, np.sqrt(0.5) * share * later])
            self.columns = principal_axes(columns, _ROD)
            self.z = self.z + 0.5 * h * (first + second)


THEORIES = {
    "gradient flow": GradientFlow, "modified flow": ModifiedFlow, "principal flow": PrincipalFlow,
    "central flow": CentralFlow, "two-gradient flow": TwoGradientFlow, "rod flow": RodFlow,
}  # fmt: skip
