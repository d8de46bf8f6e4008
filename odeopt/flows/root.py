"""Where eps stands in the quotients of Adam's kin: beside the root, under it, or beside the uncorrected root.

    "outside"  √(v/q) + eps       "inside"  √(v/q + eps)       "hat"  √(v/q) + eps/√q

The last is √v + eps divided by √q, the "epsilon hat" of Kingma and Ba (arXiv:1412.6980, section 2): at the start,
where q is small, it is a large eps. ``eps_root`` stands under the root besides.
"""

import numpy as np

from .. import checks
from ..abi import kernel

ROOT_MODES = ("outside", "inside", "hat")


@kernel
def beside_root(eps, hat, q):
    """What stands beside √(v/q): eps, or eps/√q for ``hat`` > 0."""
    if hat == 0.0 or eps == 0.0:
        return eps
    return eps / np.sqrt(q) if q > 0.0 else np.inf


def root_constants(eps, eps_mode, eps_root):
    """Flow constants {"eps", "eps_root", "hat"} and the words of a root of v/q."""
    mode = checks.choice("eps_mode", eps_mode, ROOT_MODES)
    eps, under = checks.nonnegative("eps", eps), checks.nonnegative("eps_root", eps_root)
    terms = [name for name, there in (("eps", mode == "inside"), ("eps_root", under > 0.0)) if there]
    beside = {"outside": " + eps", "inside": "", "hat": " + eps/√q2"}[mode]
    constants = {"eps": 0.0 if mode == "inside" else eps, "eps_root": under + (eps if mode == "inside" else 0.0),
                 "hat": float(mode == "hat")}

    def words(square):
        root = f"√({' + '.join([square, *terms])})"
        return f"({root}{beside})" if beside else root

    return constants, words
