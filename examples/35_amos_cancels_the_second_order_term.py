"""Amos's weight decay cancels the second-order term of explicit Euler in |x - x*|^2.

One step x <- x - (alpha u + rho x) changes |e|^2, e = x - x*, by -2 alpha u.e + alpha^2 |u|^2 - 2 rho x.e + ...
[A004] sets alpha^2 |u|^2 = 2 rho x.e = 2 rho q |e|^2. Measured on a quadratic (u = H e): what is
left besides -2 alpha u.e falls like alpha^2 without decay (slope 2.000, coefficient |u|^2 exactly) and
like alpha^3 with it (slope 3.00): the term is gone.

What it does and does not do for the flow. The term is Euler's own: where u is orthogonal to e the flow
e' = -u keeps |e|, Euler lets it grow by alpha^2 |u|^2 per step, and the decay repairs just this (with
noise, or with scale-invariant losses, most of u is like that). On a quadratic, though, gradient flow
itself has the term alpha^2 (|u|^2 + e.He) = 2 alpha^2 |u|^2: Euler has half of it, and with the decay
none is left. There the decay does not bring the step nearer to gradient flow but nearer to the linear
law d|e|^2 = -2 alpha u.e that the article's schedule is derived from.

That law, run to the end: updates u_k at the angle to e with cosine p_k = p0 exp(-S_k), as the derivation
assumes, with its alpha_k and rho_k, a0 = p0 = 0.0032. After 10^5 steps |e_k|^2/|e_0|^2 = 0.32808 with
the decay, where 1/(2 a0 p0 k + 1) = 0.32808 is predicted, and 0.57972 without: the term that the decay
takes away is a0/(2 p0) of the descent itself, half of it here.
"""

import math

import numpy as np

import odeopt as oo

PROBLEM = oo.problems.quadratic([1.0, 7.0], angle=0.6, minimiser=[2.0, 1.0], x0=[3.5, 0.5])


def left_over(alpha, decay):
    """|e'|^2 - |e|^2 + 2 alpha u.e after one step, with Amos's decay or without."""
    x, u = PROBLEM.x0, PROBLEM.grad(PROBLEM.x0)
    e = x - PROBLEM.minima[0]
    rho = alpha**2 * (u @ u) / (2 * (x @ e)) if decay else 0.0
    new = e - alpha * u - rho * x
    return new @ new - e @ e + 2 * alpha * (u @ e)


def left_over_of_the_flow(alpha):
    """The same for gradient flow over the time alpha."""
    x, u = PROBLEM.x0, PROBLEM.grad(PROBLEM.x0)
    flow = oo.reference(oo.GradientDescent(lr=1.0), PROBLEM, t_end=alpha, rtol=1e-13, atol=1e-14, check=False)
    e, new = x - PROBLEM.minima[0], flow(alpha) - PROBLEM.minima[0]
    return new @ new - e @ e + 2 * alpha * (u @ e)


def amos_law(a0, p0, steps, decay=True):
    """|e_k|^2 for k = 0 .. steps, e_0 = (1, 0), with directions at the assumed angle (x* = 0, q = 1)."""
    e, squares = np.array([1.0, 0.0]), np.empty(steps + 1)
    squares[0] = 1.0
    for k in range(steps):
        fade = 1 / (2 * a0 * p0 * k + 1)  # exp(-2S)
        cosine = p0 * math.sqrt(fade)
        sine = math.sqrt(1 - cosine**2) * (1 if k % 2 else -1)
        unit = e / math.hypot(*e)
        direction = cosine * unit + sine * np.array([-unit[1], unit[0]])
        rho = a0**2 / 2 * fade if decay else 0.0
        e = e - a0 * fade * direction - rho * e  # alpha |u| = a0 |e_0| exp(-2S)
        squares[k + 1] = e @ e
    return squares


def main():
    """(computed, theory, tolerance): slopes and coefficients of what is left over, and the law."""
    alphas = np.array([1e-3, 5e-4])
    slopes = [np.log2(left_over(alphas[0], d) / left_over(alphas[1], d)) for d in (False, True)]
    u = PROBLEM.grad(PROBLEM.x0)
    return [(slopes[0], 2.0, 1e-6), (slopes[1], 3.0, 0.01), (left_over(1e-3, False) / 1e-6, u @ u, 1e-4),
            (left_over_of_the_flow(1e-4) / 1e-8, 2 * (u @ u), 0.2),
            (amos_law(0.0032, 0.0032, 20_000)[-1], 1 / (2 * 0.0032**2 * 20_000 + 1), 1e-4)]


def draw(ax):
    """|e|^2 by the law, with and without the decay."""
    k = np.arange(0, 100_001, 500)
    for decay, color in ((True, "#7A3DB8"), (False, "#B0A0C0")):
        ax.plot(k, amos_law(0.0032, 0.0032, 100_000, decay)[k], color=color,
                label="with the decay" if decay else "without")
    ax.plot(k, 1 / (2 * 0.0032**2 * k + 1), "k--", lw=0.8, label="1/(2 a0 p0 k + 1)")
    ax.set(xlabel="step", ylabel="|e|²/|e₀|²", title="the decay cancels Euler's second-order term")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
