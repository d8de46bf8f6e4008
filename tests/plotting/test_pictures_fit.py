"""Every picture, with 1, 5 and 30 methods, long labels and three sizes: no word cut off or upon another."""

import inspect
import pathlib
import re

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

from types import SimpleNamespace

import matplotlib.pyplot as plt
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

import odeopt as oo
from odeopt import plotting
from odeopt.plotting import stochastic
from odeopt.plotting.layout import broken

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


@pytest.mark.parametrize(("what", "count", "size"), [
    *((what, *case) for what in ("paths", "errors") for case in ((1, SMALL), (5, USUAL), (30, WIDE))),
    *((what, 5, USUAL) for what in ("curves", "phase", "surface"))])
def test_panels(what, count, size, in_space, runs, monkeypatch):
    fig = plt.figure(figsize=size)
    axes = fig.subplots(*plotting.panel_shape(count), squeeze=False,
                        subplot_kw={"projection": "3d"} if what == "surface" else {})
    if what == "paths":
        plotting.path_panels(SPACE, in_space[:count], axes)
    elif what == "errors":
        plotting.error_panels(in_space[:count], axes)
    elif what == "curves":
        plotting.curve_panels("objective", in_space[:count], axes)
    elif what == "phase":
        plotting.phase_panels(runs[:count], axes)
    else:
        plotting.surface_panels(PLANE, runs[:count], axes)
    assert_readable(fig, monkeypatch)


@pytest.mark.parametrize("name", ["paths", "errors", "surface"])
def test_many_methods_in_a_small_picture(name, runs, monkeypatch):
    fig = plt.figure(figsize=SMALL)
    PICTURES[name](runs, fig)
    assert_readable(fig, monkeypatch)


GRID = np.linspace(-4.0, 1.0, 8), np.linspace(-3.0, 3.0, 8)


def region(ax, name):
    re, im = GRID
    radius = np.abs(1 + re + 1j * im[:, None])
    plotting.stability_region(SimpleNamespace(key="momentum", re=re, im=im, radius=radius, limit=2.0, name=name), ax)


def spectral_map(ax, name):
    lr, momentum = np.linspace(0.1, 3.0, 8), np.linspace(0.0, 0.9, 7)
    plotting.spectral_radius_map(SimpleNamespace(
        lr=lr, momentum=momentum, radius=np.abs(1 - lr) + 0.1 * momentum[:, None], best_lr=1.0, best_momentum=0.0,
        best_radius=0.1, polyak_lr=1.2, polyak_momentum=0.4, polyak_radius=0.3, name=name, mu=0.1, L=1.0), ax)


def basin_map(ax, name):
    x = np.linspace(-3.0, 3.0, 6)
    where = np.add.outer(np.arange(6), np.arange(6)) % 3 - 1
    plotting.basins(SimpleNamespace(x=x, y=x, minima=np.array([[-1.0, 1.0], [2.0, 2.0]]), optimizer=where, flow=where,
                                    spec=oo.Momentum(1e-3, 0.9, weight_decay=0.1).spec()), ax)


def control(ax, name):
    t = np.linspace(0.0, 1.0, 30)
    log = SimpleNamespace(t=t, h_lambda=2.0 + np.sin(9 * t), accepted=t % 0.3 < 0.2, rule="PI", scheme=name)
    plotting.controller_log(log, ax, limit=2.0)


def at_the_edge(ax, name):
    k = np.arange(0.5, 100.0, 10.0)
    theories = ("gradient flow", "modified flow", "principal flow", "central flow", "two-gradient flow", "rod flow")
    paths = np.linspace(0.9, 1.4, 6)[:, None] * np.linspace(10.0, 22.0, k.size)
    plotting.edge(SimpleNamespace(k=k, limit=20.0, formula="2", sharpness=paths[1], theory=theories,
                                  flow_sharpness=paths), ax)
    ax.set_title(name)


def swept(ax, name):
    pairs = tuple((lr, beta) for lr in (1e-3, 1e-2, 0.1) for beta in (0.0, 0.5, 0.9))
    plotting.sweep(SimpleNamespace(names=("lr", "momentum"), combinations=pairs, value=np.geomspace(1e-6, 1.0, 9),
                                   measure="error", method=name, problem="beale",
                                   spec=oo.Momentum(1e-3, 0.9).spec()), ax)


ALONE = {
    "contours": lambda ax, name: plotting.contours(PLANE, ax, resolution=12).set_title(name),
    "stability_region": region,
    "spectral_radius_map": spectral_map,
    "basins": basin_map,
    "controller_log": control,
    "edge": at_the_edge,
    "sweep": swept,
}


