"""Model directories that somebody changed: they load and work, or are refused in a sentence."""

import json

import numpy as np
import pandas as pd
import pytest

import makedo
from makedo import DatasetDerivative, DivaReweighter, DivaSelector, LabelIssueFinder
from makedo.core.checks import MakedoInputError

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
Y = np.where(X[:, 0] > 0, "u", "v")
NEW, NEW_Y = rng.normal(size=(4, 3)), ["u", "v", "u", "v"]
WRONG = [None, -1, 1e9, "x", [], {}, [1, 2], True, {"$float": "nan"}]


def use_head(model):
    model.predict(NEW), model.score_pool(NEW, NEW_Y), model.evaluate(NEW, NEW_Y), model.effect()
    return model.report().to_html()


MODELS = {
    "derivative": (lambda: DatasetDerivative().fit(X, Y), use_head),
    "finder": (lambda: LabelIssueFinder().fit(X, Y), lambda m: (m.issues_, m.to_cleanlab())),
    "reweighter": (
        lambda: DivaReweighter(n_steps=1).fit(X, Y),
        lambda m: (m.predict(NEW), m.score(NEW, NEW_Y)),
    ),
    "selector": (
        lambda: DivaSelector(budget=2).fit(X[:40], Y[:40], X[40:], Y[40:]),
        lambda m: (m.select(NEW, NEW_Y), m.select(NEW)),
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_a_changed_part_is_refused_or_does_no_harm(name, tmp_path):
    make, use = MODELS[name]
    make().save(tmp_path / "m")
    use(makedo.load(tmp_path / "m"))
    path = tmp_path / "m" / "model.json"
    text = path.read_text(encoding="utf-8")
    n_refused = 0
    parts = json.loads(text)["state"].keys() - {"table_"}
    for part in parts:
        for wrong in (*WRONG, ...):
            document = json.loads(text)
            document["state"][part] = wrong
            if wrong is ...:
                del document["state"][part]
            path.write_text(json.dumps(document), encoding="utf-8")
            try:
                use(makedo.load(tmp_path / "m"))
            except MakedoInputError as error:
                assert "\n" not in str(error)
                n_refused += 1
    assert n_refused > 4 * len(parts)


def test_class_numbers_that_are_no_class_are_refused(tmp_path):
    from safetensors.numpy import load_file, save_file

    DatasetDerivative().fit(X, Y).save(tmp_path / "m")
    path = tmp_path / "m" / "weights.safetensors"
    arrays = load_file(path)
    arrays["state.y_"] = np.full(60, 2**50)  # as many numbers would be counted
    save_file(arrays, path)
    with pytest.raises(MakedoInputError, match="y_ has a wrong size or kind"):
        makedo.load(tmp_path / "m")


def test_text_that_is_no_text_is_refused(tmp_path):
    frame = pd.DataFrame(X, columns=list("abc"), index=[f"row {i}" for i in range(60)])
    LabelIssueFinder().fit(frame, Y).save(tmp_path / "m")
    path = tmp_path / "m" / "tables.parquet"
    content = path.read_bytes()
    for at in range(0, len(content), 37):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        try:
            makedo.load(tmp_path / "m")
        except MakedoInputError as error:
            assert "\n" not in str(error)
