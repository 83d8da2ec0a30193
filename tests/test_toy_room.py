"""An eleventh room is one folder and one ROOMS record: one is added to a copy of the package."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

HERE = Path(__file__).parent
TOY, RECORD = HERE / "toy_room" / "toy", HERE / "toy_room" / "record.txt"
CONTRACT = HERE / "contract"
MOST_LINES = 150


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the package with the toy room: one folder, one record, no other file edited."""
    copy = tmp_path_factory.mktemp("house")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(HERE.parent / "src" / "makedo", copy / "makedo", ignore=ignored)
    shutil.copytree(TOY, copy / "makedo" / "methods" / "toy", ignore=ignored)
    rooms = copy / "makedo" / "methods" / "__init__.py"
    head, end, tail = rooms.read_text(encoding="utf-8").rpartition("}\n")
    rooms.write_text(head + RECORD.read_text(encoding="utf-8") + end + tail, encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two clouds with a text id and a category, in a csv."""
    rng = np.random.default_rng(0)
    label = np.where(np.arange(80) % 2, "dog", "cat")
    frame = pd.DataFrame(
        {
            "id": [f"s{i}" for i in range(80)],
            "size": rng.normal(size=80) + 3 * (label == "dog"),
            "weight": rng.normal(size=80),
            "kind": np.where(rng.random(80) < 0.5, "wild", "tame"),
            "label": label,
        }
    )
    path = tmp_path_factory.mktemp("table") / "animals.csv"
    frame.to_csv(path, index=False)
    return path


def python(house, *arguments, cwd):
    """Run Python in a fresh process that sees the copy of the package, and nothing else of ours."""
    environment = os.environ | {"PYTHONPATH": str(house), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def makedo(house, *arguments, cwd):
    done = python(house, "-m", "makedo.cli", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_toy_room_and_its_record_have_at_most_150_lines():
    files = [*TOY.glob("*.py"), RECORD]
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    assert len(files) == 4
    assert lines <= MOST_LINES


def test_the_toy_room_is_listed(house, tmp_path):
    listed = makedo(house, "list", cwd=tmp_path).splitlines()
    assert any(line.startswith("toy ") and "a new room must fit in" in line for line in listed)
    assert "toy" in makedo(house, "--help", cwd=tmp_path)


def test_the_toy_room_has_its_public_name(house, tmp_path):
    done = python(house, "-c", "import makedo; print(makedo.NearestMean().room)", cwd=tmp_path)
    assert done.stdout.strip() == "toy", done.stderr


def test_the_toy_room_works_from_the_command_line_in_processes_of_its_own(house, table, tmp_path):
    fit = ("toy", "fit", "--rows", table, "--label", "label", "--out", "model")
    makedo(house, *fit, "--set", "random_state=3", "--report", "fit.html", cwd=tmp_path)
    makedo(
        house, "toy", "predict", "model", "--rows", table, "--out", "answer.parquet", cwd=tmp_path
    )
    scores = json.loads(
        makedo(
            house, "toy", "evaluate", "model", "--rows", table, "--label", "label", "--json",
            cwd=tmp_path,
        )
    )  # fmt: skip
    answer, given = pd.read_parquet(tmp_path / "answer.parquet"), pd.read_csv(table)
    right = float((answer["prediction"] == given["label"]).mean())
    assert list(answer["id"]) == list(given["id"])
    assert right > 0.8
    assert scores[1]["candidate"] == "means" and scores[1]["mean"] == pytest.approx(100 * right)
    assert json.loads((tmp_path / "model" / "model.json").read_text())["room"] == "toy"
    assert "<html" in (tmp_path / "fit.html").read_text(encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"model", "fit.html", "answer.parquet"}


def test_the_root_diagnosis_asks_the_toy_room(house, table, tmp_path):
    answers = json.loads(
        makedo(house, "diagnose", table, "--label", "label", "--json", cwd=tmp_path)
    )
    assert answers["toy"]["verdict"] == "applies"
    assert answers["cold_brew"]["verdict"] == "cannot tell"  # there are no edges


def test_the_toy_room_says_what_is_wrong_in_one_line(house, table, tmp_path):
    fit = ("-m", "makedo.cli", "toy", "fit", "--rows", table, "--label", "colour", "--out", "model")
    done = python(house, *fit, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "'colour'" in done.stderr
    assert not any(tmp_path.iterdir())


REPRODUCE = """
import os, threading
from makedo.core.paired import ACCURACY
from makedo.core.results import measured
from makedo.core.tables import Row

def tables():
    return ["quick", "endless"]

def rows(table, seeds):
    return [Row(table, "animals", str(n), lambda n=n: compute(table, n), range(2)) for n in (1, 2)]

def compute(table, n):
    os.write(1, b"started\\n")  # whole, beside that of the other process
    if table == "endless":
        threading.Event().wait()
    return [measured(ACCURACY, "all", [n, n + 1.0])]
"""


def test_the_toy_room_s_tables_are_measured_by_two_processes(house, tmp_path):
    (house / "makedo" / "methods" / "toy" / "reproduce.py").write_text(REPRODUCE)
    line = ("reproduce", "toy", "--jobs", "2", "--table")
    assert "| animals | 2 | 2 | 2.5 ± 0.7 |" in makedo(house, *line, "quick", cwd=tmp_path)
    records = json.loads((tmp_path / "results" / "toy.json").read_text())
    assert [record["values"] for record in records] == [[1.0, 2.0], [2.0, 3.0]]
    assert {record["command"] for record in records} == {"makedo reproduce toy --table quick"}
    with subprocess.Popen(
        [sys.executable, "-m", "makedo.cli", *line, "endless"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(house)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        started = [run.stdout.readline() for _ in range(2)]
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does on Ctrl-C
        try:
            out, err = run.communicate(timeout=30)  # ends when no process holds stdout any more
        finally:
            run.kill()
    assert started == ["started\n", "started\n"]
    assert (run.returncode, out, err) == (130, "", "makedo: stopped.\n")


# --- the contract --------------------------------------------------------------------------------
# tests/contract runs over every record of ROOMS; against the copy, the toy room is one of them.


@pytest.mark.skipif(not any(CONTRACT.glob("test_*.py")), reason="tests/contract is not there yet")
def test_the_toy_room_passes_the_contract(house, tmp_path):
    shutil.copytree(CONTRACT, tmp_path / "contract")
    shutil.copy(HERE.parent / "pyproject.toml", tmp_path)
    pytest_options = ("-q", "-p", "no:cacheprovider", "-k", "toy or NearestMean")
    done = python(house, "-m", "pytest", *pytest_options, "contract", cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
