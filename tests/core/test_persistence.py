"""Model directories: what goes in comes out, and what a stranger wrote into one does no harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from makedo.core.checks import MakedoInputError, Number
from makedo.core.estimator import Estimator
from makedo.core.persistence import (
    FORMAT_VERSION,
    fingerprint,
    load_model,
    read_state,
    replacing,
    write_state,
)


class Scale(Estimator):
    """The smallest estimator: remembers the mean of each column."""

    _constraints = {"factor": Number(0)}

    def __init__(self, factor: float = 1.0, note: object = None):
        self.factor, self.note = factor, note

    def fit(self, X, y=None):
        self._check_parameters()
        self.mean_ = np.asarray(X, dtype=np.float32).mean(0)
        self.names_ = pd.Index(["a", "b"], name="column")
        return self

    def predict(self, X):
        return (np.asarray(X, dtype=np.float32) - self.mean_) * np.float32(self.factor)

    def _restore(self, state):
        assert state["mean_"].ndim == 1
        super()._restore(state)


Scale.__module__ = "makedo.methods.scale.estimator"  # an estimator's room is read off its module
X = np.arange(6.0).reshape(3, 2)


def find_class(room, name):
    return Scale if (room, name) == ("scale", "Scale") else None


@pytest.fixture
def model(tmp_path):
    """A saved model directory."""
    Scale(2.0).fit(X).save(tmp_path / "model")
    return tmp_path / "model"


def edit(model, change):
    document = json.loads((model / "model.json").read_text())
    changed = change(document)
    (model / "model.json").write_text(json.dumps(document if changed is None else changed))


def refused(model, match):
    with pytest.raises(MakedoInputError, match=match) as caught:
        load_model(model, find_class)
    assert "\n" not in str(caught.value)
    assert str(model) in str(caught.value)
    return str(caught.value)


# --- values --------------------------------------------------------------------------------------

VALUES = {
    "none": None,
    "bool": True,
    "integer beyond 64 bits": 2**70,
    "text": "line\nbreak, “quotes”, \x00 and $array",
    "infinity": float("inf"),
    "not a number": float("nan"),
    "smallest float": 5e-324,
    "nested": {"a": [1, {"b": None, "c": [True, -0.5]}], "": {}, "e": []},
    "float32": np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3),
    "float16": np.array([1, 2.5], dtype=np.float16),
    "booleans": np.array([True, False]),
    "small integers": np.array([[-1, 2]], dtype=np.int8),
    "empty": np.empty((0, 3), dtype=np.float32),
    "not contiguous": np.arange(12.0).reshape(3, 4)[:, ::2].T,
    "scalar array": np.array(3.5),
    "big endian": np.array([1.5, -2.0], dtype=">f4"),
    "text array": np.array(["b", "a"], dtype=object),
    "text array with a gap": np.array(["b", None], dtype=object),
    "text array of numpy": np.array(["b", "abc"]),
    "empty text array": np.array([], dtype=object),
    "tensor": torch.arange(4, dtype=torch.int64),
    "tensor that learns": torch.ones(2, 2, requires_grad=True),
    "scalar tensor": torch.tensor(7),
    "half precision tensor": torch.ones(2, dtype=torch.bfloat16),
    "sparse": sp.csr_matrix(([1.5, 0.0], ([0, 2], [1, 0])), shape=(3, 4), dtype=np.float32),
    "empty sparse": sp.csr_matrix((0, 4), dtype=np.float32),
    "frame": pd.DataFrame({"x": [1, 2], "y": ["a", None], "z": [True, False], "t": [0.5, np.nan]}),
    "frame of dates": pd.DataFrame({"t": pd.to_datetime(["2020-01-01", None])}),
    "frame of categories": pd.DataFrame({"c": pd.Categorical(["u", "v", "u"])}),
    "frame without rows": pd.DataFrame({"x": pd.Series([], dtype=np.int64)}),
    "frame without columns": pd.DataFrame(index=range(3)),
    "text index": pd.Index(["p1", "p2"]),
    "integer index": pd.Index([3, 1], name="node"),
    "range index": pd.RangeIndex(4),
    "empty index": pd.Index([], dtype=np.int64),
    "date index": pd.DatetimeIndex(["2020-01-02", "2020-01-01"], name="day"),
    "index named by a tuple": pd.Index([1, 2], name=("a", "b")),
    "index of tuples": pd.Index([(0, 1), (1, 0)], tupleize_cols=False),  # a grid in networkx
    "index with time zone": pd.DatetimeIndex(["2020-01-02", "2020-01-01"], tz="Europe/Berlin"),
}


def same(a, b):
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b, check_index_type=False, check_column_type=False)
    elif isinstance(a, pd.Index):
        pd.testing.assert_index_equal(a, b, exact="equiv", check_names=False)
        assert b.name == a.name or b.name == str(a.name)
    elif sp.issparse(a):
        assert a.shape == b.shape and a.dtype == b.dtype
        assert all(
            np.array_equal(getattr(a, p), getattr(b, p)) for p in ("data", "indices", "indptr")
        )
    elif isinstance(a, np.ndarray):
        assert a.shape == b.shape
        text = a.dtype.kind in "OU"  # None and NaN are the same gap in text
        plain = [None if text and item != item else item for item in b.ravel().tolist()]
        assert a.ravel().tolist() == plain and (text or a.dtype.newbyteorder("=") == b.dtype)
    elif isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a.detach(), b)
    else:
        return a == b or (a != a and b != b)
    return True


def round_trip(value, folder):
    write_state(folder, {}, {"value": value})
    return read_state(folder, json.loads((folder / "model.json").read_text()))["value"]


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_a_value_comes_back_as_it_was(value, tmp_path):
    assert same(value, round_trip(value, tmp_path))


def test_a_module_comes_back_as_its_weights(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    fresh = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    net(torch.randn(4, 2, generator=torch.Generator().manual_seed(0)))
    fresh.load_state_dict(round_trip(net, tmp_path))
    assert all(
        torch.equal(a, b)
        for a, b in zip(net.state_dict().values(), fresh.state_dict().values(), strict=True)
    )


KEYS = st.text("ab.", min_size=1, max_size=4)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.integers(0, 4).map(lambda n: np.arange(n, dtype=np.float32)),
)
TREES = st.recursive(
    LEAVES,
    lambda kids: st.one_of(st.lists(kids, max_size=3), st.dictionaries(KEYS, kids, max_size=3)),
    max_leaves=8,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tree=TREES)
@example(tree={"a.b": np.arange(2.0), "a": {"b": np.arange(3.0)}})
def test_any_tree_of_values_comes_back_whatever_its_keys(tree, tmp_path):
    assert same(tree, round_trip(tree, tmp_path))


@pytest.mark.parametrize("value", [object(), lambda: 0, {1, 2}, 1j, b"bytes"])
def test_a_value_that_cannot_be_stored_is_refused_by_name(value, tmp_path):
    with pytest.raises(TypeError, match=r"state\.value: a \w+ cannot be stored"):
        write_state(tmp_path, {}, {"value": value})


# --- fingerprints --------------------------------------------------------------------------------


def test_equal_data_has_an_equal_fingerprint_and_any_change_another():
    frame = pd.DataFrame({"a": ["x", None], "b": [1.0, np.nan]})
    base = [np.arange(6.0).reshape(2, 3), sp.eye(2, format="csr"), frame, "setting", 3]
    changed = [
        [np.arange(6.0).reshape(3, 2), *base[1:]],
        [np.arange(6.0, dtype=np.float32).reshape(2, 3), *base[1:]],
        [base[0], sp.csr_matrix(np.eye(2)[::-1]), *base[2:]],
        [base[0], base[1], frame.rename(columns={"a": "c"}), *base[3:]],
        [base[0], base[1], frame.assign(a=["y", None]), *base[3:]],
        [*base[:3], "other", 3],
        [*base[:4], 4],
    ]
    prints = [fingerprint(*values) for values in [base, *changed]]
    assert fingerprint(base[0].copy(), base[1].copy(), frame.copy(), "setting", 3) == prints[0]
    assert len(set(prints)) == len(prints)


# --- saving --------------------------------------------------------------------------------------


def test_a_model_directory_holds_json_safetensors_parquet_and_a_card(model):
    assert sorted(p.name for p in model.iterdir()) == [
        "README.md",
        "model.json",
        "tables.parquet",
        "weights.safetensors",
    ]
    document = json.loads((model / "model.json").read_text())
    assert document["format_version"] == FORMAT_VERSION
    assert (document["room"], document["class"]) == ("scale", "Scale")
    assert document["parameters"] == {"factor": 2.0, "note": None}
    assert "makedo.methods" not in (model / "model.json").read_text()
    assert "factor: 2.0" in (model / "README.md").read_text()


def test_a_saved_model_predicts_the_same(model):
    loaded = load_model(model, find_class)
    assert np.array_equal(loaded.predict(X), Scale(2.0).fit(X).predict(X))
    assert loaded.names_.equals(pd.Index(["a", "b"])) and loaded.names_.name == "column"


@pytest.mark.parametrize("factor", [np.float64(0.5), np.int64(3), float("inf")])
def test_parameters_of_numpy_and_infinite_ones_come_back(factor, tmp_path):
    Scale(factor, note=(1, 2)).fit(X).save(tmp_path / "model")
    loaded = load_model(tmp_path / "model", find_class)
    assert loaded.factor == factor and loaded.note == [1, 2]


def test_an_unfitted_model_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        Scale().save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_parameter_that_cannot_be_stored_is_named_and_nothing_is_left_behind(tmp_path):
    with pytest.raises(MakedoInputError, match=r"Scale\.save: parameter note is a object"):
        Scale(note=object()).fit(X).save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_save_that_fails_half_way_leaves_the_older_model_and_nothing_else(model, tmp_path):
    before = {p.name: p.read_bytes() for p in model.iterdir()}
    fitted = Scale().fit(X)
    fitted.extra_ = object()  # cannot be stored, and is found out after the folder was made
    with pytest.raises((TypeError, MakedoInputError)):
        fitted.save(model)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert {p.name: p.read_bytes() for p in model.iterdir()} == before


def test_an_older_model_is_replaced_whole(model, tmp_path):
    Scale(5.0).fit(X + 1).save(model)
    loaded = load_model(model, find_class)
    assert loaded.factor == 5.0 and loaded.mean_.tolist() == [3, 4]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_an_empty_folder_and_new_parents_are_fine(tmp_path):
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "new" / "deep" / "model"):
        Scale().fit(X).save(place)
        assert load_model(place, find_class).factor == 1.0


@pytest.mark.parametrize("kind", ["file", "folder", "model.json of others"])
def test_what_is_not_our_model_directory_is_never_overwritten(kind, tmp_path):
    place = tmp_path / "mine"
    if kind == "file":
        place.write_text("precious")
    else:
        place.mkdir()
        (place / "notes.txt").write_text("precious")
        if kind != "folder":  # many tools call their file model.json
            (place / "model.json").write_text('{"learner": {"booster": "gbtree"}}')
    with pytest.raises(MakedoInputError, match="not a model directory of makedo"):
        Scale().fit(X).save(place)
    kept = place if kind == "file" else place / "notes.txt"
    assert kept.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_a_linked_model_directory_can_be_saved_to_again(model, tmp_path):
    link = tmp_path / "latest"
    link.symlink_to(model, target_is_directory=True)
    Scale(7.0).fit(X).save(link)
    assert load_model(link, find_class).factor == 7.0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest", "model"]


def test_a_block_that_raises_changes_nothing(tmp_path):
    target = tmp_path / "out.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(target) as fresh:
        fresh.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["out.txt"]
    with replacing(target) as fresh:
        fresh.write_text("new")
    assert target.read_text() == "new" and [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_an_estimator_that_a_user_derives_can_say_what_is_wrong_when_saved(tmp_path):
    class Mine(Scale):
        pass

    Mine.__module__ = "__main__"
    with pytest.raises(MakedoInputError, match="Mine"):
        Mine().fit(X).save(tmp_path / "model")


# --- loading -------------------------------------------------------------------------------------


def test_what_is_no_model_directory_is_refused(tmp_path):
    refused(tmp_path / "nowhere", "does not exist")
    refused(tmp_path, r"is not a model directory \(it has no model.json\)")


def without(key):
    return lambda document: {k: v for k, v in document.items() if k != key}


def put(**changes):
    return lambda document: document | changes


def put_parameters(**changes):
    return lambda document: document | {"parameters": document["parameters"] | changes}


def put_state(**changes):
    return lambda document: document | {"state": document["state"] | changes}


def nested(depth):
    tree: object = 1
    for _ in range(depth):
        tree = [tree]
    return tree


HOSTILE = {
    "a list": (lambda d: [d], "format_version"),
    "no version": (without("format_version"), "format_version"),
    "version in words": (put(format_version="1"), "format_version"),
    "newer": (
        put(format_version=FORMAT_VERSION + 1, makedo="9.9.9"),
        r"pip install 'makedo>=9\.9\.9'",
    ),
    "another room": (put(room="os"), "does not have"),
    "another class": (put(**{"class": "system"}), "does not have"),
    "a dotted class": (put(**{"class": "Scale.__init__"}), "does not have"),
    "room is a list": (put(room=["scale"]), "does not have"),
    "no class": (without("class"), "does not have"),
    "no parameters": (without("parameters"), "parameters"),
    "parameters in a list": (put(parameters=[1]), "parameters"),
    "unknown parameter": (put_parameters(depth=3), "does not take .*'depth'"),
    "dunder parameter": (put_parameters(__class__="os"), "does not take"),
    "parameter of another type": (put_parameters(factor="2; import os"), "parameter factor"),
    "parameter beyond floats": (put_parameters(factor=-(10**400)), "factor must be a number"),
    "parameter that is no float": (put_parameters(factor={"$float": "abc"}), "no number"),
    "parameter that is an array": (put_parameters(factor={"$float": [1]}), "no number"),
    "no state": (without("state"), "damaged"),
    "state in a list": (put(state=[1]), "do not fit together"),
    "dunder state": (put_state(__class__={"a": 1}), "learns"),
    "dunder state with one underscore": (put_state(__dict_={"a": 1}), "learns"),
    "method as state": (put_state(fit=1), "learns"),
    "state that is no name": (put_state(**{"a b_": 1}), "learns"),
    "array that is not there": (put_state(mean_={"$array": "state.other"}), "damaged"),
    "array named by a path": (put_state(mean_={"$array": "../../etc/passwd"}), "damaged"),
    "array named by a list": (put_state(mean_={"$array": ["a"]}), "damaged"),
    "strings that are not there": (put_state(mean_={"$strings": "/etc/passwd"}), "damaged"),
    "frame with the wrong size": (
        put_state(mean_={"$frame": "state.names_", "columns": ["a", "b"], "rows": 2}),
        "damaged",
    ),
    "frame with rows in words": (
        put_state(mean_={"$frame": "x", "columns": [], "rows": "many"}),
        "damaged",
    ),
    "sparse that is none": (
        put_state(mean_={"$sparse": "state.mean_", "shape": [1, 1]}),
        "damaged",
    ),
    "index with an unhashable name": (
        put_state(names_={"$index": "state.names_", "name": {"a": 1}}),
        "damaged",
    ),
    "float in words": (put_state(mean_={"$float": "__import__('os')"}), "damaged"),
    "missing array": (put_state(mean_=3), "do not fit together"),
    "deeply nested": (put_state(deep_=nested(700)), "damaged .RecursionError"),
}


@pytest.mark.parametrize(("change", "match"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_model_json_that_somebody_changed_is_refused_in_one_line(change, match, model):
    edit(model, change)
    refused(model, match)


TEXTS = {
    "empty": b"",
    "no json": b"cos\nsystem\n",
    "not utf-8": b'{"format_version": "\xff"}',
    "a pickle": b"\x80\x04\x95",
    "nested beyond any parser": b"[" * 100_000,
    "an integer of 5,000 digits": b'{"format_version": ' + b"1" * 5000 + b"}",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_model_json_that_is_no_json_is_refused_in_one_line(text, model):
    (model / "model.json").write_bytes(text)
    refused(model, "model.json")


@pytest.mark.parametrize(
    ("name", "word"), [("weights.safetensors", "afetensor"), ("tables.parquet", "arquet")]
)
@pytest.mark.parametrize("share", [None, 0.0, 0.3, 0.9])
def test_a_weight_or_table_file_that_is_missing_or_cut_short_is_refused(name, word, share, model):
    whole = (model / name).read_bytes()
    (model / name).unlink()
    if share is not None:
        (model / name).write_bytes(whole[: int(share * len(whole))])
    refused(model, f"damaged .*{word}")


def test_a_table_file_of_another_form_is_refused(model):
    pd.DataFrame({"state.names_": ["a", "b"]}).to_parquet(model / "tables.parquet")
    refused(model, "damaged")


def test_any_flipped_byte_of_the_tables_is_read_or_refused_in_one_line(model):
    whole = (model / "tables.parquet").read_bytes()
    for place in np.random.default_rng(0).integers(len(whole), size=40):
        bad = bytearray(whole)
        bad[place] ^= 0xFF
        (model / "tables.parquet").write_bytes(bad)
        try:
            load_model(model, find_class)
        except MakedoInputError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_a_length_in_model_json_does_not_decide_how_much_memory_is_taken(model):
    edit(model, put_state(mean_={"$frame": "state.names_", "columns": [], "rows": 10**15}))
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "import json, sys; from pathlib import Path\n"
        "from makedo.core.checks import MakedoInputError\n"
        "from makedo.core.persistence import read_state\n"
        "folder = Path(sys.argv[1]); document = json.loads((folder / 'model.json').read_text())\n"
        "document['state']['mean_'].update(columns=['a'])\n"
        "(folder / 'tables.parquet').write_bytes(Path(sys.argv[2]).read_bytes())\n"
        "try: read_state(folder, document)\n"
        "except MakedoInputError: print('refused')\n"
    )
    one = model.parent / "one"
    one.mkdir()
    write_state(one, {}, {"names_": pd.DataFrame({"a": [1]})})
    run = subprocess.run(
        [sys.executable, "-c", code, model, one / "tables.parquet"],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert run.stdout == "refused\n", run.stderr


def test_an_object_may_be_handed_back_but_only_for_a_parameter(model):
    note = object()
    assert load_model(model, find_class, note=note).note is note
    with pytest.raises(MakedoInputError, match="does not take"):
        load_model(model, find_class, other=note)


def test_a_function_among_the_parameters_must_be_handed_back(tmp_path):
    Scale(note=np.median).fit(np.ones((2, 2))).save(tmp_path / "m")
    with pytest.raises(
        MakedoInputError, match=r"note was the function median, .*load\(path, note="
    ):
        Scale.load(tmp_path / "m")
    assert Scale.load(tmp_path / "m", note=np.median).note is np.median


def test_only_the_class_that_was_saved_is_loaded(model):
    class Other(Scale):
        pass

    Other.__module__ = "makedo.methods.scale.estimator"
    with pytest.raises(MakedoInputError, match="does not have"):
        Other.load(model)
    assert isinstance(Scale.load(model), Scale)


def test_makedo_load_takes_no_class_that_is_not_in_rooms(model):
    import makedo

    with pytest.raises(
        MakedoInputError, match="'Scale' of 'scale', which this makedo does not have"
    ):
        makedo.load(model)


def test_the_model_card_does_not_break_on_a_path_object_or_text(tmp_path):
    Scale().fit(X).save(str(tmp_path / "model"))
    assert load_model(str(tmp_path / "model"), find_class).factor == 1.0
    assert Path(tmp_path / "model" / "README.md").read_text().startswith("# Scale")
