"""Real use: a sparse least-squares problem, softmax regression and a small network, beside their usual solvers.

Rows name the winner honestly: for a quadratic, conjugate gradients and LSQR are the right tools, and
for a smooth convex problem of moderate size L-BFGS is hard to beat. Times are CPU times of one thread.
"""

import contextlib
import time
from typing import Any

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg
from scipy.optimize import minimize as scipy_minimize

from ..engine.record import record
from ..interop import minimize
from ..optimizers import Adam, GradientDescent, Momentum, Nesterov
from ..problems import digits_logistic, digits_mlp
from ..problems.digits import digits
from ..schemes import chebyshev_steps


def rows(quick=False):
    """``(rows, notes)`` of the three problems."""
    found, notes = [], []
    with _one_blas_thread(notes):
        for race, size in ((sparse_race, 100_000 if quick else 1_000_000), (logistic_race, 1e-6),
                           (network_race, 50 if quick else 200)):
            rows_, notes_ = race(size)
            found += rows_
            notes += notes_
    return found, notes


@contextlib.contextmanager
def _one_blas_thread(notes):
    """The threads of a BLAS wait for each other in loops: on a busy machine that is five times the CPU time."""
    try:
        from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingImports]
    except ImportError:
        notes.append("threadpoolctl is not installed: for steady times set OPENBLAS_NUM_THREADS=1")
        yield
    else:
        with threadpool_limits(1):
            yield


# min |A x - b|^2 / 2 ---------------------------------------------------------------------------------


def least_squares(n, smoothing=25.0, seed=0):
    """``(A, b, mu, L)``: a noisy signal of n samples, smoothed: |x - y|^2 + smoothing |differences of x|^2.

    A is (2n - 1, n), sparse; the eigenvalues of A'A fill [1, 1 + 4 smoothing].
    """
    rng = np.random.default_rng(seed)
    y = np.cumsum(rng.standard_normal(n)) / np.sqrt(n) + 0.3 * rng.standard_normal(n)
    differences = sparse.diags([-1.0, 1.0], [0, 1], shape=(n - 1, n))  # pyright: ignore[reportArgumentType]
    a = sparse.vstack([sparse.identity(n), np.sqrt(smoothing) * differences]).tocsr()
    return a, np.concatenate([y, np.zeros(n - 1)]), 1.0, 1.0 + 4.0 * smoothing


def sparse_race(n, rtol=1e-6):
    """Every method until |A'(Ax - b)| is ``rtol`` of its start; ``(rows, notes)``."""
    a, b, mu, top = least_squares(n)
    at = a.T.tocsr()
    start = np.linalg.norm(at @ b)
    calls = [0]

    def pair(x):
        calls[0] += 1
        residual = a @ x - b
        return 0.5 * float(residual @ residual), at @ residual

    def done(intermediate_result):
        if np.linalg.norm(at @ (a @ intermediate_result.x - b)) <= rtol * start:
            raise StopIteration

    root = np.sqrt(mu / top)
    momentum = ((1 - root) / (1 + root)) ** 2
    x0 = np.zeros(n)

    def ours(method):
        return minimize(pair, x0, jac=True, method=method, gtol=0.0, callback=done, maxiter=5000).x

    def chebyshev():
        """Cycles of 64 steps on [mu, L], in the order that does not amplify round-off."""
        x, method = x0.copy(), GradientDescent(1.0)
        p, slots, k = np.array(method.p), method.start(x0), 0
        steps = chebyshev_steps(mu, top, 64)
        while True:
            _, g = pair(x)
            if np.linalg.norm(g) <= rtol * start:
                return x
            p[0] = steps[k % 64]
            method.kernel(k, p, x, g, slots)
            k += 1

    def cg():
        def product(v):
            calls[0] += 1
            return at @ (a @ v)

        return linalg.cg(linalg.LinearOperator((n, n), matvec=product), at @ b, rtol=rtol)[0]  # pyright: ignore[reportCallIssue]

    def lbfgs():
        return scipy_minimize(pair, x0, jac=True, method="L-BFGS-B", callback=done,
                              options={"gtol": 0.0, "ftol": 0.0, "maxiter": 5000}).x

    def lsqr():
        x, _, calls[0] = linalg.lsqr(a, b, atol=rtol * start / np.linalg.norm(b) / np.sqrt(top) / 10, btol=0.0)[:3]
        return x

    methods = {"odeopt gradient descent, 2/(L + mu)": lambda: ours(GradientDescent(2 / (top + mu))),
               "odeopt momentum, Polyak's": lambda: ours(Momentum(4 / (np.sqrt(top) + np.sqrt(mu)) ** 2, momentum)),
               "odeopt Chebyshev steps": chebyshev, "odeopt spg": lambda: ours("spg"),
               "scipy CG": cg, "scipy L-BFGS-B": lbfgs, "scipy LSQR": lsqr}
    found = []
    for name, method in methods.items():
        calls[0] = 0
        begin = time.process_time()
        x = method()
        seconds = time.process_time() - begin
        found.append({"problem": f"sparse least squares, n = {n}", "method": name, "gradients": calls[0],
                      "reached": float(np.linalg.norm(at @ (a @ x - b)) / start), "seconds": seconds})
    return found, ["sparse least squares: reached is |A'(Ax - b)| over its start; gradients are products with A and "
                   "A', beside which the callbacks of ours and of L-BFGS-B take one more per step to test that"]


