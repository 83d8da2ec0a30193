"""The verbs end to end, on files."""

import json

import numpy as np
import pandas as pd
import pytest

from makedo import cli


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    state = np.repeat(["WA", "OR", "CA", "NV", "AZ", "NM"], 20)
    answer = np.tile(["no", "yes"], 60)
    X = rng.normal(size=(120, 2)) + 2 * (answer == "yes")[:, None]
    table = pd.DataFrame({"state": state, "a": X[:, 0], "b": X[:, 1], "answer": answer})
    table["price"] = X.sum(1)
    table.to_csv("truth.csv", index=False)
    table.loc[np.isin(state, ["AZ", "NM"]), ["answer", "price"]] = None
    table.to_csv("rows.csv", index=False)
    chain = ["WA", "OR", "CA", "NV", "AZ", "NM"]
    pd.DataFrame({"a": chain[:-1], "b": chain[1:]}).to_csv("edges.csv", index=False)
    return tmp_path


FIT = "grda fit --rows rows.csv --edges edges.csv --domain state --features a,b"
QUICK = "--set max_epochs=3 --set hidden=8 --out model --quiet"


def run(line):
    return cli.main(line.split())


def test_fit_predict_evaluate_and_report_work_on_files(files):
    assert run(f"{FIT} --label answer {QUICK}") == 0
    assert run("grda predict model --rows rows.csv --out said.csv --quiet") == 0
    said = pd.read_csv("said.csv")
    truth = pd.read_csv("truth.csv")
    assert said.columns.tolist() == ["row", "domain", "label", "probability"]
    assert (said["label"] == truth["answer"]).mean() > 0.85 and len(said) == 120
    assert run("grda evaluate model --rows truth.csv --label answer --out table.csv --quiet") == 0
    assert {"targets", "1 hop", "2 hops", "sources"} <= set(pd.read_csv("table.csv")["group"])
    line = "grda report model --rows truth.csv --label answer --show-rows --out page.html --quiet"
    assert run(line) == 0
    page = (files / "page.html").read_text()
    assert "Domain by domain" in page and "What can the discriminator still see?" in page


def test_numbers_are_learnt_with_task_regress(files):
    assert run(f"{FIT} --label price --task regress {QUICK}") == 0
    assert run("grda predict model --rows rows.csv --out said.csv --quiet") == 0
    said, truth = pd.read_csv("said.csv"), pd.read_csv("truth.csv")
    assert np.corrcoef(said["value"], truth["price"])[0, 1] > 0.95


def test_diagnose_tells_figures(files, capsys):
    line = "grda diagnose --rows rows.csv --edges edges.csv --domain state --label answer"
    assert run(f"{line} --features a,b --out found.json --quiet") == 0
    found = json.loads((files / "found.json").read_text())
    assert found["figures"]["source domains"] == 4 and found["figures"]["target domains"] == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{FIT} --label nothing {QUICK}", "'nothing'"),
        (FIT.replace("state", "county") + f" --label answer {QUICK}", "no column 'county'"),
        (f"{FIT} --label answer --sources WA,XX {QUICK}", "first: 'XX'"),
        (FIT.replace("a,b", "state") + f" --label answer {QUICK}", "no column is left"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(line, said, files, capsys):
    assert run(line) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.strip().splitlines()) == 1
    assert not (files / "model").exists()


def test_rows_of_one_domain_may_share_an_id_which_is_handed_back(files):
    for name in ("rows", "truth"):
        table = pd.read_csv(f"{name}.csv")
        table.assign(id=np.repeat(range(60), 2)).to_csv(f"{name}.csv", index=False)
    assert run(f"{FIT} --label answer {QUICK} --set method=linear") == 0
    assert run("grda predict model --rows rows.csv --id id --out said.csv --quiet") == 0
    assert pd.read_csv("said.csv")["id"].tolist() == np.repeat(range(60), 2).tolist()
    assert run("grda evaluate model --rows truth.csv --label answer --quiet --out t.csv") == 0
