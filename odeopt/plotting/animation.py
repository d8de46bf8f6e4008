"""Several optimizers racing on one map, at equal gradient counts or equal flow time, with their flows."""

import base64
import io
import json
import pathlib
from collections import Counter
from itertools import pairwise

import numpy as np
from matplotlib import animation as mpl_animation
from matplotlib.backends.backend_agg import FigureCanvasAgg

from .. import archive, checks
from .arguments import picture
from .data import diverged, flow_path, inside, lines, plane, window_around
from .layout import below
from .maps import contours, followed, handle
from .maps import visible as _within

_MOST_FRAMES = 10_000
_HEAD = 10
_FORMATS = (".gif", ".mp4", ".html")
PACES = {"gradients": "equal gradient evaluations", "time": "equal flow time"}


@picture()
def race(problem, runs, fig, *, window=None, pace="gradients", budget=None, frames=90, fps=18, trail=60, labels=None,
         flow=True, caption=None, linear=0.0, title=None):
    """An animation of runs racing on the contour map.

    Parameters
    ----------
    problem : Problem with dim 2
    runs : Trajectory, Comparison, a sequence of them, or a dict from label to one
        The flows of Comparisons are drawn up to the same moment.
    fig : matplotlib Figure
        Its axes are made here.
    window : ((low, high), (low, high)), optional
    pace : {"gradients", "time"}
        What is equal at each frame; the caption says which.
    budget : float, optional
        Gradients (flow time) of the last frame; default: those of the shortest run that did not diverge. One that
        did ends with a cross where it was last seen.
    frames, fps : int
    trail : int
        Iterates that stay visible behind each runner.
    labels : sequence of str, optional
    flow : bool
        Draw the flows.
    caption : str, optional
        A sentence under the pace: how learning rates were tuned, say.
    linear : float in [0, 1]
        1: frames at equal gradients (times); 0: at equal steps of their square root, which shows the
        fast first part slowly.
    title : str, optional
        Above the map.

    Returns
    -------
    matplotlib.animation.FuncAnimation

    Raises
    ------
    ValueError
        A problem that is not plane; an empty trajectory; an unknown ``pace``.
    """
    plane(problem)
    checks.choice("pace", pace, PACES)
    frames, fps = pace_of(frames, fps)
    chosen = lines(runs, labels)
    window = window_around(problem, chosen, window)
    clocks = [np.asarray(line.run.n_grad if pace == "gradients" else line.run.t, dtype=float) for line in chosen]
    if budget is None:
        ends = [clock[-1] for line, clock in zip(chosen, clocks) if not diverged(line.run)]
        budget = min(ends) if ends else max(clock[-1] for clock in clocks)
    ax = fig.subplots()
    contours(problem, ax, window)
    u = np.linspace(0.0, 1.0, frames)
    moments = budget * (linear * u + (1 - linear) * u * u)
    unit = "gradient evaluations" if pace == "gradients" else "flow time"
    artists = []
    for line, clock in zip(chosen, clocks):
        points = inside(line.run.x, window, 30.0)
        path = flow_path(line.reference) if flow and followed(line, window) else None
        drawn = None
        if path is not None:
            (drawn,) = ax.plot([], [], "-", color=line.look.color, lw=1.2, alpha=0.7, zorder=2)
            path = path[0], inside(path[1], window)
        (dots,) = ax.plot([], [], "-", marker=".", color=line.look.color, ms=4, mew=0, lw=0.5, alpha=0.75, zorder=3)
        (head,) = ax.plot([], [], line.look.marker, color=line.look.color, ms=_HEAD, mec="white", mew=1.1, zorder=8)
        artists.append((line, clock, points, path, drawn, dots, head))
    ax.plot(*chosen[0].run.x[0], "o", ms=8, mfc="white", mec="#222222", mew=1.5, zorder=4)
    clock_text = ax.set_title(" ", fontsize=12, loc="left")
    handles = [handle(line, artist[3] is not None) for line, artist in zip(chosen, artists)]
    note = f"race at {PACES[pace]}; lines: the flow of each" if flow else f"race at {PACES[pace]}"
    below(ax, handles, f"{note}\n{caption}" if caption else note)

    def draw(frame):
        moment = moments[frame]
        changed = [clock_text]
        clock_text.set_text(f"{int(moment)} {unit}" if pace == "gradients" else f"{unit} {moment:.3g}")
        for line, clock, points, path, drawn, dots, head in artists:
            last = max(int(np.searchsorted(clock, moment, side="right")) - 1, 0)
            first = max(0, last - trail)
            dots.set_data(points[first : last + 1, 0], points[first : last + 1, 1])
            if diverged(line.run) and last == len(points) - 1:
                last = np.flatnonzero(_within(points, window))[-1:]
                head.set(marker="x", mec=line.look.color, mew=2.4)
                head.set_data(points[last, 0], points[last, 1])
            else:
                head.set(marker=line.look.marker, mec="white", mew=1.1)
                head.set_data(points[last : last + 1, 0], points[last : last + 1, 1])
            changed += [dots, head]
            if drawn is not None:
                end = int(np.searchsorted(path[0], line.run.t[np.max(last, initial=0)], side="right"))
                drawn.set_data(path[1][:end, 0], path[1][:end, 1])
                changed.append(drawn)
        _ring([artist[-1] for artist in artists], 0.012 * np.diff(window, axis=1)[:, 0])
        return changed

    if title:
        fig.suptitle(title)
    settle(fig)
    made = mpl_animation.FuncAnimation(fig, draw, frames=frames, interval=1000 / fps, blit=False)
    made.odeopt_fps, made.odeopt_frames = fps, frames  # pyright: ignore[reportAttributeAccessIssue]
    return made


