from __future__ import annotations

import importlib
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from functools import partial

import numpy as np
import pytest
from scipy import stats

from makedo.core.checks import MakedoInputError
from makedo.core.compare import ACCURACY, Candidate, Metric, Outcome
from makedo.core.results import measured, one_writer, read_results
from makedo.core.tables import Pair, Row, comparison_rows, render, run_table

ROOMS = {"psa_gan": {"title": "PSA-GAN"}, "cold_brew": {"title": "Cold Brew"}}
RMSE = Metric("RMSE", unit="°F", higher_is_better=False, decimals=2)
COMMAND = "makedo reproduce cold-brew"


def row(name, values, *, data="cora", table="Cold start", metric=ACCURACY, calls=None, **more):
    def compute():
        if calls is not None:
            calls.append(name)
        return [measured(metric, "isolated", values, **more)]

    return Row(table, data, name, compute, range(len(values)))


def records_of(tmp_path, rows):
    return run_table("cold_brew", rows, tmp_path, command=COMMAND)


# --- running and resuming -----------------------------------------------------------------------


def test_a_row_is_in_the_file_before_the_next_one_starts(tmp_path):
    def look():
        there = read_results(tmp_path / "cold_brew.json")
        assert [record["row"] for record in there] == ["MLP"]
        return [measured(ACCURACY, "isolated", [74.0, 75.0])]

    records_of(tmp_path, [row("MLP", [68.0, 69.0]), Row("Cold start", "cora", "GNN", look)])
    there = read_results(tmp_path / "cold_brew.json")
    assert [record["row"] for record in there] == ["MLP", "GNN"]
    assert there[0]["values"] == [68.0, 69.0] and there[0]["ours"] == 68.5
    assert there[0]["sd"] == pytest.approx(math.sqrt(0.5))
    assert there[0]["command"] == COMMAND and there[0]["n_seeds"] == 2


def test_a_row_in_the_file_is_not_computed_again(tmp_path):
    calls = []
    rows = [row("MLP", [68.0], calls=calls), row("GNN", [70.0], calls=calls)]
    records_of(tmp_path, rows[:1])
    before = (tmp_path / "cold_brew.json").read_text()
    records_of(tmp_path, rows)
    assert calls == ["MLP", "GNN"]
    assert (tmp_path / "cold_brew.json").read_text().startswith(before[:-4])


def test_the_same_row_of_another_data_set_or_table_is_another_row(tmp_path):
    calls = []
    rows = [
        row("MLP", [68.0], calls=calls),
        row("MLP", [60.0], data="citeseer", calls=calls),
        row("MLP", [50.0], table="Public split", calls=calls),
    ]
    assert len(records_of(tmp_path, rows)) == len(calls) == 3


def test_more_seeds_measure_a_row_again_and_fewer_keep_it(tmp_path):
    calls = []
    records_of(tmp_path, [row("MLP", [1.0, 2.0], calls=calls), row("GNN", [5.0], calls=calls)])
    records_of(tmp_path, [row("MLP", [1.0], calls=calls)])
    assert calls == ["MLP", "GNN"]
    records = records_of(tmp_path, [row("MLP", [1.0, 2.0, 3.0], calls=calls)])
    assert calls == ["MLP", "GNN", "MLP"]
    assert [(r["row"], r["n_seeds"]) for r in records] == [("MLP", 3), ("GNN", 1)]


def test_a_row_that_cannot_run_stays_with_its_reason_and_is_tried_again(tmp_path):
    def fails():
        raise MakedoInputError("twitch_de was not found.")

    records = records_of(tmp_path, [Row("Cold start", "twitch_de", "MLP", fails)])
    assert records[0]["ours"] is None and records[0]["note"] == "twitch_de was not found."
    page = render(tmp_path, ROOMS)
    assert "- twitch_de, MLP: twitch_de was not found." in page
    records = records_of(tmp_path, [row("MLP", [50.0, 51.0], data="twitch_de")])
    assert [r["ours"] for r in records] == [50.5]


def test_a_good_row_outlives_a_failed_attempt_at_more_seeds(tmp_path):
    def fails():
        raise MakedoInputError("cora was not found.")

    records_of(tmp_path, [row("MLP", [50.0, 51.0])])
    records = records_of(tmp_path, [Row("Cold start", "cora", "MLP", fails, range(10))])
    assert [r["values"] for r in records] == [[50.0, 51.0]]


