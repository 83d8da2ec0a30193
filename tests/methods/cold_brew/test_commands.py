"""Verbs of cold-brew from the command line: small files in, a table out, or one line."""

import json

import numpy as np
import pandas as pd
import pytest

from makedo import cli, load
from makedo.data.degrees import degree_splits
from makedo.data.graph import Graph
from makedo.methods.cold_brew import FCR

FILES = ["--nodes", "nodes.csv", "--edges", "edges.csv"]


@pytest.fixture
def files(make_problem, tmp_path, monkeypatch):
    """A folder with the files of a small graph; node 9 has no edge.  Gives the problem."""
    monkeypatch.chdir(tmp_path)
    problem = make_problem(90, signal=0.5, random_state=4, outside=0.03)
    source, target = problem.graph.without_edges_of([9]).edges().T
    words = np.random.default_rng(0).choice(["train", "valid", "test"], 90)
    nodes = problem.frame.assign(topic=np.where(problem.y, "one", "other"), split=words)
    nodes.to_csv("nodes.csv")
    ids = problem.ids.to_numpy()
    pd.DataFrame({"from": ids[source], "to": ids[target]}).to_csv("edges.csv", index=False)
    return problem


@pytest.fixture
def makedo(files, capsys):
    """Run a line of cold-brew; gives exit code, stdout and stderr."""

    def run(*arguments):
        capsys.readouterr()
        return cli.main(["cold-brew", *arguments]), *capsys.readouterr()

    return run


# --- splits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["paper", "official"])
def test_splits_writes_the_groups_of_each_node(makedo, files, rule):
    arguments = ["--id", "node", "--rule", rule, "--seed", "3", "--out", "splits.csv"]
    code, out, _ = makedo("splits", *FILES, *arguments)
    assert code == 0 and "Wrote 90 rows to splits.csv" in out
    table = pd.read_csv("splits.csv", keep_default_na=False).set_index("node")
    assert table.columns.tolist() == ["degree", "group", "degree_after"]
    graph = files.graph.without_edges_of([9])
    parts = degree_splits(graph, method=rule, random_state=3)
    for name in ("isolated", "collateral", "tail", "head"):
        named = table.index[table["group"] == name]
        assert named.tolist() == files.ids[getattr(parts, name)].tolist()
    assert table["degree"].tolist() == graph.degree.tolist()
    assert table["degree_after"].tolist() == parts.graph.degree.tolist()
    assert table.loc["n9", "group"] == "isolated"


def test_the_edges_that_stay_are_those_between_nodes_that_are_not_isolated(makedo):
    makedo("splits", *FILES, "--id", "node", "--out", "splits.csv")
    splits, edges = pd.read_csv("splits.csv", index_col="node"), pd.read_csv("edges.csv")
    isolated = splits.index[splits["group"] == "isolated"]
    left = edges[~edges["from"].isin(isolated) & ~edges["to"].isin(isolated)]
    degree = Graph.from_edges(left, node_id=splits.index).degree
    assert degree.tolist() == splits["degree_after"].tolist()


def test_splits_without_a_node_table_knows_the_nodes_that_edges_name(makedo):
    code, out, _ = makedo("splits", "--edges", "edges.csv", "--isolated", "0.2", "--json")
    rows = pd.DataFrame(json.loads(out))
    assert code == 0 and len(rows) == 89 and "n9" not in set(rows["node"])
    assert (rows["group"] == "isolated").sum() == 18  # a fifth of 89, rounded up


def test_an_id_column_that_is_called_like_a_result_is_not_lost(makedo):
    pd.read_csv("nodes.csv").rename(columns={"node": "group"}).to_csv("named.csv", index=False)
    arguments = ["--nodes", "named.csv", "--edges", "edges.csv", "--id", "group", "--json"]
    rows = json.loads(makedo("splits", *arguments)[1])
    assert [row["node"] for row in rows] == pd.read_csv("nodes.csv")["node"].tolist()


