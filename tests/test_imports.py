"""Who may import whom, what is imported late, and what an import costs."""

import ast
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from makedo.cli import Room, command_name
from makedo.methods import ROOMS

SOURCE = Path(__file__).parent.parent / "src" / "makedo"
MODULES = sorted(SOURCE.rglob("*.py"))

# Part -> the parts it may import; "in function" ones not at module level.  A room also sees itself.
MAY = {
    "__main__": {"cli"},
    "core": set(),
    "nn": {"core"},
    "data": {"core"},
    "report": {"core"},
    "scale": {"core"},
    "baselines": {"core", "nn", "data"},
    "methods": {"core", "nn", "data", "baselines"},
    "cli": {"core", "data", "methods"},
}
IN_FUNCTION = {"methods": {"report", "scale"}}
# Lazily imported by the root package, which is below everything: `import makedo` costs nothing.
ROOT_MAY = {"methods"}
ROOT_IN_FUNCTION = {"core"}

# What installs with makedo; everything else is imported inside functions.
REQUIRED = {
    "torch", "numpy", "scipy", "sklearn", "pandas", "pyarrow", "matplotlib", "jinja2", "markupsafe",
    "safetensors", "click", "rich", "makedo",
}  # fmt: skip


def imports(path):
    """(module, whether at module level) of each import that runs; annotations' imports do not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ["makedo", *path.relative_to(SOURCE).parent.parts]

    def walk(node, top):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                module = ".".join([*base, *([child.module] if child.module else [])])
                names = [
                    f"{module}.{a.name}" for a in child.names if is_module(f"{module}.{a.name}")
                ]
                yield from ((name, top) for name in names or [module])
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            else:
                inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                yield from walk(child, top and not inside)

    yield from walk(tree, True)


def is_module(name):
    path = SOURCE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def part_of(module):
    """'core', 'methods' …; '' is the root package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def room_of(module):
    parts = module.split(".")
    return parts[2] if len(parts) > 2 and parts[1] == "methods" else ""


def module_of(path):
    return ".".join(["makedo", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(
        ".__init__"
    )


def wrong_arrows(path):
    """The imports of a file that run against the arrows."""
    here = module_of(path)
    part, room = part_of(here), room_of(here)
    for name, top in imports(path):
        if name.split(".")[0] != "makedo":
            continue
        there = part_of(name)
        if there == part:
            if room != room_of(name) and part == "methods":
                yield f"{here} imports {name}: no room imports another"
        elif part == "":
            if there not in (ROOT_MAY if top else ROOT_MAY | ROOT_IN_FUNCTION):
                yield f"{here} imports {name}"
        elif there == "":
            continue  # the root package holds lazy names and the version
        elif there not in MAY[part] | (set() if top else IN_FUNCTION.get(part, set())):
            yield f"{here} imports {name}"
        elif part == "cli" and there == "methods" and top and room_of(name):
            yield f"{here} imports {name}: rooms are imported when they are asked for"


@pytest.mark.parametrize("path", MODULES, ids=module_of)
def test_imports_follow_the_arrows(path):
    assert list(wrong_arrows(path)) == []


@pytest.mark.parametrize(
    ("place", "line", "fault"),
    [
        ("core/x.py", "from makedo.data.graph import Graph", True),
        ("core/x.py", "def f():\n    import makedo.nn.mlp", True),
        ("methods/a/x.py", "from makedo.methods.b.y import z", True),
        ("methods/a/x.py", "from makedo.methods.a.y import z", False),
        ("methods/a/x.py", "from makedo.report import Report", True),
        ("methods/a/x.py", "def f():\n    from makedo.report import Report", False),
        ("data/x.py", "from makedo import nn", True),
        ("nn/x.py", "if TYPE_CHECKING:\n    from makedo.data.graph import Graph", False),
        ("nn/x.py", "from ..data import graph", True),
        ("cli.py", "import makedo.methods.cold_brew", True),
        ("cli.py", "from makedo.methods import ROOMS", False),
    ],
)
def test_the_arrow_test_finds_wrong_arrows(place, line, fault, tmp_path, monkeypatch):
    source = tmp_path / "makedo"
    for name in ("nn", "data", "report", "methods/a", "methods/b"):
        (source / name).mkdir(parents=True)
        (source / name / "__init__.py").touch()
    (source / "data" / "graph.py").touch()
    path = source / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line)
    monkeypatch.setitem(globals(), "SOURCE", source)
    assert bool(list(wrong_arrows(path))) == fault


@pytest.mark.parametrize("path", MODULES, ids=module_of)
def test_optional_libraries_are_imported_inside_functions(path):
    top = {name.split(".")[0] for name, at_top in imports(path) if at_top}
    assert top - REQUIRED - set(sys.stdlib_module_names) == set()


HEAVY = ("torch", "sklearn", "pandas", "scipy", "matplotlib", "pyarrow", "safetensors")


def loaded_after(code):
    """Which of the heavy libraries a fresh interpreter has loaded after ``code``."""
    show = f"import sys; print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True
    )
    return done.stderr.strip().splitlines()[-1]


def test_importing_makedo_loads_no_heavy_library():
    assert loaded_after("import makedo; dir(makedo); makedo.MakedoInputError") == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "--json"], ["--version"], []])
def test_help_and_list_load_no_heavy_library(arguments):
    assert loaded_after(f"from makedo.cli import main; assert main({arguments}) == 0") == "[]"


@pytest.mark.parametrize("room", ROOMS)
def test_help_of_a_room_and_its_verbs_loads_no_learning_library(room):
    verbs = Room(room).list_commands(None)
    command = command_name(room)
    lines = [[command, "--help"], *([command, verb, "--help"] for verb in verbs)]
    loaded = loaded_after(
        f"from makedo.cli import main; assert not any(main(line) for line in {lines})"
    )
    assert not {"torch", "sklearn", "matplotlib"} & set(ast.literal_eval(loaded))


def test_every_room_is_shown_without_being_imported():
    rooms = {f"makedo.methods.{room}" for room in ROOMS}
    show = "import sys; from makedo.cli import main; main(['--help'])"
    assert loaded_after(f"{show}; assert not {rooms} & sys.modules.keys()") == "[]"


def seconds(*arguments):
    """Median of five fresh starts of Python."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def test_importing_makedo_and_help_are_quick():
    bare = seconds("-c", "pass")
    assert seconds("-c", "import makedo") - bare < 0.3
    assert seconds("-m", "makedo.cli", "--help") - bare < 0.7
