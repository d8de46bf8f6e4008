"""One number against time: errors, objectives, gradient norms, learning rates, controllers."""

import numpy as np

from .arguments import picture
from .data import axis_name, diverged, lines, positive
from .layout import below, fitted

_OUT = 1e3  # times what the others reach: a run that diverged is not followed further
_AXES = {"gradients": "gradient evaluations", "time": "flow time $t$", "steps": "step $k$"}


def _abscissa(run, against):
    return {"gradients": run.n_grad, "time": run.t, "steps": run.k}[axis_name("against", against)]


def _curve(ax, x, y, look, place=0, of=1):
    """A line with markers; those of line ``place`` of ``of`` stand where the others have none, so that of lines
    which coincide each is seen."""
    shown = np.flatnonzero(np.isfinite(y))
    last = len(shown) - 1
    at = np.linspace(0, max(last, 0), 9) + (place / of * last / 8 if last > 9 * of else 0.0)
    every = shown[np.unique(at[at <= max(last, 0)].astype(int))] if len(shown) else []
    ax.plot(x, y, "-", color=look.color, marker=look.marker, markevery=list(every), mec="white", ms=6.5,
            label=look.label)


def keep_in_view(ax, chosen, values):
    """An upper end of the axis that shows those that did not diverge: the others leave by it."""
    reached = [np.nanmax(y) if not diverged(line.run) else y[np.isfinite(y)][0]
               for line, y in zip(chosen, values) if np.isfinite(y).any()]
    top = _OUT * max(reached, default=0.0)
    shown = np.concatenate([y[np.isfinite(y) & (y <= top)] for y in values] or [[]])
    if top > 0 and shown.size and any((y[np.isfinite(y)] > top).any() for y in values):
        low = shown.min()
        ax.set_ylim(low / 2 if ax.get_yscale() == "log" else low - 0.05 * (top - low), top)


def _times(ax, ends):
    """Logarithmic time axis where the runs end at times of very different size."""
    ends = [e for e in ends if np.isfinite(e) and e > 0]
    if ends and max(ends) > 30 * min(ends):
        ax.set_xscale("log")


@picture()
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
    for i, line in enumerate(chosen):
        c = line.comparison
        if c.reference is None:
            ax.plot([], [], color=line.look.color, marker=line.look.marker, ls="none",
                    label=f"{line.look.label}: {c.message or 'no flow'}")
            continue
        first = int(line.run.k[0] == 0)  # the start has no error to show
        _curve(ax, c.t[first:], positive(c.error[first:]), line.look, i, len(chosen))
        if local and len(c.local_t):
            ax.plot(c.local_t, positive(c.local_error), "x", color=line.look.color, ms=4, mew=0.9)
    _times(ax, [line.comparison.t[-1] for line in chosen if len(line.comparison.t)])
    ax.set_yscale("log")
    measured = [line for line in chosen if line.comparison.reference is not None]
    keep_in_view(ax, measured, [positive(line.comparison.error) for line in measured])
    ax.set(xlabel=_AXES["time"], ylabel=r"error $|x_n - x(t_n)|$")
    if legend:
        below(ax)
    return fitted(ax)


def _objective(chosen, against, f_min):
    def values(run):
        return positive(run.f - f_min) if f_min is not None else np.where(np.isfinite(run.f), run.f, np.nan)

    logarithmic = f_min is not None or all((line.run.f > 0).all() for line in chosen)
    return _series(chosen, values, "$f - f^*$" if f_min is not None else "objective $f$", against, logarithmic)


def _series(chosen, values, name, against, logarithmic=False):
    """``(curves, x label, y label, y scale)``, the curves as (x, y)."""
    curves = [(_abscissa(line.run, against), values(line.run)) for line in chosen]
    return curves, _AXES[against], name, "log" if logarithmic else "linear"


def _wide(chosen):
    """Whether the learning rates are of very different sizes."""
    rates = np.concatenate([line.run.lr for line in chosen])
    return bool(rates.min() > 0 and rates.max() > 30 * rates.min())


def _steps(chosen, against, f_min):
    curves = [(line.run.k[:-1], positive(np.diff(line.run.t) / np.diff(line.run.k))) for line in chosen]
    return curves, _AXES["steps"], "step $h$ in flow time", "log"


# kind of curve -> what to draw of these lines, against ...
SERIES = {
    "objective": _objective,
    "gradient": lambda chosen, against, _: _series(chosen, lambda run: positive(run.grad_norm),
                                                   r"gradient norm $|\nabla f|$", against, True),
    "rate": lambda chosen, against, _: _series(chosen, lambda run: run.lr, "learning rate", against, _wide(chosen)),
    "step": _steps,
    "clock": lambda chosen, *_: _series(chosen, lambda run: run.t, _AXES["time"], "steps"),
}


def series(kind, chosen, against, f_min=None):
    """What a picture of this kind shows of these lines: ``(curves, x label, y label, y scale)``."""
    if kind == "objective" and f_min is None:
        known = [line.run.f[-1] - line.comparison.gap for line in chosen
                 if line.comparison is not None and np.isfinite(line.comparison.gap)]
        f_min = min(known, key=abs) if known else None  # equal up to round-off
    return SERIES[kind](chosen, against, f_min)


def _drawn(kind, runs, ax, against, labels, legend, f_min=None):
    chosen = lines(runs, labels)
    curves, xlabel, ylabel, scale = series(kind, chosen, against, f_min)
    for i, (line, (x, y)) in enumerate(zip(chosen, curves)):
        _curve(ax, x, y, line.look, i, len(chosen))
    ax.set(xlabel=xlabel, ylabel=ylabel, yscale=scale)
    keep_in_view(ax, chosen, [y for _, y in curves])
    if legend:
        below(ax)
    return fitted(ax)


@picture()
def objectives(runs, ax, *, f_min=None, against="gradients", labels=None, legend=True):
    """Objective against gradient evaluations (or ``against="time"``, ``"steps"``).

    ``f_min`` is the infimum, taken from the Comparisons when not given; with it the axis shows
    f - f* on a logarithmic scale, without it f itself.
    """
    return _drawn("objective", runs, ax, against, labels, legend, f_min)


@picture()
def gradient_norms(runs, ax, *, against="gradients", labels=None, legend=True):
    """Gradient norm at the iterates, on a logarithmic scale."""
    return _drawn("gradient", runs, ax, against, labels, legend)


@picture()
def learning_rates(runs, ax, *, against="steps", labels=None, legend=True):
    """The learning rate (tolerance, step) that each recorded step uses."""
    return _drawn("rate", runs, ax, against, labels, legend)


@picture()
def step_lengths(runs, ax, *, labels=None, legend=True):
    """The flow time of each step (the mean between two records): what an adaptive method chose."""
    return _drawn("step", runs, ax, "steps", labels, legend)


@picture()
def clocks(runs, ax, *, labels=None, legend=True):
    """Flow time against the step number: a straight line for constant steps, a time change otherwise."""
    return _drawn("clock", runs, ax, "steps", labels, legend)


@picture()
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
