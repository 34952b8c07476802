"""How Sphinx makes the site from the Markdown of this repository, its records and its docstrings: `make docs`.

The repository's root is the source folder, so that links between ``docs``, ``records`` and the files beside them are
the same on the site as on a code host.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as installed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "Potstill"
author = copyright = "The Potstill authors"
version = release = installed("potstill")

root_doc = "docs/index"
include_patterns = ["docs/**", "records/*.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
exclude_patterns = [".*", "build", "dist", "runs", "src", "tests", "benchmarks", "docs/building"]
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "building.contents",
    "building.links",
    "building.reference",
    "building.gallery",
]

nitpicky = True

myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]
suppress_warnings = ["misc.highlighting_failure"]
highlight_language = "console"

# Notebooks keep no outputs in the repository: they are executed here, each in a folder of its own.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_show_tb = True  # with the warning of a cell that fails, which fails the build
nb_execution_timeout = 120
nb_merge_streams = True

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

linkcheck_ignore = [r"(?!https?:)"]  # links within the site are checked by the tests

html_theme = "furo"
html_title = "Potstill"
html_static_path = ["building/static"]
html_css_files = ["potstill.css"]
html_extra_path = ["building/extra"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#a3451a", "color-brand-content": "#a3451a"},
    "dark_css_variables": {"color-brand-primary": "#eb935f", "color-brand-content": "#eb935f"},
}
