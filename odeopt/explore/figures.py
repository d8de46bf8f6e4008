"""The glyphs of the page: a map, and four panels beside it, on the sources that a picture fills."""

from typing import Any

from bokeh.core.properties import without_property_validation
from bokeh.layouts import column, row
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    CustomJSTickFormatter,
    Div,
    HoverTool,
    PanTool,
    PointDrawTool,
    Range1d,
    ResetTool,
    SaveTool,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure

from .model import Ground, Picture
from .state import Slider

PANELS = (("error", "distance to the flow", "flow time", "linear"), ("objective", "f - f*", "flow time", "linear"),
          ("stability", "step / largest stable step", "flow time", "linear"),
          ("order", "largest distance", "step h", "log"))
_INK, _GREY, _LINES = "#222222", "#5B6675", "#8C9BB0"
_DRAG = """
    if (tool.active_drag !== null && tool.active_drag.type !== "PointDrawTool") return
    const {x, y} = cb_obj
    if (Number.isFinite(x) && Number.isFinite(y)) start.data = {x: [x], y: [y]}
"""


class Figures:
    """The figures and their sources; :meth:`show` fills them."""

    def __init__(self, *, drag: bool = True) -> None:
        self.sources: dict[str, Any] = {name: ColumnDataSource() for name in
            ("bands", "lines", "minima", "paths", "flows", "dots", "ends", "start", *(panel[0] for panel in PANELS))}
        self.map = self._map(drag)
        panels = [self._panel(*panel) for panel in PANELS]
        for panel in panels[1:3]:
            panel.x_range = panels[0].x_range  # linked: zoom one, and all three follow
        self.panels = dict(zip((panel[0] for panel in PANELS), panels))

    def _map(self, drag):
        s = self.sources
        for name, keys in (("bands", "xs ys color"), ("lines", "xs ys"), ("minima", "x y"), ("paths", "xs ys color"),
                           ("flows", "xs ys color"), ("dots", "x y k t f color name"), ("ends", "x y color"),
                           ("start", "x y")):
            s[name].data = {key: [] for key in keys.split()}
        plot = figure(x_range=Range1d(start=0, end=1), y_range=Range1d(start=0, end=1), toolbar_location="above",
                      name="map", sizing_mode="stretch_width", min_height=300, tools="", lod_threshold=None,
                      x_axis_label="x", y_axis_label="y")
        plot.multi_polygons("xs", "ys", fill_color="color", line_color=None, source=s["bands"])
        plot.multi_line("xs", "ys", line_color=_LINES, line_width=0.6, line_alpha=0.7, source=s["lines"])
        plot.multi_line("xs", "ys", line_color="white", line_width=4.5, line_alpha=0.8, source=s["flows"])
        plot.multi_line("xs", "ys", line_color="color", line_width=2.2, source=s["flows"])
        plot.multi_line("xs", "ys", line_color="color", line_width=0.6, line_alpha=0.35, source=s["paths"])
        dots = plot.scatter("x", "y", color="color", size=5.5, line_color="white", line_width=0.4, source=s["dots"])
        plot.scatter("x", "y", marker="x", size=14, line_color="color", line_width=3, source=s["ends"])
        plot.scatter("x", "y", marker="star", size=17, fill_color="#FFD447", line_color=_INK, source=s["minima"])
        start = plot.scatter("x", "y", size=15, fill_color="white", line_color=_INK, line_width=2.5, source=s["start"],
                             hover_line_color="#D55E00", name="start")
        plot.add_tools(PanTool(), WheelZoomTool(), ResetTool(), SaveTool(),
                       HoverTool(renderers=[dots],
                                 tooltips=[("", "@name"), ("step", "@k"), ("t", "@t{0.000}"), ("f", "@f{0.000e+0}")]))
        plot.toolbar.logo = plot.toolbar.active_drag = None
        if drag:
            draw = PointDrawTool(renderers=[start], add=False, description="Drag the start")  # pyright: ignore[reportArgumentType]
            plot.toolbar.active_drag = draw
            plot.add_tools(draw)
            follow = CustomJS(args={"start": s["start"], "tool": plot.toolbar}, code=_DRAG)
            for event in ("panstart", "pan", "tap"):
                plot.js_on_event(event, follow)
        return _dressed(plot)

    def _panel(self, name, title, below, scale):
        s = self.sources[name]
        s.data = {"xs": [], "ys": [], "color": [], "name": []}
        plot = figure(title=title, x_axis_label=below, x_axis_type=scale, y_axis_type="log", height=215, tools="",
                      sizing_mode="stretch_width", min_width=150, toolbar_location=None, name=name)
        plot.add_tools(PanTool(), WheelZoomTool(), ResetTool())
        line = plot.multi_line("xs", "ys", line_color="color", line_width=2, source=s)
        plot.add_tools(HoverTool(renderers=[line], tooltips="@name"))
        if name == "stability":
            plot.add_layout(Span(location=1.0, dimension="width", line_color=_INK, line_dash="dashed"))
        return _dressed(plot)

    def ground(self, ground: Ground) -> None:
        """Put the map of another problem under the runs."""
        (left, right), (low, high) = ground.window
        plot: Any = self.map
        plot.x_range.update(start=left, end=right, reset_start=left, reset_end=right)
        plot.y_range.update(start=low, end=high, reset_start=low, reset_end=high)
        plot.aspect_ratio = min(max((right - left) / (high - low), 0.9), 1.5)
        self.sources["bands"].data = ground.bands
        self.sources["lines"].data = ground.lines
        self.sources["minima"].data = ground.minima

    @without_property_validation
    def show(self, picture: Picture, *, start: bool = False) -> None:
        """Fill the sources; the start's only where asked, since a hand may be upon it."""
        for name, columns in picture.sources.items():
            if start or name != "start":
                self.sources[name].data = columns

    def layout(self, controls: Any, table: Any, message: Any) -> Any:
        """Map, panels and controls, beside each other where there is room."""
        p = self.panels
        grid = column(row(p["error"], p["objective"], sizing_mode="stretch_width"),
                      row(p["stability"], p["order"], sizing_mode="stretch_width"), table,
                      sizing_mode="stretch_width", styles={"flex": "1 1 400px", "min-width": "0", "max-width": "760px"})
        left = column(message, self.map, sizing_mode="stretch_width",
                      styles={"flex": "1.1 1 360px", "min-width": "0", "max-width": "820px"})
        return row(left, grid, controls, sizing_mode="stretch_width", spacing=8, stylesheets=[":host{flex-wrap:wrap}"])


