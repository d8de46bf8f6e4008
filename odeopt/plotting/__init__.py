"""Pictures: each function takes data and an Axes, draws, and returns the Axes. None computes a study.

Use them inside ``with odeopt.plotting.style():``, which is the look of every figure of the
package: one colour and one marker for each optimizer everywhere (``style.LOOKS``).
"""

from .curves import errors, objectives
from .maps import contours, principal_plane, trajectories
from .style import LOOKS, look, looks, style

__all__ = ["LOOKS", "contours", "errors", "look", "looks", "objectives", "principal_plane", "style", "trajectories"]
