"""Pictures: every function draws on the Axes it gets, refuses what it cannot draw, and repeats to the pixel."""

import dataclasses
import hashlib
import io

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import places
from matplotlib.colors import to_rgb

import odeopt as oo
from odeopt import plotting
from odeopt.plotting import gallery
from odeopt.plotting.style import look
from odeopt.studies.search.basins import basins
from odeopt.studies.search.lr_search import Tuned, tune

PLANE = oo.problems.beale()
SPACE = oo.problems.quadratic([1.0, 4.0, 9.0, 30.0])


@pytest.fixture(autouse=True)
def closed():
    with plotting.style():
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def comparisons():
    return [oo.compare(o, PLANE, steps=60, check=False) for o in
            (oo.GradientDescent(0.02), oo.Momentum(0.005), oo.Rprop(0.01))]


@pytest.fixture(scope="module")
def in_space():
    return [oo.compare(o, SPACE, steps=50, local=False, check=False) for o in (oo.GradientDescent(0.02), oo.Adam(0.02))]


def line_with(ax, points):
    """Whether a line of the Axes holds exactly these points."""
    return any(np.array_equal(line.get_xydata(), points, equal_nan=True) for line in ax.lines)


def test_trajectories_show_iterates_and_flow(comparisons):
    ax = plotting.trajectories(PLANE, comparisons, plt.subplots()[1])
    for c in comparisons:
        assert line_with(ax, c.run.x)
    end = comparisons[0].reference(comparisons[0].reference.t_end)
    assert any(len(line.get_xydata()) and np.array_equal(line.get_xydata()[-1], end) for line in ax.lines)
    words = [t.get_text() for t in ax.get_legend().get_texts()]
    assert any("0.02" in w and "gradient descent" in w for w in words)  # the learning rate is printed
    assert {"start", "minimum"} <= set(words)


def test_contours_are_logarithmic_where_asked_for():
    from odeopt.plotting.maps import grid, levels_of

    _, _, f = grid(oo.problems.rosenbrock(), [(-2, 2), (-1, 3)], 41)
    base, levels, logarithmic = levels_of(f, 0.0)
    assert logarithmic
    assert np.allclose(np.diff(np.log(levels)), np.log(levels[1] / levels[0]))
    _, _, f = grid(oo.problems.saddle(), [(-1, 1), (-1, 1)], 41)
    assert not levels_of(f)[2]


def test_grid_is_the_objective():
    from odeopt.plotting.maps import grid

    x, y, f = grid(PLANE, PLANE.window, 9)
    assert f[3, 5] == PLANE.fun([x[5], y[3]])


def test_errors_are_the_comparisons(comparisons):
    ax = plotting.errors(comparisons, plt.subplots()[1], local=True)
    assert line_with(ax, np.column_stack([comparisons[0].t[1:], comparisons[0].error[1:]]))
    assert "no classical flow" in ax.get_legend().get_texts()[2].get_text()
    assert ax.get_yscale() == "log"


def test_objectives_subtract_the_minimum(comparisons):
    ax = plotting.objectives(comparisons, plt.subplots()[1])
    run = comparisons[0].run
    assert np.allclose(ax.lines[0].get_xydata(), np.column_stack([run.n_grad, run.f]), rtol=1e-9)


def test_principal_plane_states_the_variance(in_space):
    ax = plotting.principal_plane(in_space, plt.subplots()[1])
    shares = [float(t.split("(")[1].split("%")[0]) for t in (ax.get_xlabel(), ax.get_ylabel(), ax.get_title())]
    assert shares[0] >= shares[1] > 0
    assert shares[2] == pytest.approx(shares[0] + shares[1], abs=0.11)
    assert shares[2] <= 100


def test_panels_have_one_run_each(comparisons, in_space):
    """In each panel its own iterates and flow, and the others in grey where there is no contour map."""
    for runs, problem in ((comparisons, PLANE), (in_space, SPACE)):
        axes = plt.subplots(*plotting.panel_shape(len(runs)), squeeze=False)[1]
        plotting.path_panels(problem, runs, axes)
        for run, ax in zip(runs, axes.flat):
            assert ax.get_title().startswith(run.method.title)
            colours = {line.get_color() for line in ax.lines}
            assert plotting.look(type(run.method).__name__)[0] in colours
            assert len([other for other in runs if plotting.look(type(other.method).__name__)[0] in colours]) == 1
        assert [ax.axison for ax in axes.flat] == [True] * len(runs) + [False] * (axes.size - len(runs))
    axes = plotting.error_panels(comparisons, plt.subplots(2, 3)[1])
    shown = [line for line in axes[0, 0].lines if line.get_linewidth() > 2]
    assert np.allclose(shown[0].get_ydata(), comparisons[0].error[1:], rtol=1e-12)
    with pytest.raises(ValueError, match="axes must be at least"):
        plotting.path_panels(PLANE, comparisons, plt.subplots(1, 1)[1])


