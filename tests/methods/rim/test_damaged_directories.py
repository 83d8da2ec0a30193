"""A model directory that was changed or cut is refused in one sentence, whatever was done to it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

import makedo
from makedo.core.checks import MakedoInputError
from makedo.methods.rim import RIM, Transformer


def shorter(name):
    return lambda arrays: arrays.update({name: arrays[name][:3]})


DAMAGED = {  # what is done to the tree of model.json, and to the arrays
    "no own past": (lambda state: state["marks_"]["state"].pop("backoff_"), None),
    "a text": (lambda state: state["marks_"]["state"].update(backoff_="x"), None),
    "below zero": (lambda state: state["marks_"]["state"].update(backoff_=-3.0), None),
    "no network": (lambda state: state["marks_"]["state"].pop("net_"), None),
    "another network": (lambda state: state["marks_"].update({"class": "RNN"}), None),
    "no class of ours": (lambda state: state["marks_"].update({"class": "os.system"}), None),
    "wider": (lambda state: state["marks_"]["parameters"].update(width=32), None),
    "kinds": (lambda state: state.update(kinds_=["view"]), None),
    "NaN": (None, lambda a: a["state.marks_.state.net_.bias"].fill(np.nan)),
    "fewer weights": (None, shorter("state.marks_.state.net_.embedding")),
    "fewer times": (None, shorter("state.log_.time")),
    "other starts": (None, lambda a: a["state.log_.start"].__imul__(5)),
    "other users": (None, lambda a: a["state.log_.user"].__iadd__(1)),
    "items out of range": (None, lambda a: a["state.log_.item"].__iadd__(1)),
    "times unsorted": (None, lambda a: a["state.log_.time"].__imul__(-1)),
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    rng = np.random.default_rng(0)
    user, item, day = rng.integers(0, 20, 300), rng.integers(0, 9, 300), rng.integers(0, 40, 300)
    log = pd.DataFrame({"user_id": user, "item_id": item, "timestamp": 86_400 * day})
    small = Transformer(16, max_history=8, max_epochs=1, device="cpu")
    path = tmp_path_factory.mktemp("saved") / "model"
    RIM(small, horizon="7D").fit(log.drop_duplicates()).save(path)
    return path


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_directory_is_refused_in_one_sentence(case, directory, tmp_path):
    of_tree, of_arrays = DAMAGED[case]
    shutil.copytree(directory, tmp_path / "model")
    if of_tree:
        document = json.loads((tmp_path / "model" / "model.json").read_text())
        of_tree(document["state"])
        (tmp_path / "model" / "model.json").write_text(json.dumps(document))
    else:
        arrays = load_file(tmp_path / "model" / "weights.safetensors")
        of_arrays(arrays)
        save_file(arrays, tmp_path / "model" / "weights.safetensors")
    with pytest.raises(MakedoInputError, match="do not fit together") as caught:
        makedo.load(tmp_path / "model")
    assert "Save the model again." in str(caught.value)