def _ring(heads, reach):
    """Make of the heads that stand at one place each lower one larger, so that all are seen."""
    places = [head.get_xydata() for head in heads]
    for i, head in enumerate(heads):
        above = sum(bool((np.abs(other - places[i]) < reach).all()) for other in places[i + 1 :])
        head.set_markersize(_HEAD + 4 * min(above, 5))


def _fps(fps):
    if checks.integer("fps", fps, 1) > 100:  # a GIF counts hundredths of a second
        raise ValueError(f"fps must be at most 100, got {fps}")
    return int(fps)


def pace_of(frames, fps):
    """``(frames, fps)``; ValueError where an animation cannot have them."""
    if checks.integer("frames", frames, 2) > _MOST_FRAMES:
        raise ValueError(f"frames must be at most {_MOST_FRAMES}, got {frames}")
    return int(frames), _fps(fps)


def settle(fig):
    """Lay the figure out once and for all: its axes stand still from here on, and frames cost a third."""
    fig.draw_without_rendering()
    fig.set_layout_engine("none")


def writable(path):
    """``path`` as a Path; ValueError for any ending but .gif, .mp4 and .html, or for .mp4 without ffmpeg."""
    path = archive.place("path", path)
    checks.choice("path ending", path.suffix.lower(), _FORMATS)
    if path.suffix.lower() == ".mp4" and not mpl_animation.writers.is_available("ffmpeg"):
        raise ValueError(f"path must end in .gif or .html where ffmpeg is not installed, got {path.name!r}")
    return path


def save_animation(made, path, *, fps=None, colors=96, progress=None):
    """Write an animation; returns the path that was written.

    Parameters
    ----------
    made : FuncAnimation
    path : str or Path
        ``.gif`` (one palette for all frames, so that the file stays small and the same on every run),
        ``.mp4`` (needs ffmpeg) or ``.html`` (one page with controls and all frames inside, which needs
        nothing from the network). A file that is there is replaced when the new one is whole.
    fps : int, optional
        Frames per second, at most 100; default: what the animation was made for.
    colors : int
        Size of the GIF's palette, 8 to 256.
    progress : callable, optional
        ``progress(frame, frames)`` after each frame.

    Raises
    ------
    ValueError
        Another ending; ``.mp4`` where ffmpeg is not installed; fps or colors out of range.
    """
    path = writable(path)
    if not isinstance(made, mpl_animation.Animation):
        raise TypeError(f"made must be a matplotlib Animation, such as odeopt.plotting.race makes, "
                        f"got {checks.shown(made)}")
    if progress is not None:
        checks.takes("progress", progress, "progress(frame, frames)")
    fps = _fps(getattr(made, "odeopt_fps", 18) if fps is None else fps)
    if not 8 <= checks.integer("colors", colors) <= 256:
        raise ValueError(f"colors must be 8 to 256, got {colors}")
    writer = {".gif": lambda: OnePalette(fps, colors), ".html": lambda: Page(fps),
              ".mp4": lambda: mpl_animation.FFMpegWriter(fps=fps, bitrate=1800)}[path.suffix.lower()]()
    with archive.beside(path) as new:
        made.save(new.part, writer=writer, progress_callback=progress)
    return path