# --- fcr -----------------------------------------------------------------------------------------


def test_fcr_shows_the_figures_and_says_what_they_mean(makedo):
    arguments = ["--id", "node", "--label", "topic", "--split", "split", "--budget", "1"]
    code, out, err = makedo("fcr", *FILES, *arguments, "--out", "fcr.csv")
    assert code == 0 and "Wrote 6 rows to fcr.csv" in out
    table = pd.read_csv("fcr.csv", index_col="component")
    n_test = (pd.read_csv("nodes.csv")["split"] == "test").sum()
    assert table.loc["test nodes", "value"] == n_test
    ratio = table.loc["feature contribution ratio, %"]
    assert ratio["low"] <= ratio["value"] <= ratio["high"]
    scores = table["value"].iloc[1:4] / 100  # graph network, MLP, label propagation
    beaten = scores.iloc[2] > scores.iloc[0]
    read = FCR(*ratio[["value", "low", "high"]], *scores, beaten, n_test).reading
    assert err.splitlines()[-1] == read


def test_fcr_as_json_has_the_same_figures_and_nothing_else(makedo):
    arguments = ["--id", "node", "--label", "topic", "--budget", "1", "--seed", "2", "--json"]
    code, out, _ = makedo("fcr", *FILES, *arguments)
    figures = {row["component"]: row["value"] for row in json.loads(out)}
    assert code == 0 and figures["accuracy of label propagation, %"] > 50
    again = makedo("fcr", *FILES, *arguments, "--quiet")
    assert again == (0, out, "")


def test_nodes_without_an_id_column_are_named_by_row_number(makedo, files):
    pd.read_csv("nodes.csv").drop(columns=["node", "split"]).to_csv("rows.csv", index=False)
    source, target = files.graph.edges().T
    pd.DataFrame({"source": source, "target": target}).to_csv("numbers.csv", index=False)
    numbered = ["--nodes", "rows.csv", "--edges", "numbers.csv", "--json"]
    code, out, _ = makedo("fcr", *numbered, "--label", "topic", "--budget", "1", "--quiet")
    assert code == 0 and json.loads(out)[0]["value"] is not None
    code, out, _ = makedo("splits", *numbered)
    assert code == 0 and [row["node"] for row in json.loads(out)] == list(range(90))
    code, out, _ = makedo("diagnose", *numbered, "--label", "topic", "--quiet")
    assert code == 0 and json.loads(out)["figures"]["nodes"] == 90


# --- edges that name nodes which are not there ----------------------------------------------------


@pytest.mark.parametrize("task", ["classify", "links"])
def test_edges_to_unknown_nodes_are_refused_or_dropped_when_a_model_is_judged(makedo, task):
    label = ["--label", "topic"] if task == "classify" else []
    nodes = pd.read_csv("nodes.csv")[["node", "a", "b", "c", *label[1:]]]
    edges = pd.read_csv("edges.csv")
    nodes.iloc[:70].to_csv("old.csv", index=False)
    nodes.iloc[70:].to_csv("new.csv", index=False)
    old = edges[edges.isin(set(nodes["node"][:70])).all(axis=1)]
    old.to_csv("old_edges.csv", index=False)
    fresh = edges.drop(old.index)
    fresh.to_csv("new_edges.csv", index=False)
    stray = pd.DataFrame({"from": ["n70", "nobody"], "to": ["nobody", "n3"]})
    pd.concat([fresh, stray]).to_csv("stray.csv", index=False)

    quick = [word for s in ("max_epochs=2", "student_max_epochs=2") for word in ("--set", s)]
    fit = ["--nodes", "old.csv", "--edges", "old_edges.csv", "--id", "node", "--task", task, *label]
    code, _, err = makedo("fit", *fit, *quick, "--out", "model")
    assert code == 0, err

    given = ["model", "--nodes", "new.csv", "--id", "node", *label, "--edges"]
    wanted = makedo("evaluate", *given, "new_edges.csv", "--quiet", "--json")
    assert wanted[0] == 0 and len(json.loads(wanted[1]))
    for verb, more in (("evaluate", []), ("report", ["--out", "page.html"])):
        code, _, err = makedo(verb, *given, "stray.csv", *more)
        assert code == 2 and "2 of" in err and "'nobody'" in err and err.count("\n") == 1
        code, out, err = makedo(verb, *given, "stray.csv", "--unknown-nodes", "drop", *more)
        assert code == 0 and "are left out" in err
    found = makedo("evaluate", *given, "stray.csv", "--unknown-nodes", "drop", "--quiet", "--json")
    assert json.loads(found[1]) == json.loads(wanted[1])


