"""Orders of schemes whose slopes still move: by default, on problems that no level was chosen for."""

import numpy as np
import pytest

import odeopt as oo
from odeopt import problems, schemes
from odeopt.studies.inner import gather
from odeopt.studies.order import series

GRADIENT = oo.flows.gradient_flow()
PROBLEMS = {
    "beale": problems.beale, "himmelblau": problems.himmelblau, "booth": problems.booth, "levy": problems.levy,
    "monkey saddle": problems.monkey_saddle, "rosenbrock": lambda: problems.rosenbrock(2),
    "sine bowl": problems.sine_bowl, "styblinski-tang": problems.styblinski_tang,
    "quadratic": lambda: problems.quadratic([1.0, 2.0, 3.0, 4.0, 5.0], x0=np.ones(5)),
}
# Dormand-Prince with its embedded weights for b: order 4, and the conditions to order 4 do not tell it from 5.
DORMAND_PRINCE = np.array(schemes.dormand_prince.constants)
A, B, E = DORMAND_PRINCE[:49].reshape(7, 7), DORMAND_PRINCE[49:56], DORMAND_PRINCE[56:63]


def gradient_flow_by(scheme):
    return oo.Discretization(GRADIENT, scheme, 1 / 16)


@pytest.mark.parametrize("problem", list(PROBLEMS))
def test_dormand_prince_certifies_by_default(problem):
    study = oo.convergence(gradient_flow_by(schemes.dormand_prince), PROBLEMS[problem](), t_end=1.0)
    assert study.certified and abs(study.order - 5) <= 0.03, study


@pytest.mark.parametrize("t_end", [0.3, 5.0])
@pytest.mark.parametrize("problem", ["beale", "booth"])
def test_dormand_prince_certifies_to_other_times(problem, t_end):
    """To t = 5 the coarsest run on Booth grows to 1e24 and stays finite: round-off is that of the runs that do not."""
    study = oo.convergence(gradient_flow_by(schemes.dormand_prince), PROBLEMS[problem](), t_end=t_end)
    assert study.certified, study


@pytest.mark.parametrize(("h", "levels"), [(1 / 256, 5), (1 / 32, 4), (1 / 4096, 4), (1.0, 3)])
def test_first_levels_do_not_matter(h, levels):
    """From the coarse regime (all runs diverge), from round-off, and between (slopes 6.67, 6.40, 6.12)."""
    problem = problems.sine_bowl() if h == 1 or h < 1 / 1000 else problems.beale()
    study = oo.convergence(oo.Discretization(GRADIENT, schemes.dormand_prince, h), problem, t_end=1.0, levels=levels)
    assert study.certified and study.terms, study


@pytest.mark.parametrize("name", ["explicit-euler", "heun", "rk4", "implicit-euler", "heun-euler", "rkc",
                                  "exponential-euler"])
@pytest.mark.parametrize("problem", ["beale", "himmelblau"])
def test_every_scheme_certifies_by_default(name, problem):
    study = oo.convergence(gradient_flow_by(schemes.ALL[name]), PROBLEMS[problem](), t_end=1.0)
    assert study.certified, study


@pytest.mark.parametrize("problem", ["beale", "himmelblau", "booth", "styblinski-tang"])
@pytest.mark.parametrize("share", [1.0, 0.01])
def test_order_four_declared_five_fails(problem, share):
    """Also with a hundredth of the fourth-order error, of which the slopes of the coarse levels show nothing."""
    wrong = schemes.explicit_runge_kutta("wrong", A, B - share * E, order=5)
    study = oo.convergence(gradient_flow_by(wrong), PROBLEMS[problem](), t_end=1.0)
    assert not study.certified and abs(study.order - 4) <= 0.05, study


def test_series_of_known_errors():
    """e = h^p (c0 + c1 h + c2 h^2) + r with any p, a constant r of the reference, and noise."""
    random, h = np.random.default_rng(0), 0.2 / np.unique(np.round(4 * 32 ** np.linspace(0, 1, 36))) * 4
    for p in (2.0, 3.5, 5.0):
        c = random.normal(size=(3, 20)) * np.array([[1.0], [-8.0], [20.0]])
        exact = (h[:, None, None] ** (p + np.arange(3))[:, None] * c).sum(axis=1) * 1e-8 / 0.2**p
        noisy = exact + 3e-15 * random.normal(size=20) + 1e-16 * random.normal(size=exact.shape)
        found = series.fit_series(h, noisy, 1.0)
        assert found is not None and abs(found.order - p) <= 0.02, (p, found)
    assert series.fit_series(h, 1e-9 * random.normal(size=(h.size, 20)), 1.0) is None  # no series at all


def test_interrupt_in_the_second_look_keeps_the_first(monkeypatch):
    def interrupted(items, work, *, progress=False, describe=str):
        def stop(item):
            raise KeyboardInterrupt

        return gather(items, stop)

    monkeypatch.setattr(series, "gather", interrupted)
    study = oo.convergence(gradient_flow_by(schemes.dormand_prince), problems.beale(), t_end=1.0)
    assert study.interrupted and study.h.size == 8 and not study.certified, study
    assert study.message.startswith("interrupted")
