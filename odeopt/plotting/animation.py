"""Several optimizers racing on one map, at equal gradient counts or equal flow time, with their flows."""

import pathlib
import sys
from collections import Counter

import numpy as np
from matplotlib import animation as mpl_animation
from matplotlib.lines import Line2D

from .. import checks
from .data import flow_path, inside, lines, plane, window_of
from .maps import below, contours

_FORMATS = (".gif", ".mp4", ".html")
PACES = {"gradients": "equal gradient evaluations", "time": "equal flow time"}


def race(problem, runs, fig, *, window=None, pace="gradients", budget=None, frames=90, fps=18, trail=60, labels=None,
         flow=True, caption=None, linear=0.0):
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
        Gradients (flow time) of the last frame; default: the shortest run's, so that all race to the end.
    frames, fps : int
    trail : int
        Iterates that stay visible behind each runner.
    caption : str, optional
        A sentence under the pace: how learning rates were tuned, say.
    linear : float in [0, 1]
        1: frames at equal gradients (times); 0: at equal steps of their square root, which shows the
        fast first part slowly.

    Returns
    -------
    matplotlib.animation.FuncAnimation

    Raises
    ------
    ValueError
        A problem that is not plane; an empty trajectory; a pace that is none.
    """
    plane(problem)
    checks.choice("pace", pace, PACES)
    frames = checks.integer("frames", frames, 2)
    chosen = lines(runs, labels)
    window = window_of(problem, [line.run.x for line in chosen], window)
    clocks = [np.asarray(line.run.n_grad if pace == "gradients" else line.run.t, dtype=float) for line in chosen]
    if budget is None:
        budget = min(clock[-1] for clock in clocks)
    ax = fig.subplots()
    contours(problem, ax, window)
    u = np.linspace(0.0, 1.0, frames)
    moments = budget * (linear * u + (1 - linear) * u * u)
    unit = "gradient evaluations" if pace == "gradients" else "flow time"
    artists = []
    for line, clock in zip(chosen, clocks):
        points = inside(line.run.x, window, 30.0)
        path = flow_path(line.reference) if flow else None
        drawn = None
        if path is not None:
            (drawn,) = ax.plot([], [], "-", color=line.look.color, lw=1.2, alpha=0.7, zorder=2)
            path = path[0], inside(path[1], window)
        (dots,) = ax.plot([], [], "-", marker=".", color=line.look.color, ms=4, mew=0, lw=0.5, alpha=0.75, zorder=3)
        (head,) = ax.plot([], [], line.look.marker, color=line.look.color, ms=10, mec="white", mew=1.1, zorder=8)
        artists.append((line, clock, points, path, drawn, dots, head))
    ax.plot(*chosen[0].run.x[0], "o", ms=8, mfc="white", mec="#222222", mew=1.5, zorder=4)
    clock_text = ax.set_title(" ", fontsize=12, loc="left")
    handles = [Line2D([], [], color=line.look.color, marker=line.look.marker, mec="white", ms=8,
                      ls="-" if flow and line.reference is not None else "none", label=line.look.label)
               for line in chosen]
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
            head.set_data(points[last : last + 1, 0], points[last : last + 1, 1])
            changed += [dots, head]
            if drawn is not None:
                end = int(np.searchsorted(path[0], line.run.t[last], side="right"))
                drawn.set_data(path[1][:end, 0], path[1][:end, 1])
                changed.append(drawn)
        return changed

    made = mpl_animation.FuncAnimation(fig, draw, frames=frames, interval=1000 / fps, blit=False)
    made.odeopt_fps = fps
    return made


def save_animation(made, path, *, fps=None, colors=96, progress=None, stream=None):
    """Write an animation; returns the path that was written.

    Parameters
    ----------
    made : FuncAnimation
    path : str or Path
        ``.gif`` (Pillow; one palette for all frames, so that the file stays small and the same on
        every run), ``.mp4`` (needs ffmpeg: without it a GIF of the same name is written instead and one
        line on stderr says so) or ``.html`` (a page with controls, frames inside).
    fps : int, optional
    colors : int
        Size of the GIF's palette.
    progress : callable, optional
        ``progress(frame, frames)`` after each frame.

    Raises
    ------
    ValueError
        Another ending.
    """
    path = pathlib.Path(path)
    checks.choice("path ending", path.suffix.lower(), _FORMATS)
    fps = checks.integer("fps", fps or getattr(made, "odeopt_fps", 18), 1)
    if path.suffix.lower() == ".html":
        path.write_text(made.to_jshtml(fps=fps, embed_frames=True), encoding="utf-8")
        return path
    if path.suffix.lower() == ".mp4":
        if mpl_animation.writers.is_available("ffmpeg"):
            made.save(path, writer=mpl_animation.FFMpegWriter(fps=fps, bitrate=1800), progress_callback=progress)
            return path
        path = path.with_suffix(".gif")
        print(f"ffmpeg is not there: {path.name} is written instead of an MP4", file=stream or sys.stderr)
    made.save(path, writer=OnePalette(fps, colors), progress_callback=progress)
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


class OnePalette(mpl_animation.AbstractMovieWriter):
    """GIF frames through Pillow in one palette: matplotlib's own writer gives each frame its own, which
    makes files several times larger."""

    def __init__(self, fps, colors):
        super().__init__(fps=fps, metadata={}, codec="gif")
        self.colors, self.images = colors, []

    def setup(self, fig, outfile, dpi=None):
        """Begin a file."""
        super().setup(fig, outfile, dpi)
        self.images = []
        fig.canvas.draw()
        fig.set_layout_engine("none")  # the axes stand still from here on, and frames cost a third

    def grab_frame(self, **_):
        """Draw the figure and keep its pixels."""
        from PIL import Image

        self.fig.canvas.draw()
        size = self.fig.canvas.get_width_height(physical=True)
        self.images.append(Image.frombytes("RGBA", size, bytes(self.fig.canvas.buffer_rgba())).convert("RGB"))

    def finish(self):
        """Write the file; the last frame stays in view for two seconds."""
        from PIL import Image

        if not self.images:  # a frame raised: its error is the one to see
            return
        palette = _palette(self.images, self.colors)
        frames = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in self.images]
        duration = [round(1000 / self.fps)] * (len(frames) - 1) + [2000]
        frames[0].save(self.outfile, save_all=True, append_images=frames[1:], duration=duration, loop=0,
                       optimize=False, disposal=1)