def test_steps_are_those_of_the_clock():
    run = oo.record(oo.ErrorControlledEuler(0.05), PLANE, steps=30)
    ax = plotting.step_lengths(run, plt.subplots()[1])
    g = [np.linalg.norm(PLANE.grad(x)) for x in run.x[:-1]]
    assert np.allclose(ax.lines[0].get_ydata(), 0.05 / np.array(g), rtol=1e-9)  # tol/|g|: [A000], eq. 9


@pytest.mark.parametrize("name", ["gradient_norms", "learning_rates", "clocks"])
def test_curves(comparisons, name):
    ax = getattr(plotting, name)(comparisons, plt.subplots()[1])
    assert len(ax.lines) == len(comparisons)
    assert ax.get_xlabel() and ax.get_ylabel()


def test_phase_portrait_and_surface(comparisons):
    ax = plotting.phase_portrait(comparisons[1], plt.subplots()[1])
    c = comparisons[1]
    velocity = c.run.memory[:, 0] / c.method.h
    drawn = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == len(c.run)]
    assert any(np.allclose(y, velocity[:, 0]) for y in drawn)
    ax = plotting.surface(PLANE, comparisons, plt.subplots(subplot_kw={"projection": "3d"})[1])
    assert "log" in ax.get_zlabel()
    with pytest.raises(ValueError, match="second-order"):
        plotting.phase_portrait(comparisons[0], plt.subplots()[1])
    with pytest.raises(ValueError, match="three-dimensional"):
        plotting.surface(PLANE, None, plt.subplots()[1])


def test_convergence_draws_its_triangle():
    study = oo.convergence(oo.GradientDescent(0.1), oo.problems.sine_bowl(), t_end=0.8, levels=4)
    ax = plotting.convergence(study, plt.subplots()[1])
    assert line_with(ax, np.column_stack([study.h, study.error]))
    triangle = ax.lines[1].get_xydata()
    slope = np.log(triangle[2, 1] / triangle[1, 1]) / np.log(triangle[1, 0] / triangle[0, 0])
    assert slope == pytest.approx(1.0)
    assert f"{study.order:.2f}" in ax.get_legend().get_texts()[0].get_text()


def test_studies_of_cost_and_stability():
    methods = [oo.GradientDescent(0.1), oo.Adam(0.1)]
    study = oo.work_precision(methods, oo.problems.sine_bowl(), t_end=0.8, levels=2, repeats=1)
    for cost in ("gradients", "seconds"):
        assert len(plotting.work_precision(study, plt.subplots()[1], cost=cost).lines) == 2
    region = oo.stability_region(oo.schemes.explicit_euler, resolution=41)
    ax = plotting.stability_region(region, plt.subplots()[1])
    assert ax.texts[0].get_text() == "-2"
    surface = oo.spectral_radius_map(oo.Momentum(0.1), lr=np.linspace(0.02, 0.4, 9), momentum=np.linspace(0, 0.9, 7))
    assert "spectral radius" in plotting.spectral_radius_map(surface, plt.subplots()[1]).get_title()
    with pytest.raises(ValueError, match="cost"):
        plotting.work_precision(study, plt.subplots()[1], cost="money")


def test_basins_and_their_picture():
    study = basins(oo.GradientDescent(0.01), oo.problems.himmelblau(), resolution=9)
    for i, m in enumerate(study.minima):  # a start next to a minimum belongs to it, for both
        row, column = np.abs(study.y - m[1]).argmin(), np.abs(study.x - m[0]).argmin()
        assert study.flow[row, column] == study.optimizer[row, column] == i
    assert 0.8 < study.fidelity <= 1
    ax = plotting.basins(study, plt.subplots()[1], flow=True)
    assert np.array_equal(ax.images[0].get_array(), study.flow + 1)
    with pytest.raises(ValueError, match="minima"):
        basins(oo.GradientDescent(0.01), PLANE)


