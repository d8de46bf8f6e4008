"""The live page: widgets that make a :class:`State`, and figures that show its :class:`Picture`."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlencode

from bokeh.core.templates import get_env
from bokeh.document import Document
from bokeh.layouts import column, row
from bokeh.models import (
    Button,
    CustomJS,
    MultiChoice,
    RadioButtonGroup,
    Select,
    Slider,
    Spinner,
    TabPanel,
    Tabs,
    TextInput,
)

from ..problems import Problem
from . import model, words
from .figures import Figures, power_of_ten, text
from .state import (
    LONGEST_TEXT,
    MOST_METHODS,
    MOST_REFINEMENTS,
    MOST_STEPS,
    State,
    as_command,
    as_python,
    method_names,
    plane_names,
    problem_of,
    sliders,
    variants,
)

_OWN, _GIVEN = "a formula of your own", "the problem given"
_PAUSE = 8  # milliseconds in which moves are gathered: a fast hand makes more than pictures
_COPY = """
    const said = cb_obj.label
    const done = (word) => { cb_obj.label = word; setTimeout(() => { cb_obj.label = said }, 1200) }
    const text = words.value || location.href  // nothing was moved yet: the address itself is the link
    navigator.clipboard.writeText(text).then(() => done("copied"), () => window.prompt(said, text))
"""
_SAVE = """
    const view = Bokeh.index.find_one(map)
    const blob = await view.export(kind).to_blob()
    const link = document.createElement("a")
    link.href = URL.createObjectURL(blob)
    link.download = "odeopt." + kind
    link.click()
    URL.revokeObjectURL(link.href)
