"""Bad files through the command line: one clear line, exit code 2, nothing left behind."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from makedo import cli

N = 60
IDS = [f"{i:04d}" for i in range(N)]
FIT = ["--nodes", "nodes.csv", "--edges", "edges.csv", "--id", "node", "--label", "topic"]
SHORT = ["--set", "max_epochs=2", "--set", "student_max_epochs=2", "--quiet"]


def node_table():
    rng = np.random.default_rng(0)
    topic = np.where(np.arange(N) % 2, "odd", "even")
    table = pd.DataFrame({"node": IDS, "size": rng.normal(size=N), "width": np.arange(N) % 2.0})
    table["colour"] = rng.choice(["red", "blue", "green"], N)
    return table.assign(topic=topic, split=rng.choice(["train", "valid", "test"], N))


def edge_table():
    ends = np.random.default_rng(1).integers(0, N, (2, 4 * N))
    return pd.DataFrame({"a": [IDS[i] for i in ends[0]], "b": [IDS[i] for i in ends[1]]})


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with good files and a model that was fitted on them."""
    folder = tmp_path_factory.mktemp("made")
    nodes = node_table()
    nodes.to_csv(folder / "nodes.csv", index=False)
    edge_table().to_csv(folder / "edges.csv", index=False)
    new = nodes.drop(columns=["split"]).head(10).assign(node=[f"n{i}" for i in range(10)])
    new.to_csv(folder / "new.csv", index=False)
    files = ["--nodes", str(folder / "nodes.csv"), "--edges", str(folder / "edges.csv")]
    features = ["--features", "size,width,colour", "--out", str(folder / "model")]
    assert cli.main(["cold-brew", "fit", *files, *FIT[4:], *features, *SHORT]) == 0
    return folder


