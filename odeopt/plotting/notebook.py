"""The picture of a result for notebooks that show pictures, and for what is printed from them."""

import io

from matplotlib.figure import Figure

from ..results import Result
from . import curves, stochastic, studies, sweeps
from .style import style

# class of the result -> draw(result, axes), where one picture says it all
PICTURES = {
    "Trajectory": curves.objectives,
    "Comparison": lambda result, ax: (curves.objectives if result.reference is None else curves.errors)(result, ax),
    "Convergence": lambda result, ax: studies.convergence([result], ax),
    "WorkPrecision": studies.work_precision,
    "Sweep": sweeps.sweep,
    "Basins": studies.basins,
    "StabilityRegion": studies.stability_region,
    "SpectralRadiusMap": studies.spectral_radius_map,
    "ControlLog": curves.controller_log,
    "NormEquilibrium": stochastic.norm_equilibrium,
}


def png(result: Result) -> bytes | None:
    """The picture as a PNG file; None for a result without one, or with nothing to show."""
    draw = PICTURES.get(type(result).__name__)
    if draw is None or not result.rows():
        return None
    with style():
        fig = Figure(figsize=(5.6, 4.0), layout="constrained")
        draw(result, fig.subplots())
        stream = io.BytesIO()
        fig.savefig(stream, format="png", dpi=90, metadata={"Software": None})
    return stream.getvalue()
