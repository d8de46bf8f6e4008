"""Pictures of noise: covariance ellipses, norms at equilibrium, distances, mixing."""

from itertools import cycle

import numpy as np

from .arguments import picture
from .layout import below
from .palette import PALETTE as COLOURS
from .palette import assign

_MARKERS = "osD^vPXph<>"


def _colours(count):
    """As many colours, the palette's first."""
    return assign(map(str, range(count)), [COLOURS[i] if i < len(COLOURS) else None for i in range(count)])


def ellipse(covariance, scale=2.0, points=181):
    """(2, points) curve {scale Sigma^(1/2) u: |u| = 1} of a 2 x 2 covariance (its first two coordinates)."""
    c = np.asarray(covariance)[:2, :2]
    values, vectors = np.linalg.eigh(c)
    angle = np.linspace(0, 2 * np.pi, points)
    return scale * (vectors * np.sqrt(np.maximum(values, 0))) @ np.array([np.cos(angle), np.sin(angle)])


@picture("Stationary", "discrete sampled ou paths")
def stationary(study, ax, *, samples=None):
    """Two-sigma ellipses of a Stationary study of two dimensions or more: exact, sampled, SDE.

    ``samples`` (N, n), optional: points to show underneath.
    """
    if study.discrete.shape[0] < 2:
        raise ValueError("study must have at least two dimensions to be drawn as ellipses")
    if samples is not None:
        ax.plot(*np.asarray(samples)[:1500, :2].T, ".", ms=2, color="#B8C4CE", zorder=0, label="iterates")
    ax.plot(*ellipse(study.discrete), color=COLOURS[0], lw=2.4, label="iterates, exact (discrete Lyapunov)")
    ax.plot(*ellipse(study.sampled), "--", color="#222222", lw=1.2, label=f"{study.paths} paths")
    ax.plot(*ellipse(study.ou), color=COLOURS[1], lw=1.8, label="SDE (Ornstein–Uhlenbeck)")
    ax.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    below(ax)
    return ax


@picture("WeakOrder", "h error order what")
def weak_orders(studies, ax):
    """Weak error against step, log-log, of one or more WeakOrder studies."""
    studies = list(studies)
    for study, colour, marker in zip(studies, _colours(len(studies)), cycle(_MARKERS)):
        ax.plot(study.h, study.error, color=colour, marker=marker, mec="white", ms=7,
                label=f"{study.what}: {study.order:.2f}")
    ax.set(xscale="log", yscale="log", xlabel="step $h$ (flow time)", ylabel=r"$|E\,x_n'x_n - E\,X_T'X_T|$")
    below(ax)
    return ax


@picture("NormEquilibrium", "norm2 predicted lr weight_decay k")
def norm_equilibrium(study, ax):
    """lr/|w|^2 against lr wd steps, one curve per pair, of a NormEquilibrium study."""
    for i, colour in enumerate(_colours(study.lr.size)):
        time = study.lr[i] * study.weight_decay[i] * study.k[i]
        ax.plot(time, study.lr[i] / study.norm2[i], color=colour,
                label=f"lr = {study.lr[i]:g}, wd = {study.weight_decay[i]:g}")
        ax.axhline(study.lr[i] / study.predicted[i], color=colour, lw=0.8, ls=":")
    ax.set(yscale="log", xlabel=r"intrinsic time: lr $\cdot$ wd $\cdot$ steps", ylabel=r"effective rate lr/$|w|^2$")
    below(ax)
    return ax


@picture("LagDistance", "lag distance half_width plateau")
def lag_distance(studies, ax):
    """E|W_T - W_{T+d}|^2 against the lag, each over its last value, with intervals; the plateau where there is one."""
    studies = list(studies)
    for study, colour in zip(studies, _colours(len(studies))):
        scale, lag = study.distance[-1], study.lag / study.lag[-1]
        ax.plot(lag, study.distance / scale, color=colour, label=study.problem)
        ax.fill_between(lag, (study.distance - study.half_width) / scale, (study.distance + study.half_width) / scale,
                        color=colour, alpha=0.2, lw=0)
        if np.isfinite(study.plateau):
            ax.axhline(study.plateau / scale, color=colour, lw=0.9, ls=":", label=r"plateau $2\,\mathrm{tr}\,\Sigma$")
    ax.set(xlabel="lag (over the longest)", ylabel=r"$E|W_T - W_{T+d}|^2$ (over the last)", ylim=(0, None))
    below(ax)
    return ax


@picture("FunctionMixing", "memory parameters intrinsic_time")
def function_mixing(study, ax):
    """What the start still decides about predictions, against lr wd steps, with intervals."""
    for i, colour in enumerate(_colours(study.lr.size)):
        time = study.intrinsic_time[i]
        ax.plot(time, study.memory[i], color=colour, marker="o", ms=4,
                label=f"lr = {study.lr[i]:g}, wd = {study.weight_decay[i]:g}")
        ax.fill_between(time, study.memory[i] - study.memory_half[i], study.memory[i] + study.memory_half[i],
                        color=colour, alpha=0.15, lw=0)
        ax.plot(time[1:], study.parameters[i, 1:], "--", color=colour, lw=1)
    ax.plot([], [], "--", color="#555555", lw=1, label="the weights: 1 - cosine")
    ax.axhline(0, color="#555555", lw=0.8)
    ax.set(xlabel=r"intrinsic time: lr $\cdot$ wd $\cdot$ steps", ylabel="disagreement, across - within")
    ax.set_yscale("symlog", linthresh=0.02)
    below(ax)
    return ax
