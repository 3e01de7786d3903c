"""How Sphinx builds the site: MyST for Markdown, Furo for its looks, both without a request to any other host."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

from chinese_search import ChineseSearch

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "dashscribe"
copyright = "The dashscribe authors, Apache-2.0"
extensions = ["myst_parser"]
templates_path = ["_templates"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_title = "dashscribe"
html_show_sphinx = False
html_copy_source = False
html_theme_options: dict[str, Any] = {"source_repository": "", "footer_icons": []}
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
myst_heading_anchors = 4
myst_enable_extensions: list[str] = []
# Samples are cut short with "…", which no lexer takes for JSON; languages that Pygments does not know are shown plain.
suppress_warnings = ["misc.highlighting_failure"]


def setup(app: Sphinx) -> None:
    """Search in Chinese by pairs of characters, in the Chinese site."""
    app.add_search_language(ChineseSearch)
