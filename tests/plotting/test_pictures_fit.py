"""Every picture, with 1, 5 and 30 methods, long labels and three sizes: no word cut off or upon another."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

from types import SimpleNamespace

import matplotlib.pyplot as plt
from matplotlib.text import Text

import odeopt as oo
from odeopt import plotting
from odeopt.plotting import stochastic

PLANE, SPACE = oo.problems.booth(), oo.problems.quadratic([1.0, 4.0, 9.0])
SMALL, USUAL, WIDE = (3.0, 2.4), (6.4, 4.4), (12.0, 5.0)
CASES = [(1, SMALL), (5, SMALL), (30, USUAL), (5, WIDE)]
LONG = "momentum with a friction that falls as the inverse of the time, number"


def drawn_words(fig, monkeypatch):
    """The texts that a drawing of the figure really draws."""
    found = []
    with monkeypatch.context() as patch:
        draw = Text.draw
        patch.setattr(Text, "draw", lambda self, renderer: (found.append(self), draw(self, renderer))[1])
        fig.draw_without_rendering()
    return list(dict.fromkeys(text for text in found
                              if text.get_visible() and text.get_text().strip()))


def assert_readable(fig, monkeypatch):
    words = drawn_words(fig, monkeypatch)
    assert words
    renderer = fig.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in words]
    for text, box in zip(words, boxes):
        assert box.x0 > -1.5 and box.y0 > -1.5, f"{text.get_text()!r} is cut off"
        assert box.x1 < fig.bbox.width + 1.5 and box.y1 < fig.bbox.height + 1.5, f"{text.get_text()!r} is cut off"
    edges = np.array([box.extents for box in boxes])
    across = np.minimum.outer(edges[:, 2], edges[:, 2]) - np.maximum.outer(edges[:, 0], edges[:, 0])
    down = np.minimum.outer(edges[:, 3], edges[:, 3]) - np.maximum.outer(edges[:, 1], edges[:, 1])
    for i, j in np.argwhere(np.triu((across > 1.5) & (down > 1.5), 1)):
        raise AssertionError(f"{words[i].get_text()!r} and {words[j].get_text()!r} are upon each other")


@pytest.fixture(scope="module")
def runs():
    methods = [oo.Momentum(lr=1e-3 * 1.1**i, momentum=0.8) for i in range(30)]
    return [oo.compare(m, PLANE, steps=12, check=False) for m in methods]


@pytest.fixture(scope="module")
def in_space():
    return [oo.compare(oo.GradientDescent(0.002 * (i + 1)), SPACE, steps=12, local=False, check=False)
            for i in range(30)]


@pytest.fixture(autouse=True)
def closed():
    with plotting.style():
        yield
    plt.close("all")


def names(count):
    return [f"{LONG} {i}" for i in range(count)]


def plain(name, **options):
    return lambda data, fig: getattr(plotting, name)(data, fig.subplots(), labels=names(len(data)), **options)


def orders(data, fig):
    h = 0.1 * 0.5 ** np.arange(5)
    words = names(len(data))
    studies = [SimpleNamespace(h=h, error=(i + 1) * h, order=1.0, label=words[i]) for i in range(len(words))]
    return plotting.convergence(studies, fig.subplots())


def costs(data, fig):
    cost = np.geomspace(10, 1000, 4)
    study = SimpleNamespace(specs=[f"method{i}" for i in range(len(data))], labels=names(len(data)),
                            gradients=[cost] * len(data), error=[(i + 1) / cost for i in range(len(data))])
    return plotting.work_precision(study, fig.subplots())


def equilibria(data, fig):
    n = len(data)
    study = SimpleNamespace(lr=np.geomspace(1, 1e-3, n), weight_decay=np.full(n, 1 / 3), predicted=np.ones(n),
                            k=np.tile(np.arange(1, 50), (n, 1)), norm2=np.linspace(1, 2, 49) * np.ones((n, 1)))
    return stochastic.norm_equilibrium(study, fig.subplots())


PICTURES = {
    "paths": lambda data, fig: plotting.trajectories(PLANE, data, fig.subplots(), labels=names(len(data))),
    "errors": plain("errors"),
    "objectives": plain("objectives"),
    "gradients": plain("gradient_norms"),
    "rates": plain("learning_rates"),
    "steps": plain("step_lengths"),
    "clocks": plain("clocks"),
    "phase": plain("phase_portrait"),
    "surface": lambda data, fig: plotting.surface(PLANE, data, fig.add_subplot(projection="3d"),
                                                  labels=names(len(data))),
    "orders": orders,
    "costs": costs,
    "equilibria": equilibria,
}


ALIKE = ("gradients", "rates", "clocks", "steps")  # drawn by the code of the objectives: the most crowded case will do


@pytest.mark.parametrize(("name", "count", "size"),
                         [(name, *case) for name in PICTURES for case in (CASES[2:3] if name in ALIKE else CASES)])
def test_no_word_is_cut_off_or_upon_another(name, count, size, runs, monkeypatch):
    fig = plt.figure(figsize=size)
    PICTURES[name](runs[:count], fig)
    assert_readable(fig, monkeypatch)


@pytest.mark.parametrize(("count", "size"), CASES)
def test_the_principal_plane(count, size, in_space, monkeypatch):
    fig = plt.figure(figsize=size)
    plotting.principal_plane(in_space[:count], fig.subplots(), labels=names(count))
    assert_readable(fig, monkeypatch)


@pytest.mark.parametrize(("count", "size"), [(1, SMALL), (5, USUAL), (30, WIDE)])
@pytest.mark.parametrize("what", ["paths", "errors"])
def test_panels(what, count, size, in_space, monkeypatch):
    fig = plt.figure(figsize=size)
    axes = fig.subplots(*plotting.panel_shape(count), squeeze=False)
    if what == "paths":
        plotting.path_panels(SPACE, in_space[:count], axes)
    else:
        plotting.error_panels(in_space[:count], axes)
    assert_readable(fig, monkeypatch)


@pytest.mark.parametrize("name", ["paths", "errors", "surface"])
def test_many_methods_in_a_small_picture(name, runs, monkeypatch):
    fig = plt.figure(figsize=SMALL)
    PICTURES[name](runs, fig)
    assert_readable(fig, monkeypatch)


@pytest.mark.parametrize(("count", "size"), [(1, SMALL), (5, USUAL), (30, USUAL)])
def test_races(count, size, runs, monkeypatch):
    fig = plt.figure(figsize=size)
    made = plotting.race(PLANE, runs[:count], fig, frames=2, labels=names(count), caption="as suggested, not tuned")
    made._draw_was_started = True  # drawn frame by frame elsewhere
    assert_readable(fig, monkeypatch)