def test_controller_log():
    method = oo.Discretization(oo.flows.gradient_flow(), oo.schemes.heun_euler, 0.1, rtol=1e-3)
    run = oo.record(method, PLANE, t_end=0.5)
    ax = plotting.controller_log(run, plt.subplots()[1], limit=1.0)
    accepted = np.asarray(run.step_log["accepted"], dtype=bool)
    assert np.array_equal(ax.lines[0].get_ydata(), run.step_log["h"][accepted])
    with pytest.raises(ValueError, match="step log"):
        plotting.controller_log(oo.record(oo.GradientDescent(0.01), PLANE, steps=3), plt.subplots()[1])


def test_pictures_of_what_diverged_or_was_never_run():
    """A logarithmic axis without a finite value, and a legend without a line."""
    method, problem = oo.GradientDescent(1e-3), oo.problems.beale()
    order = oo.convergence(method, problem, t_end=0.01, levels=3)
    cost = oo.work_precision([method], problem, levels=2, steps=2, repeats=1)
    swept = oo.sweep(method, problem, problem.x0, 2, grid={"lr": [1e-3, 2e-3]}, measure="gap")
    lost = [dataclasses.replace(order, error=np.full(3, np.inf), order=np.nan),
            dataclasses.replace(order, h=np.empty(0), error=np.empty(0), order=np.nan),
            dataclasses.replace(cost, error=np.full((1, 2), np.inf), gap=np.full((1, 2), np.inf)),
            dataclasses.replace(cost, labels=(), specs=(), error=np.empty((0, 2)), gap=np.empty((0, 2))),
            dataclasses.replace(swept, value=np.full(2, np.inf)),
            dataclasses.replace(swept, combinations=(), value=np.empty(0))]
    for study in lost:
        fig = plt.figure()
        ax = fig.subplots()
        draw = {"Convergence": plotting.convergence, "Sweep": plotting.sweep}.get(type(study).__name__)
        (draw or plotting.work_precision)(study, ax)
        fig.draw_without_rendering()
        plt.close(fig)



def test_bad_input(comparisons):
    ax = plt.subplots()[1]
    with pytest.raises(ValueError, match="2 variables"):
        plotting.contours(SPACE, ax)
    with pytest.raises(ValueError, match="window"):
        plotting.contours(PLANE, ax, ((1, 0), (0, 1)))
    run = comparisons[0].run
    empty = type(run)(**{**{f: getattr(run, f) for f in run.__dataclass_fields__}, "k": run.k[:0], "t": run.t[:0],
                         "x": run.x[:0], "f": run.f[:0]})
    with pytest.raises(ValueError, match="empty"):
        plotting.trajectories(PLANE, empty, ax)
    with pytest.raises(ValueError, match="at least one"):
        plotting.trajectories(PLANE, [], ax)
    with pytest.raises(TypeError, match="Comparison"):
        plotting.errors(run, ax)
    with pytest.raises(TypeError, match="int"):
        plotting.objectives(3, ax)
    with pytest.raises(ValueError, match="labels"):
        plotting.objectives(run, ax, labels=["a", "b"])


@pytest.mark.parametrize("draw", ["contours", "surface"])
def test_maps_of_odd_ground(draw):
    """Nothing finite is refused; flat ground, cliffs and what a float can hold at most are drawn."""
    three = {"subplot_kw": {"projection": "3d"}} if draw == "surface" else {}
    picture = getattr(plotting, draw)
    more = (None,) if draw == "surface" else ()
    window = ((-1.0, 1.0), (-1.0, 1.0))
    with np.errstate(all="ignore"):
        for value in (np.nan, np.inf, -np.inf):
            with pytest.raises(ValueError, match="window must hold a point where the objective is finite"):
                picture(ground(lambda x, value=value: value), *more, plt.subplots(**three)[1], window)
        for value in (lambda x: -7.0, lambda x: 1e308 * x[0], lambda x: 1.0 / (x[0] > 0),
                      lambda x: np.log(x[0]) if x[0] > 0 else np.nan):
            fig, ax = plt.subplots(**three)
            picture(ground(value), *more, ax, window)
            fig.draw_without_rendering()


def ground(value):
    """A plane problem with this objective, called as a compiled one is."""
    from types import SimpleNamespace

    return SimpleNamespace(name="ground", dim=2, window=None, x0=np.zeros(2), f_min=None, minima=(), data=None,
                           fg=lambda x, g, data: float(value(x)), fun=value)


