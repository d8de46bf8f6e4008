"""The tanh network on the digits against a forward pass written anew, differences, and tanh itself."""

import numpy as np
import pytest

from odeopt import problems
from odeopt.problems.digits import exponentials
from odeopt.problems.network import tanh_in_place


def plain_loss(x, width, layers, loss, images):
    pixels, labels = problems.digits()
    a, labels = pixels[:images], labels[:images]
    spread = a.std(axis=0)
    a = (a - a.mean(axis=0)) / np.where(spread > 0, spread, 1)
    sizes = (64, *(width,) * layers, 10)
    for i, (before, after) in enumerate(zip(sizes, sizes[1:])):
        w, b, x = x[: before * after].reshape(after, before), x[before * after :][:after], x[(before + 1) * after :]
        a = a @ w.T + b
        a = np.tanh(a) if i < layers else a
    if loss == "squared":
        return 0.5 * ((a - np.eye(10)[labels]) ** 2).sum(axis=1).mean()
    return (np.log(np.exp(a).sum(axis=1)) - a[np.arange(images), labels]).mean()


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_value_and_derivatives_of_the_network(layers, loss):
    p = problems.digits_network(width=4, layers=layers, loss=loss, images=140)  # more than a block
    assert p.dim == 65 * 4 + (layers - 1) * 20 + 50
    assert p.fun(p.x0) == pytest.approx(plain_loss(p.x0, 4, layers, loss, 140), rel=1e-13)
    assert p.check().ok


def test_the_start_is_uniform_in_one_over_the_root_of_the_inputs():
    p = problems.digits_network()
    first, last = p.x0[: 65 * 32], p.x0[-330:]
    assert p.dim == 3466 and p.samples == 500
    assert 0.99 / 8 < np.abs(first).max() < 1 / 8 and 0.97 / 32**0.5 < np.abs(last).max() < 1 / 32**0.5
    assert (problems.digits_network(seed=1).x0 != p.x0).all()


def test_tanh_to_two_units_in_the_last_place():
    x = np.concatenate([np.linspace(-25, 25, 20001), np.geomspace(1e-300, 1, 2001), [0.0, np.inf, -np.inf]])
    y = x.copy()
    tanh_in_place(y)
    np.testing.assert_allclose(y, np.tanh(x), rtol=6e-16, atol=0)
    y = np.array([np.nan])
    tanh_in_place(y)
    assert np.isnan(y[0])


@pytest.mark.parametrize("options", [{"width": 0}, {"layers": 0}, {"loss": "hinge"}, {"images": 0}, {"images": 1798}])
def test_what_no_network_is_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        problems.digits_network(**options)


def test_exponentials_are_right_to_the_last_place():
    x = np.append(np.random.default_rng(0).uniform(-708, 700, 20_000), [0.0, -0.0, -1e-300, 1e-9, -708.0])
    exact = np.exp(x)
    for one in (exponentials, exponentials.py_func):
        found = x.copy()
        one(found)
        assert np.abs(found / exact - 1).max() <= 2.5e-16 + 2.3e-16
        odd = np.array([-np.inf, -1e300, np.nan])
        one(odd)
        assert odd[0] == odd[1] == pytest.approx(3e-308, rel=0.2) and np.isnan(odd[2])