"""
_TEMPLATE = """{% extends base %}{% block preamble %}
<meta name="viewport" content="width=device-width, initial-scale=1">{% endblock %}"""
_ADDRESS = "if (live) history.replaceState(null, '', '?' + cb_obj.value); link.value = location.href"


class Page:
    """One browser's page: its own state, nothing shared."""

    def __init__(self, state: State, given: Problem | None = None) -> None:
        self.state, self.given = state, given
        self.figures = Figures()
        self.methods: Any = []
        self._quiet, self._due, self._document = False, False, None
        self.heading, self.message, self.table = text(""), text("", name="message"), text("", name="table")
        self._hidden = {name: TextInput(value="", visible=False, name=name)
                        for name in ("python", "command", "query", "link")}
        self._make_widgets()
        self._load()

    # What can be moved -------------------------------------------------------------------------

    def _make_widgets(self):
        names: list[Any] = [*([_GIVEN] if self.given is not None else []), *plane_names(), _OWN]
        self.problem = Select(title="Problem", options=names, name="problem", sizing_mode="stretch_width")
        self.formula = TextInput(title="or a formula, then Enter", name="formula", max_length=LONGEST_TEXT,
                                 placeholder="(1-x)^2 + 100*(y-x^2)^2", sizing_mode="stretch_width")
        self.choice = MultiChoice(title=f"Methods, at most {MOST_METHODS}", max_items=MOST_METHODS, name="methods",
                                  options=[*method_names()],
                                  sizing_mode="stretch_width")
        self.steps = Slider(title="Steps", start=10, end=MOST_STEPS, step=10, value=200, name="steps",
                            sizing_mode="stretch_width")
        self.refinement = Slider(title="Refine: halve the step so often", start=0, end=MOST_REFINEMENTS, step=1,
                                 value=0, name="refinement", sizing_mode="stretch_width")
        self.kind = RadioButtonGroup(labels=["cold start", "consistent start"], name="kind",
                                     sizing_mode="stretch_width")
        self.x0 = [Spinner(title=f"Start, {name}", step=0.05, value=0.0, name=f"start_{name}", width=120,
                           sizing_mode="stretch_width") for name in "xy"]
        self.tabs = Tabs(tabs=[], sizing_mode="stretch_width", name="tabs")
        self.problem.on_change("value", lambda _, old, new: self._choose_problem(new))
        self.formula.on_change("value", lambda _, old, new: self._choose_formula(new))
        self.choice.on_change("value", lambda _, old, new: self._choose_methods(new))
        self.steps.on_change("value", lambda _, old, new: self._set(steps=_whole(new)))
        self.refinement.on_change("value", lambda _, old, new: self._set(refinement=_whole(new)))
        self.kind.on_change("active", lambda _, old, new: self._set(start=("cold", "consistent")[new == 1]))
        for spinner in self.x0:
            spinner.on_change("value", lambda _, old, new: self._type_start())
        self.figures.sources["start"].on_change("data", lambda _, old, new: self._drag(new))

    def _buttons(self):
        found = []
        for label, name in (("Copy as Python", "python"), ("Copy as command", "command"), ("Copy link", "link")):
            button = Button(label=label, name=f"copy_{name}", sizing_mode="stretch_width")
            button.js_on_click(CustomJS(args={"words": self._hidden[name]}, code=_COPY))
            found.append(button)
        for kind in ("png", "svg"):
            button = Button(label=f"Save {kind.upper()}", name=f"save_{kind}", sizing_mode="stretch_width")
            button.js_on_click(CustomJS(args={"map": self.figures.map, "kind": kind}, code=_SAVE))
            found.append(button)
        self._hidden["query"].js_on_change("value", CustomJS(
            args={"link": self._hidden["link"], "live": True}, code=_ADDRESS))
        return found

    def layout(self) -> Any:
        """The page as one Bokeh model."""
        copy = self._buttons()
        controls = column(
            row(self.problem, self.formula, sizing_mode="stretch_width"), self.choice,
            row(self.steps, self.refinement, sizing_mode="stretch_width"),
            row(*self.x0, sizing_mode="stretch_width"), self.kind,
            row(*copy[:3], sizing_mode="stretch_width"), row(*copy[3:], sizing_mode="stretch_width"), self.tabs,
            *self._hidden.values(), sizing_mode="stretch_width",
            styles={"flex": "1 1 360px", "min-width": "0", "max-width": "820px"})
        return column(self.heading, self.figures.layout(controls, self.table, self.message),
                      sizing_mode="stretch_width", styles={"padding": "6px", "box-sizing": "border-box"})

    # What moving does --------------------------------------------------------------------------

    def _load(self):
        """Everything anew: another problem, other methods, another address."""
        problem, methods = model.resolved(self.state, self.given)
        ground = model.ground(problem)
        picture = model.picture(self.state, self.given)
        self._quiet = True
        try:
            self.figures.ground(ground)
            self.figures.show(picture, start=True)
            self.heading.text = words.heading(problem.name)
            x0 = picture.sources["start"]
            self.x0[0].value, self.x0[1].value = round(x0["x"][0], 6), round(x0["y"][0], 6)
            named = self.state.problem in plane_names()
            self.problem.value = self.state.problem if named else _OWN if self.state.problem else _GIVEN
            self.formula.value = "" if named else self.state.problem
            self.choice.value = [name for name, _ in self.state.methods]
            self.steps.value, self.refinement.value = self.state.steps, self.state.refinement
            self.kind.active = int(self.state.start == "consistent")
            self._make_tabs(methods)
        finally:
            self._quiet = False
        self._say(problem, methods, picture)

    def _make_tabs(self, methods):
        self.methods = methods
        self.tabs.tabs = [TabPanel(title=method.title, child=column(*self._card(method), sizing_mode="stretch_width"))
                          for method in methods]

    def _card(self, method):
        found = []
        for one in sliders(method):
            widget: Any = Slider(title=one.name, start=one.low, end=one.high, step=0.01,
                                 value=one.position(getattr(method, one.name)), name=f"{method.key}.{one.name}",
                                 sizing_mode="stretch_width", format=power_of_ten(one))
            widget.on_change("value", lambda _, old, new, one=one, key=method.key: self._turn(key, one, new))
            found.append(widget)
        choices = [Select(title=name, options=[str(word) for word in allowed], value=str(getattr(method, name)),
                          name=f"{method.key}.{name}", sizing_mode="stretch_width")
                   for name, allowed in variants(method).items()]
        for select, (name, allowed) in zip(choices, variants(method).items()):
            select.on_change("value", lambda _, old, new, name=name, allowed=allowed, key=method.key: self._change(
                self.state.with_value, key, name, {str(word): word for word in allowed}.get(new, new)))
        pairs = [row(*found[i:i + 2], sizing_mode="stretch_width") for i in range(0, len(found), 2)]
        return [*pairs, *[row(*choices[i:i + 2], sizing_mode="stretch_width") for i in range(0, len(choices), 2)]]

    def _turn(self, key, slider, position):
        if isinstance(position, (int, float)) and math.isfinite(position):
            self._change(self.state.with_value, key, slider.name, slider.value(position))

    def _choose_problem(self, name):
        if name == _GIVEN:
            self._open("")
        elif name != _OWN:
            self._open(name)

    def _choose_formula(self, formula):
        if formula and formula.strip():
            self._open(formula.strip())

    def _open(self, word):
        """Another problem, its start and step sizes its own."""
        if not self._quiet:
            self._anew(lambda: self.state.changed(problem=word, x0=None, methods=tuple(
                (name, ()) for name, _ in self.state.methods)))

    def _choose_methods(self, names):
        kept = dict(self.state.methods)
        if not self._quiet:
            self._anew(lambda: self.state.changed(methods=tuple((name, kept.get(name, ())) for name in names)))

    def _anew(self, make):
        before = self.state
        try:
            self.state = make()
            if self.state.problem:
                problem_of(self.state.problem)
            self._load()
        except (ValueError, TypeError) as error:
            self.state = before
            self.message.text = words.message([], str(error))

    def _type_start(self):
        values = [spinner.value for spinner in self.x0]
        if not self._quiet and all(isinstance(value, (int, float)) for value in values):
            self._quiet = True
            self.figures.sources["start"].data = {"x": values[:1], "y": values[1:]}
            self._quiet = False
            self._set(x0=tuple(values))

    def _drag(self, new):
        try:
            x0 = float(new["x"][0]), float(new["y"][0])
        except (KeyError, IndexError, TypeError, ValueError):  # whatever a browser may send
            return
        if not self._quiet:
            self._set(x0=x0)
            quiet, self._quiet = self._quiet, True
            self.x0[0].value, self.x0[1].value = round(x0[0], 6), round(x0[1], 6)
            self._quiet = quiet

    def _set(self, **values):
        self._change(self.state.changed, **values)

    def _change(self, make, *args, **values):
        """Another state, and a picture of it soon: moves that come faster make one picture."""
        if self._quiet:
            return
        try:
            self.state = make(*args, **values)
        except (ValueError, TypeError) as error:
            self.message.text = words.message([], str(error))
            return
        if self._document is None:
            self.update()
        elif not self._due:
            self._due = True
            self._document.add_timeout_callback(self.update, _PAUSE)

    def update(self) -> None:
        """The picture of the present state."""
        self._due = False
        try:
            problem, methods = model.resolved(self.state, self.given)
            picture = model.picture(self.state, self.given)
        except (ValueError, TypeError) as error:
            self.message.text = words.message([], str(error))
            return
        self.figures.show(picture)
        self._say(problem, methods, picture)

    def _say(self, problem, methods, picture):
        self.table.text = words.table(picture.rows, problem.f_min is not None)
        self.message.text = words.message(picture.notes)
        self._hidden["python"].value = as_python(self.state, problem, methods)
        self._hidden["command"].value = as_command(self.state, problem, methods)
        self._hidden["query"].value = self.state.query()

    def show_in(self, document: Document) -> None:
        """Put the page into a Bokeh document."""
        document.title = "odeopt"
        document.template = get_env().from_string(_TEMPLATE)
        document.add_root(self.layout())
        self._document = document


def _whole(value):
    return int(value) if isinstance(value, (int, float)) and math.isfinite(value) else value


def application(state: State, given: Problem | None = None) -> Any:
    """A function that makes the page of one browser in its Bokeh document."""
    plane_names()  # builds every problem once, which no request shall wait for

    def make(document: Document) -> None:
        opened, error = state, ""
        context = document.session_context
        request = getattr(context, "request", None) if context is not None else None
        if request is not None and request.arguments:
            pairs = [(name, value.decode("utf-8", "replace")) for name, values in request.arguments.items()
                     for value in values]
            try:
                opened = State.from_query(urlencode(pairs), state)
                model.picture(opened, given)
            except (ValueError, TypeError) as problem:
                opened, error = state, str(problem)
        page = Page(opened, given)
        if error:
            page.message.text = words.message([], error)
        page.show_in(document)

    return make
