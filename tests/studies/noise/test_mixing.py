"""Conventional wisdoms 2 and 3 of [A002]: lr against lr wd, plateaus, averages, function space."""

import numpy as np
import pytest

import odeopt as oo
from odeopt.studies.networks.generalisation import generalisation
from odeopt.studies.noise import mixing as M
from odeopt.studies.noise.stationary import stationary_covariance

H = np.array([[3.0, 0.7], [0.7, 1.0]])
C = np.array([[1.0, 0.3], [0.3, 0.5]])


def test_lag_distance_is_exact_in_one_dimension():
    """2 s^2 (1 - q^d) for SGD, q = 1 - eta h."""
    eta, h, c, lags = 0.3, 1.2, 0.8, np.array([1, 2, 5, 40])
    q, s2 = 1 - eta * h, eta * c / (h * (2 - eta * h))
    np.testing.assert_allclose(M.lag_distance(oo.GradientDescent(eta), [[h]], [[c]], lags), 2 * s2 * (1 - q**lags),
                               rtol=1e-12)


@pytest.mark.parametrize("method", [oo.GradientDescent(0.2), oo.Momentum(0.05, 0.8)], ids=["gd", "momentum"])
def test_on_a_quadratic_the_distance_reaches_the_ou_plateau(method):
    study = M.lag_distance_quadratic(method, H, C, lags=60, paths=3000, level=0.9999, seed=1)
    assert (np.abs(study.distance - study.predicted) < study.half_width).all()
    assert study.plateau == pytest.approx(2 * np.trace(stationary_covariance(method, H, C)))
    assert abs(study.distance[-1] - study.plateau) < study.half_width[-1]
    assert abs(study.last_doubling - 1) < 0.05


def test_on_a_normalised_network_it_keeps_growing():
    """Within 1/(2 lr wd) steps after a burn-in of 2/(lr wd): nowhere near a plateau."""
    study = M.lag_distance_network(oo.GradientDescent(0.1, weight_decay=0.005), burn=4000, lags=10, stride=100,
                                   paths=8, level=0.95)
    assert study.last_doubling > 1.2
    assert (np.diff(study.distance) > 0).all()


def test_averaging_helps_along_a_run_and_not_across_two():
    study = M.averaged_pairs(oo.GradientDescent(0.1, weight_decay=0.005), paths=8, level=0.95)
    assert study.along_gain > study.along_gain_half
    assert study.across_gain < -study.across_gain_half


def test_function_space_mixes_after_the_intrinsic_time_and_weights_do_not():
    study = M.function_mixing([(0.1, 0.03), (0.03, 0.1)], intrinsic_time=2.0, records=8, paths=6)
    assert (study.memory[:, 0] > 0.5).all()
    late = study.intrinsic_time >= 1.0
    assert (np.abs(study.memory[late]) <= study.memory_half[late] + 0.02).all()
    assert (study.within[:, -1] > 0.02).all()  # the runs do differ: it is the law that is shared
    assert (study.parameters[:, -1] > 0.7).all()  # the weights are as far apart as two random vectors
    assert (study.mixing_time < 1.0).all()


def test_disagreement_counts_and_jackknife():
    predicted = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 2], [3, 3, 3, 3], [3, 3, 3, 1], [3, 3, 3, 3]])
    within, across, memory, half = M._disagreement(predicted, 3, 0.95)
    assert within == pytest.approx(0.5 * (2 / 3 * 0.25 + 2 / 3 * 0.25))
    assert across == pytest.approx(np.mean([[(a != b).mean() for b in predicted[3:]] for a in predicted[:3]]))
    assert memory == pytest.approx(across - within)
    assert half > 0


def test_a_small_lr_generalises_as_well_when_the_product_is_matched():
    """Product .002, lr over a factor of 100, against the same small lr with the large lr's decay."""
    study = generalisation([(0.3, 0.002 / 0.3), (0.03, 0.002 / 0.03), (0.003, 0.002 / 0.003),
                               (0.003, 0.002 / 0.3)], steps=1800, seeds=6, level=0.95)
    matched, half = study.accuracy[:3], study.half_width
    assert (matched > 0.9).all()
    assert matched[0] - matched[2] < half[0] + half[2]  # the smallest lr is not worse
    assert np.ptp(matched) < half[:3].sum()
    # lr alone, at one decay, moves the result by more than lr at one product does.
    assert abs(study.accuracy[3] - matched[0]) > np.ptp(matched)


@pytest.mark.parametrize("call, words", [
    (lambda: M.averaged_pairs(oo.GradientDescent(0.1), first=100, second=230), "multiple of second - first"),
    (lambda: M.lag_distance_network(oo.GradientDescent(0.1), burn=110, stride=100), "multiple of stride"),
    (lambda: M.function_mixing([(0.1, 0.1)], paths=2), "paths must be at least 3"),
    (lambda: generalisation([(0.1, 0.1)], seeds=1), "seeds must be at least 2"),
    (lambda: M.lag_distance(oo.GradientDescent(1.0), H, C, [1]), "spectral radius"),
], ids=range(5))  # fmt: skip
def test_bad_input_is_named_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
