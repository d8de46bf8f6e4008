"""The picture of :func:`odeopt.studies.stability.edge`."""

import numpy as np

from .arguments import picture
from .data import positive
from .layout import below

_COLORS = {
    "gradient flow": "#888888", "modified flow": "#56B4E9", "principal flow": "#E69F00", "central flow": "#D55E00",
    "two-gradient flow": "#009E73", "rod flow": "#CC79A7",
}  # fmt: skip


@picture("Edge", "sharpness limit theory flow_sharpness")
def edge(study, axes, *, legend=True):
    """Sharpness, loss and distance of each theory beside the run, averaged over two steps.

    Parameters
    ----------
    study : Edge
    axes : sequence of 1 to 3 matplotlib Axes
        For sharpness with the method's limit, loss, and distance to the run.
    legend : bool
    """
    axes = list(np.ravel(axes))
    seen = np.append(study.sharpness, study.limit)
    low, high = float(seen.min()), float(seen.max())
    bottom, top = low - 0.1 * (high - low), high + 0.5 * (high - low)  # gradient flow may go far beyond
    run = {"color": "#222222", "lw": 1.1, "label": "the run, over two steps"}
    axes[0].axhline(study.limit, color="#222222", ls=":", lw=1.2, label=f"limit {study.formula} / lr")
    axes[0].plot(study.k, study.sharpness, **run)
    known = [(i, name) for i, name in enumerate(study.theory) if np.isfinite(study.flow_sharpness[i]).any()]
    for i, name in known:
        axes[0].plot(study.k, np.where(study.flow_sharpness[i] > top, np.nan, study.flow_sharpness[i]),
                     color=_COLORS[name], lw=1.6, label=name)
    axes[0].set(xlabel="step $k$", ylabel="sharpness", ylim=(bottom, top))
    if len(axes) > 1:
        axes[1].plot(study.k, study.loss, **run)
        most = 1.3 * float(study.loss.max())
        for i, name in known:
            axes[1].plot(study.k, np.where(study.flow_loss[i] > most, np.nan, study.flow_loss[i]), color=_COLORS[name],
                         lw=1.6)
        axes[1].set(xlabel="step $k$", ylabel="loss")
    if len(axes) > 2:
        for i, name in known:
            axes[2].plot(study.k, positive(study.distance[i]), color=_COLORS[name], lw=1.6)
        axes[2].set(xlabel="step $k$", ylabel="distance to the run", yscale="log")
    if legend:
        below(axes[0])
    return axes