def test_labels_are_shown_as_they_are(comparisons):
    """matplotlib leaves out labels that begin with "_", and takes two dollars for a formula."""
    words = ["_mine", "5$ of {6$", "_"]
    for name in ("errors", "objectives", "trajectories", "clocks"):
        fig, ax = plt.subplots()
        first = (PLANE,) if name == "trajectories" else ()
        getattr(plotting, name)(*first, comparisons, ax, labels=words)
        shown = [t.get_text() for t in ax.get_legend().get_texts()]
        assert shown[0].startswith("_mine") and shown[1].startswith(r"5\$ of {6\$") and shown[2].startswith("_")
        fig.canvas.draw()


def test_a_diverged_run_is_drawn_as_diverged():
    """Its legend says so, a cross marks where it was last seen, and no flow stands under its name."""
    problem = oo.problems.rosenbrock()
    result = oo.compare(oo.GradientDescent(10.0), problem, steps=50, local=False, check=False)
    assert result.run.status == "diverged" and result.reference is not None
    fig, ax = plt.subplots()
    plotting.trajectories(problem, [result, oo.compare(oo.Adam(0.01), problem, steps=20, check=False)], ax)
    assert "diverged at step" in ax.get_legend().get_texts()[0].get_text()
    color = plotting.look("gd")[0]
    mine = [line for line in ax.lines if line.get_color() == color]
    assert [line.get_marker() for line in mine if line.get_marker() == "x"]
    assert not any(line.get_linewidth() == 1.7 for line in mine)  # the width of a flow
    fig.canvas.draw()


@pytest.fixture(scope="module")
def gone():
    """A run that diverged at once, and one that did not, each with its flow."""
    return [oo.compare(oo.Momentum(5.0), PLANE, steps=60, check=False, local=True),
            oo.compare(oo.Momentum(0.002), PLANE, steps=60, check=False, local=True)]


def test_the_legend_gives_a_diverged_run_no_line(gone):
    ax = plotting.trajectories(PLANE, gone, plt.subplots()[1])
    marks = [(handle.get_marker(), handle.get_linestyle()) for handle in ax.get_legend().legend_handles[:2]]
    assert marks[0] == ("x", "None") and marks[1][1] == "-"


@pytest.mark.parametrize("name", ["objectives", "gradient_norms", "errors"])
def test_a_diverged_run_leaves_by_the_upper_end_and_the_others_stay_in_view(gone, name):
    ax = getattr(plotting, name)(gone, plt.subplots()[1])
    far, near = ax.lines[0].get_ydata(), ax.lines[1].get_ydata()
    low, high = ax.get_ylim()
    assert np.nanmax(far) > high and high < 1e7 * np.nanmax(near) and low < np.nanmin(near) and low > 1e-9
    alone = getattr(plotting, name)(gone[1], plt.subplots()[1])
    assert np.nanmax(near) < alone.get_ylim()[1] < 10 * np.nanmax(near)


def test_a_diverged_run_has_a_cross_on_the_surface_and_in_the_phase_plane(gone):
    color = plotting.looks([c.method for c in gone])[0].color
    for ax in (plotting.surface(PLANE, gone, plt.subplots(subplot_kw={"projection": "3d"})[1]),
               plotting.phase_portrait(gone, plt.subplots()[1])):
        mine = [line for line in ax.lines if line.get_color() == color]
        assert any(line.get_marker() == "x" for line in mine)
        assert np.abs(ax.get_xlim()).max() < 100
    assert not any(line.get_linestyle() == "-" and len(line.get_xdata()) == 2000 for line in mine)


def test_a_diverged_run_has_no_say_in_the_principal_plane():
    runs = [oo.compare(o, SPACE, steps=50, local=False, check=False) for o in (oo.GradientDescent(5.0), oo.Adam(0.02))]
    assert runs[0].run.status == "completed" and runs[0].run.f[-1] > 1e100  # on its way
    ax = plotting.principal_plane(runs, plt.subplots()[1])
    handles = ax.get_legend().legend_handles
    assert np.ptp(ax.get_xlim()) < 10 and handles[0].get_marker() == "x" and handles[0].get_linestyle() == "None"
    assert handles[1].get_linestyle() == "-" and ": diverges, f = " in ax.get_legend().get_texts()[0].get_text()


def test_a_race_goes_on_without_a_diverged_run(gone):
    made = movie(gone)
    made.save("nothing", writer=Nothing())
    ax = plt.gcf().axes[0]
    heads = [line for line in ax.lines if line.get_zorder() == 8]
    assert heads[0].get_marker() == "x" and len(heads[0].get_xdata()) == 1
    assert np.array_equal(heads[1].get_xydata()[0], gone[1].run.x[-1])
    assert ax.get_title(loc="left") == "60 gradient evaluations"


