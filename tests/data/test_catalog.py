import os

import numpy as np
import pandas as pd
import pytest

from makedo.core.checks import MakedoInputError
from makedo.data import catalog
from makedo.data.degrees import degree_splits, homophily

FOLDER = os.environ.get("MAKEDO_DATA", "")
needs_folder = pytest.mark.skipif(not FOLDER, reason="MAKEDO_DATA is not set")
needs_icd = pytest.mark.skipif(
    catalog._in_package("icd10cm") is None, reason="simple-icd-10-cm is not installed"
)


@pytest.fixture(scope="module")
def icd():
    return catalog.load("icd10cm")


def edge_homophily(data):
    edges = data.graph.edges()
    return (data.y[edges[:, 0]] == data.y[edges[:, 1]]).mean()


@needs_icd
def test_icd_codes_are_the_graph_that_was_measured(icd):
    assert (icd.graph.n_nodes, icd.graph.n_edges) == (12_014, 19_510)
    assert edge_homophily(icd) == pytest.approx(0.752, abs=0.0005)
    assert (icd.graph.degree <= 1).mean() == pytest.approx(0.505, abs=0.0005)
    assert icd.classes is not None and len(icd.classes) == 22
    assert np.bincount(icd.y).max() / len(icd.y) == pytest.approx(0.133, abs=0.0005)
    assert icd.X.shape == (12_014, 3_013) and icd.X.dtype == np.float32


@needs_icd
def test_icd_nodes_carry_their_code_text_and_chapter(icd):
    where = icd.graph.node_id.get_loc("A00.1")
    assert icd.texts["A00.1"] == "Cholera due to Vibrio cholerae 01, biovar eltor"
    assert icd.classes[icd.y[where]].startswith("Certain infectious")
    edges = icd.graph.edges()
    pair = sorted([where, icd.graph.node_id.get_loc("A00")])
    assert (edges == pair).all(axis=1).any()


@needs_icd
@pytest.mark.parametrize(
    ("level", "figures"), [(4, (12_014, 9_421, 0.486, 0.534)), (3, (1_918, 6_292, 0.415, 0.103))]
)
def test_icd_cross_references_alone_are_the_graph_that_was_measured(level, figures):
    data = catalog.load("icd10cm", level=level, edges="references")
    found = data.graph.n_nodes, data.graph.n_edges
    shares = edge_homophily(data), (data.graph.degree == 0).mean()
    assert found == figures[:2]
    assert shares == pytest.approx(figures[2:], abs=0.0005)


@needs_icd
@pytest.mark.parametrize("options", [{"level": 5}, {"edges": "parents"}, {"colour": 1}])
def test_icd_refuses_options_it_does_not_have(options):
    with pytest.raises(MakedoInputError, match="level|edges"):
        catalog.load("icd10cm", **options)


GRAPHS = {  # nodes, features, classes, edges, node homophily
    "cora": (2708, 1433, 7, 5278, 0.825),
    "citeseer": (3327, 3703, 6, 4552, 0.717),
    "chameleon": (2277, 2325, 5, 31371, 0.247),
    "chameleon_filtered": (890, 2325, 5, 8854, 0.244),
    "squirrel": (5201, 2089, 5, 198353, 0.217),
    "squirrel_filtered": (2223, 2089, 5, 46998, 0.191),
    "actor": (7600, 932, 5, 26659, 0.220),
    "cornell": (183, 1703, 5, 277, 0.111),
    "texas": (183, 1703, 5, 279, 0.057),
    "twitch_de": (9498, 3170, 2, 153138, 0.596),
}


SAMPLES = {"digits", "breast_cancer", "diabetes", "cifar10_subset"}  # checked at the end
OF_DOMAINS = {"nc_crime", "tpt48", "dg15", "dg60"}  # in test_spiral.py
LOGS = {"flights", "ml-100k", "completejourney"}  # in test_log_sets.py
TRACKS = {"eth_ucy", "nba_sportvu", "ny_harbor"}  # in test_track_sets.py


def test_every_entry_of_the_catalogue_is_checked():
    assert set(GRAPHS) | {"icd10cm"} | SAMPLES | OF_DOMAINS | LOGS | TRACKS == set(catalog.CATALOG)


@needs_folder
@pytest.mark.realdata
@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_of_the_folder_are_those_of_the_literature(name):
    if catalog._in_folder(name) is None:
        pytest.skip(f"{name} is not in $MAKEDO_DATA")
    data = catalog.load(name)
    n_classes = len(np.unique(data.y[data.y >= 0]))
    figures = (*data.X.shape, n_classes, data.graph.n_edges)
    assert figures == GRAPHS[name][:4] and len(data.y) == data.graph.n_nodes == figures[0]
    counted = np.where(data.y < 0, 0, data.y)  # the figure counts unlabelled nodes as class 0
    assert homophily(data.graph, counted) == pytest.approx(GRAPHS[name][4], abs=0.0006)
    for mask in data.masks.values():
        assert mask.shape[1] == len(data.y) and mask.dtype == bool
    if data.masks:
        assert sum(mask.astype(int) for mask in data.masks.values()).max() == 1