@pytest.mark.parametrize(("name", "count", "size"), [
    *((name, *case) for name in ALONE for case in [(1, SMALL), (5, WIDE)]), ("controller_log", 30, USUAL)])
def test_pictures_of_one_method(name, count, size, monkeypatch):
    """Alone in a small figure, and as many as there are methods in one."""
    fig = plt.figure(figsize=size)
    axes = fig.subplots(*plotting.panel_shape(count), squeeze=False).ravel()
    for i, ax in enumerate(axes):
        if i < count:
            ALONE[name](ax, f"{LONG} {i}")
        else:
            ax.set_axis_off()
    assert_readable(fig, monkeypatch)


def ellipses(count, ax):
    c = np.array([[1.0, 0.3], [0.3, 0.5]])
    stochastic.stationary(SimpleNamespace(discrete=c, sampled=1.1 * c, ou=0.9 * c, paths=20_000), ax,
                          samples=np.random.default_rng(0).standard_normal((50, 2)))


def weak_errors(count, ax):
    h = 0.1 * 0.5 ** np.arange(4)
    stochastic.weak_orders([SimpleNamespace(h=h, error=(i + 1) * h, order=1.0, what=word)
                            for i, word in enumerate(names(count))], ax)


def distances(count, ax):
    lag = np.arange(1, 20)
    stochastic.lag_distance([SimpleNamespace(lag=lag, distance=1 - np.exp(-lag / (i + 2)), half_width=0.1, plateau=1.0,
                                             problem=word) for i, word in enumerate(names(count))], ax)


def agreement(count, ax):
    time = np.tile(np.linspace(0.0, 2.0, 9), (count, 1))
    memory = np.exp(-time * np.arange(1, count + 1)[:, None])
    stochastic.function_mixing(SimpleNamespace(lr=np.geomspace(1, 1e-3, count), weight_decay=np.full(count, 1 / 3),
                                               intrinsic_time=time, memory=memory, memory_half=0.1 * memory,
                                               parameters=0.5 * memory), ax)


NOISY = {"stationary": ellipses, "weak_orders": weak_errors, "lag_distance": distances, "function_mixing": agreement}


@pytest.mark.parametrize(("name", "count", "size"), [
    (name, *case) for name in NOISY for case in (CASES if name != "stationary" else [(1, SMALL), (1, WIDE)])])
def test_pictures_of_noise(name, count, size, monkeypatch):
    fig = plt.figure(figsize=size)
    NOISY[name](count, fig.subplots())
    assert_readable(fig, monkeypatch)


def test_every_picture_is_drawn_here():
    """A function that draws (it takes axes or a figure) stands in one of the tables above, or is drawn by name."""
    drawing = {name for module in (plotting, stochastic) for name, f in vars(module).items() if inspect.isfunction(f)
               and f.__module__.startswith("odeopt.plotting")
               and {"ax", "axes", "fig"} & {*inspect.signature(f).parameters}}
    text = pathlib.Path(__file__).read_text(encoding="utf-8")
    missing = {name for name in drawing - {"below"} - {*NOISY} - {*ALONE}
               if not re.search(rf"(plotting|stochastic)\.{name}\(|plain\(\"{name}\"", text)}
    assert len(drawing) > 20 and not missing


@pytest.mark.parametrize(("count", "size"), [(1, SMALL), (5, USUAL), (30, USUAL)])
def test_races(count, size, runs, monkeypatch):
    fig = plt.figure(figsize=size)
    made = plotting.race(PLANE, runs[:count], fig, frames=2, labels=names(count), caption="as suggested, not tuned")
    made._draw_was_started = True  # drawn frame by frame elsewhere
    assert_readable(fig, monkeypatch)


def test_the_label_of_a_colour_bar_costs_no_width():
    study = oo.spectral_radius_map(oo.Momentum(0.1), 1.0, 10.0, lr=[0.1, 0.2, 0.3], momentum=[0.1, 0.5, 0.9])
    with plotting.style():
        fig = plt.figure(figsize=(6.4, 4.6), layout="constrained")
        plotting.spectral_radius_map(study, fig.subplots())
        fig.canvas.draw()
    assert fig.get_size_inches().tolist() == [6.4, 4.6]
    plt.close(fig)


def test_a_number_stays_in_the_line_of_its_name():
    font = FontProperties(size=10)
    for room in range(20, 200, 10):
        lines = broken("gradient descent, lr 0.00017, momentum 0.9", room, font).split("\n")
        assert any("lr 0.00017" in line for line in lines) and any("momentum 0.9" in line for line in lines)
    assert len(lines) == 2 and lines[0] == "gradient descent, lr 0.00017,"
