"""Steps of explicit Euler chosen by trial: Armijo's rule and the spectral projected gradient.

Both accept x+ = P(x - h g) when f has fallen by a part of what the slope promises,

    f(x+) <= reference - 1e-4 g.(x - x+),

and otherwise halve h. P projects on the bounds (the identity without them).

- armijo: reference = f(x); the first trial is twice the step accepted before. f never increases.
- spg: reference = largest of the last 10 values of f; the first trial is the Barzilai-Borwein step
  s.s/s.y, limited to [1e-10, 1e10]. f may rise between; usually far fewer steps.

Both are explicit Euler on gradient flow with the accepted h as step, so a run has flow time. As a
scheme inside the jitted loop, Armijo's rule is ``odeopt.schemes.armijo_euler``; the unguarded
Barzilai-Borwein method is the optimizer ``BarzilaiBorwein``. These two stand here because they
need values of f at trial points, which an ``update`` kernel does not get.

Sources: Armijo, Pacific J. Math. 16 (1966) 1; Barzilai, Borwein, IMA J. Numer. Anal. 8 (1988) 141;
Birgin, Martinez, Raydan, SIAM J. Optim. 10 (2000) 1196, algorithm 2.1 with projected trial points.
"""

from collections import deque

import numpy as np

DECREASE = 1e-4
HALVINGS = 40
NAMES = ("armijo", "spg")


class LineSearch:
    """State of one run: ``step(objective, project, x, f, g)`` returns the accepted point or None."""

    def __init__(self, name, first=None):
        self.spectral = name == "spg"
        self.values = deque(maxlen=10 if self.spectral else 1)
        self.h = self.lr = first  # lr: the step accepted last
        self.previous, self.t, self.words = None, 0.0, ""

    def _trial(self, x, g):
        if self.h is None:
            return 1.0 / max(np.abs(g).max(), 1e-300)
        if not self.spectral or self.previous is None:
            return self.h
        moved, change = x - self.previous[0], g - self.previous[1]
        curvature = float(moved @ change)
        return min(max(float(moved @ moved) / curvature, 1e-10), 1e10) if curvature > 0 else min(10 * self.h, 1e10)

    def step(self, objective, project, x, f, g):
        """The next point, or None when 40 halvings found no decrease."""
        self.values.append(f)
        # A few units of round-off in f: near a minimum its differences carry no more digits.
        reference = max(self.values) + 4e-16 * abs(f)
        h = self._trial(x, g)
        for _ in range(HALVINGS):
            new = project(x - h * g)
            if not np.isfinite(new).all():
                h *= 0.5
                continue
            value = objective.value(new)
            if value <= reference - DECREASE * float(g @ (x - new)):
                self.previous = (x, g)
                self.h = h if self.spectral else 2 * h
                self.lr = h
                self.t += h
                return new
            h *= 0.5
        return None
