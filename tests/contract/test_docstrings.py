"""The docstring of every public class says what its user has to know."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

from makedo.methods import ROOMS

CLASSES = [(room, name) for room, record in ROOMS.items() for name in record["classes"].split()]
TESTS = Path(__file__).parents[1]
HEADING = re.compile(r"^(\S[^\n]*)\n-{3,}\n", re.MULTILINE)


@pytest.fixture(params=CLASSES, ids=[name for _, name in CLASSES])
def public(request):
    room, name = request.param
    return room, getattr(importlib.import_module(f"makedo.methods.{room}"), name)


def sections(cls):
    parts = HEADING.split(inspect.cleandoc(cls.__doc__ or ""))
    return dict(zip(["Summary", *parts[1::2]], [parts[0], *parts[2::2]], strict=True))


def documented(text):
    """Names in a numpydoc list with what follows the colon: "a, b : float, default=1" is two."""
    rows = re.findall(r"^(\w[\w, ]*?) : (.+)$", text, re.MULTILINE)
    return {name.strip(): kind for names, kind in rows for name in names.split(",")}


def arguments(cls):
    return {n: p for n, p in inspect.signature(cls.__init__).parameters.items() if n != "self"}


def test_a_public_class_has_all_the_sections(public):
    found = sections(public[1])
    wanted = ["Parameters", "Shapes", "Requirements", "Relations", "References", "Examples"]
    assert [name for name in wanted if not found.get(name, "").strip()] == []
    summary = found["Summary"].splitlines()[0]
    assert summary.endswith(".") and public[1].__name__ not in summary


def test_the_sections_stand_in_the_usual_order(public):
    order = [
        "Summary",
        "Parameters",
        "Attributes",
        "Shapes",
        "Cost",
        "Requirements",
        "Relations",
        "References",
        "Examples",
    ]
    known = [name for name in sections(public[1]) if name in order]
    assert known == [name for name in order if name in known]


def test_every_argument_is_described_and_no_other_is(public):
    _, cls = public
    assert list(documented(sections(cls)["Parameters"])) == list(
        dict.fromkeys(documented(sections(cls)["Parameters"]))
    )
    assert documented(sections(cls)["Parameters"]).keys() == arguments(cls).keys()


def test_every_default_is_stated_and_true(public):
    _, cls = public
    described = documented(sections(cls)["Parameters"])
    for name, parameter in arguments(cls).items():
        assert parameter.default is not parameter.empty, f"{name} has no default"
        stated = re.search(r"default=(.+)$", described[name])
        assert stated, f"{name}: no default in the docstring"
        values = [v.strip() for v in stated.group(1).split(",")]
        assert any(same(v, parameter.default) for v in values), (
            f"{name}: {parameter.default!r} is not {values}"
        )


def same(text, default):
    try:
        return float(text) == default
    except (ValueError, TypeError):
        return text.strip("\"'") == str(default)


def test_learnt_attributes_are_described(public):
    _, cls = public
    found = documented(sections(cls).get("Attributes", ""))
    assert found and all(name.endswith("_") for name in found)


def test_every_argument_appears_in_a_test(public):
    room, cls = public
    own = [path for path in TESTS.rglob("*.py") if room in path.relative_to(TESTS).as_posix()]
    if not own:
        pytest.skip(f"no tests of {room} alone in this tree")
    text = "\n".join(path.read_text(encoding="utf-8") for path in own)
    assert [name for name in arguments(cls) if not re.search(rf"\b{name}\b", text)] == []


def test_the_example_of_the_docstring_runs(public):
    _, cls = public
    tests = doctest.DocTestFinder(recurse=False).find(cls, cls.__name__)
    assert tests and tests[0].examples
    assert doctest.DocTestRunner(verbose=False).run(tests[0]).failed == 0


def test_public_methods_have_a_docstring(public):
    _, cls = public
    own = {n: m for n, m in vars(cls).items() if callable(m) and not n.startswith("_")}
    assert [name for name, method in own.items() if not (method.__doc__ or "").strip()] == []