@pytest.fixture
def refused(made, tmp_path, monkeypatch, capsys):
    """Run a line of cold-brew in a copy of that folder; gives the one line of its refusal."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        before = sorted(tmp_path.rglob("*"))
        capsys.readouterr()
        code = cli.main(["cold-brew", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert (code, out) == (2, "") and err.count("\n") == 1, err
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return run


def nodes(**columns):
    return lambda: node_table().assign(**columns).to_csv("nodes.csv", index=False)


def edges(table):
    return lambda: table.to_csv("edges.csv", index=False)


def write(name, content):
    def make():
        with open(name, "wb") as file:
            file.write(content)

    return make


def unknown_ids():
    table = edge_table()
    table.loc[:2, "a"] = ["p17", "p98", "p99"]
    edges(table)()


def repeated_nodes():
    pd.concat([node_table(), node_table().head(2)]).to_csv("nodes.csv", index=False)


def ragged():
    with open("nodes.csv", "a") as file:
        file.write("x,1\n")


def missing_end():
    edges(edge_table().assign(b=["", *edge_table()["b"][1:]]))()


EVEN_ONLY_TESTED = np.where(node_table()["topic"] == "even", "test", "train")
BAD_FILES = {
    "unknown ids": (unknown_ids, [], "3 of 240 edges name nodes that are not in nodes.csv"),
    "infinite": (nodes(size="inf"), [], "'size' has 60 rows with infinite numbers"),
    "all missing": (
        nodes(size="", width="", colour=""),
        ["--features", "size,width,colour"],
        "can be used",
    ),
    "missing end": (missing_end, [], "edges.csv: column 'b' has 1 missing value"),
    "missing id": (nodes(node=["", *IDS[1:]]), [], "without an id"),
    "duplicate nodes": (repeated_nodes, [], "2 ids in 'node' on more than one row"),
    "wrong width": (ragged, [], "line 62 has 2 values, the header has 6"),
    "all isolated": (edges(edge_table().assign(b=edge_table()["a"])), [], "has an edge"),
    "one class": (nodes(topic="x"), [], "only class"),
    "no label": (nodes(topic=""), [], "no row has a label"),
    "continuous": (nodes(topic=np.arange(N) + 0.5), [], "continuous"),
    "label is id": ((lambda: None), ["--label", "node"], "cannot be the label too"),
    "empty": (write("nodes.csv", b""), [], "nodes.csv: is empty"),
    "empty edges": (write("edges.csv", b""), [], "edges.csv: is empty"),
    "header only": (write("nodes.csv", b"node,size,topic\n"), [], "no rows"),
    "no edges": (write("edges.csv", b"a,b\n"), [], "edges.csv: has 2 columns but no rows"),
    "one end": (edges(edge_table()[["a"]]), [], "two columns"),
    "negative weight": (edges(edge_table().assign(weight=-1)), [], "negative"),
    "same end twice": ((lambda: None), ["--source", "a", "--target", "a"], "both 'a'"),
    "split leaves a class out": (
        nodes(split=EVEN_ONLY_TESTED),
        ["--split", "split"],
        "leaves 1 class out of train ('even' (30 nodes))",
    ),
    "split word": (nodes(split=""), ["--split", "split"], "60 values other than train"),
    "setting": ((lambda: None), ["--set", "hidden=abc"], "must be an integer"),
    "huge network": ((lambda: None), ["--set", "hidden=99999999999999"], "not enough memory"),
    "no place": ((lambda: None), ["--out", ""], "--out"),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_fit_refuses(refused, what):
    spoil, options, words = BAD_FILES[what]
    spoil()
    assert words in refused("fit", *FIT, "--out", "result", *SHORT, *options)


@pytest.mark.parametrize("what", ["unknown ids", "duplicate nodes", "one class", "empty"])
def test_diagnose_refuses(refused, what):
    spoil, _, words = BAD_FILES[what]
    spoil()
    assert words in refused("diagnose", *FIT, "--out", "result.json", "--quiet")


@pytest.mark.parametrize("keep", [0, 0.5, 0.99])
def test_a_truncated_parquet_is_refused(refused, tmp_path, keep):
    node_table().to_parquet("nodes.parquet")
    whole = (tmp_path / "nodes.parquet").read_bytes()
    (tmp_path / "nodes.parquet").write_bytes(whole[: int(keep * len(whole))])
    line = refused("fit", "--nodes", "nodes.parquet", *FIT[2:], "--out", "result", *SHORT)
    assert "nodes.parquet: is " in line


def test_nodes_may_lack_both_label_and_split(made, tmp_path, monkeypatch):
    monkeypatch.chdir(made)
    table = node_table()
    table.loc[:5, ["topic", "split"]] = ""
    table.to_csv(tmp_path / "nodes.csv", index=False)
    line = ["--nodes", str(tmp_path / "nodes.csv"), *FIT[2:], "--split", "split"]
    assert cli.main(["cold-brew", "fit", *line, "--out", str(tmp_path / "model"), *SHORT]) == 0


# --- prediction -----------------------------------------------------------------------------------

CHANGED = {
    "renamed": (lambda new: new.rename(columns={"size": "length"}), "'size'"),
    "another type": (lambda new: new.assign(size="big"), "'size' held numbers"),
    "id twice": (lambda new: new.assign(node="n1"), "on more than one row"),
    "id of another type": (lambda new: new.assign(node=range(10)), "of another type"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_predict_refuses(refused, what):
    change, words = CHANGED[what]
    change(pd.read_csv("new.csv")).to_csv("new.csv", index=False)
    line = refused("predict", "model", "--nodes", "new.csv", "--id", "node", "--out", "result.csv")
    assert words in line


def test_predict_refuses_edges_to_unknown_nodes_and_can_drop_them(refused, capsys):
    served = ["--set", "degree_threshold=1", "--features", "size,width,colour"]
    assert cli.main(["cold-brew", "fit", *FIT, "--out", "linked", *served, *SHORT]) == 0
    ends = pd.DataFrame({"a": ["n0", "n1", "zzz", "n2"], "b": ["0001", "zzz", "0002", "n0"]})
    ends.to_csv("new_edges.csv", index=False)
    ends.drop(index=[1, 2]).to_csv("good_edges.csv", index=False)
    line = ["predict", "linked", "--nodes", "new.csv", "--id", "node", "--edges"]
    told = refused(*line, "new_edges.csv", "--out", "result.csv")
    assert "2 of 4 edges name nodes that are not in" in told
    dropped = ["new_edges.csv", "--unknown-nodes", "drop", "--out", "dropped.csv"]
    assert cli.main(["cold-brew", *line, *dropped]) == 0
    told = "new_edges.csv: 2 of 4 edges name nodes that are not there, and are left out."
    assert told in capsys.readouterr().err
    assert cli.main(["cold-brew", *line, "good_edges.csv", "--out", "good.csv"]) == 0
    answers = pd.read_csv("dropped.csv")
    pd.testing.assert_frame_equal(answers, pd.read_csv("good.csv"))
    assert list(answers["route"].str.contains("teacher")[:3]) == [True, False, True]


def test_labels_of_another_type_are_not_scored_as_wrong(refused, capsys):
    table = node_table().assign(topic=np.arange(N) % 2)
    table.to_csv("nodes.csv", index=False)
    assert cli.main(["cold-brew", "fit", *FIT, "--out", "numbers", *SHORT]) == 0
    table.assign(topic=table["topic"].astype(str)).to_parquet("nodes.parquet", index=False)
    line = refused("evaluate", "numbers", "--nodes", "nodes.parquet", *FIT[4:])
    assert "of another type than the classes" in line


# --- hostile model directories --------------------------------------------------------------------


def put(*path):
    """Change one value of model.json."""
    *outer, last, value = path

    def change(document):
        inner = document
        for key in outer:
            inner = inner[key]
        inner[last] = value

    return change


HOSTILE = [
    put("room", "../../etc"),
    put("room", "os"),
    put("class", "Popen"),
    put("class", "MLPClassifier"),
    put("format_version", 99),
    put("format_version", 0),
    put("format_version", True),
    put("parameters", "hidden", 10**9),
    put("parameters", "hidden", 10**30),
    put("parameters", "n_layers", 10**9),
    put("parameters", "student_hidden", 10**12),
    put("parameters", "hidden", "64"),
    put("parameters", "device", "os:system"),
    put("parameters", "evil", 1),
    put("state", {}),
    put("state", "unlinked_pool_", "zzz"),
    put("state", "unlinked_pool_", {}),
    put("state", "unlinked_pool_", {"zzz": {"weight": 1.0, "temperature": 1.0}}),
    put("state", "linked_pool_", {"student": {"weight": "1", "temperature": 1.0}}),
    put("state", "linked_pool_", {"student": {"weight": 1.0, "temperature": 0.0}}),
    put("state", "teacher_temperature_", -1.0),
    put("state", "classes_", {"$array": "../../etc/passwd"}),
    put("state", "node_id_", {"$index": "nope"}),
    put("state", "nets_", {}),
    put("state", "graph_", None),
    put("state", "scaler_", None),
]
HOSTILE_NAMES = [
    " ".join(f"{cell.cell_contents!s:.20}" for cell in one.__closure__ or ()) for one in HOSTILE
]
PREDICT = ["predict", "model", "--nodes", "new.csv", "--id", "node", "--out", "result.csv"]


@pytest.mark.parametrize("change", HOSTILE, ids=HOSTILE_NAMES)
def test_a_hostile_model_is_refused(refused, tmp_path, change):
    document = json.loads((tmp_path / "model" / "model.json").read_text())
    change(document)
    (tmp_path / "model" / "model.json").write_text(json.dumps(document))
    assert "model" in refused(*PREDICT)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"format_version": 1}'])
def test_a_model_json_that_is_none_is_refused(refused, tmp_path, text):
    (tmp_path / "model" / "model.json").write_text(text)
    assert "model.json" in refused(*PREDICT)


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors", "tables.parquet"])
def test_a_model_with_a_file_deleted_or_cut_is_refused(refused, tmp_path, name):
    path = tmp_path / "model" / name
    path.write_bytes(path.read_bytes()[:200])
    assert "model" in refused(*PREDICT)
    path.unlink()
    assert "model" in refused(*PREDICT)


def test_a_model_that_lacks_weights_is_refused(refused, tmp_path):
    path = tmp_path / "model" / "weights.safetensors"
    arrays = load_file(path)
    del arrays[next(name for name in arrays if ".nets_." in name)]
    save_file(arrays, path)
    assert "damaged" in refused(*PREDICT)
