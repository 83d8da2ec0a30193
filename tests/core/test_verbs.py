"""Verbs, their options, results and ends, on a small room made of plain functions."""

import json
import logging
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Literal

import click
import numpy as np
import pandas as pd
import pytest
import torch

from makedo.core import verbs
from makedo.core.checks import (
    InterruptedWarning,
    MakedoInputError,
    MakedoWarning,
    Number,
    check_parameters,
)
from makedo.core.console import run
from makedo.core.diagnosis import Diagnosis
from makedo.core.verbs import (
    Batches,
    Fitted,
    House,
    Model,
    Page,
    Rows,
    Settings,
    Table,
    call,
    mount,
)
from makedo.data import files
from makedo.data.table import TableEncoder

HELP = dict.fromkeys(("nodes", "edges", "rule", "top", "share", "fast", "state"), "something")


class Mean:
    """A model whose directory is one JSON file; good enough to be saved, loaded and reported."""

    room = "small"

    def __init__(
        self,
        shrink: float = 0.0,
        n_steps: int = 10,
        rule: str | None = "first",
        how: Literal["fast", "exact"] = "fast",
        widths: list[int] | None = None,
        threshold: float | str = "auto",
        warm: bool = False,
        encoder: Callable | None = None,
        random_state: int = 0,
        device: str = "auto",
        verbose: int = 0,
        bare=3,
    ):
        self.given = {name: value for name, value in locals().items() if name != "self"}
        vars(self).update(self.given)

    def _check_parameters(self):
        check_parameters(self, {"shrink": Number(0, 1)})

    def save(self, path):
        path.mkdir(exist_ok=True)
        (path / "model.json").write_text(json.dumps(self.given, default=str))

    def report(self):
        return Paper()


class Paper:
    verdict = "Use the mean."

    def to_html(self):
        return "<html>Use the mean.</html>"

    def to_dict(self):
        return {"verdict": self.verdict, "gain": float("nan")}


