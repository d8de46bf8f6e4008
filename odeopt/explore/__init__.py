"""The page to play with: ``odeopt explore`` in a browser, :func:`explore` in a notebook; the extra ``explore``.

``state`` is what the page can be set to, ``model`` makes numbers of it, ``figures`` and ``page`` show them with Bokeh,
``server`` serves the page, and ``static`` writes it as a file that needs no server.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from .. import archive, checks
from ..optimizers import Optimizer
from ..problems import Problem
from ..problems.base import checked

if TYPE_CHECKING:
    from .state import State


def explore(problem: Problem | str = "beale", methods: Sequence[Optimizer | str] | None = None,
            x0: ArrayLike | None = None, steps: int = 200, *, html: str | os.PathLike[str] | None = None) -> None:
    """Show methods beside their flows on a page that answers to the hand: drag the start, turn hyperparameters.

    Parameters
    ----------
    problem : Problem or str
        Of two variables; a name, such as "beale", or a formula, such as "(1-x)^2 + 100*(y-x^2)^2".
    methods : sequence of Optimizer or str, optional
        At most six, each once, your own included; names get suggested step sizes. Default: gradient descent,
        momentum, Nesterov, RMSprop, Adam.
    x0 : (2,) array, optional
        Default: the problem's own start.
    steps : int
        1 to 1000.
    html : path, optional
        Write a file that needs no Python, with sliders for the step and its refinement, and show nothing.

    Raises
    ------
    ModuleNotFoundError
        Bokeh is not installed.
    ValueError, TypeError
        A problem of more variables, a formula that is none, methods twice.

    Notes
    -----
    In a notebook the page is shown in the output of the cell. Elsewhere it is served at 127.0.0.1 until Ctrl-C, and
    the browser is opened on it.
    """
    state, given = asked(problem, methods, x0, steps)
    need_bokeh()
    if html is not None:
        from .static import write

        write(state, archive.place("html", html), given)
    elif in_notebook():
        from bokeh.io import output_notebook, show

        from .page import application

        output_notebook(hide_banner=True)
        show(application(state, given))  # pyright: ignore[reportArgumentType]
    else:
        from .server import serve

        serve(state, given)


def asked(problem: Problem | str, methods: Sequence[Optimizer | str] | None = None, x0: ArrayLike | None = None,
          steps: int = 200) -> tuple[State, Problem | None]:
    """The state that the arguments of :func:`explore` ask for, and the problem where it is no name or formula."""
    from . import model
    from .state import State, is_heavy, plane

    if isinstance(problem, str) and is_heavy(problem):
        problem = Problem.from_expression(problem)
    given = None if isinstance(problem, str) else plane(checked(problem))
    values: dict[str, Any] = {"problem": problem if given is None else "", "steps": steps}
    if x0 is not None:
        values["x0"] = tuple(checks.point("x0", x0, 2).tolist())
    if methods is not None:
        values["methods"] = tuple(_words(method) for method in checks.entries("methods", methods))
    state = State(**values)
    model.resolved(state, given)
    return state, given


def _words(method):
    if isinstance(method, str):
        return method, ()
    if not isinstance(method, Optimizer):
        raise TypeError(f"methods must be optimizers or names of them, got {checks.shown(method)}")
    from .state import introduce

    values = {f.name: (getattr(method, f.name), f.default) for f in dataclasses.fields(method)}
    return introduce(type(method)), tuple((name, value) for name, (value, default) in values.items()
                             if value != default or name == method.step_name)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    try:
        shell = get_ipython()  # pyright: ignore[reportUndefinedVariable] # noqa: F821
    except NameError:
        return False
    return hasattr(shell, "kernel")


def need_bokeh() -> None:
    """ModuleNotFoundError in one sentence where the extra is not installed."""
    if importlib.util.find_spec("bokeh") is None:
        raise ModuleNotFoundError("explore needs bokeh: pip install 'odeopt-schemes[explore]'", name="bokeh")
