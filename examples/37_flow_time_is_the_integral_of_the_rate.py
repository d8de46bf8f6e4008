"""Under a schedule, flow time is the integral of the step, and the flow moves with the learning rate.

Three schedules of gradient descent look like three methods when drawn over steps and are one curve when
drawn over flow time. For methods with memory the constants move too: Adam's memory times are
tau = lr/(1 - beta), and the velocity of the heavy ball keeps its value per *step*, which adds h'/h to its
friction. With lr -> lr/f at step k/f the runs converge to that flow: measured slopes of the largest
error, at f = 32 to 64: 1.0005 (gradient descent), 1.0010 (Adam), 1.0001 (heavy ball).
"""

import numpy as np

import odeopt as oo

PROBLEM = oo.problems.sine_bowl()
SCHEDULE = oo.schedules.warmup(20, oo.schedules.cosine(40, end=0.1), start=0.2)
METHODS = (oo.GradientDescent(lr=0.05), oo.Adam(lr=0.05, beta1=0.8, beta2=0.9), oo.Momentum(lr=0.0025))


def slope(optimizer, factors=(32, 64)):
    """Observed order of the scheduled run against the scheduled flow."""
    t_end = 0.95 * oo.record(optimizer, PROBLEM, steps=60, schedule=SCHEDULE).t[-1]
    flow = oo.reference(optimizer, PROBLEM, t_end=t_end, schedule=SCHEDULE)
    errors = []
    for factor in factors:
        run = oo.record(optimizer.refined(factor), PROBLEM, every=factor, t_end=t_end,
                        schedule=SCHEDULE.refined(factor))
        t = run.t[run.t <= t_end]
        errors.append(np.linalg.norm(run.x[: t.size] - flow(t), axis=1).max())
    return np.log2(errors[0] / errors[1]) / np.log2(factors[1] / factors[0])


def main():
    """(computed, theory, tolerance): order 1 for each method; the flow time itself."""
    run = oo.record(METHODS[0], PROBLEM, steps=60, schedule=SCHEDULE)
    total = SCHEDULE(np.arange(60), 0.05).sum()
    return [(slope(method), 1.0, 0.005) for method in METHODS] + [(run.t[-1], total, 1e-13)]


def draw_figure(fig):
    """The same runs over steps and over flow time."""
    axes = fig.subplots(1, 2, sharey=True)
    schedules = {"constant": None, "warm-up, cosine": SCHEDULE, "inverse time": oo.schedules.inverse_time(0.05)}
    for name, schedule in schedules.items():
        run = oo.record(METHODS[0], PROBLEM, steps=80, schedule=schedule)
        for ax, abscissa in zip(axes, (run.k, run.t), strict=True):
            ax.plot(abscissa, run.f, ".", ms=4, label=name)
    for ax, words in zip(axes, ("steps", "flow time"), strict=True):
        ax.set(xlabel=words, title=f"over {words}")
        ax.legend()
    axes[0].set_ylabel("f")


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
