"""EMA: the exponential moving average of any optimizer's iterates.

Update     the wrapped optimizer's;  average <- decay average + (1 - decay) x at the iterates x_(start + every),
           x_(start + 2 every), ... (up to x_start the average is x itself)
Flow       the wrapped optimizer's, which does not feel the average a; that follows tau a' = x - a,
           tau = every h/(1 - decay), from a = x at the time of ``start``: a delay by tau, where x moves slowly
Scheme, order, stability
           the wrapped optimizer's; a itself moves by semi-implicit Euler, order 1
Scaling    decay = 1 - every h/tau; ``every`` stays
Noise      of stationary iterates that are independent from one average to the next, a has (1 - decay)/(1 + decay)
           times the variance

No bias correction is needed, since the average begins at an iterate. (optax.ema begins at 0 and corrects.)

Sources: Polyak, Juditsky (1992); Morales-Brotons, Vogels, Hendrikx, arXiv:2411.18704; torch's AveragedModel with
get_ema_multi_avg_fn.
"""

from dataclasses import dataclass, field

from .. import abi, checks
from ..abi import kernel
from .wrapper import Average


@kernel
def ema(k, p, x, g, s):
    """p = (the wrapped optimizer's p, decay, start, every, address of its kernel in two parts); s = (its slots,
    average)."""
    real = abi.precision(x, g, s)
    last, own = s.shape[0] - 1, p.size - 5
    update = abi.update_at(int(p[own + 3]), int(p[own + 4]), x)
    dt = update(k, p[:own], x, g, s[:last])
    average, past = s[last], k + 1 - int(p[own + 1])
    new = real(1.0 if past <= 0 else 1.0 - p[own])
    if past <= 0 or past % int(p[own + 2]) == 0:
        for i in range(x.size):
            average[i] = average[i] + new * (x[i] - average[i])
    return dt


@dataclass(frozen=True, init=False, repr=False)
class EMA(Average):
    """Exponential moving average of the iterates of an optimizer.

    Parameters
    ----------
    optimizer : Optimizer
    decay : float in [0, 1), default 0.999
        Weight of the old average.
    start : int >= 0, default 0
        The average begins at x_start (x_0 is the initial point).
    every : int >= 1, default 1
        Steps from one averaged iterate to the next.
    **hyperparameters
        Changed ones of the optimizer; of those that are named alike, ``optimizer.changed`` has the wrapped one's.

    Attributes
    ----------
    start_at : int
        The ``start`` given.
    lr, ...
        The hyperparameters of the optimizer.
    """

    title = "EMA"
    look = ("#777777", "X")
    own = ("decay", "start", "every")

    decay: float = field(default=0.999, metadata={"check": checks.real, "numeric": False})

    kernel = staticmethod(ema)

    def __init__(self, optimizer, decay=0.999, start=0, every=1, **hyperparameters):
        self._set(optimizer, hyperparameters.pop("start_at", start), every, hyperparameters)
        object.__setattr__(self, "decay", checks.real("decay", decay, 0.0, 1.0, open_high=True))

    def _numbers_of_page(self):
        return self.decay, self.start_at, self.every

    def refined(self, factor):
        """The wrapped optimizer refined; ``decay`` keeps its time of memory and ``start`` its flow time (rounded)."""
        factor = checks.real("factor", factor, 1e-100, 1e100)
        decay = 1 - (1 - self.decay) / factor
        return EMA(self.optimizer.refined(factor), decay, round(self.start_at * factor), self.every)
