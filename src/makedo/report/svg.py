"""A matplotlib figure as inline SVG that takes the page's font and colours."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from makedo.report.palette import LIGHT
from makedo.report.writing import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# parse_math: a label is the user's text, and a dollar sign in it is not the start of a formula.
DRAWING: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "makedo",
    "text.parse_math": False,
}

_VARIABLES = {
    **{color: f"var(--{name})" for name, color in LIGHT.items()},
    "#000000": "var(--ink)",  # what matplotlib draws with when nobody chose
    "#ffffff": "var(--paper)",
}
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def inline_svg(figure: Figure, *, prefix: str, label: str) -> str:
    """Draw a figure as one ``<svg>`` element for the body of a page.

    Text stays text in the page's font, our colours become CSS variables, the ground is transparent,
    nothing refers to the outside, and every id starts with ``prefix``, so that several figures
    share a page.

    Parameters
    ----------
    figure : Figure
    prefix : str
        Unique on the page.
    label : str
        What a screen reader says in place of the picture.
    """
    import matplotlib

    drawn = io.BytesIO()
    with matplotlib.rc_context(DRAWING), warnings.catch_warnings():
        # Our measuring font may lack a glyph that the reader's fonts have.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(drawn.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    used = {name for element in root.iter() for name in _references(element)}
    for element in root.iter():
        _clean(element, used, prefix)
    for name in (
        "width",
        "height",
        "version",
    ):  # the page's CSS sizes it; the view box keeps its shape
        root.attrib.pop(name, None)
    width = root.get("viewBox", "0 0 440 300").split()[2]
    root.attrib.update(
        {"role": "img", "aria-label": printable(label), "style": f"--width: {width}"}
    )
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _references(element: ElementTree.Element) -> list[str]:
    found = [
        value[1:] for name, value in element.items() if _local(name) == "href" and value[:1] == "#"
    ]
    return found + [name for value in element.attrib.values() for name in _REFERENCE.findall(value)]


def _clean(element: ElementTree.Element, used: set[str], prefix: str) -> None:
    element.tag = _local(element.tag)
    if element.tag != "text" and element.tag != "tspan" and not (element.text or "").strip():
        element.text = None
    element.tail = None if not (element.tail or "").strip() else element.tail
    cleaned = {}
    for name, value in element.items():
        name = _local(name)
        if name == "id":
            if value in used:
                cleaned["id"] = f"{prefix}-{value}"
        elif name == "style":
            style = _style(_REFERENCE.sub(rf"url(#{prefix}-\1)", value))
            if style:
                cleaned["style"] = style
        elif name == "href":
            if value.startswith("#"):
                cleaned["href"] = f"#{prefix}-{value[1:]}"
            elif value.startswith("data:image/"):
                cleaned["href"] = value
        elif name == "d":
            cleaned["d"] = " ".join(value.split())
        else:
            cleaned[name] = _REFERENCE.sub(rf"url(#{prefix}-\1)", value)
    element.attrib.clear()
    element.attrib.update(cleaned)


def _style(style: str) -> str:
    """One style attribute with our colours as variables and without a font family."""
    kept = {}
    for declaration in style.split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":  # older matplotlib: "italic 700 12px 'DejaVu Sans', sans-serif"
            before, size = re.split(r"([\d.]+px)", value, maxsplit=1)[:2]
            kept["font-size"] = size
            weights = [word for word in before.split() if word.isdigit()]
            kept.update({"font-weight": weights[0]} if weights else {})
        elif name and name != "font-family":
            kept[name] = _VARIABLES.get(value.lower(), value)
    return "; ".join(f"{name}: {value}" for name, value in kept.items())