def _dressed(plot):
    plot.background_fill_color = plot.border_fill_color = "#FFFFFF"
    plot.outline_line_color = "#C9D1DC"
    plot.grid.grid_line_color = "#EEF1F5"
    plot.axis.axis_line_color = plot.axis.major_tick_line_color = _GREY
    plot.axis.minor_tick_line_color = None
    plot.axis.major_label_text_color = plot.axis.axis_label_text_color = _GREY
    plot.axis.axis_label_text_font_style = "normal"
    plot.title.text_color, plot.title.text_font_size, plot.title.text_font_style = _INK, "13px", "normal"
    return plot


def power_of_ten(slider: Slider) -> CustomJSTickFormatter:
    """Words for the positions of a slider, what :meth:`Slider.value` says."""
    words = "String(Number((10 ** tick).toPrecision(3)))"
    if slider.kind == "factor":
        words = f"tick >= {slider.high} - 1e-9 ? '0' : String(Number((1 - 10 ** tick).toPrecision(6)))"
    elif slider.zero:
        words = f"tick <= {slider.low} + 1e-9 ? '0' : {words}"
    return CustomJSTickFormatter(code=f"return {words}")


def text(html: str, **options: Any) -> Div:
    """A piece of the page, without formulas in dollars."""
    return Div(text=html, disable_math=True, sizing_mode="stretch_width",
               styles={"min-width": "0", "overflow-x": "auto"}, **options)
