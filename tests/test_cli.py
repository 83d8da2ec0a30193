"""The commands of the house: list, data, demo, diagnose, reproduce, and how rooms are found."""

import json
import logging
import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import makedo as package
from makedo import cli, methods
from makedo.core.checks import MakedoInputError
from makedo.core.diagnosis import Diagnosis
from makedo.core.paired import ACCURACY
from makedo.core.tables import Row, measured
from makedo.core.verbs import Settings, Table
from makedo.methods import ROOMS

SPARE = {
    "title": "Spare",
    "classes": "Spare",
    "trouble": "nothing is spare",
    "gives": "a log",
    "gets": "an answer",
    "files": "log",
    "extra": "",
    "paper": "A. Author, 2024",
}


@pytest.fixture
def makedo(tmp_path, monkeypatch, capsys):
    """Run a command line in an empty folder; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def execute(*arguments):
        return cli.main([str(one) for one in arguments]), *capsys.readouterr()

    return execute


@pytest.fixture
def room(tmp_path_factory, monkeypatch):
    """Add a package ``spare_room`` and its record; gives a setter for its modules."""
    home, package = tmp_path_factory.mktemp("rooms"), "makedo.methods.spare_room"
    (home / "spare_room").mkdir()
    (home / "spare_room" / "__init__.py").touch()
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(home)])
    monkeypatch.setitem(ROOMS, "spare_room", SPARE)
    monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.delitem(sys.modules, package)  # so that it is forgotten at the end

    def put(name, **members):
        module = ModuleType(f"{package}.{name}")
        vars(module).update(members, __spec__=ModuleSpec(module.__name__, None))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return home / "spare_room"

    return put


# --- what there is -------------------------------------------------------------------------------


def test_help_shows_every_method_and_command(makedo, room):
    code, out, _ = makedo("--help")
    assert code == 0 and makedo()[:2] == (0, out)
    for word in ("list", "data", "demo", "diagnose", "reproduce", "cold-brew", "spare-room"):
        assert f"  {word}" in out


def test_the_package_runs_as_a_module():
    """For users whose scripts directory is not on the path."""
    said = subprocess.run(
        [sys.executable, "-m", "makedo", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout == f"makedo {package.__version__}\n"


def test_version_is_the_package_s(makedo):
    assert makedo("--version")[1] == f"makedo {package.__version__}\n"


def test_list_gives_each_room_a_line(makedo, room):
    lines = makedo("list")[1].splitlines()
    assert len(lines) == len(ROOMS)
    assert any(line.startswith("spare-room") and "nothing is spare" in line for line in lines)
    assert json.loads(makedo("list", "--json")[1])["spare_room"]["title"] == "Spare"


def test_list_says_what_must_be_installed(makedo, monkeypatch):
    monkeypatch.setitem(ROOMS, "spare_room", SPARE | {"extra": "spare"})
    wanted = ["numpy>=2", "no-such-package>=1; extra == 'spare'", "click>=8; extra == 'spare'"]
    monkeypatch.setattr(cli.metadata, "requires", lambda name: wanted)
    assert cli.lacking_packages("spare") == ["no-such-package"]
    assert 'pip install "makedo[spare]"' in makedo("list")[1]


@pytest.mark.parametrize("name", ["cold-brew", "cold_brew"])
def test_a_method_without_a_verb_shows_its_verbs(makedo, name):
    code, out, _ = makedo(name)
    assert code == 0 and ROOMS["cold_brew"]["trouble"].split()[0] in out
    for verb in ("diagnose", "fit", "predict", "evaluate", "report"):
        assert f"  {verb}" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cold-bew", "fit"], "No such command 'cold-bew'"),
        (["cold-brew", "brew"], "No such command 'brew'"),
        (["demo", "cold-bew"], "There are: cold-brew"),
        (["reproduce", "cold-bew"], "There are: cold-brew"),
        (["reproduce"], "either a method or --render"),
        (["reproduce", "cold-brew", "--render"], "either a method or --render"),
        (["reproduce", "cold-brew", "--table", "no such"], "'no such'"),
        (["reproduce", "cold-brew", "--jobs", "0"], "--jobs"),
        (["reproduce", "cold-brew", "--jobs", "-1"], "--jobs"),
        (["data", "get", "no such"], "'no such'"),
        (["data", "path", "no such"], "'no such'"),
        (["diagnose"], "name the files"),
        (["diagnose", "no such.csv"], "no such.csv"),
        (["diagnose", "--as", "knots=a.csv"], "the roles are"),
        (["diagnose", "--as", "edges"], "role=FILE"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(makedo, tmp_path, arguments, words):
    code, out, err = makedo(*arguments)
    assert (code, out) == (2, "") and words in err
    assert err.startswith("makedo: ") and err.count("\n") == 1
    assert not any(tmp_path.iterdir())


# --- data, demo, reproduce -----------------------------------------------------------------------


def test_data_says_what_there_is_and_where(makedo, tmp_path, monkeypatch):
    monkeypatch.setenv("MAKEDO_DATA", str(tmp_path))
    (tmp_path / "cora").mkdir()
    (tmp_path / "cora" / "graph.npz").touch()
    where = {
        record["name"]: record["where"]
        for record in json.loads(makedo("data", "list", "--json")[1])
    }
    assert (where["cora"], where["citeseer"]) == ("folder", "missing")
    assert len(makedo("data", "list")[1].splitlines()) == len(where)
    assert makedo("data", "path", "cora")[1].strip() == str(tmp_path / "cora" / "graph.npz")
    out = makedo("data", "get", "cora")[1]
    assert "Licence: MIT" in out and out.strip().endswith("graph.npz")
    code, _, err = makedo("data", "get", "citeseer")
    assert code == 2 and "MAKEDO_DATA" in err


def test_demo_runs_the_room_s_demo_and_prints_the_report_s_path(makedo, room):
    def run(out, quiet):
        logging.getLogger("makedo").info("working")
        out.mkdir()
        (out / "page.html").write_text(str(quiet))
        return out / "page.html"

    assert makedo("demo", "spare-room")[::2] == (2, "makedo: spare-room has no demo yet.\n")
    room("demo", run=run)
    out = makedo("demo", "spare-room", "--out", "here", "--quiet")[1]
    assert (
        out.strip() == str(Path("here/page.html")) and Path("here/page.html").read_text() == "True"
    )
    assert makedo("demo", "spare-room")[1].strip() == str(Path("makedo-demo/page.html"))


def test_reproduce_measures_a_table_keeps_its_rows_and_renders_them(makedo, room):
    asked = []

    def rows(table, seeds):
        def compute():
            asked.append((table, seeds))
            return [measured(ACCURACY, "all", {0: 70.0, 1: 72.0}, paper=71.5)]

        return [Row(table, "cora", "MLP", compute, seeds=(0, 1))]

    room("reproduce", tables=lambda: ["first", "second"], rows=rows)
    code, out, _ = makedo("reproduce", "spare-room", "--table", "first", "--seeds", "2")
    assert code == 0 and asked == [("first", 2)] and "71.5" in out and "MLP" in out
    records = json.loads(Path("results/spare_room.json").read_text())
    assert records[0]["command"] == "makedo reproduce spare-room --table first --seeds 2"
    makedo("reproduce", "spare-room")
    assert asked == [("first", 2), ("second", None)]
    assert makedo("reproduce", "--render")[1].strip().endswith("RESULTS.md")
    page = Path("RESULTS.md").read_text(encoding="utf-8")
    assert "## Spare" in page and "### second" in page


@pytest.fixture
def two_tables(room):
    """Two tables: one of cora and citeseer, one of cora alone; gives what was measured."""
    asked = []

    def rows(table, seeds):
        for data in ("cora", "citeseer") if table == "first" else ("cora",):
            yield Row(table, data, "MLP", lambda data=data: compute(table, data))

    def compute(table, data):
        asked.append((table, data))
        return [measured(ACCURACY, "all", [70.0])]

    room("reproduce", tables=lambda: ["first", "second"], rows=rows)
    return asked


def test_reproduce_measures_only_the_data_sets_asked_for(makedo, two_tables):
    line = ("reproduce", "spare-room", "--table", "first")
    assert makedo(*line, "--data", "citeseer")[0] == 0
    assert two_tables == [("first", "citeseer")]
    assert makedo("reproduce", "spare-room", "--data", "citeseer, cora")[0] == 0
    assert two_tables[1:] == [("first", "cora"), ("second", "cora")]
    records = json.loads(Path("results/spare_room.json").read_text())
    assert {record["command"] for record in records} == {
        "makedo reproduce spare-room --table first", "makedo reproduce spare-room --table second"
    }  # fmt: skip


def test_reproduce_names_the_data_sets_that_there_are(makedo, two_tables, tmp_path):
    code, out, err = makedo(
        "reproduce", "spare-room", "--table", "second", "--data", "cora,citeseer,x"
    )
    assert (code, out) == (2, "") and not two_tables and not any(tmp_path.iterdir())
    assert err == (
        "makedo: --data: the table 'second' of spare-room has no rows of 'citeseer', 'x'. There "
        "are 'cora'.\n"
    )


def test_every_room_s_tables_can_be_asked_for():
    for name in ROOMS:
        if find_spec(f"makedo.methods.{name}.reproduce") is None:
            continue
        module = cli.part(name, "reproduce")
        assert all(isinstance(table, str) for table in module.tables()) and callable(module.rows)


# --- diagnose ------------------------------------------------------------------------------------


@pytest.fixture
def graph(tmp_path):
    """A node table, its edges and a log."""
    ids = [f"p{i}" for i in range(6)]
    pd.DataFrame({"key": ids, "age": range(6)}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"x": ids[:-1], "y": ids[1:]}).to_csv(tmp_path / "b.csv", index=False)
    return tmp_path


def diagnose(*, log: Table, label: str, id: str | None = None, settings: Settings) -> Diagnosis:
    """Diagnose."""
    assert settings.quiet
    return Diagnosis("may help", 2.0, (1.0, 3.0), "points", {"rows": np.int64(len(log.frame))},
                     f"Look at {log.name}, {label}, {id}.")  # fmt: skip


def test_root_diagnose_gives_each_room_the_files_it_takes(makedo, room, graph):
    room("commands", VERBS=[diagnose])
    asked = ("diagnose", "a.csv", "b.csv", "--id", "key", "--label", "age", "--quiet")
    code, out, _ = makedo(*asked)
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0
    assert lines["spare-room"] == "may help. +2.0 (+1.0 to +3.0) points. Look at a.csv, age, key."
    document = json.loads(makedo(*asked, "--json")[1])
    assert document["spare_room"]["figures"] == {"rows": 6}
    verdicts = [answer["verdict"] for answer in document.values()]
    assert verdicts == sorted(
        verdicts, key=["applies", "may help", "does not apply", "cannot tell"].index
    )


def test_root_diagnose_says_what_a_room_lacks(makedo, room, graph):
    room("commands", VERBS=[diagnose])
    answers = json.loads(makedo("diagnose", "a.csv", "--json", "--quiet")[1])
    assert answers["cold_brew"]["verdict"] == "cannot tell"
    assert "--as edges=FILE" in answers["cold_brew"]["advice"]
    assert "--label" in answers["spare_room"]["advice"]


@pytest.mark.parametrize("option", ["--label", "--id"])
def test_root_diagnose_refuses_a_column_that_no_file_has(makedo, room, graph, option):
    room("commands", VERBS=[diagnose])
    given = {"--label": "age", "--id": "key"} | {option: "colour"}
    line = [word for pair in given.items() for word in pair]
    code, out, err = makedo("diagnose", "a.csv", "b.csv", *line, "--quiet")
    assert (code, out) == (2, "")
    assert err == (
        f"makedo: {option} colour: no file has a column of that name. a.csv has 'key', 'age'; "
        "b.csv has 'x', 'y'.\n"
    )


def test_as_overrides_what_the_values_say(makedo, room, graph):
    room("commands", VERBS=[diagnose])
    out = makedo(
        "diagnose", "a.csv", "--as", "log=b.csv", "--label", "age", "--id", "key", "--quiet"
    )[1]
    assert "Look at b.csv" in out


def test_a_room_that_cannot_be_imported_does_not_stop_the_others(makedo, room, graph):
    folder = room("demo")
    (folder / "commands.py").write_text("import no_such_package")
    asked = ("diagnose", "a.csv", "b.csv", "--id", "key", "--label", "age", "--quiet", "--json")
    answers = json.loads(makedo(*asked)[1])
    assert answers["spare_room"]["verdict"] == "cannot tell"
    assert "no_such_package" in answers["spare_room"]["advice"]
    assert answers["cold_brew"]["advice"] and "no_such" not in answers["cold_brew"]["advice"]


@pytest.mark.parametrize(
    ("roles", "found", "named", "taken"),
    [
        (["nodes", "edges"], {"a": "rows", "b": "edges"}, {}, {"nodes": "a", "edges": "b"}),
        (["log"], {"a": "rows", "b": "edges"}, {}, {"log": "a"}),
        (["log", "edges"], {"a": "rows", "b": "rows"}, {"edges": "b"}, {"log": "a", "edges": "b"}),
        (["nodes", "edges"], {"a": "rows", "b": "rows"}, {}, None),
        (["nodes", "edges"], {"a": "rows", "b": "edges", "c": "edges"}, {}, None),
        (["log", "items"], {"a": "rows", "b": "rows"}, {"log": "a"}, {"log": "a", "items": "b"}),
        (["log", "items"], {"a": "rows", "b": "rows"}, {}, None),
    ],
)  # fmt: skip
def test_a_role_goes_to_the_only_file_that_can_have_it(roles, found, named, taken):
    if taken is None:
        with pytest.raises(MakedoInputError, match="--as"):
            cli.assign(roles, found, named)
    else:
        assert cli.assign(roles, found, named) == taken


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_asleep_unless_the_user_says_otherwise(makedo, monkeypatch, before, after):
    monkeypatch.setenv("OMP_WAIT_POLICY", before or "")
    if before is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    makedo("list")
    assert os.environ["OMP_WAIT_POLICY"] == after


# --- in a process of its own ---------------------------------------------------------------------


def test_a_reader_that_goes_away_causes_no_traceback(tmp_path):
    command = [sys.executable, "-m", "makedo.cli", "list", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_terminal_that_lacks_a_letter_is_no_fault():
    done = subprocess.run(
        [sys.executable, "-m", "makedo.cli", "diagnose", "--help"],
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        encoding="latin-1",
    )
    assert done.returncode == 0 and "FILES?" in done.stdout and done.stderr == ""


def test_the_module_runs_as_a_program_and_returns_its_exit_code():
    done = subprocess.run(
        [sys.executable, "-m", "makedo.cli", "nonsense"], capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