def load(path, **parameters):
    if not Path(path, "model.json").exists():
        raise MakedoInputError(f"{path} is not a model directory.")
    return Mean(**json.loads(Path(path, "model.json").read_text()) | parameters)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder with two tables."""
    monkeypatch.chdir(tmp_path)
    Path("nodes.csv").write_text("id,age\n007,31\n008,32\n009,33\n")
    Path("edges.csv").write_text("source,target\n007,008\n")
    return tmp_path


@pytest.fixture
def makedo(here, capsys):
    """Run verbs as ``makedo VERB …``; gives exit code, stdout and stderr."""

    def execute(verb, *arguments):
        commands = ModuleType("commands")
        commands.VERBS, commands.HELP = [verb], HELP
        group = click.Group("makedo", commands=mount("small", commands, House(lambda: files, load)))
        code = run(group, [verb.__name__, *map(str, arguments)])
        return code, *capsys.readouterr()

    return execute


def written(here):
    """What stands in the folder besides the two tables."""
    return {path.name for path in here.iterdir()} - {"nodes.csv", "edges.csv"}


# --- options -------------------------------------------------------------------------------------


def test_the_example_of_the_docstring_is_the_toy_room():
    toy = Path(__file__).parent.parent / "toy_room" / "toy" / "commands.py"
    assert textwrap.indent(toy.read_text(encoding="utf-8"), "    ") in verbs.__doc__


def test_every_annotation_is_read(makedo):
    got = {}

    def look(
        model: Model,
        *,
        nodes: Table,
        edges: Batches | None = None,
        label: str,
        top: int = 3,
        share: float = 0.5,
        rule: Literal["error", "drop"] = "error",
        features: list[str] | None = None,
        fast: bool = False,
        state: Path | None = None,
    ) -> Rows:
        """Look."""
        got.update(locals())
        return nodes.frame

    Path("m").mkdir()
    Mean().save(Path("m"))
    code, out, err = makedo(
        look, "m", "--nodes", "nodes.csv", "--edges", "edges.csv", "--label", "age", "--top", "5",
        "--rule", "drop", "--features", 'a, "b,c"', "--features", "d", "--fast", "--state", "there",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert isinstance(got["model"], Mean) and got["nodes"].name == "nodes.csv"
    assert [list(frame["source"]) for frame in got["edges"]] == [["007"]]
    assert (got["label"], got["top"], got["share"], got["rule"]) == ("age", 5, 0.5, "drop")
    assert got["features"] == ["a", "b,c", "d"]
    assert got["fast"] is True and got["state"] == Path("there")
    assert "007" in out and "31" in out


def test_what_may_be_left_out_is_none_or_the_default(makedo):
    got = []

    def look(
        model: Model | None = None,
        *,
        edges: Table | None = None,
        features: list[str] | None = None,
        fast: bool = False,
        rule: Literal["a", "b"] | None = None,
        top: int = 3,
    ) -> Rows:
        """Look."""
        got.extend([model, edges, features, fast, rule, top])
        return pd.DataFrame({"a": [1]})

    assert makedo(look)[0] == 0
    assert got == [None, None, None, False, None, 3]


def pick(*, features: list[str] | None = None) -> Rows:
    """Pick columns."""
    return pd.DataFrame({"name": features or ["all"]})


@pytest.mark.parametrize("given", ["", ",", " , ", "\n"])
def test_a_list_that_names_nothing_is_not_taken_for_all(makedo, given):
    code, out, err = makedo(pick, "--features", given, "--out", "x.csv")
    assert (code, out) == (2, "") and "--features" in err and "names nothing" in err
    assert err.count("\n") == 1 and not Path("x.csv").exists()


def test_a_list_may_have_a_name_a_line(makedo):
    assert makedo(pick, "--features", 'a\n"b,c"\r\nd, e\n', "--out", "x.csv")[0] == 0
    assert pd.read_csv("x.csv")["name"].tolist() == ["a", "b,c", "d", "e"]


def show(*, nodes: Table, label: str) -> Rows:
    """Show the nodes."""
    return nodes.frame


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nodes", "nodes.csv"], "--label"),
        (["--nodes", "missing.csv", "--label", "age"], "missing.csv does not exist"),
        (["--nodes", "nodes.csv", "--label", "age", "--lable", "x"], "--lable"),
        (["--nodes", "nodes.csv", "--label", "age", "more"], "more"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(makedo, arguments, words):
    code, out, err = makedo(show, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("makedo: ") and words in err and err.count("\n") == 1


def test_the_help_explains_every_option_and_argument(makedo):
    def look(model: Model, *, nodes: Table, label: str, settings: Settings) -> Rows:
        """Look at the nodes."""
        return nodes.frame

    code, out, _ = makedo(look, "--help")
    assert code == 0 and "Look at the nodes." in out
    assert "MODEL: directory that fit wrote" in out
    options = "nodes FILE,label TEXT,set KEY=VALUE,config FILE,seed,device,out FILE,json,quiet"
    for option in [f"--{one}" for one in options.split(",")]:
        assert option in out


def unreadable(*, nodes: bytes) -> Rows:
    """Take bytes."""


def unexplained(*, mystery: str) -> Rows:
    """Take a parameter that HELP does not have."""


def returns_nothing(*, label: str):
    """Return what?"""


def undocumented(*, label: str) -> Rows: ...


def takes_our_name(*, settings: Settings, seed: int = 0) -> Rows:
    """Take an option that Settings has."""


@pytest.mark.parametrize(
    "verb", [unreadable, unexplained, returns_nothing, undocumented, takes_our_name]
)
def test_a_signature_that_cannot_be_read_is_our_mistake(verb):
    commands = ModuleType("commands")
    commands.VERBS, commands.HELP = [verb], HELP | {"seed": "seed"}
    with pytest.raises(TypeError, match=verb.__name__):
        mount("small", commands, House(lambda: files, load))


def test_a_verb_may_have_words(makedo):
    def recommend_items(*, label: str) -> Rows:
        """Recommend."""
        return pd.DataFrame()

    commands = ModuleType("commands")
    commands.VERBS, commands.HELP = [recommend_items], {}
    assert list(mount("small", commands, House(lambda: files, load))) == ["recommend-items"]


def test_call_gives_a_verb_what_it_takes_and_names_what_is_lacking():
    table = Table(Path("nodes.csv"), lambda path: pd.DataFrame({"a": [1]}))
    assert len(call(show, {"nodes": table, "label": "a", "other": 1})) == 1
    with pytest.raises(MakedoInputError, match="--label"):
        call(show, {"nodes": table})


# --- models and settings -------------------------------------------------------------------------


def fit(*, nodes: Table, settings: Settings) -> Fitted:
    """Fit."""
    model = settings.build(Mean)
    assert len(nodes.frame)
    return model


def fitted(makedo, *arguments):
    """The parameters of the model that ``fit`` saved."""
    code, _, err = makedo(fit, "--nodes", "nodes.csv", "--out", "model", *arguments)
    assert code == 0, err
    return json.loads(Path("model/model.json").read_text())


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        ("shrink=1e-1", "shrink", 0.1),
        ("shrink=1", "shrink", 1.0),
        ("n_steps=7", "n_steps", 7),
        ("n-steps=7", "n_steps", 7),
        ("rule=last", "rule", "last"),
        ("rule=none", "rule", None),
        ("how=exact", "how", "exact"),
        ("widths=8,16", "widths", [8, 16]),
        ("widths=none", "widths", None),
        ("threshold=2", "threshold", 2.0),
        ("threshold=auto", "threshold", "auto"),
        ("warm=true", "warm", True),
        ("bare=5", "bare", 5),
    ],
)
def test_set_is_typed_by_the_constructor(makedo, change, name, value):
    got = fitted(makedo, "--set", change)[name]
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("shrnk=1", "no parameter 'shrnk'. Did you mean 'shrink'? It has shrink, n_steps"),
        ("n_steps=many", "n_steps of Mean must be an integer of 64 bits. Got 'many'"),
        (f"n_steps={2**63}", "an integer of 64 bits"),
        ("n_steps=1.5", "an integer"),
        ("warm=1", "true or false"),
        ("how=slow", "one of 'fast', 'exact'"),
        ("widths=8,x", "a list or none"),
        ("shrink=2", "[0, 1]"),
        ("encoder=os:system", "in Python only"),
        ("shrink", "key=value"),
    ],
)
def test_a_wrong_set_is_one_line_and_exit_2(makedo, here, change, words):
    code, _, err = makedo(fit, "--nodes", "nodes.csv", "--out", "model", "--set", change)
    assert code == 2 and words in err and err.count("\n") == 1
    assert written(here) == set()


def test_a_wrong_set_is_found_before_any_file_is_read(makedo):
    Path("nodes.csv").write_bytes(b"\xff\xfe\x00 not a table")
    _, _, err = makedo(fit, "--nodes", "nodes.csv", "--out", "model", "--set", "shrink=2")
    assert "[0, 1]" in err


def test_set_wins_over_config_and_seed_and_device_have_options(makedo):
    Path("c.toml").write_text('[settings]\nshrink = 1\nn_steps = 5\nrule = "none"\nwidths = [3]\n')
    changes = ("--config", "c.toml", "--set", "n_steps=6", "--seed", "4", "--device", "cpu")
    got = fitted(makedo, *changes)
    assert (got["shrink"], got["n_steps"], got["rule"], got["widths"]) == (1.0, 6, None, [3])
    assert (got["random_state"], got["device"]) == (4, "cpu")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[settings]\nshrink = ", "not TOML"),
        ("shrink = 1\n", "must hold one table, [settings]"),
        ("[settings]\n[other]\n", "'other'"),
        ("[settings]\nn_steps = 1.5\n", "c.toml: n_steps: parameter n_steps of Mean must be an"),
        ("[settings]\nwarm = 1\n", "true or false"),
        ('[settings]\nencoder = "os:system"\n', "in Python only"),
    ],
)  # fmt: skip
def test_a_wrong_config_is_one_line_and_exit_2(makedo, here, text, words):
    Path("c.toml").write_text(text)
    code, _, err = makedo(fit, "--nodes", "nodes.csv", "--out", "model", "--config", "c.toml")
    assert code == 2 and words in err and err.count("\n") == 1
    assert written(here) == {"c.toml"}


@pytest.mark.parametrize(
    "changes",
    [
        ("--set", "n_steps=1", "--set", "n-steps=2"),
        ("--seed", "1", "--set", "random_state=2"),
        ("--device", "cpu", "--set", "device=cpu"),
    ],
)
def test_what_is_set_twice_is_refused(makedo, changes):
    code, _, err = makedo(fit, "--nodes", "nodes.csv", "--out", "model", *changes)
    assert code == 2 and "Give it once" in err


def test_progress_is_shown_unless_quiet(makedo):
    assert fitted(makedo)["verbose"] == 1
    assert fitted(makedo, "--quiet")["verbose"] == 0


def test_a_model_of_another_room_is_refused(makedo, monkeypatch):
    def look(model: Model) -> Rows:
        """Look."""
        return pd.DataFrame({"device": [model.device]})

    Mean().save(Path("m"))
    assert "cpu" in makedo(look, "m", "--device", "cpu")[1]
    monkeypatch.setattr(Mean, "room", "cold_brew")
    code, _, err = makedo(look, "m")
    assert code == 2 and "m is a model of cold-brew" in err


# --- what becomes of a result --------------------------------------------------------------------


def test_a_fitted_model_is_saved_with_its_report(makedo, here):
    code, out, _ = makedo(fit, "--nodes", "nodes.csv", "--out", "model", "--report", "fit.html")
    assert code == 0 and out == "Saved Mean to model. Its report: fit.html.\n"
    assert written(here) == {"model", "fit.html"}
    assert Path("fit.html").read_text() == "<html>Use the mean.</html>"


def test_fit_says_what_it_did_with_each_column(makedo):
    def fit(*, nodes: Table) -> Fitted:
        """Fit."""
        model = Mean()
        model.table_ = TableEncoder().fit(nodes.frame)
        return model

    code, _, err = makedo(fit, "--nodes", "nodes.csv", "--out", "model")
    assert code == 0 and any(line.startswith("age ") for line in err.splitlines())


def test_a_model_replaces_a_model_and_nothing_else(makedo, here):
    assert fitted(makedo, "--set", "n_steps=1")["n_steps"] == 1
    assert fitted(makedo, "--set", "n_steps=2")["n_steps"] == 2
    Path("precious").mkdir()
    Path("precious/thesis.txt").write_text("years")
    for out in ("precious", "edges.csv"):
        code, _, err = makedo(fit, "--nodes", "nodes.csv", "--out", out)
        assert code == 2 and "not a model directory" in err
    assert Path("precious/thesis.txt").read_text() == "years"
    assert Path("edges.csv").exists()


def test_a_report_that_fails_leaves_neither_page_nor_model(makedo, here, monkeypatch):
    monkeypatch.setattr(Paper, "to_html", lambda self: 1 / 0)
    code, _, err = makedo(fit, "--nodes", "nodes.csv", "--out", "model", "--report", "fit.html")
    assert code == 1 and "ZeroDivisionError" in err
    assert written(here) == set()


def batches(*, nodes: Batches, fast: bool = False) -> Rows:
    """Score in batches of one row; fail at the third where asked."""
    for frame in nodes:
        for i in range(len(frame)):
            if fast and i == 2:
                raise MakedoInputError("row 3 is bad.")
            yield frame.iloc[[i]]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl", "a.tsv.gz"])
def test_rows_are_written_by_suffix_batch_by_batch(makedo, here, name):
    code, out, _ = makedo(batches, "--nodes", "nodes.csv", "--out", name)
    assert code == 0 and out == f"Wrote 3 rows to {name}.\n"
    pd.testing.assert_frame_equal(files.read_table(name), files.read_table("nodes.csv"))
    assert written(here) == {name}


def test_a_verb_that_fails_in_the_middle_leaves_the_old_file(makedo, here):
    Path("a.csv").write_text("old")
    code, _, err = makedo(batches, "--nodes", "nodes.csv", "--fast", "--out", "a.csv")
    assert (code, err) == (2, "makedo: row 3 is bad.\n")
    assert Path("a.csv").read_text() == "old" and written(here) == {"a.csv"}


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("a.xlsx", ".parquet"),
        ("a", ".parquet"),
        ("folder", "is a directory"),
        ("nowhere/a.csv", "the folder 'nowhere' does not exist"),
        ("nodes.csv", "is a file to be read"),
        ("folder/../nodes.csv", "is a file to be read"),
    ],
)
def test_an_impossible_out_is_refused_before_the_work_begins(makedo, here, out, words):
    began = []

    def work(*, nodes: Table) -> Rows:
        """Work."""
        began.append(1)
        return nodes.frame

    Path("folder").mkdir()
    before = Path("nodes.csv").read_text()
    code, _, err = makedo(work, "--nodes", "nodes.csv", "--out", out)
    assert code == 2 and words in err and err.count("\n") == 1
    assert not began and Path("nodes.csv").read_text() == before and written(here) == {"folder"}


def frames(*values, **more):
    def verb(*, label: str = "") -> Rows:
        """Give rows."""
        return pd.DataFrame({"a": values}, **more)

    return verb


def test_rows_without_out_are_shown_with_a_meaningful_index(makedo):
    assert makedo(frames(1.23456, 2.0))[1].split() == ["a", "1.235", "2"]
    head = makedo(frames(1, 2, index=pd.Index(["tail", "head"], name="group")))[1]
    assert head.split() == ["a", "group", "tail", "1", "head", "2"]
    assert makedo(frames())[1] == "no rows (columns: a)\n"


def test_what_lies_before_the_point_is_shown_whole(makedo):
    """Frames and places differ in their last figures."""
    shown = makedo(frames(10_044.0, -12_345.678, 1_616_230_020.0, 999.96))[1].split()
    assert shown == ["a", "10044", "-12345.7", "1616230020", "1000"]


def test_a_long_table_is_cut_on_the_terminal_and_not_computed_further(makedo):
    made = []

    def many(*, label: str = "") -> Rows:
        """Give far too many rows."""
        for start in range(0, 10_000, 50):
            made.append(start)
            yield pd.DataFrame({"a": range(start, start + 50)})

    out = makedo(many)[1]
    assert out.splitlines()[60].strip() == "59" and "--out FILE writes all" in out
    assert len(made) == 2


def test_rows_as_json_are_one_array(makedo):
    index = pd.Index(["x", "y"], name="node")
    out = makedo(frames(np.nan, 0.1, index=index), "--json")[1]
    assert json.loads(out) == [{"node": "x", "a": None}, {"node": "y", "a": 0.1}]
    assert json.loads(makedo(frames(), "--json")[1]) == []
    out = makedo(frames([1, 2], "é", None, pd.Timestamp("2024-05-01")), "--json")[1]
    assert [row["a"] for row in json.loads(out)] == [[1, 2], "é", None, "2024-05-01 00:00:00"]
    out = makedo(batches, "--nodes", "nodes.csv", "--json")[1]
    assert [row["id"] for row in json.loads(out)] == ["007", "008", "009"]
    out = makedo(batches, "--nodes", "nodes.csv", "--json", "--out", "a.csv")[1]
    assert json.loads(out) == {"out": "a.csv", "rows": 3}


def diagnose(*, label: str = "") -> Diagnosis:
    """Diagnose."""
    figures = {"ratio": float("nan"), "n": np.int64(3)}
    return Diagnosis("applies", 1.5, (0.5, 2.5), "points", figures, "Fit it.")


def test_a_diagnosis_is_shown_and_written_as_json(makedo, here):
    out = makedo(diagnose, "--out", "d.json")[1]
    assert out.startswith("Applies. Fit it.\nExpected gain: +1.5 (+0.5 to +2.5) points.")
    document = json.loads(Path("d.json").read_text())
    assert document == json.loads(makedo(diagnose, "--json")[1])
    assert document["figures"] == {"ratio": None, "n": 3} and document["interval"] == [0.5, 2.5]
    assert makedo(diagnose, "--out", "d.txt")[0] == 2 and written(here) == {"d.json"}


def report(*, label: str = "") -> Page:
    """Report."""
    return Paper()


def test_a_page_is_written_and_its_verdict_shown(makedo, here):
    assert makedo(report, "--out", "r.html")[1] == "Use the mean.\nReport: r.html\n"
    assert makedo(report, "--out", "r.html", "--quiet")[1] == "Use the mean.\n"
    out = makedo(report, "--out", "r.html", "--json")[1]
    assert json.loads(out) == {"verdict": "Use the mean.", "gain": None}
    assert makedo(report)[0] == 2 and makedo(report, "--out", "r.pdf")[0] == 2
    assert written(here) == {"r.html"} and Path("r.html").read_text().startswith("<html>")


# --- how a command speaks and ends ---------------------------------------------------------------


def raising(error):
    def verb(*, label: str = "") -> Rows:
        """Raise."""
        raise error

    return verb


def test_bad_input_is_one_line_and_exit_2(makedo):
    code, out, err = makedo(raising(MakedoInputError("nodes.csv: two\nlines.\n")))
    assert (code, out, err) == (2, "", "makedo: nodes.csv: two lines.\n")


def test_a_fault_is_one_line_and_exit_1_and_the_traceback_can_be_had(makedo, monkeypatch):
    code, _, err = makedo(raising(KeyError("x")))
    assert code == 1 and err.count("\n") == 1
    assert "KeyError: 'x'" in err and "MAKEDO_TRACEBACK=1" in err
    monkeypatch.setenv("MAKEDO_TRACEBACK", "1")
    assert "Traceback" in makedo(raising(KeyError("x")))[2]


@pytest.mark.parametrize(
    "error", [EOFError("cut short"), OSError("disk full"), RuntimeError("mat1 and mat2")]
)
def test_errors_of_the_system_are_faults(makedo, error):
    assert makedo(raising(error))[0] == 1


def test_a_fault_is_told_by_its_first_line(makedo):
    err = makedo(raising(RuntimeError("\nOverflow when unpacking\nframe #0: c10::Error\n")))[2]
    assert "RuntimeError: Overflow when unpacking. MAKEDO" in err and "c10" not in err


@pytest.mark.parametrize(
    ("ask", "size"),
    [
        (lambda: np.empty(2**60, dtype=np.uint8), " for 1.00 EiB at once"),
        (lambda: torch.empty(2**60, dtype=torch.uint8), " for 1,152,921,504.6 GB at once"),
        (lambda: torch.empty(2**62, 2**62), ""),
        (lambda: bytearray(2**62), ""),
    ],
)
def test_too_little_memory_is_one_line_that_says_how_to_ask_for_less(makedo, here, ask, size):
    def greedy(*, label: str = "") -> Rows:
        """Ask for much."""
        yield pd.DataFrame({"a": [1]})
        ask()

    code, out, err = makedo(greedy, "--out", "a.csv")
    assert (code, out) == (2, "") and written(here) == set()
    assert err == (
        f"makedo: there is not enough memory{size}. Make the model or its batches smaller with "
        "--set, or give fewer rows.\n"
    )


def test_ctrl_c_is_exit_130(makedo, here):
    code, _, err = makedo(raising(KeyboardInterrupt()), "--out", "a.csv")
    assert (code, err) == (130, "makedo: stopped.\n") and written(here) == set()


def test_a_fit_stopped_by_ctrl_c_saves_its_best_state_and_says_so(makedo, here):
    def fit(*, label: str = "") -> Fitted:
        """Fit."""
        warnings.warn("stopped after 3 epochs.", InterruptedWarning, stacklevel=2)
        return Mean()

    code, _, err = makedo(fit, "--out", "model")
    assert (code, err) == (130, "makedo: note: stopped after 3 epochs.\n")
    assert written(here) == {"model"}


def test_notes_are_one_line_each_and_said_once(makedo):
    def noisy(*, label: str = "") -> Rows:
        """Warn."""
        for _ in range(3):
            warnings.warn("nodes.csv: two\nself loops.", MakedoWarning, stacklevel=2)
        return pd.DataFrame()

    before = warnings.showwarning
    assert makedo(noisy, "--quiet")[2] == "makedo: note: nodes.csv: two self loops.\n"
    assert warnings.showwarning is before


def test_log_lines_go_to_stderr_unless_quiet(makedo):
    logger = logging.getLogger("makedo")

    def talking(*, label: str = "") -> Rows:
        """Log."""
        logger.info("epoch 1")
        return pd.DataFrame({"a": [1]})

    before = logger.handlers[:], logger.level
    assert makedo(talking) == (0, "a\n1\n".replace("a", " a").replace("1", " 1"), "epoch 1\n")
    assert makedo(talking, "--quiet")[2] == ""
    assert (logger.handlers, logger.level) == before
