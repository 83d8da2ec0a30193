"""Bad files through the command line of diva: one clear line, exit code 2, nothing left behind."""

import shutil

import numpy as np
import pandas as pd
import pytest

from makedo import LabelIssueFinder, cli

N = 60
COLUMNS = ["size", "width"]


def table(seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(N, 2)), columns=COLUMNS)
    frame.insert(0, "id", [f"s{seed}-{i}" for i in range(N)])
    frame["kind"] = np.where(frame["size"] + 0.3 * rng.normal(size=N) > 0, "big", "small")
    return frame.assign(patient=np.arange(N) // 3, weight=1.0, photo="nowhere.png")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with good files and a model that was fitted on them."""
    folder = tmp_path_factory.mktemp("made")
    for name, seed in (("rows", 0), ("trusted", 1), ("pool", 2)):
        table(seed).to_csv(folder / f"{name}.csv", index=False)
    pd.DataFrame({"big": np.full(N, 0.5), "small": np.full(N, 0.5)}).to_csv(
        folder / "guess.csv", index=False
    )
    rows = ["--rows", str(folder / "rows.csv"), "--label", "kind", "--features", "size,width"]
    assert cli.main(["diva", "fit", *rows, "--out", str(folder / "model"), "--quiet"]) == 0
    return folder


@pytest.fixture
def refused(made, tmp_path, monkeypatch, capsys):
    """Run a line of diva in a copy of that folder; gives the one line of its refusal."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        before = sorted(tmp_path.rglob("*"))
        capsys.readouterr()
        code = cli.main(["diva", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert (code, out) == (2, "") and err.count("\n") == 1, (code, out, err)
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return run


def rows(seed=0, name="rows", **columns):
    return lambda: table(seed).assign(**columns).to_csv(f"{name}.csv", index=False)


def write(name, content):
    def make():
        with open(name, "wb") as file:
            file.write(content)

    return make


def nothing():
    pass


FEATURES = ["--features", "size,width"]
ONE_MISSING = ["", *table()["kind"][1:]]
BAD_ROWS = {
    "infinite": (rows(size=np.inf), [], "'size' has 60 rows with infinite numbers"),
    "no numbers": (rows(size=np.nan, width=np.nan), [], "can be used"),
    "constant": (rows(size=1.0, width=2.0), [], "2 features, all constant"),
    "no label": (rows(kind=""), [], "label"),
    "one label missing": (rows(kind=ONE_MISSING), [], "1 row of 60 without a label"),
    "one class": (rows(kind="x"), [], "only class"),
    "no such label": (nothing, ["--label", "nope"], "no column 'nope' for --label"),
    "label is a feature": (nothing, ["--features", "size,kind"], "'kind' cannot be a feature too"),
    "no such feature": (nothing, ["--features", "nope"], "no feature column 'nope'"),
    "no such id": (nothing, ["--id", "nope"], "no id column 'nope'"),
    "repeated id": (rows(id="s"), ["--id", "id"], "more than one row"),
    "no such group": (nothing, ["--group", "nope"], "no column 'nope' for --group"),
    "group missing": (
        rows(patient=[np.nan, *range(N - 1)]), ["--group", "patient"], "1 row without a group",
    ),
    "one group": (rows(patient=1), ["--group", "patient"], "one group"),
    "empty": (write("rows.csv", b""), [], "rows.csv: is empty"),
    "header only": (write("rows.csv", b"id,size,width,kind\n"), [], "no rows"),
    "ragged": (write("rows.csv", b"size,width,kind\n1,2,a\n1,2\n"), [], "line 3 has 2 values"),
    "not there": (nothing, ["--rows", "nope.csv"], "nope.csv does not exist"),
    "setting": (nothing, ["--set", "penalty=abc"], "must be"),
    "negative penalty": (nothing, ["--set", "penalty=-1"], "penalty must be"),
    "nothing but id and label": (
        lambda: table()[["id", "kind"]].to_csv("rows.csv", index=False), None, "no column is left",
    ),
}  # fmt: skip
WEIGHTED = {
    "weights all zero": (rows(weight=0.0), "all sample weights are zero"),
    "negative weight": (rows(weight=[-1.0, *np.ones(N - 1)]), "negative"),
    "weight missing": (rows(weight=[np.nan, *np.ones(N - 1)]), "1 value that is missing"),
    "weight is text": (rows(weight="heavy"), "60 values that are missing or no number"),
}
VALIDATED = {
    "unknown class": (rows(1, "trusted", kind="huge"), "name classes that are not in training"),
    "another column": (
        lambda: table(1).drop(columns="width").to_csv("trusted.csv", index=False), "'width'",
    ),
    "text for numbers": (rows(1, "trusted", width="wide"), "'width'"),
    "no label": (rows(1, "trusted", kind=""), "without a label"),
    "no label column": (
        lambda: table(1)[["size", "width"]].to_csv("trusted.csv", index=False), "no column 'kind'",
    ),
    "empty": (write("trusted.csv", b"size,width,kind\n"), "no rows"),
}  # fmt: skip


@pytest.mark.parametrize("verb", ["fit", "score", "issues"])
@pytest.mark.parametrize("what", BAD_ROWS)
def test_bad_rows_are_refused(refused, verb, what):
    spoil, options, words = BAD_ROWS[what]
    spoil()
    line = ["--rows", "rows.csv", "--label", "kind", *(FEATURES if options is not None else [])]
    out = ["--out", "result" if verb == "fit" else "result.csv", "--quiet"]
    assert words in refused(verb, *line, *(options or []), *out)


@pytest.mark.parametrize(
    "what", ["infinite", "one class", "constant", "no such label", "one group"]
)
def test_diagnose_and_reweight_refuse_them_too(refused, what):
    spoil, options, words = BAD_ROWS[what]
    spoil()
    line = ["--rows", "rows.csv", "--label", "kind", *FEATURES, *options]
    assert words in refused("diagnose", *line, "--out", "result.json", "--quiet")
    assert words in refused("reweight", *line, "--out", "result.csv", "--quiet")


@pytest.mark.parametrize("verb", ["score", "reweight"])
@pytest.mark.parametrize("what", WEIGHTED)
def test_bad_weights_are_refused(refused, verb, what):
    spoil, words = WEIGHTED[what]
    spoil()
    line = ["--rows", "rows.csv", "--label", "kind", *FEATURES, "--weight", "weight"]
    assert words in refused(verb, *line, "--out", "result.csv", "--quiet")


@pytest.mark.parametrize("verb", ["score", "fit"])
@pytest.mark.parametrize("what", VALIDATED)
def test_a_bad_validation_set_is_refused(refused, verb, what):
    spoil, words = VALIDATED[what]
    spoil()
    line = ["--rows", "rows.csv", "--label", "kind", *FEATURES, "--validation", "trusted.csv"]
    out = "result" if verb == "fit" else "result.csv"
    assert words in refused(verb, *line, "--out", out, "--quiet")


def test_a_class_with_one_sample_is_told_in_one_line(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows(kind=["odd", *table()["kind"][1:]])()
    line = ["diva", "score", "--rows", "rows.csv", "--label", "kind", *FEATURES, "--quiet"]
    assert cli.main([*line, "--out", "scores.csv"]) == 0
    err = capsys.readouterr().err
    assert "1 class with one sample (first: 'odd')" in err and err.count("\n") == 1


GUESSES = {
    "too few rows": (lambda: pd.DataFrame({"big": [0.5], "small": [0.5]}), "guess.csv has 1 row"),
    "lacks a class": (lambda: pd.DataFrame({"big": np.ones(N)}), "column"),
    "text": (lambda: pd.DataFrame({"big": ["a"] * N, "small": 0.5}), "number"),
    "missing": (lambda: pd.DataFrame({"big": [np.nan] * N, "small": 0.5}), "NaN"),
    "other ids": (
        lambda: pd.DataFrame({"id": [f"x{i}" for i in range(N)], "big": 0.5, "small": 0.5}),
        "60 ids of rows.csv missing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", GUESSES)
def test_bad_probabilities_are_refused(refused, what):
    make, words = GUESSES[what]
    make().to_csv("guess.csv", index=False)
    line = ["--rows", "rows.csv", "--label", "kind", *FEATURES, "--probabilities", "guess.csv"]
    assert words in refused("issues", *line, "--out", "issues.csv", "--quiet")


POOLS = {
    "another width": (
        lambda: table(2).drop(columns="width").to_csv("pool.csv", index=False), "'width'",
    ),
    "text for numbers": (rows(2, "pool", width="wide"), "'width'"),
    "unknown class": (rows(2, "pool", kind="huge"), "name classes that are not in training"),
    "some labels": (rows(2, "pool", kind=ONE_MISSING), "without a label"),
    "infinite": (rows(2, "pool", size=np.inf), "infinite"),
    "empty": (write("pool.csv", b"size,width,kind\n"), "no rows"),
}  # fmt: skip


@pytest.mark.parametrize("what", POOLS)
def test_bad_pools_are_refused(refused, what):
    spoil, words = POOLS[what]
    spoil()
    line = ["--rows", "rows.csv", "--label", "kind", *FEATURES, "--validation", "trusted.csv"]
    line += ["--pool", "pool.csv", "--out", "chosen.csv", "--quiet"]
    assert words in refused("extend", *line)
    if what not in ("some labels", "empty"):
        model = ["report", "model", "--rows", "rows.csv", "--label", "kind"]
        assert words in refused(*model, "--pool", "pool.csv", "--out", "page.html", "--quiet")


@pytest.mark.parametrize("setting", ["budget=0", "batch=0", "stop=never", "quota=row"])
def test_bad_settings_of_extend_are_refused(refused, setting):
    line = ["--rows", "rows.csv", "--label", "kind", *FEATURES, "--pool", "pool.csv"]
    name = setting.partition("=")[0]
    assert name in refused("extend", *line, "--set", setting, "--out", "chosen.csv", "--quiet")


def test_groups_beside_probabilities_are_refused(refused):
    line = ["--rows", "rows.csv", "--label", "kind", *FEATURES, "--probabilities", "guess.csv"]
    assert "groups are for X" in refused("issues", *line, "--group", "patient", "--out", "i.csv")


@pytest.mark.parametrize("verb", ["score", "issues"])
@pytest.mark.parametrize("n", [1, N])
def test_shares_that_do_not_sum_to_1_are_refused(refused, verb, n):
    part = np.where(np.arange(N) < n, 0.6, 0.7)
    rows(left=0.3, right=part)()
    line = ["--rows", "rows.csv", "--label", "left,right", *FEATURES, "--out", "result.csv"]
    words = f"{n} row{'s' * (n > 1)} of 60 in y whose shares do not sum to 1 (first: row 0, 0.9)"
    assert words in refused(verb, *line)


# --- with a model --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda: table().drop(columns="width").to_csv("rows.csv", index=False), "'width'"),
        (rows(width="wide"), "'width'"),
        (rows(size=np.inf), "infinite"),
        (write("rows.csv", b"\x00\xff"), "rows.csv"),
    ],
    ids=["column is gone", "text for numbers", "infinite", "no table"],
)
def test_predict_and_evaluate_refuse(refused, spoil, words):
    spoil()
    line = ["model", "--rows", "rows.csv"]
    assert words in refused("predict", *line, "--out", "said.csv", "--quiet")
    line += ["--label", "kind"]
    assert words in refused("evaluate", *line, "--out", "scores.csv", "--quiet")


def test_a_model_of_another_class_is_refused(refused):
    X = table()[COLUMNS]
    LabelIssueFinder().fit(X, table()["kind"]).save("finder")
    line = ["finder", "--rows", "rows.csv", "--quiet"]
    assert "holds a LabelIssueFinder" in refused("predict", *line, "--out", "said.csv")
    assert "holds a LabelIssueFinder" in refused("evaluate", *line, "--label", "kind")
    assert "holds a LabelIssueFinder" in refused("report", "finder", "--out", "page.html")


REPORTS = {
    "no label": (nothing, ["--rows", "rows.csv"], "--label must name"),
    "other rows": (nothing, ["--rows", "pool.csv", "--label", "kind"], "--test"),
    "fewer rows": (
        lambda: table()[:50].to_csv("rows.csv", index=False),
        ["--rows", "rows.csv", "--label", "kind"],
        "rows.csv has 50 rows, the model learnt from 60",
    ),
    "validation it never saw": (
        nothing,
        ["--rows", "rows.csv", "--label", "kind", "--validation", "trusted.csv"],
        "the validation set is not what the model learnt from",
    ),
    "validation alone": (nothing, ["--validation", "trusted.csv"], "--validation needs --rows"),
    "images alone": (nothing, ["--images", "photo"], "--images needs --rows"),
    "no such pictures": (
        nothing,
        ["--rows", "rows.csv", "--label", "kind", "--images", "photo", "--show-rows"],
        "'nowhere.png' of row 's0-",
    ),
    "no pictures": (
        write("nowhere.png", b"GIF89a-no"),
        ["--rows", "rows.csv", "--label", "kind", "--images", "photo", "--show-rows"],
        "cannot be read as a picture",
    ),
    "no such column of pictures": (
        nothing,
        ["--rows", "rows.csv", "--label", "kind", "--images", "nope"],
        "no column 'nope' for --images",
    ),
    "unlabelled test": (
        rows(2, "pool", kind=""),
        ["--rows", "rows.csv", "--label", "kind", "--test", "pool.csv"],
        "label",
    ),
}


@pytest.mark.parametrize("what", REPORTS)
def test_report_refuses(refused, what):
    spoil, options, words = REPORTS[what]
    spoil()
    assert words in refused("report", "model", *options, "--out", "page.html", "--quiet")


def test_a_picture_that_is_a_bomb_is_refused(refused, monkeypatch):
    from PIL import Image

    Image.new("1", (400, 400)).save("nowhere.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    line = ["--rows", "rows.csv", "--label", "kind", "--images", "photo", "--show-rows"]
    assert "cannot be read" in refused("report", "model", *line, "--out", "page.html", "--quiet")
