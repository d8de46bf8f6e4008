"""Muon raises all singular values of a matrix at one speed; gradient flow takes the large ones first.

On f = |W - M|^2/2 from W = 0 the polar flow W' = -U V^T, of G = U S V^T, keeps M's singular vectors, and
each singular value is min(t, mu_i): it rises with speed 1 and then rests, where a singular value of G is 0 and the
flow slides. Under gradient flow it is mu_i (1 - e^-t). A few Newton-Schulz steps stand for the polar factor in
practice: with Muon's coefficients, which lift small values quickly, they have a flow of their own however many they
are; with (15, -10, 3)/8, which converge, the polar flow is their limit.
"""

import functools

import numpy as np

import odeopt as oo

SHAPE, MU, LR = (4, 3), np.array([1.0, 0.6, 0.25]), 0.02
CONVERGENT, T_END, TAU, STEPS = (1.875, -1.25, 0.375), 0.2, 0.1, range(1, 11)
_RNG = np.random.default_rng(3)
LEFT, RIGHT = (np.linalg.qr(_RNG.standard_normal((n, 3)))[0] for n in SHAPE)
TARGET = (LEFT * MU) @ RIGHT.T
PROBLEM = oo.Problem(lambda w: 0.5 * float(np.sum((w - TARGET.ravel()) ** 2)), lambda w: w - TARGET.ravel(), dim=12,
                     x0=np.zeros(12), name="matrix")


def values(path):
    """Singular values of each point of a path, the largest first."""
    return np.linalg.svd(path.reshape(-1, *SHAPE), compute_uv=False)


@functools.cache
def run():
    """Muon with the polar factor and no momentum."""
    opt = oo.optimizers.Muon(LR, momentum=0.0, weight_decay=0.0, steps=None, adjust="none", shape=SHAPE)
    return oo.record(opt, PROBLEM, steps=65)


def flow(steps=None, coefficients=oo.flows.muon.QUINTIC):
    """Where the flow with memory TAU is at T_END, from m = G."""
    field = oo.flows.muon_flow(TAU, SHAPE, steps=steps, coefficients=coefficients)
    z = np.array([PROBLEM.x0, PROBLEM.grad(PROBLEM.x0)])
    return oo.reference(field, PROBLEM, z, t_end=T_END, rtol=1e-10, atol=1e-12)(T_END)


@functools.cache
def gaps():
    """Relative distance of the two kinds of Newton-Schulz flow to the polar flow, for each number of steps."""
    polar = flow()
    kinds = (oo.flows.muon.QUINTIC, CONVERGENT)
    return np.array([[np.linalg.norm(flow(n, kind) - polar) for n in STEPS] for kind in kinds]) / np.linalg.norm(polar)


def main():
    """(computed, theory, tolerance): singular values of the iterates and of the flow, the gaps of the last."""
    r, (own, convergent) = run(), gaps()
    opt = oo.optimizers.Muon(2e-4, 1 - 2e-4 / TAU, weight_decay=0.0, nesterov=False, adjust="none", shape=SHAPE)
    near = oo.record(opt, PROBLEM, steps=1000, start="consistent").x[-1]
    return [(values(r.x), np.minimum(r.t[:, None], MU), LR), (values(flow())[0], T_END, 1e-8),
            (near, flow(5), 1e-3), (own[-1], 0.15, 0.1), (convergent[-1], 0.0, 1e-6)]


def draw_figure(fig):
    """Singular values against flow time; the gaps against the number of steps."""
    left, right = fig.subplots(1, 2)
    r, colors = run(), ("#0072B2", "#D55E00", "#009E73")
    t = np.linspace(0.0, r.t[-1], 300)
    for i, (mu, color) in enumerate(zip(MU, colors)):
        left.plot(t, np.minimum(t, mu), color=color, lw=1.6)
        left.plot(r.t[::3], values(r.x)[::3, i], "o", ms=4, mfc="white", mec=color)
        left.plot(t, mu * (1 - np.exp(-t)), color=color, ls=":", lw=1.4)
    for words, style in (("Muon, polar factor", {"marker": "o", "mfc": "white", "ls": ""}), ("its flow", {}),
                         ("gradient flow", {"ls": ":"})):
        left.plot([], [], color="#555555", label=words, **style)
    left.set(xlabel="flow time $t$", ylabel="singular values of $W$", title="all rise at one speed, then rest")
    left.legend(loc="upper left")
    kinds = ("#882255", "s", "Muon's coefficients"), ("#0072B2", "o", "(15, −10, 3)/8")
    for gap, (color, marker, words) in zip(gaps(), kinds):
        right.semilogy(list(STEPS), gap, color=color, marker=marker, ms=4, label=words)
    right.set(xlabel="Newton–Schulz steps", ylabel="relative distance to the polar flow",
              title="how far the two flows part")
    right.legend(loc="center right")


SIZE = (9.6, 4.2)

if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