@needs_folder
@pytest.mark.realdata
def test_planetoid_splits_and_unlabelled_nodes_are_kept():
    cora, citeseer = catalog.load("cora"), catalog.load("citeseer")
    assert [int(cora.masks[part].sum()) for part in ("train", "valid", "test")] == [140, 500, 1000]
    assert (citeseer.y == -1).sum() == 15 and (citeseer.graph.degree == 0).sum() == 48
    assert not citeseer.masks["test"][0, citeseer.y == -1].any()


@needs_folder
@pytest.mark.realdata
def test_cora_loses_about_thirty_nodes_more_than_were_isolated():
    graph = catalog.load("cora").graph
    stranded = [len(degree_splits(graph, random_state=s).collateral) for s in range(5)]
    assert 20 <= np.mean(stranded) <= 40


def write_graph(folder, **changes):
    parts = {
        "x_indptr": np.array([0, 1, 2, 2]), "x_indices": np.array([0, 1]),
        "x_shape": np.array([3, 2]), "y": np.array([0, 1, 0]), "edges": np.array([[0, 1], [1, 2]]),
    } | changes  # fmt: skip
    (folder / "cora").mkdir()
    np.savez(folder / "cora" / "graph.npz", **{k: v for k, v in parts.items() if v is not None})


def test_a_graph_is_found_in_the_folder_that_the_variable_names(tmp_path, monkeypatch):
    monkeypatch.setenv("MAKEDO_DATA", str(tmp_path))
    write_graph(tmp_path, unlabeled=np.array([2]), days=np.array([5, 6, 7]))
    data = catalog.load("cora")
    assert catalog.path("cora") == tmp_path / "cora" / "graph.npz"
    assert data.y.tolist() == [0, 1, -1] and data.targets["days"].tolist() == [5, 6, 7]
    np.testing.assert_array_equal(data.X.toarray(), [[1, 0], [0, 1], [0, 0]])
    where = {record.name: record.where for record in catalog.available()}
    assert where["cora"] == "folder" and where["citeseer"] == "missing"
    assert where["icd10cm"] in ("embedded", "missing")


@pytest.mark.parametrize(
    "changes",
    [{"y": None}, {"x_indices": np.array([0, 9])}, {"y": np.array([{}, 1, 2], dtype=object)},
     {"edges": np.array([[0, 8], [1, 2]])}],
)  # fmt: skip
def test_a_damaged_file_is_named(tmp_path, monkeypatch, changes):
    monkeypatch.setenv("MAKEDO_DATA", str(tmp_path))
    write_graph(tmp_path, **changes)
    with pytest.raises(MakedoInputError, match="cora"):
        catalog.load("cora")


def test_a_file_that_is_no_archive_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MAKEDO_DATA", str(tmp_path))
    (tmp_path / "cora").mkdir()
    (tmp_path / "cora" / "graph.npz").write_bytes(b"nothing of the kind")
    with pytest.raises(MakedoInputError, match="not a graph as the catalogue keeps them"):
        catalog.load("cora")


def test_a_missing_data_set_says_how_to_get_it_and_an_unknown_one_what_there_is(monkeypatch):
    monkeypatch.delenv("MAKEDO_DATA", raising=False)
    with pytest.raises(MakedoInputError, match="set MAKEDO_DATA .* are pickles"):
        catalog.load("cora")
    with pytest.raises(
        MakedoInputError, match="no data set 'coral' in the catalogue. There are icd"
    ):
        catalog.path("coral")
    with pytest.raises(MakedoInputError, match="takes no options. Got 'level'"):
        catalog.load("cora", level=3)


def test_texts_are_indexed_by_node(request):
    if catalog._in_package("icd10cm") is None:
        pytest.skip("simple-icd-10-cm is not installed")
    data = request.getfixturevalue("icd")
    assert isinstance(data.texts, pd.Series) and data.texts.index.equals(data.graph.node_id)


@pytest.mark.parametrize(("name", "shape", "n_classes"), [
    ("digits", (1797, 64), 10), ("breast_cancer", (569, 30), 2), ("diabetes", (442, 10), 0),
])  # fmt: skip
def test_samples_that_come_with_scikit_learn(name, shape, n_classes):
    data = catalog.load(name)
    assert data.X.shape == shape and len(data.classes or ()) == n_classes
    assert data.y.dtype.kind == ("i" if n_classes else "f") and data.test_X is None
    if name == "diabetes":  # in its own units: years, not standard deviations
        assert 19 <= data.X[:, 0].min() < data.X[:, 0].max() <= 79


@pytest.mark.realdata
def test_labels_of_people_belong_to_the_embeddings():
    if catalog._in_folder("cifar10_subset", "train.parquet") is None:
        pytest.skip("MAKEDO_DATA has no cifar10_subset")
    data = catalog.load("cifar10_subset")
    assert data.X.shape == (10000, 256) and data.test_X.shape == (2000, 256)
    wrong = {kind: 100 * float((labels != data.y).mean()) for kind, labels in data.labels.items()}
    # of all 50,000: 9.0, 40.2 and 17.2 % (Wei et al. 2022)
    for kind, share in (("aggregate", 9.0), ("worst", 40.2), ("random1", 17.2)):
        assert wrong[kind] == pytest.approx(share, abs=1.5)