def test_surface_marks_start_and_minimum_with_a_legend_outside(comparisons):
    fig, ax = plt.subplots(subplot_kw={"projection": "3d"})
    plotting.surface(PLANE, comparisons, ax)
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words[-2:] == ["start", "minimum"] and len(words) == len(comparisons) + 2
    fig.canvas.draw()
    box, legend = ax.get_window_extent(), ax.get_legend().get_window_extent()
    assert legend.y1 <= box.y0 + 1  # below the picture


def test_curves_that_coincide_are_all_seen():
    """Their markers stand at different places."""
    runs = [oo.record(o, PLANE, steps=100) for o in (oo.Adam(0.01), oo.RMSprop(0.01), oo.NAdam(0.01))]
    for name in ("learning_rates", "clocks"):
        ax = getattr(plotting, name)(runs, plt.subplots()[1])
        places = [set(line.get_markevery()) for line in ax.lines]
        assert all(len(p) > 5 for p in places) and not (places[0] & places[1] | places[1] & places[2])


def test_a_start_far_from_the_problems_window_is_shown_with_its_path():
    run = oo.record(oo.Adam(10.0), PLANE, [300.0, 200.0], steps=20)
    ax = plotting.trajectories(PLANE, run, plt.subplots()[1])
    window = np.array([ax.get_xlim(), ax.get_ylim()])
    assert ((run.x > window[:, 0]) & (run.x < window[:, 1])).all() and ax.get_aspect() == 1.0


@pytest.mark.parametrize("kind", ["objective", "gradient", "rate", "step", "clock"])
def test_curve_panels_show_one_run_each_and_the_others_in_grey(comparisons, kind):
    axes = plt.subplots(2, 2)[1]
    plotting.curve_panels(kind, comparisons, axes)
    for c, ax in zip(comparisons, axes.flat):
        strong = [line for line in ax.lines if line.get_linewidth() > 2]
        assert len(strong) == 1 and len(ax.lines) == 1 + len(comparisons)
        assert strong[0].get_color() == plotting.look(c.method.key)[0]
    with pytest.raises(ValueError, match="kind must be one of 'objective'"):
        plotting.curve_panels("errors", comparisons, axes)


def test_maps_are_to_scale_and_fit_their_paths():
    run = oo.record(oo.GradientDescent(0.01), PLANE, [2.0, 0.1], steps=40)
    ax = plotting.trajectories(PLANE, run, plt.subplots()[1])
    window = np.array([ax.get_xlim(), ax.get_ylim()])
    shown = np.vstack([run.x, PLANE.minima])
    assert ax.get_aspect() == 1.0
    assert ((shown > window[:, 0]) & (shown < window[:, 1])).all()
    assert (np.diff(window)[:, 0] < 1.6 * np.ptp(shown, axis=0).max()).all()
    strip = plotting.trajectories(PLANE, run, plt.subplots()[1], ((0, 30), (0, 1)))
    assert strip.get_aspect() == "auto"


def test_equal_finishers_are_told_apart(comparisons):
    made = movie([comparisons[0]] * 3)
    made.save("nothing", writer=Nothing())
    sizes = [line.get_markersize() for line in plt.gcf().axes[0].lines if line.get_zorder() == 8]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 3


# The look -----------------------------------------------------------------------------------------


LOOKS = {name: cls.look for name, cls in (oo.optimizers.ALL | oo.optimizers.WRAPPERS).items() if cls.look}


def test_no_two_optimizers_look_alike():
    """A page may name its look; else it is made from its key."""
    every = [look(name) for name in (*oo.optimizers.ALL, *oo.optimizers.WRAPPERS)]
    assert len(set(every)) == len(every)
    assert look("gd") == look("GradientDescent") == LOOKS["gradientdescent"]


def test_unknown_names_have_a_stable_look():
    assert look("my method") == look("my method")
    assert look("my method") != look("another method")


def luminance(color):
    channels = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return np.dot([0.2126, 0.7152, 0.0722], channels)


def test_colours_stand_out_from_white():
    """WCAG asks graphics for a contrast of 3; the yellows of the palette are held to 2."""
    for name, (color, _) in LOOKS.items():
        assert 1.05 / (luminance(color) + 0.05) > 2, name