def test_killing_the_run_between_rows_loses_nothing(tmp_path):
    script = textwrap.dedent("""
        import os, signal, sys
        from makedo.core.paired import ACCURACY
        from makedo.core.results import measured
        from makedo.core.tables import Pair, Row, run_table

        def compute(name, value):
            print(name, flush=True)
            if name == "GNN" and "kill" in sys.argv:
                os.kill(os.getpid(), signal.SIGKILL)
            return [measured(ACCURACY, "all", [value, value + 1.0])]

        rows = [Row("t", "cora", n, lambda n=n, v=v: compute(n, v), (0, 1))
                for n, v in (("MLP", 60.0), ("GNN", 70.0))]
        run_table("cold_brew", [*rows, Pair("t", "cora", "GNN", "MLP")], sys.argv[1])
    """)

    def start(folder, *more):
        command = [sys.executable, "-c", script, str(folder), *more]
        return subprocess.run(command, capture_output=True, text=True)

    killed = start(tmp_path / "a", "kill")
    assert killed.returncode == -signal.SIGKILL and killed.stdout.split() == ["MLP", "GNN"]
    assert start(tmp_path / "a").stdout.split() == ["GNN"]
    assert start(tmp_path / "b").stdout.split() == ["MLP", "GNN"]
    resumed, whole = (read_results(tmp_path / f / "cold_brew.json") for f in "ab")
    for record in [*resumed, *whole]:
        del record["seconds"], record["date"]
    assert resumed == whole and len(whole) == 3


def test_an_interrupted_write_leaves_the_old_file_and_its_rest_is_cleared(tmp_path):
    records_of(tmp_path, [row("MLP", [68.0])])
    (tmp_path / ".cold_brew.json.1a2b3c4d.part").write_text("[{")
    records_of(tmp_path, [row("GNN", [70.0])])
    assert not list(tmp_path.glob(".*.part"))
    assert len(read_results(tmp_path / "cold_brew.json")) == 2


def test_a_second_writer_is_refused(tmp_path):
    with (
        one_writer(tmp_path / "cold_brew.json"),
        pytest.raises(MakedoInputError, match="another makedo is writing these results"),
    ):
        records_of(tmp_path, [row("MLP", [68.0])])
    assert len(records_of(tmp_path, [row("MLP", [68.0])])) == 1


GOOD = {
    "table": "t", "data": "cora", "group": "all", "row": "MLP", "metric": "accuracy", "paper": None,
    "ours": 1.0, "sd": None, "n_seeds": 1, "values": [1.0], "seconds": 0.0, "command": "",
    "date": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps([GOOD])[:-20], "not valid JSON"),
        ("", "not valid JSON"),
        ('{"rows": []}', "not a list of rows"),
        (json.dumps([GOOD, {"table": "t"}]), "row 2 of 2 lacks 'data', 'group', 'row'"),
        (json.dumps(["MLP"]), "row 1 of 1 lacks 'table', 'data', 'group'"),
        (json.dumps([GOOD | {"ours": "74.1"}]), "row 1 of 1 has a value of the wrong kind"),
        (json.dumps([GOOD | {"values": ["x"]}]), "wrong kind"),
        (json.dumps([GOOD | {"interval": [1.0]}]), "wrong kind"),
        (json.dumps([GOOD | {"seeds": [0, 1]}]), "wrong kind"),
    ],
)
def test_a_damaged_results_file_is_refused_and_left_alone(tmp_path, text, message):
    path = tmp_path / "cold_brew.json"
    path.write_text(text)
    uses = [
        lambda: records_of(tmp_path, [row("MLP", [1.0])]),
        lambda: render(tmp_path, ROOMS),
    ]
    for use in uses:
        with pytest.raises(MakedoInputError, match=message) as error:
            use()
        assert str(path) in str(error.value) and "Restore it from version control" in str(
            error.value
        )
    assert path.read_text() == text


def test_a_record_of_the_documented_keys_alone_is_read(tmp_path):
    (tmp_path / "cold_brew.json").write_text(json.dumps([GOOD]))
    assert "| cora | MLP | 1 | 1.000 |" in render(tmp_path, ROOMS)


# --- several jobs -------------------------------------------------------------------------------
# Worker processes import the rows: they stand in a module of their own.

