"""One number against time: errors, objectives, gradient norms, learning rates, controllers."""

import numpy as np

from .data import axis_name, lines, positive
from .layout import below, fitted

_AXES = {"gradients": "gradient evaluations", "time": "flow time $t$", "steps": "step $k$"}


def _abscissa(run, against):
    return {"gradients": run.n_grad, "time": run.t, "steps": run.k}[axis_name("against", against)]


def _curve(ax, x, y, look, label=True, **options):
    shown = np.flatnonzero(np.isfinite(y))
    every = shown[np.unique(np.linspace(0, len(shown) - 1, 9).astype(int))] if len(shown) else []
    ax.plot(x, y, "-", color=look.color, marker=look.marker, markevery=list(every), mec="white", ms=6.5,
            label=look.label if label else None, **options)


def _times(ax, ends):
    """Logarithmic time axis where the runs end at times of very different size."""
    ends = [e for e in ends if np.isfinite(e) and e > 0]
    if ends and max(ends) > 30 * min(ends):
        ax.set_xscale("log")


def errors(comparisons, ax, *, labels=None, legend=True, local=False):
    """Distance |x_n - x(t_n)| between run and flow, against flow time.

    Parameters
    ----------
    comparisons : Comparison, a sequence of them, or a dict from label to one
        Those without a reference (no classical flow) are named in the legend and have no line.
    ax : matplotlib Axes
    labels : sequence of str, optional
    legend : bool
    local : bool
        Show the local errors (of single steps) as small crosses as well.

    Raises
    ------
    TypeError
        A Trajectory: it has no reference to measure against.
    """
    chosen = lines(comparisons, labels)
    if any(line.comparison is None for line in chosen):
        raise TypeError("comparisons must be Comparison objects (see odeopt.compare), got a Trajectory")
    for line in chosen:
        c = line.comparison
        if c.reference is None:
            ax.plot([], [], color=line.look.color, marker=line.look.marker, ls="none",
                    label=f"{line.look.label}: {c.message or 'no flow'}")
            continue
        first = int(line.run.k[0] == 0)  # the start has no error to show
        _curve(ax, c.t[first:], positive(c.error[first:]), line.look)
        if local and len(c.local_t):
            ax.plot(c.local_t, positive(c.local_error), "x", color=line.look.color, ms=4, mew=0.9)
    _times(ax, [line.comparison.t[-1] for line in chosen if len(line.comparison.t)])
    ax.set_yscale("log")
    ax.set(xlabel=_AXES["time"], ylabel=r"error $|x_n - x(t_n)|$")
    if legend:
        below(ax)
    return fitted(ax)


def objectives(runs, ax, *, f_min=None, against="gradients", labels=None, legend=True):
    """Objective against gradient evaluations (or ``against="time"``, ``"steps"``).

    ``f_min`` is the infimum, taken from the Comparisons when not given; with it the axis shows
    f - f* on a logarithmic scale, without it f itself.
    """
    chosen = lines(runs, labels)
    if f_min is None:
        known = [line.run.f[-1] - line.comparison.gap for line in chosen
                 if line.comparison is not None and np.isfinite(line.comparison.gap)]
        f_min = min(known, key=abs) if known else None  # equal up to round-off
    for line in chosen:
        f = positive(line.run.f - f_min) if f_min is not None else np.where(np.isfinite(line.run.f), line.run.f, np.nan)
        _curve(ax, _abscissa(line.run, against), f, line.look)
    if f_min is not None or all((line.run.f > 0).all() for line in chosen):
        ax.set_yscale("log")
    ax.set(xlabel=_AXES[against], ylabel="$f - f^*$" if f_min is not None else "objective $f$")
    if legend:
        below(ax)
    return fitted(ax)


def gradient_norms(runs, ax, *, against="gradients", labels=None, legend=True):
    """Gradient norm at the iterates, on a logarithmic scale."""
    return _plain(runs, ax, lambda run: positive(run.grad_norm), r"gradient norm $|\nabla f|$", against, labels, legend,
                  logarithmic=True)


def learning_rates(runs, ax, *, against="steps", labels=None, legend=True):
    """The learning rate (tolerance, step) that each recorded step uses."""
    return _plain(runs, ax, lambda run: run.lr, "learning rate", against, labels, legend)


def step_lengths(runs, ax, *, labels=None, legend=True):
    """The flow time of each step (the mean between two records): what an adaptive method chose."""
    chosen = lines(runs, labels)
    for line in chosen:
        _curve(ax, line.run.k[:-1], positive(np.diff(line.run.t) / np.diff(line.run.k)), line.look)
    ax.set(xlabel=_AXES["steps"], ylabel="step $h$ in flow time", yscale="log")
    if legend:
        below(ax)
    return fitted(ax)


def clocks(runs, ax, *, labels=None, legend=True):
    """Flow time against the step number: a straight line for constant steps, a time change otherwise."""
    return _plain(runs, ax, lambda run: run.t, _AXES["time"], "steps", labels, legend)


def _plain(runs, ax, values, name, against, labels, legend, logarithmic=False):
    chosen = lines(runs, labels)
    for line in chosen:
        _curve(ax, _abscissa(line.run, against), values(line.run), line.look)
    if logarithmic:
        ax.set_yscale("log")
    ax.set(xlabel=_AXES[against], ylabel=name)
    if legend:
        below(ax)
    return fitted(ax)


def controller_log(log, ax, *, limit=None, legend=True):
    """What a step-size rule believed and what was true: h lambda of every trial, rejected ones as crosses.

    Parameters
    ----------
    log : ControlLog of ``odeopt.step_control``, or a Trajectory with a ``step_log``
        A Trajectory shows its steps h instead of h lambda.
    ax : matplotlib Axes
    limit : float, optional
        Stability limit of h lambda, drawn as a line.
    legend : bool

    Raises
    ------
    ValueError
        A Trajectory without a step log.
    """
    if hasattr(log, "h_lambda"):
        t, size, accepted, name = log.t, log.h_lambda, log.accepted, r"$h\,\lambda_{\max}$"
        title = f"{log.rule} on {log.scheme}" if log.rule not in ("dal", "article") else log.rule
    else:
        steps = getattr(log, "step_log", None)
        if steps is None:
            raise ValueError("log must be a ControlLog or a Trajectory of an error-controlled run, "
                             f"got {type(log).__name__} without a step log")
        t, size, accepted = steps["t"], steps["h"], np.asarray(steps["accepted"], dtype=bool)
        name, title = "step $h$ (flow time)", log.method
    ax.plot(t[accepted], size[accepted], "-", color="#0072B2", marker="o", ms=3.5, lw=0.9, label=f"{title}: accepted")
    if (~accepted).any():
        ax.plot(t[~accepted], size[~accepted], "x", color="#D55E00", ms=6, mew=1.4, label="rejected")
    if limit is not None:
        ax.axhline(limit, color="#222222", lw=1.1, ls="--", label=f"stability limit {limit:g}")
    ax.set_yscale("log")
    ax.set(xlabel=_AXES["time"], ylabel=name)
    if legend:
        below(ax)
    return fitted(ax)