# --- refused -------------------------------------------------------------------------------------

RATIO, SPLITS = ["fcr", *FILES, "--label", "topic"], ["splits", *FILES]
REFUSED = {
    "unknown ids": ([*SPLITS, "--id", "a"], "name nodes that are not in nodes.csv"),
    "no such id": ([*SPLITS, "--id", "nope"], "nodes.csv: no id column 'nope'"),
    "no such source": ([*SPLITS, "--source", "nope"], "no column 'nope' for --source"),
    "shares": ([*SPLITS, "--id", "node", "--isolated", "0.9"], "together at most 1"),
    "negative": ([*SPLITS, "--id", "node", "--tail", "-0.1"], "shares in [0, 1]"),
    "shares of no rule": (
        [*SPLITS, "--id", "node", "--rule", "official", "--head", "0.2"],
        "the official rule takes no shares",
    ),
    "seed": ([*SPLITS, "--id", "node", "--seed", "-1"], "--seed must be 0 or more"),
    "no such label": ([*RATIO[:-1], "nope", "--id", "node"], "nodes.csv: no label column 'nope'"),
    "no such split": ([*RATIO, "--id", "node", "--split", "nope"], "no column 'nope' for --split"),
    "budget": ([*RATIO, "--id", "node", "--budget", "0"], "budget must be 1 or more"),
    "seed of fcr": ([*RATIO, "--id", "node", "--seed", "-1"], "--seed must be 0 or more"),
    "nothing to learn from": ([*RATIO, "--id", "node", "--features", "nope"], "no feature column"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line_and_no_file(makedo, tmp_path, case):
    arguments, words = REFUSED[case]
    before = sorted(tmp_path.iterdir())
    code, out, err = makedo(*arguments, "--out", "out.csv")
    assert (code, out) == (2, "") and words in err and err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_too_few_labels_to_test_on_are_refused(makedo, tmp_path):
    nodes = pd.read_csv("nodes.csv")
    nodes.loc[12:, "topic"] = None
    nodes.to_csv("nodes.csv", index=False)
    code, out, err = makedo(*RATIO, "--id", "node", "--out", "out.csv")
    assert (code, out) == (2, "") and "labelled test nodes; at least 10" in err
    assert not (tmp_path / "out.csv").exists()


def test_numbers_are_learnt_from_the_nodes_that_a_split_column_names(makedo):
    nodes = pd.read_csv("nodes.csv")
    nodes["topic"] = nodes["a"] * 2.5 + np.arange(90)
    nodes.to_csv("nodes.csv", index=False)
    arguments = ["--id", "node", "--label", "topic", "--split", "split", "--task", "regress"]
    quick = [word for s in ("max_epochs=2", "student_max_epochs=2") for word in ("--set", s)]
    code, _, err = makedo("fit", *FILES, *arguments, *quick, "--out", "model")
    assert code == 0, err
    model = load("model")
    assert (nodes["split"].iloc[model.train_] == "train").all()
    assert (nodes["split"].iloc[model.valid_] == "valid").all()
    assert len(model.train_) == (nodes["split"] == "train").sum()
