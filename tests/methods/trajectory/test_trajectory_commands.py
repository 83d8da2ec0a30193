"""The verbs of trajectory on files."""

import json
from pathlib import Path

import pandas as pd
import pytest

from makedo import cli

STEP = ["--seconds-per-frame", "0.4"]
NAMES = ["--columns", "frame=t,agent=who,x=px,y=py,scene=take"]


@pytest.fixture(scope="module")
def made(tmp_path_factory, world):
    """Tables of tracks for the fit and for later, and a model."""
    folder = tmp_path_factory.mktemp("trajectory")
    frame = world.tracks(6).to_frame().drop(columns="kind")
    frame = frame.set_axis(["take", "t", "who", "px", "py"], axis=1)
    frame[frame["take"] < "s4"].to_csv(folder / "learn.csv", index=False)
    frame[frame["take"] >= "s4"].to_parquet(folder / "later.parquet", index=False)
    fit = ["trajectory", "fit", "--tracks", folder / "learn.csv", *NAMES, *STEP, "--quiet"]
    fit += ["--set", "predictor=ridge_social", "--set", "n_samples=2", "--set", "stride=6"]
    assert cli.main([str(one) for one in [*fit, "--out", folder / "model"]]) == 0
    return folder


@pytest.fixture
def trajectory(made, monkeypatch, capsys):
    """Run a line in that folder; gives exit code, stdout, stderr."""
    monkeypatch.chdir(made)

    def run(*arguments):
        capsys.readouterr()
        code = cli.main(["trajectory", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


LATER = ["--tracks", "later.parquet", *NAMES, *STEP]


def test_explain_writes_a_value_for_each_cue_and_report_reads_them(trajectory):
    code, out, _ = trajectory("explain", "model", *LATER, "--out", "found.parquet")
    found = pd.read_parquet("found.parquet")
    assert code == 0 and f"{len(found):,} rows" in out
    assert set(found["game"]) == {"real", "random"} and set(found["scene"]) == {"s4", "s5"}
    code, out, _ = trajectory("report", "model", "--explained", "found.parquet", "--out", "a.html")
    assert code == 0 and ("random ones" in out)
    code, again, err = trajectory("report", "model", *LATER, "--out", "b.html", "--show-rows")
    assert code == 0, err
    assert again.splitlines()[0] == out.splitlines()[0]
    with_rows, without = (Path(name).read_text(encoding="utf-8") for name in ("b.html", "a.html"))
    assert "Agent " in with_rows and "Agent " not in without


def test_evaluate_compares_with_and_without_neighbors(trajectory):
    code, out, _ = trajectory("evaluate", "model", *LATER, "--json")
    table = pd.DataFrame(json.loads(out)).set_index(["candidate", "metric"])["mean"]
    assert code == 0
    assert table["with all cues", "ade"] == table["ridge regression, past and neighbours", "ade"]
    assert table["with all cues", "ade"] < table["stays where it is", "ade"]
    assert table["with all cues", "minade"] <= table["with all cues", "ade"] * 1.5


def test_predict_gives_positions(trajectory):
    code, out, _ = trajectory("predict", "model", *LATER, "--out", "where.csv")
    where = pd.read_csv("where.csv")
    assert (
        code == 0
        and set(where["step"]) == set(range(1, 13))
        and where[["x", "y"]].notna().to_numpy().all()
    )


def test_a_unit_may_be_a_number_of_metres(trajectory):
    frame = pd.read_parquet("later.parquet").eval("px = px / 0.025\npy = py / 0.025")
    frame.to_csv("pixels.csv", index=False)
    pixels = ["--tracks", "pixels.csv", *LATER[2:]]
    errors = []
    for line in (LATER, [*pixels, "--unit", "0.025"]):
        code, out, err = trajectory("evaluate", "model", *line, "--json")
        assert code == 0, err
        errors.append([row["mean"] for row in json.loads(out)])
    assert errors[0] == pytest.approx(errors[1])
    code, _, err = trajectory("evaluate", "model", *pixels, "--unit", "px")
    assert code == 2 and "how many metres one unit is. Got 'px'" in err


def test_a_function_of_the_user_s_is_explained(trajectory):
    with open("mine.py", "w", encoding="utf-8") as file:
        file.write(
            "import numpy as np\n\n\n"
            "def stay(past, neighbors, present, n_samples, seeds):\n"
            "    return np.repeat(past[:, None, -1:], 12, axis=2)\n"
        )
    line = ["explain", "--function", "mine:stay", *LATER, "--set", "n_samples=1"]
    code, out, _ = trajectory(*line, "--set", "stride=6", "--json")
    assert code == 0 and (pd.DataFrame(json.loads(out))["phi"] == 0).all()


def test_diagnose_has_a_verdict(trajectory):
    code, out, _ = trajectory("diagnose", "--tracks", "learn.csv", *NAMES, *STEP)
    assert code == 0 and "ADE, own past, m" in out


def test_diagnose_says_what_to_run_next_with_what_it_was_given(trajectory, world):
    frame = world.tracks(24, n_agents=3, n_steps=120).to_frame().drop(columns="kind")
    frame.rename(columns={"frame": "t 1"}).to_csv("many.csv", index=False)
    given = ["--columns", "frame=t 1", *STEP, "--unit", "m", "--set", "stride=3"]
    code, out, err = trajectory("diagnose", "--tracks", "many.csv", *given)
    assert code == 0 and not out.startswith("Does not apply"), out + err
    line = "makedo trajectory fit --tracks TRACKS --columns 'frame=t 1' --seconds-per-frame 0.4 "
    assert out.endswith(f"Next: {line}--set stride=3 --out model\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["explain", *LATER], "give either MODEL or --function"),
        (["explain", "model", "--function", "a:b", *LATER], "give either MODEL or --function"),
        (["explain", "--function", "nothing", *LATER], "module:function"),
        (["explain", "--function", "nowhere:f", *LATER], "cannot be imported"),
        (
            ["explain", "--function", "a:b", *LATER, "--set", "predictor=lstm"],
            "give either --function or --set predictor",
        ),
        (["explain", "model", *LATER, "--set", "budget=9"], "a model has its own"),
        (["explain", "model", "--tracks", "gone.csv", *STEP], "gone.csv"),
        (["explain", "model", "--tracks", "later.parquet", *STEP], "column"),
        (["evaluate", "model", "--tracks", "later.parquet", *NAMES], "seconds_per_frame"),
        (
            ["predict", "model", *LATER[:2], "--columns", "time=t", *STEP],
            "'time' is not understood",
        ),
        (["fit", *LATER, "--set", "metric=luck", "--out", "m"], "metric must be one of"),
        (["fit", *LATER, "--set", "n_future=99", "--out", "m"], "no agent is seen at 107 steps"),
        (["report", "--out", "x.html"], "MODEL"),
        (["explain", "model", *LATER[:4], "--seconds-per-frame", "0.8"], "fit has seen steps of"),
        (["explain", "model", "--tracks", "later.parquet", *STEP], "--columns frame=NAME"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(trajectory, made, line, said):
    before = set(made.iterdir())
    code, out, err = trajectory(*line)
    assert code == 2 and said in err and len(err.strip().splitlines()) == 1, err
    assert {p.name for p in set(made.iterdir()) - before} <= {"__pycache__"}


def test_speeds_that_no_one_walks_are_noticed(trajectory):
    line = ["evaluate", "model", *LATER[:4], *STEP, "--unit"]
    assert "faster than 15 m/s" in trajectory(*line, "km")[2]
    assert "faster" not in trajectory(*line, "m")[2]


def test_a_report_of_values_says_how_they_were_made_and_not_how_the_model_would(trajectory, made):
    (made / "other.py").write_text(
        "def stay(past, neighbors, present, n_samples, seeds):\n"
        "    return past[:, None, -1:].repeat(12, axis=2)\n\n\n"
        "def few(past):\n    pass\n\n\nclass Thing:\n    def predict(self, cues):\n        pass\n"
    )
    line = ["explain", "--function", "other:stay", *LATER, "--set", "metric=fde"]
    assert trajectory(*line, "--set", "stride=6", "--out", "stay.parquet")[0] == 0
    code, _, err = trajectory("report", "model", "--explained", "stay.parquet", "--out", "s.html")
    page = Path("s.html").read_text(encoding="utf-8")
    assert code == 0 and "Predictor stay" in page and "FDE" in page, err
    for name, said in (("few", "does not take the five arguments"), ("Thing", "is a class")):
        code, _, err = trajectory("explain", "--function", f"other:{name}", *LATER)
        assert code == 2 and said in err