# Digits -----------------------------------------------------------------------------------------------


def logistic_race(gap=1e-6):
    """Softmax regression on all digits until f - f* <= ``gap``; ``(rows, notes)``."""
    problem, found = digits_logistic(), []
    notes = ["softmax regression: reached is f - f*, each stopped at the first f that is near enough, scikit-learn by "
             "its own tolerance; its gradients are iterations"]
    target = problem.f_min + gap  # pyright: ignore[reportOptionalOperand]

    def ours(method, steps):
        run = record(method, problem, steps=steps)
        good = np.flatnonzero(run.f <= target)
        last = int(run.k[good[0]]) if good.size else steps
        begin = time.process_time()
        run = record(method, problem, steps=last, every=max(last, 1))
        return run.f[-1], last, time.process_time() - begin

    def add(name, f, gradients, seconds):
        found.append({"problem": "softmax regression, digits", "method": name, "gradients": gradients,
                      "reached": float(f - problem.f_min), "seconds": seconds})

    add("odeopt Nesterov(1, 0.98)", *ours(Nesterov(1.0, 0.98), 3000))
    add("odeopt Momentum(1, 0.98)", *ours(Momentum(1.0, 0.98), 3000))
    add("odeopt Adam(0.05)", *ours(Adam(0.05), 3000))
    for name, run in (("odeopt spg", lambda stop: minimize(problem, method="spg", gtol=0.0, callback=stop)),
                      ("scipy L-BFGS-B", lambda stop: scipy_minimize(problem.value_and_grad, problem.x0, jac=True,
                                                                    method="L-BFGS-B", callback=stop,
                                                                    options={"gtol": 0.0, "ftol": 0.0}))):
        def stop(intermediate_result):
            if intermediate_result.fun <= target:
                raise StopIteration

        begin = time.process_time()
        r = run(stop)
        add(name, r.fun, r.nfev, time.process_time() - begin)
    try:
        from sklearn.linear_model import LogisticRegression  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        return found, [*notes, f"scikit-learn: skipped, {error}"]
    images, labels = digits()
    images = np.hstack([images, np.ones((len(images), 1))])  # f penalises the bias as well
    model = LogisticRegression(C=1 / (1e-3 * len(labels)), fit_intercept=False, tol=1e-5, max_iter=2000)
    begin = time.process_time()
    model.fit(images, labels)
    seconds = time.process_time() - begin
    w = model.coef_.T
    add("scikit-learn LogisticRegression", problem.fun(np.concatenate([w[:64].ravel(), w[64]])),
        int(model.n_iter_.max()), seconds)
    return found, notes


def network_race(epochs: Any=200):
    """The one-hidden-layer network, full-batch Adam(0.01), the same start, ours and torch's; ``(rows, notes)``."""
    problem, found, note = digits_mlp(), [], "network: reached is the loss after as many full-batch steps"
    record(Adam(0.01), problem, steps=1)
    begin = time.process_time()
    run = record(Adam(0.01), problem, steps=epochs, every=epochs)
    found.append({"problem": "network 64-32-10, digits", "method": "odeopt Adam(0.01)", "gradients": epochs,
                  "reached": float(run.f[-1]), "seconds": time.process_time() - begin})
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        return found, [note, f"torch: skipped, {error}"]
    torch.set_num_threads(1)
    images, labels = digits()
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)
    cuts = np.split(problem.x0, np.cumsum([64 * 32, 32, 320]))
    parts = [torch.tensor(c.reshape(s), requires_grad=True) for c, s in
             zip(cuts, ((64, 32), (32,), (32, 10), (10,)))]
    optimizer = torch.optim.Adam(parts, lr=0.01)

    def loss():
        logits = torch.tanh(images @ parts[0] + parts[1]) @ parts[2] + parts[3]
        return torch.nn.functional.cross_entropy(logits, labels) + 0.5e-4 * sum((q * q).sum() for q in parts)

    begin = time.process_time()
    for _ in range(epochs):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    found.append({"problem": "network 64-32-10, digits", "method": "torch Adam(0.01)", "gradients": epochs,
                  "reached": float(loss().detach()), "seconds": time.process_time() - begin})
    return found, [note]
