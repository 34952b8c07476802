"""Templates rendered into one file that opens offline."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from potstill.report import wording


def rendered(template: str, **values: Any) -> str:
    """Render a template with the style sheet and the script: one file without references to other files.

    Args:
        template: the name of the template.
        values: the variables of the template, by name.

    Returns:
        The page as HTML.
    """
    environment = Environment(
        loader=PackageLoader("potstill.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": wording.count, "unbroken": _unbroken}
    templates = files("potstill.report") / "templates"
    script = (templates / "report.js").read_text(encoding="utf-8")
    return environment.get_template(template).render(
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=Markup((templates / "report.css").read_text(encoding="utf-8")),
        **values,
    )


def _unbroken(sentence: str) -> Markup:
    """The sentence with its intervals kept on one line."""
    return Markup(re.sub(r"\S*\d–\d\S*", r'<span class="unbroken">\g<0></span>', str(escape(sentence))))