def _palette(images, colors):
    """An image with a palette of the strong colours exactly (few pixels, much meaning), then the shades."""
    from PIL import Image

    found = Counter()
    for image in (images[0], images[len(images) // 2], images[-1]):
        for count, rgb in image.getcolors(1 << 24):
            if max(rgb) - min(rgb) > 60:
                found[rgb] += count
    strong = [rgb for rgb, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))[: colors // 2]]
    strong = [(255, 255, 255), (34, 34, 34), *strong]
    shades = images[-1].quantize(colors - len(strong), method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    levels = shades.getpalette()[: 3 * (colors - len(strong))]
    soft = [tuple(levels[i : i + 3]) for i in range(0, len(levels), 3)]
    # Pillow's nearest colour is approximate: a shade next to white would take white's place.
    flat = [level for rgb in (*strong, *(rgb for rgb in soft if min(rgb) < 246)) for level in rgb]
    palette = Image.new("P", (1, 1))
    palette.putpalette(flat + flat[-3:] * (256 - len(flat) // 3))
    return palette


class _Frames(mpl_animation.AbstractMovieWriter):
    """Keeps the pixels of each frame."""

    def __init__(self, fps, codec):
        super().__init__(fps=fps, metadata={}, codec=codec)
        self.images = []

    def setup(self, fig, outfile, dpi=None):
        """Begin a file."""
        super().setup(fig, outfile, dpi)  # pyright: ignore[reportAbstractUsage]
        self.images = []
        if not hasattr(fig.canvas, "buffer_rgba"):
            FigureCanvasAgg(fig)
        settle(fig)

    def grab_frame(self, **_):
        """Draw the figure and keep its pixels."""
        from PIL import Image

        canvas = self.fig.canvas
        canvas.draw()
        pixels = bytes(canvas.buffer_rgba())  # pyright: ignore[reportAttributeAccessIssue]
        image = Image.frombytes("RGBA", canvas.get_width_height(physical=True), pixels).convert("RGB")
        self.images.append(self.kept(image))

    def kept(self, image):
        """What to keep of a frame."""
        return image


class OnePalette(_Frames):
    """GIF frames through Pillow in one palette: matplotlib's own writer gives each frame its own, which
    makes files several times larger."""

    def __init__(self, fps, colors):
        super().__init__(fps, "gif")
        self.colors = colors

    def finish(self):
        """Write the file; the last frame stays in view for two seconds."""
        from PIL import Image

        if not self.images:  # a frame raised: its error is the one to see
            return
        palette = _palette(self.images, self.colors)
        frames = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in self.images]
        # Hundredths of a second are what a GIF counts: frame i begins at the one nearest to i/fps.
        begins = [round(100 * i / self.fps) for i in range(len(frames))]
        duration = [10 * (b - a) for a, b in pairwise(begins)] + [2000]
        frames[0].save(self.outfile, save_all=True, append_images=frames[1:], duration=duration, loop=0,
                       optimize=False, disposal=1)


class Page(_Frames):
    """An HTML page with all frames as PNG files inside, and controls."""

    def __init__(self, fps):
        super().__init__(fps, "html")

    def kept(self, image):
        """The frame as a PNG file in base64."""
        from PIL import Image

        file = io.BytesIO()
        image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")

    def finish(self):
        """Write the page."""
        if self.images:
            page = _PAGE.replace("FRAMES", json.dumps(self.images, indent=0)).replace("WAIT", f"{1000 / self.fps:.6g}")
            pathlib.Path(self.outfile).write_text(page, encoding="utf-8")


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>odeopt: a race</title>
<style>body{font:14px sans-serif;text-align:center}img{max-width:100%}input{width:60%;max-width:30em}</style></head>
<body><img id="frame" alt="the race"><p><button id="play">pause</button>
<button id="back" title="one frame back">&lt;</button> <input id="at" type="range" min="0" value="0">
<button id="on" title="one frame on">&gt;</button> <span id="number"></span></p>
<script>
const frames = FRAMES, wait = WAIT, get = id => document.getElementById(id);
let i = 0, timer = null;
const show = j => { i = (j + frames.length) % frames.length; get("frame").src = frames[i]; get("at").value = i;
  get("number").textContent = (i + 1) + " / " + frames.length; };
const stop = () => { clearInterval(timer); timer = null; get("play").textContent = "play"; };
const play = () => { if (i == frames.length - 1) show(0); get("play").textContent = "pause";
  timer = setInterval(() => { show(i + 1); if (i == frames.length - 1) stop(); }, wait); };
get("at").max = frames.length - 1;
get("at").oninput = () => { stop(); show(+get("at").value); };
get("back").onclick = () => { stop(); show(i - 1); };
get("on").onclick = () => { stop(); show(i + 1); };
get("play").onclick = () => timer ? stop() : play();
show(0); play();
</script></body></html>
"""