def test_figures_are_opaque_white():
    fig, _ = plt.subplots()
    fig.canvas.draw()
    assert (np.asarray(fig.canvas.buffer_rgba())[0, 0] == 255).all()


def test_no_two_methods_share_a_colour():
    from odeopt.plotting.palette import distance

    everything = [cls.__name__ for cls in oo.optimizers.ALL.values()]
    for methods in (everything, [f"method{i}" for i in range(40)], [oo.Adam(0.1 + i) for i in range(30)],
                    [oo.Adam(0.1 + i // 9) for i in range(60)]):
        colors = [style.color.lower() for style in plotting.looks(methods)]
        assert len(set(colors)) == len(colors)
    palette = plotting.palette.PALETTE
    assert min(distance(a, b) for i, a in enumerate(palette) for b in palette[:i]) > 0.045
    assert all(2.3 < 1.05 / (luminance(color) + 0.05) < 15 for color in palette)


def test_a_key_has_a_colour_for_ever():
    """Alone and among others, unless one of these looks like it."""
    from odeopt.plotting import palette

    assert palette.color("radam") == palette.assign(["radam"])[0]
    assert palette.color("radam") == palette.assign(["adam", "radam"], ["#000000", None])[1]
    assert palette.assign(["a", "b"], ["#0072B2", "#0072B2"])[0] == "#0072B2"
    assert len(set(palette.assign(["same"] * 90))) == 90


def test_threads_that_overlap_leave_the_settings_as_they_were():
    import threading

    plain = matplotlib.rcParams.copy()
    first, second = plotting.style(), plotting.style()
    ends = [threading.Event(), threading.Event()]

    def inside(context, mine, other):
        with context:
            mine.set()
            assert other.wait(20)

    # The first to come is the first to go.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        before = dict(matplotlib.rcParams)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert matplotlib.rcParams["legend.fancybox"] is False  # the second still draws
        second.__exit__(None, None, None)
        assert dict(matplotlib.rcParams) == before
        threads = [threading.Thread(target=inside, args=(plotting.style(), ends[i], ends[1 - i])) for i in (0, 1)]
        [t.start() for t in threads]
        [t.join(30) for t in threads]
        assert dict(matplotlib.rcParams) == before
    assert matplotlib.rcParams.copy() == plain


def test_twins_differ():
    first, second = plotting.looks([oo.Adam(0.1), oo.Adam(0.2)])
    assert first.color != second.color and first.marker != second.marker
    assert "0.1" in first.label and "0.2" in second.label


# Tuning -------------------------------------------------------------------------------------------


def test_tune_finds_the_best_rate_of_a_parabola():
    problem = oo.problems.quadratic([4.0])
    study = tune(oo.GradientDescent(0.1), problem, steps=1, golden=25)
    assert study.best_lr == pytest.approx(0.25, rel=1e-3)  # one step of 1/L is exact
    assert study.gradients == 38 == study.lr.size
    assert study.optimizer.lr == pytest.approx(0.25, rel=2e-3)
    assert not study.edge


def test_tune_with_momentum_keeps_its_budget_and_saves(tmp_path):
    problem = oo.problems.quadratic([1.0, 50.0])
    study = tune(oo.Momentum(0.01), problem, steps=80, momenta=(0.0, 0.5, 0.8), grid=9, golden=4)
    assert study.lr.size == 3 * 13
    assert study.best_momentum > 0
    assert study.best_value == study.value.min()
    study.save(tmp_path / "tuned.npz")
    assert Tuned.load(tmp_path / "tuned.npz").optimizer == study.optimizer


def test_tune_says_edge_and_refuses():
    assert tune(oo.GradientDescent(1e-6), oo.problems.quadratic([1.0]), steps=5, span=2.0).edge
    with pytest.raises(ValueError, match="diverged"):
        tune(oo.GradientDescent(1e9), oo.problems.rosenbrock(), steps=60, span=1.5)
    with pytest.raises(ValueError, match="momenta"):
        tune(oo.GradientDescent(0.1), PLANE, momenta=(0.5,))


# Animations and the gallery -----------------------------------------------------------------------


def movie(comparisons, **options):
    fig = plt.figure(figsize=(4.5, 4.5), dpi=50, layout="constrained")
    return plotting.race(PLANE, comparisons, fig, **{"frames": 4} | options)


def test_gif_repeats_to_the_byte(tmp_path, comparisons):
    plt.rcParams["savefig.dpi"] = 50
    paths = [plotting.save_animation(movie(comparisons), tmp_path / f"{i}.gif") for i in (1, 2)]
    digests = {hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}
    assert len(digests) == 1


def test_race_is_at_equal_gradients_or_time(comparisons):
    made = movie(comparisons[:2], pace="time")
    made.save("nothing", writer=Nothing())
    heads = [line for line in plt.gcf().axes[0].lines if line.get_zorder() == 8]
    t = min(c.run.t[-1] for c in comparisons[:2])
    for line, c in zip(heads, comparisons):
        assert np.array_equal(line.get_xydata()[0], c.run.x[c.run.t <= t][-1])
    with pytest.raises(ValueError, match="pace"):
        movie(comparisons, pace="steps")


class Nothing(matplotlib.animation.AbstractMovieWriter):
    """A writer that writes nothing."""

    def __init__(self):
        super().__init__(fps=5, metadata={}, codec="none")

    def setup(self, fig, outfile, dpi=None):
        super().setup(fig, outfile, dpi)

    def grab_frame(self, **_):
        self.fig.canvas.draw()

    def finish(self):
        pass


def test_missing_ffmpeg_is_refused_before_anything_is_overwritten(tmp_path, comparisons, monkeypatch, capsys):
    from odeopt.cli import main

    (tmp_path / "race.gif").write_bytes(b"old")
    monkeypatch.setattr(matplotlib.animation.writers, "is_available", lambda name: False)
    made = movie(comparisons[:1])
    with pytest.raises(ValueError, match="path must end in .gif or .html where ffmpeg is not installed"):
        plotting.save_animation(made, tmp_path / "race.mp4")
    with pytest.raises(ValueError, match="path ending"):
        plotting.save_animation(made, tmp_path / "race.avi")
    assert main(["animate", "beale", "--out", str(tmp_path / "race.mp4")]) == 2
    assert "ffmpeg is not installed" in capsys.readouterr().err
    assert [f.read_bytes() for f in tmp_path.iterdir()] == [b"old"]
    plotting.save_animation(made, tmp_path / "race.gif")


@pytest.mark.parametrize(("name", "value"), [("fps", 0), ("fps", 101), ("colors", 0), ("colors", 7), ("colors", 257)])
def test_what_a_gif_cannot_have_is_refused(tmp_path, comparisons, name, value):
    made = movie(comparisons[:1])
    with pytest.raises(ValueError, match=name):
        plotting.save_animation(made, tmp_path / "race.gif", **{name: value})
    assert not list(tmp_path.iterdir())
    plotting.save_animation(made, tmp_path / "race.gif")
    if name == "fps":
        with pytest.raises(ValueError, match=name):
            movie(comparisons[:1], fps=value)


@pytest.mark.parametrize("colors", [8, 9, 256])
def test_palettes_at_their_ends(tmp_path, comparisons, colors):
    path = plotting.save_animation(movie(comparisons[:1]), tmp_path / "race.gif", colors=colors)
    assert path.stat().st_size > 1000


def test_a_gif_keeps_its_pace(tmp_path, comparisons):
    """60 frames a second are no whole hundredths of a second each: the times of the frames are rounded, not theirs."""
    from PIL import Image

    path = plotting.save_animation(movie(comparisons[:1], frames=16), tmp_path / "race.gif", fps=60)
    with Image.open(path) as image:
        durations = []
        for frame in range(image.n_frames):
            image.seek(frame)
            durations.append(image.info["duration"])
    assert sum(durations[:-1]) == pytest.approx(250, abs=10)


def test_an_animation_stands_still(tmp_path, comparisons):
    """Every format: the axes of the last frame are those of the first."""
    made = movie(comparisons)
    ax, seen = plt.gcf().axes[0], []
    plotting.save_animation(made, tmp_path / "race.html", progress=lambda *_: seen.append(ax.get_position().bounds))
    assert len(seen) == 4 and len(set(seen)) == 1


@pytest.mark.skipif(not matplotlib.animation.writers.is_available("ffmpeg"), reason="ffmpeg is not there")
def test_mp4_where_ffmpeg_is_there(tmp_path, comparisons):
    written = plotting.save_animation(movie(comparisons[:1]), tmp_path / "race.mp4")
    assert written == tmp_path / "race.mp4" and written.read_bytes()[4:8] == b"ftyp"


def test_html_has_its_frames_inside(tmp_path, comparisons):
    plt.rcParams["animation.embed_limit"] = 0.01  # matplotlib's own page would be cut off there
    page = plotting.save_animation(movie(comparisons[:1], frames=9), tmp_path / "race.html").read_text()
    assert page.count("data:image/png;base64") == 9
    assert "http" not in page  # nothing from the network


def test_gallery_repeats_to_the_pixel(tmp_path):
    example = places.EXAMPLES / "02_error_control_swaps_time_and_position.py"
    pixels = []
    for i in (1, 2):
        (tmp_path / str(i)).mkdir()
        (written,) = gallery.write(example, tmp_path / str(i))
        assert written.stat().st_size < 250_000
        pixels.append(plt.imread(written))
    assert np.array_equal(*pixels)
    with pytest.raises(ValueError, match="names must be"):
        gallery.find(example.parent, ["99"])
    with pytest.raises(ValueError, match="NN_claim"):
        gallery.find(tmp_path)


def test_shipped_figures_are_small_and_named_after_examples():
    root = places.ROOT
    examples = {f.stem for f in gallery.find(root / "examples")}
    figures = [f for f in (root / "figures").iterdir() if f.name[:2].isdigit()]
    assert figures
    for file in figures:
        assert file.stem in examples
        panels = 2 if file.stem.startswith("17") else 1  # it has one for each of more than thirty methods
        assert file.stat().st_size < {".png": 300_000 * panels, ".gif": 1_000_000}[file.suffix]


@pytest.mark.parametrize("argv, name", [
    (["plot", "paths", "beale", "--optimizers", "gd,adam", "--steps", "30"], "p.png"),
    (["plot", "phase", "booth", "--optimizers", "momentum", "--steps", "30"], "p.svg"),
    (["plot", "step", "beale", "--optimizers", "barzilaiborwein,errorcontrolledeuler", "--steps", "30"], "s.pdf"),
    (["plot", "surface", "beale", "--optimizers", "gd", "--steps", "30"], "s.png"),
    (["animate", "beale", "--optimizers", "gd", "--steps", "20", "--frames", "3"], "a.gif"),
])  # fmt: skip
def test_command_line(tmp_path, argv, name):
    from odeopt.cli import main

    assert main([*argv, "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / name).stat().st_size > 1000


def test_command_line_refuses(tmp_path, capsys):
    from odeopt.cli import main

    assert main(["animate", "digits-logistic"]) == 2
    assert main(["plot", "paths", "beale", "--out", str(tmp_path / "x.bmp")]) == 2
    assert main(["figures", "--examples", str(tmp_path), "--out", str(tmp_path)]) == 2
    for line in capsys.readouterr().err.strip().splitlines():
        assert line.startswith("odeopt ")


def test_notebooks_have_pictures(comparisons):
    """Of each result of which there is a picture; it loads and is not empty. The table stands in any case."""
    bowl = oo.problems.quadratic([1.0, 4.0])
    results = [comparisons[0].run, *comparisons, oo.convergence(oo.GradientDescent(0.05), bowl, levels=4),
               oo.work_precision([oo.GradientDescent(0.05)], bowl, steps=8, levels=2, repeats=1),
               oo.sweep(oo.GradientDescent(0.05), bowl, None, 10, grid={"lr": [0.1, 0.2, 0.3]}, measure="gap"),
               oo.basins(oo.GradientDescent(0.01), oo.problems.himmelblau(), resolution=8, steps=20),
               oo.stability_region(oo.schemes.heun, resolution=31),
               oo.spectral_radius_map(oo.Momentum(0.1), lr=[0.1, 0.2, 0.3], momentum=[0.0, 0.5, 0.9])]
    for result in results:
        data = result._repr_png_()
        assert plt.imread(io.BytesIO(data)).shape[0] > 200, type(result)
        assert "<table>" in result._repr_html_()
    assert not plt.get_fignums()
    study = tune(oo.GradientDescent(0.1), bowl, steps=3, grid=3, golden=0)
    assert study._repr_png_() is None and oo.ensemble(oo.Adam(0.1), bowl, [[1.0, 1.0]], steps=2)._repr_png_() is None


def test_notebooks_show_tables(comparisons):
    run = comparisons[0].run
    assert "GradientDescent" in run._repr_html_() and "60 steps done" in run._repr_html_()
    assert "gradient flow" in comparisons[0]._repr_html_()
    study = tune(oo.GradientDescent(0.1), oo.problems.quadratic([1.0]), steps=3, grid=3, golden=0)
    page = study._repr_html_()
    assert page.count("<tr>") == 4 and "&lt;Tuned" in page
