"""What MkDocs does to a page on the way: a verdict's pictures, mathematics, references in docstrings, and search."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.utils import get_relative_url

# what pymdownx.arithmatex leaves in generic mode: \(...\) in a span, \[...\] in a block
_MATH = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
# without it the theme hides the search of a site that is read from a file; the theme's is on the network
_SHIM = "https://unpkg.com/iframe-worker/shim"
# docstrings name things as Sphinx does, which editors understand: a role and a dotted path
_ROLE = re.compile(r":(?:func|meth|class|mod|data):<code>~?([\w.]+)</code>")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """MkDocs calls this for each page's Markdown: a verdict shows the pictures that lie beside it, the figure first."""
    file = Path(page.file.abs_src_path)
    if file.name != "verdict.md":
        return markdown
    pictures = sorted(file.parent.glob("*.png"), key=lambda picture: (picture.stem != "figure", picture.stem))
    shown = "".join(f"![{picture.stem}]({picture.name})\n\n" for picture in pictures)
    # after the title and the claim, before the table
    title, claim, rest = markdown.split("\n\n", 2)
    return f"{title}\n\n{claim}\n\n{shown}{rest}"


def on_page_content(content: str, **_: Any) -> str:
    """MkDocs calls this for each page's HTML."""
    return _ROLE.sub(_reference, _MATH.sub(_mathml, content))


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """MkDocs calls this for each page that it writes: search in a file needs a script, which the site itself brings."""
    return output.replace(_SHIM, get_relative_url("assets/iframe-worker.js", page.url))


def _mathml(match: re.Match[str]) -> str:
    """MathML, so that a page needs no script and no network to be read."""
    return convert(html.unescape(match[3]).strip(), display="block" if match[2] == "[" else "inline")


def _reference(match: re.Match[str]) -> str:
    path = match[1]
    name = f"<code>{path.removeprefix('mamrl.')}</code>"
    # a short name belongs to the module that it stands in, and needs no link
    return f'<autoref identifier="{path}" optional>{name}</autoref>' if path.startswith("mamrl.") else name