SHARED = """
import os, threading
from makedo.core.checks import MakedoInputError
from makedo.core.paired import ACCURACY
from makedo.core.results import measured
from makedo.core.tables import Pair, Row

def compute(name, data, mode):
    os.write(1, f"{name} {data}\\n".encode())  # whole, beside those of other processes
    if mode == "wait" and name != "MLP":
        threading.Event().wait()
    if mode == "fail" and name == "GNN":
        raise ZeroDivisionError("GNN on " + data)
    if name == "kNN":
        raise MakedoInputError("kNN needs features.")
    value = 10.0 * len(name) + len(data)
    return [measured(ACCURACY, "all", [value, value + len(name) ** 0.5])]

def rows(mode):
    for data in ("cora", "citeseer"):
        for name in ("MLP", "GNN", "kNN", "GP"):
            yield Row("t", data, name, lambda n=name, d=data: compute(n, d, mode), (0, 1))
        yield Pair("t", data, "GP", "MLP")
"""
RUN = """
import sys
from functools import partial
from makedo.core.tables import run_table
import shared_rows

run_table("cold_brew", partial(shared_rows.rows, sys.argv[2]), sys.argv[1], jobs=2)
"""


@pytest.fixture
def shared(tmp_path, monkeypatch):
    (tmp_path / "shared_rows.py").write_text(SHARED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    yield importlib.import_module("shared_rows")
    del sys.modules["shared_rows"]


def timeless(records):
    return [{k: v for k, v in r.items() if k not in ("seconds", "date")} for r in records]


def test_two_jobs_write_the_same_file_as_one(tmp_path, shared):
    rows = partial(shared.rows, "")
    alone = run_table("cold_brew", rows, tmp_path / "1", command=COMMAND)
    both = run_table("cold_brew", rows, tmp_path / "2", command=COMMAND, jobs=2)
    assert timeless(both) == timeless(alone) and len(alone) == 10
    assert timeless(read_results(tmp_path / "2" / "cold_brew.json")) == timeless(alone)
    reasons = [r["note"] for r in both if r["row"] == "kNN"]
    assert reasons == ["kNN needs features."] * 2


def test_only_the_rows_of_the_data_sets_asked_for_are_measured_and_stand_in_order(tmp_path, shared):
    rows = partial(shared.rows, "")
    some = run_table("cold_brew", rows, tmp_path, data=["citeseer"])
    assert {r["data"] for r in some} == {"citeseer"} and len(some) == 5
    whole = run_table("cold_brew", rows, tmp_path)
    assert timeless(whole) == timeless(run_table("cold_brew", rows, tmp_path / "at once"))


def test_a_fault_in_a_worker_is_raised_and_the_finished_rows_are_in_the_file(tmp_path, shared):
    with pytest.raises(ZeroDivisionError, match="GNN on cora"):
        run_table("cold_brew", partial(shared.rows, "fail"), tmp_path, jobs=2, data=["cora"])
    there = {record["row"] for record in read_results(tmp_path / "cold_brew.json")}
    assert there <= {"MLP", "kNN", "GP"}
    again = run_table("cold_brew", partial(shared.rows, ""), tmp_path, jobs=2, data=["cora"])
    assert [r["row"] for r in again] == ["MLP", "GNN", "kNN", "GP", "GP over MLP"]


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_keeps_the_finished_rows_and_leaves_no_process(tmp_path, shared, sent):
    command = [sys.executable, "-c", RUN, str(tmp_path / "results"), "wait"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        # When three have begun, the first of them is finished and written.
        started = [run.stdout.readline() for _ in range(3)]
        if sent == signal.SIGINT:  # a terminal sends it to the workers too
            os.killpg(run.pid, sent)
        else:
            run.send_signal(sent)
        try:
            _, errors = run.communicate(timeout=30)  # ends when no process holds stdout any more
        finally:
            run.kill()
    assert sorted(started) == ["GNN cora\n", "MLP cora\n", "kNN cora\n"]
    assert run.returncode == -sent
    assert errors.count("Traceback") == (sent == signal.SIGINT)  # the parent's own
    there = read_results(tmp_path / "results" / "cold_brew.json")
    assert [record["row"] for record in there] == ["MLP"]
    run_table("cold_brew", partial(shared.rows, ""), tmp_path / "results", jobs=2)
    resumed = read_results(tmp_path / "results" / "cold_brew.json")
    assert resumed[0] == there[0] and len(resumed) == 10


# --- paired differences -------------------------------------------------------------------------


def test_a_pair_subtracts_seed_by_seed_with_the_interval_of_the_paired_t_test(tmp_path):
    a, b = [74.0, 76.0, 73.0, 75.5], [68.0, 71.0, 66.5, 70.0]
    rows = [row("MLP", b, paper=68.4), row("GNN", a, paper=69.62)]
    record = records_of(tmp_path, [*rows, Pair("Cold start", "cora", "GNN", "MLP")])[-1]
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert record["row"] == "GNN over MLP" and record["values"] == [6.0, 5.0, 6.5, 5.5]
    assert record["interval"] == pytest.approx([expected.low, expected.high])
    assert record["paper"] == pytest.approx(1.22)


def test_a_pair_of_a_metric_where_lower_is_better_gains_by_going_down(tmp_path):
    rows = [
        row("mean", [3.0, 3.5], metric=RMSE, paper=3.4),
        row("GP", [2.0, 2.0], metric=RMSE, paper=2.4),
    ]
    record = records_of(tmp_path, [*rows, Pair("Cold start", "cora", "GP", "mean")])[-1]
    assert record["values"] == [1.0, 1.5] and record["paper"] == pytest.approx(1.0)


def test_a_pair_leaves_out_seeds_that_either_side_lacks(tmp_path):
    rows = [row("MLP", [1.0, math.nan, 3.0, 4.0]), row("GNN", {0: 2.0, 1: 2.0, 2: 5.0})]
    record = records_of(tmp_path, [*rows, Pair("Cold start", "cora", "GNN", "MLP")])[-1]
    assert record["seeds"] == [0, 2] and record["values"] == [1.0, 2.0]


def test_a_pair_follows_its_rows_when_they_are_measured_again(tmp_path):
    pair = Pair("Cold start", "cora", "GNN", "MLP")
    records_of(tmp_path, [row("MLP", [1.0]), row("GNN", [2.0]), pair])
    records = records_of(tmp_path, [row("MLP", [1.0, 1.0]), row("GNN", [2.0, 4.0]), pair])
    assert [(r["row"], r["ours"]) for r in records] == [
        ("MLP", 1.0), ("GNN", 3.0), ("GNN over MLP", 2.0)
    ]  # fmt: skip


def test_a_pair_of_an_unmeasured_row_is_refused_by_name(tmp_path):
    with pytest.raises(MakedoInputError, match="needs the row 'GNN', which has not been measured"):
        records_of(tmp_path, [row("MLP", [1.0]), Pair("Cold start", "cora", "GNN", "MLP")])


# --- from candidates to rows --------------------------------------------------------------------


def protocol(model, seed):
    if model == "kNN":
        raise MakedoInputError("kNN needs features.")
    value = {"MLP": 0.68, "GNN": 0.74}[model] + seed / 100
    collateral = math.nan if seed == 1 else value + 0.1
    return Outcome(0.5, {"isolated": value, "collateral": collateral}, {"isolated": 134 + seed})


def candidates(*names):
    return [
        Candidate(n, lambda random_state, lr, n=n: n, ({"lr": np.float64(0.1)},)) for n in names
    ]


def cold_start(names=("MLP", "kNN", "GNN"), **more):
    return comparison_rows(
        "Cold start",
        "cora",
        candidates(*names),
        protocol,
        seeds=range(3),
        paper={("MLP", "isolated"): 68.4, ("GNN", "isolated"): 69.62},
        pairs=[("GNN", "MLP")],
        **more,
    )


def test_candidates_become_rows_with_values_by_seed_sizes_settings_and_failures(tmp_path):
    records = records_of(tmp_path, cold_start())
    assert [(r["row"], r["group"]) for r in records] == [
        ("MLP", "isolated"), ("MLP", "collateral"), ("kNN", ""), ("GNN", "isolated"),
        ("GNN", "collateral"), ("GNN over MLP", "isolated"), ("GNN over MLP", "collateral"),
    ]  # fmt: skip
    mlp, collateral, knn = records[:3]
    assert mlp["values"] == pytest.approx([68.0, 69.0, 70.0])
    assert mlp["paper"] == 68.4 and mlp["size"] == 135 and mlp["params"] == {"lr": 0.1}
    assert collateral["values"][1] is None and collateral["n_seeds"] == 2
    assert knn["ours"] is None and knn["note"] == "kNN needs features."
    assert read_results(tmp_path / "cold_brew.json") == records


def test_a_pair_with_a_candidate_that_never_ran_says_so(tmp_path):
    rows = cold_start()[:-1]
    records = records_of(tmp_path, [*rows, Pair("Cold start", "cora", "kNN", "MLP")])
    assert records[-1]["ours"] is None and "no group" in records[-1]["note"]
    assert "kNN over MLP" in render(tmp_path, ROOMS)


def test_figures_and_pairs_of_unknown_candidates_are_refused():
    with pytest.raises(MakedoInputError, match="'GNN' is not among the candidates 'MLP'"):
        cold_start(names=("MLP",))


# --- the page -----------------------------------------------------------------------------------


def test_the_page_shows_ours_beside_the_paper_and_differences_with_intervals(tmp_path):
    records_of(tmp_path, cold_start())
    lines = render(tmp_path, ROOMS).splitlines()
    assert lines[0] == "# Results"
    assert "## Cold Brew" in lines and "## PSA-GAN" not in lines and "### Cold start" in lines
    assert "Accuracy in points; higher is better." in lines
    assert "| data | method | n | isolated | paper | collateral |" in lines
    assert "| cora | MLP | 3 | 69.0 ± 1.0 | 68.4 | 79.0 ± 1.4 (n = 2) |" in lines
    assert "| cora | kNN | – | – | – | – |" in lines
    assert "| cora | *test rows* |  | *135* |  | – |" in lines
    assert "| cora | GNN over MLP | 3 | +6.0 **(6.0 to 6.0)** | +1.2 | +6.0 **(6.0 to 6.0)** (n = 2) |" in lines  # fmt: skip  # noqa: E501
    assert "- Settings, cora: MLP lr=0.1; GNN lr=0.1." in lines
    assert any(line.endswith(f"s: `{COMMAND}`.") for line in lines)


def test_an_interval_that_contains_0_is_not_bold(tmp_path):
    rows = [row("MLP", [68.0, 70.0]), row("GNN", [69.0, 69.0])]
    records_of(tmp_path, [*rows, Pair("Cold start", "cora", "GNN", "MLP")])
    assert "| cora | GNN over MLP | 2 | 0.0 (-12.7 to 12.7) |" in render(tmp_path, ROOMS)


def test_each_metric_of_a_table_has_its_own_table(tmp_path):
    rows = [row("GP", [2.0, 2.0], metric=RMSE), row("MLP", [68.0, 69.0])]
    records_of(tmp_path, rows)
    page = render(tmp_path, ROOMS)
    assert "RMSE in °F; lower is better." in page and "| cora | GP | 2 | 2.00 ± 0.00 |" in page
    assert "Accuracy in points; higher is better." in page


def test_a_row_without_seeds_shows_its_own_interval(tmp_path):
    records_of(tmp_path, [row("FCR", [32.9], interval=(30.0, 35.0))])
    assert "| cora | FCR | 1 | 32.9 (30.0 to 35.0) |" in render(tmp_path, ROOMS)


def test_of_a_metric_that_is_better_neither_way_no_direction_is_said(tmp_path):
    neither = Metric("ratio", unit="%", higher_is_better=None, decimals=1)
    records_of(tmp_path, [row("FCR", [32.9, 33.1], metric=neither)])
    page = render(tmp_path, ROOMS)
    assert "\nRatio in %.\n" in page and "| cora | FCR | 2 | 33.0 ± 0.1 |" in page


def test_the_same_results_give_the_same_bytes_whatever_the_order_of_keys(tmp_path):
    records_of(tmp_path, cold_start())
    first = render(tmp_path, ROOMS)
    records_of(tmp_path, cold_start())
    assert render(tmp_path, ROOMS) == first
    path = tmp_path / "cold_brew.json"
    shuffled = [dict(reversed(record.items())) for record in json.loads(path.read_text())]
    path.write_text(json.dumps(shuffled))
    assert render(tmp_path, ROOMS) == first


def test_rooms_stand_in_the_order_of_the_house(tmp_path):
    run_table("cold_brew", [row("MLP", [1.0])], tmp_path)
    run_table("psa_gan", [row("GAN", [1.0])], tmp_path)
    page = render(tmp_path, ROOMS)
    assert page.index("## PSA-GAN") < page.index("## Cold Brew")
    assert render(tmp_path / "none", ROOMS).count("##") == 0


def test_names_cannot_break_the_table(tmp_path):
    records_of(tmp_path, [row("a | b\nc", [1.0])])
    assert "| cora | a \\| b c | 1 |" in render(tmp_path, ROOMS)
