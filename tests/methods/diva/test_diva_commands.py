"""The verbs from the command line: small files in, a file out that can be read back."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import makedo as package
from makedo import DatasetDerivative, LabelIssueFinder, cli
from makedo.data.files import read_table

N, COLUMNS = 90, ["size", "width", "age"]


def table(n=N, seed=0):
    """Two classes that three numbers tell apart, with a fifth of wrong labels, and a colour."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    y = X[:, 0] + 0.5 * X[:, 1] > 0
    wrong = rng.random(n) < 0.1
    frame = pd.DataFrame(X, columns=COLUMNS).assign(kind=np.where(y ^ wrong, "big", "small"))
    frame.insert(0, "id", [f"s{seed}-{i}" for i in range(n)])
    return frame.assign(patient=np.arange(n) // 2, weight=1.0 + np.arange(n) % 3)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """A folder with rows to learn from, trusted ones and others to test on.  Gives the first."""
    monkeypatch.chdir(tmp_path)
    for name, n, seed in (("rows", N, 0), ("trusted", 40, 1), ("test", 40, 2)):
        table(n, seed).to_csv(f"{name}.csv", index=False)
    return table()


@pytest.fixture
def makedo(rows, capsys):
    """Run a line of diva that must succeed; gives stdout and stderr."""

    def run(*arguments):
        capsys.readouterr()
        code = cli.main(["diva", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out, err

    return run


ROWS = ["--rows", "rows.csv", "--label", "kind", "--features", ",".join(COLUMNS)]
TRUSTED = ["--validation", "trusted.csv"]


def fitted(rows, **more):
    X = rows.set_index("id")[COLUMNS]
    return DatasetDerivative().fit(X, rows["kind"].to_numpy(), **more)


def trusted(name="trusted.csv"):
    frame = pd.read_csv(name)
    return {"X_val": frame[COLUMNS], "y_val": frame["kind"]}


def margin_of(model):
    F, row = model.loo_predictions_, np.arange(N)
    return F[row, model.y_] - F[row, 1 - model.y_]


# --- score ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["scores.csv", "scores.tsv", "scores.jsonl", "scores.parquet"])
def test_score_writes_what_the_estimator_says_of_each_row(makedo, rows, file):
    makedo("score", *ROWS, "--out", file)
    found, model = read_table(file).set_index("id"), fitted(rows)
    assert found.index.tolist() == rows["id"].tolist()
    assert found["derivative"].to_numpy() == pytest.approx(model.gradient_)
    assert found["leverage"].to_numpy() == pytest.approx(model.leverage_)
    assert found["given"].tolist() == rows["kind"].tolist()
    F = model.loo_predictions_
    assert found["suggested"].tolist() == model.classes_[F.argmax(1)].tolist()
    assert found["margin"].to_numpy() == pytest.approx(margin_of(model))
    assert ((found["margin"] < 0) == (found["given"] != found["suggested"])).all()


def test_score_takes_groups_weights_and_trusted_rows(makedo, rows):
    out, _ = makedo("score", *ROWS, "--group", "patient", "--weight", "weight", *TRUSTED, "--json")
    found = pd.DataFrame(json.loads(out))
    model = fitted(rows, groups=rows["patient"], sample_weight=rows["weight"], **trusted())
    assert found["derivative"].to_numpy() == pytest.approx(model.gradient_)
    assert found["weight"].tolist() == rows["weight"].tolist()
    alone = fitted(rows, sample_weight=rows["weight"], **trusted())
    assert not np.allclose(found["margin"], margin_of(alone))
    assert found["margin"].to_numpy() == pytest.approx(margin_of(model))


def test_score_also_gives_exact_removal_and_all_outputs(makedo, rows):
    out, _ = makedo("score", *ROWS, "--exact", "--outputs", "--json")
    found, model = pd.DataFrame(json.loads(out)), fitted(rows)
    assert found["removal"].to_numpy() == pytest.approx(model.effect("remove"))
    columns = [f"without {label}" for label in model.classes_]
    assert found[columns].to_numpy() == pytest.approx(model.loo_predictions_)


def test_settings_reach_the_estimator(makedo, rows):
    line = ["--set", "penalty=3.5", "--set", "outer_loss=mae", "--json"]
    found = pd.DataFrame(json.loads(makedo("score", *ROWS, *line)[0]))
    X = rows.set_index("id")[COLUMNS]
    model = DatasetDerivative(penalty=3.5, outer_loss="mae").fit(X, rows["kind"].to_numpy())
    assert found["derivative"].to_numpy() == pytest.approx(model.gradient_)


def test_rows_without_ids_are_named_by_their_number(makedo, rows):
    rows.drop(columns="id").to_csv("plain.csv", index=False)
    makedo("score", "--rows", "plain.csv", *ROWS[2:], "--out", "scores.csv")
    assert pd.read_csv("scores.csv")["row"].tolist() == list(range(N))


def test_an_id_column_that_is_called_like_a_result_is_not_lost(makedo, rows):
    rows.rename(columns={"id": "margin"}).to_csv("named.csv", index=False)
    line = ["--rows", "named.csv", *ROWS[2:], "--id", "margin", "--json"]
    found = json.loads(makedo("score", *line)[0])
    assert [row["row"] for row in found] == rows["id"].tolist()
    assert all(isinstance(row["margin"], float) for row in found)


def test_a_matrix_of_an_npz_is_features_too(makedo, rows):
    np.savez("rows.npz", X=rows[COLUMNS].to_numpy(), kind=rows["kind"].to_numpy(str))
    found = json.loads(makedo("score", "--rows", "rows.npz", "--label", "kind", "--json")[0])
    derivative = [row["derivative"] for row in found]
    assert derivative == pytest.approx(fitted(rows).gradient_, rel=1e-3)


# --- other targets -------------------------------------------------------------------------------


def test_numbers_are_scored_by_residuals(makedo, rows):
    rows.assign(price=rows["size"] * 2.5 + rows["age"]).to_csv("rows.csv", index=False)
    line = ["--rows", "rows.csv", "--label", "price", "--features", "size,width", "--json"]
    found = pd.DataFrame(json.loads(makedo("score", *line)[0]))
    assert found["given"].to_numpy() == pytest.approx(rows["size"] * 2.5 + rows["age"])
    off = (found["given"] - found["suggested"]).abs()
    assert found["residual"].to_numpy() == pytest.approx(off / (1.4826 * off.median()))
    makedo("fit", *line[:-1], "--out", "model")
    out, _ = makedo("evaluate", "model", "--rows", "rows.csv", "--label", "price", "--json")
    scores = {row["candidate"]: row["mean"] for row in json.loads(out)}
    assert scores["ridge head"] > 0.8 > scores["constant"]


def test_several_columns_of_0_and_1_are_several_labels(makedo, rows):
    labels = {"big": rows["size"] > 0, "wide": rows["width"] > 0}
    rows.assign(**{k: v.astype(int) for k, v in labels.items()}).to_csv("rows.csv", index=False)
    line = ["--rows", "rows.csv", "--label", "big,wide", "--features", ",".join(COLUMNS)]
    found = pd.DataFrame(json.loads(makedo("score", *line, "--json")[0]))
    given = ["; ".join(k for k in labels if labels[k][i]) for i in range(N)]
    assert found["given"].tolist() == given
    assert ((found["margin"] < 0) == (found["given"] != found["suggested"])).all()
    makedo("fit", *line, "--out", "model")
    makedo("predict", "model", "--rows", "rows.csv", "--out", "said.csv")
    said = pd.read_csv("said.csv")
    assert said.columns.tolist() == ["id", "prediction big", "prediction wide"]
    assert (said["prediction big"] == labels["big"]).mean() > 0.9


# --- the other verbs -----------------------------------------------------------------------------


def test_issues_writes_the_finder_s_table(makedo, rows):
    _, err = makedo("issues", *ROWS, "--group", "patient", "--out", "issues.parquet")
    X, y = rows.set_index("id")[COLUMNS], rows["kind"].to_numpy()
    finder = LabelIssueFinder().fit(X, y, groups=rows["patient"])
    found = read_table("issues.parquet").set_index("id")
    pd.testing.assert_frame_equal(found, finder.issues_, check_index_type=False)
    assert err.strip().endswith(finder.verdict_)


def test_issues_takes_probabilities_of_another_model_by_id(makedo, rows):
    rng = np.random.default_rng(0)
    P = rng.dirichlet([1, 1], N)
    guess = pd.DataFrame(P, columns=["big", "small"]).assign(id=rows["id"])
    guess.sample(frac=1, random_state=0).to_csv("guess.csv", index=False)
    line = [*ROWS, "--probabilities", "guess.csv", "--cleanlab", "--json"]
    found = pd.DataFrame(json.loads(makedo("issues", *line)[0]))
    finder = LabelIssueFinder().fit(y=rows["kind"].to_numpy(), pred_probs=P)
    wanted = finder.to_cleanlab()
    assert found.drop(columns="id").columns.tolist() == wanted.columns.tolist()
    assert found["label_quality"].to_numpy() == pytest.approx(wanted["label_quality"].to_numpy())


def test_reweight_writes_weights_and_says_whether_they_help(makedo, rows):
    _, err = makedo("reweight", *ROWS, "--set", "n_steps=2", "--out", "weights.csv")
    found = pd.read_csv("weights.csv").set_index("id")["weight"]
    model = package.DivaReweighter(n_steps=2).fit(rows[COLUMNS], rows["kind"])
    assert found.to_numpy() == pytest.approx(model.sample_weight_)
    assert found.min() >= 0 and found.mean() == pytest.approx(1) and found.nunique() > 2
    assert model.verdict_ in err


@pytest.mark.filterwarnings("default::makedo.core.checks.MakedoWarning")  # a small core
def test_extend_chooses_from_a_pool_with_and_without_labels(makedo, rows):
    pool = table(60, 3)
    pool.to_csv("pool.csv", index=False)
    pool.drop(columns="kind").to_csv("bare.csv", index=False)
    line = [*ROWS, *TRUSTED, "--set", "budget=7", "--set", "batch=3"]
    _, err = makedo("extend", *line, "--pool", "pool.csv", "--out", "chosen.csv")
    found = pd.read_csv("chosen.csv").set_index("id")
    selector = package.DivaSelector(budget=7, batch=3)
    selector.fit(rows[COLUMNS], rows["kind"], **trusted())
    wanted = selector.select(pool.set_index("id")[COLUMNS], pool["kind"].to_numpy())
    pd.testing.assert_frame_equal(found, wanted, check_index_type=False)
    assert 0 < len(found) <= 7 and f"{len(found)} of 60 rows chosen" in err
    _, err = makedo("extend", *line, "--pool", "bare.csv", "--out", "ask.csv")
    asked = pd.read_csv("ask.csv")
    assert set(asked["id"]) <= set(pool["id"]) and len(asked) <= 7


def test_a_saved_model_predicts_as_the_fitted_one(makedo, rows):
    makedo("fit", *ROWS, *TRUSTED, "--set", "outer_loss=mae", "--out", "model")
    out, _ = makedo("predict", "model", "--rows", "test.csv", "--json")
    test = pd.read_csv("test.csv")
    model = fitted(rows, **trusted())
    found = pd.DataFrame(json.loads(out))
    assert found["id"].tolist() == test["id"].tolist()
    assert found["prediction"].tolist() == model.predict(test[COLUMNS]).tolist()
    makedo("evaluate", "model", "--rows", "test.csv", "--label", "kind", "--out", "scores.csv")
    scores = pd.read_csv("scores.csv").set_index("candidate")["mean"]
    right = found["prediction"] == test["kind"]
    assert scores["ridge head"] == pytest.approx(100 * right.mean())


def test_diagnose_answers_in_words_and_as_json(makedo):
    makedo("diagnose", *ROWS, *TRUSTED, "--out", "answer.json", "--quiet")
    answer = json.loads(Path("answer.json").read_text(encoding="utf-8"))
    assert answer["figures"]["rows with a label"] == N
    assert answer["figures"]["trusted rows"] == 40
    assert "on trusted rows" in answer["unit"] and answer["advice"]


def test_the_diagnose_of_the_house_asks_diva_too(rows, capsys):
    assert cli.main(["diagnose", "rows.csv", "--label", "kind", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["diva"]
    assert answer["figures"]["rows with a label"] == N


# --- report --------------------------------------------------------------------------------------


def test_report_measures_when_it_is_given_the_rows(makedo):
    makedo("fit", *ROWS, "--group", "patient", "--out", "model")
    out, _ = makedo("report", "model", "--out", "stored.html")
    assert "was not measured" in out
    line = ["report", "model", "--rows", "rows.csv", "--label", "kind", "--group", "patient"]
    out, _ = makedo(*line, "--out", "measured.html")
    assert "held-back rows" in out or "nothing to drop" in out
    page = Path("measured.html").read_text(encoding="utf-8")
    assert "Would acting help?" in page and "s0-" not in page
    out, _ = makedo(*line, "--test", "test.csv", "--show-rows", "--json", "--out", "tested.html")
    document = json.loads(out)
    titles = [section["title"] for section in document["sections"]]
    assert "How good is the head on the rows given?" in titles
    assert "Rows that harm others most" in titles
    assert "s0-" in Path("tested.html").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("default::makedo.core.checks.MakedoWarning")  # a small core
def test_report_draws_the_extension_curve_of_a_pool(makedo):
    table(60, 3).to_csv("pool.csv", index=False)
    makedo("fit", *ROWS, *TRUSTED, "--out", "model")
    line = ["report", "model", *ROWS[:4], *TRUSTED, "--pool", "pool.csv"]
    document = json.loads(makedo(*line, "--json", "--out", "page.html")[0])
    by_title = {section["title"]: section for section in document["sections"]}
    table_of = by_title["Which rows of the pool to add?"]["table"]
    added = [row[0] for row in table_of["rows"]]
    assert added == sorted(set(added)) and 0 < added[0] and added[-1] < 60


def test_report_shows_pictures_only_with_show_rows(makedo, rows):
    from PIL import Image

    for i in range(N):
        Image.new("RGB", (30, 20), (i, 2 * i, 0)).save(f"{i}.png")
    rows.assign(photo=[f"{i}.png" for i in range(N)]).to_csv("rows.csv", index=False)
    makedo("fit", *ROWS, "--out", "model")
    line = ["report", "model", "--rows", "rows.csv", "--label", "kind", "--images", "photo"]
    makedo(*line, "--out", "plain.html")
    makedo(*line, "--show-rows", "--out", "pictures.html")
    count = {n: Path(f"{n}.html").read_text(encoding="utf-8").count("data:image/png;base64,")
             for n in ("plain", "pictures")}  # fmt: skip
    assert count == {"plain": 0, "pictures": 36}


def test_fit_writes_a_report_as_well(makedo):
    makedo("fit", *ROWS, "--out", "model", "--report", "page.html")
    assert "Would acting help?" in Path("page.html").read_text(encoding="utf-8")


# --- ids that repeat ------------------------------------------------------------------------------


def test_a_column_called_id_may_repeat_unless_it_is_named_as_the_id(rows, makedo, capsys):
    rows.assign(id=[f"house {i // 2}" for i in range(N)]).to_csv("rows.csv", index=False)
    makedo("score", *ROWS, "--outputs", "--out", "scores.csv")
    scores = pd.read_csv("scores.csv")
    assert scores["id"].tolist() == [f"house {i // 2}" for i in range(N)]
    np.testing.assert_allclose(scores["derivative"], fitted(rows).gradient_, rtol=1e-4)
    makedo("fit", *ROWS, "--out", "model")
    makedo("report", "model", *ROWS[:4], "--show-rows", "--out", "page.html")
    assert cli.main(["diva", "score", *ROWS, "--id", "id", "--out", "other.csv"]) == 2
    assert "more than one row" in capsys.readouterr().err
