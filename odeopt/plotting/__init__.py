"""Pictures: each function takes data and an Axes, draws, and returns the Axes. None computes a study.

Use them inside ``with odeopt.plotting.style():``, which is the look of every figure of the
package: one colour and one marker for each optimizer everywhere (``style.look``).
"""

from .animation import race, save_animation
from .curves import clocks, controller_log, errors, gradient_norms, learning_rates, objectives, step_lengths
from .edge import edge
from .layout import below
from .maps import contours, principal_plane, trajectories
from .panels import curve_panels, error_panels, panel_shape, path_panels, phase_panels, surface_panels
from .space import phase_portrait, surface
from .studies import basins, convergence, spectral_radius_map, stability_region, work_precision
from .style import STYLE_SHEET, look, looks, style
from .sweeps import sweep

__all__ = [
    "STYLE_SHEET", "basins", "below", "clocks", "contours", "controller_log", "convergence", "curve_panels",
    "edge", "error_panels", "errors", "gradient_norms", "learning_rates", "look", "looks", "objectives", "panel_shape",
    "path_panels", "phase_panels", "phase_portrait", "principal_plane", "race", "save_animation", "spectral_radius_map",
    "stability_region", "step_lengths", "style", "surface", "surface_panels", "sweep", "trajectories",
    "work_precision",
]  # fmt: skip
