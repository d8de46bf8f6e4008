"""The site: `make docs`. It needs the extra `docs`, no network, and writes docs/_build/html."""

import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "extensions")]

import gallery  # noqa: E402

import odeopt  # noqa: E402

gallery.generate()

project, author, release = "odeopt", "The odeopt developers", odeopt.__version__
copyright = author
extensions = ["sphinx.ext.autodoc", "numpydoc", "sphinx.ext.viewcode", "myst_parser", "sphinxcontrib.katex",
              "sphinx_gallery.gen_gallery", "live", "sources", "reference", "gallery", "twins"]
exclude_patterns = ["_build", "_examples", "extensions", "data", "_live"]
nitpicky, smartquotes = True, False  # x' is a derivative
suppress_warnings = ["config.cache"]  # sphinx-gallery's order of sections is a function

# No file of the site is fetched from elsewhere: KaTeX's style and fonts stand in _static, its code comes with
# sphinxcontrib-katex, furo has the rest.
html_theme = "furo"
html_title = f"odeopt {release}"
html_static_path, html_favicon = ["_static"], "_static/favicon.svg"
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
katex_css_path = "katex/katex.min.css"
highlight_language = "text"
pygments_style, pygments_dark_style = "friendly", "monokai"

myst_enable_extensions = ["dollarmath", "amsmath", "attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "none"  # the docstrings say them
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
add_module_names = False
python_maximum_signature_line_length = 100
toc_object_entries_show_parents = "hide"

# The examples are shown with their committed pictures and not run: `odeopt figures` draws them, tests check them.
sphinx_gallery_conf = {
    "examples_dirs": "_examples", "gallery_dirs": "gallery", "plot_gallery": False,
    "subsection_order": [f"_examples/{name}" for name in gallery.TITLES],
    "within_subsection_order": "FileNameSortKey",
    "filename_pattern": "/plot_", "remove_config_comments": True, "show_signature": False,
    "write_computation_times": False, "min_reported_time": 1e9, "download_all_examples": True, "show_memory": False,
    "thumbnail_size": (320, 230),
}
warnings.filterwarnings("ignore", category=UserWarning, module="sphinx_gallery")
