"""The report: what its first line says, what it shows, and what it must not show."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import makedo
from makedo import DatasetDerivative
from makedo.core.checks import MakedoInputError
from makedo.methods.diva import extension, page, pictures
from makedo.methods.diva.listing import listing
from makedo.methods.diva.remembering import with_rows

pytestmark = pytest.mark.filterwarnings("default::makedo.core.checks.MakedoWarning")


def clouds(n=120, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    X = 2.0 * np.eye(n_classes, 4)[y] + rng.normal(size=(n, 4))
    words = np.array(["cat", "dog", "eel"])[y]
    return pd.DataFrame(X, columns=list("abcd"), index=[f"secret{i}" for i in range(n)]), words


@pytest.fixture(scope="module")
def model():
    X, y = clouds()
    weights = 1.0 + np.arange(120) % 2
    return DatasetDerivative().fit(X, y, sample_weight=weights)


@pytest.fixture(scope="module")
def loaded(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    model.save(folder)
    return makedo.load(folder)


@pytest.fixture(scope="module")
def measured(model):
    return page.report(model)


# --- the first line ------------------------------------------------------------------------------


def test_the_first_line_says_which_score_to_trust_and_whether_acting_helps(measured):
    assert measured.verdict.startswith("Trust the margin to find wrong labels. ")
    words = ("helps", "harms", "no clear difference", "nothing to drop")
    assert sum(word in measured.verdict for word in words) == 1
    assert "95 % interval" in measured.verdict or "nothing to drop" in measured.verdict
    assert "area" not in measured.verdict and "ranks" in measured.summary[0]


def test_a_loaded_model_shows_what_it_knows_and_says_what_it_does_not(loaded, measured):
    report = page.report(loaded)
    assert "was not measured, as a saved model does not hold its rows" in report.verdict
    titles = [section.title for section in report.sections]
    assert "Would acting help?" not in titles and "How was λ chosen?" in titles
    assert report.facts == measured.facts


def test_a_head_that_knows_nothing_is_not_to_be_trusted():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 4)), np.arange(120) % 2
    report = page.report(DatasetDerivative().fit(X, y))
    assert "no better than a constant" in report.verdict and "Trust" not in report.verdict


def test_rows_to_test_on_judge_acting_and_the_head(model):
    X, y = clouds(60, seed=7)
    report = page.report(model, X, y)
    assert "the rows given to test on" in report.verdict or "nothing to drop" in report.verdict
    table = report.tables["How good is the head on the rows given?"].set_index("candidate")
    assert table.loc["ridge head", "mean"] == pytest.approx(100 * model.score(X, y))


def test_few_rows_are_not_measured():
    X, y = clouds(30)
    report = page.report(DatasetDerivative().fit(X, y))
    assert "was not measured, as 30 rows are too few" in report.verdict


# --- what it shows -------------------------------------------------------------------------------


def test_every_section_is_there_with_its_figure(measured):
    assert [s.title for s in measured.sections] == [
        "Would acting help?",
        "Which score to trust?",
        "Is a linear head good enough?",
        "Who helps, who harms?",
        "Weight against leverage",
        "What is predicted without the row?",
        "How was λ chosen?",
    ]
    assert set(measured.figures) == {s.title for s in measured.sections}


def test_the_derivative_is_drawn_by_class_and_weights_only_where_they_differ(model, measured):
    axes = measured.figures["Who helps, who harms?"].axes
    assert [one.texts[0].get_text() for one in axes] == ["cat", "dog", "eel"]
    negative = sum(
        patch.get_height()
        for one in axes
        for patch in one.patches
        if patch.get_x() + patch.get_width() / 2 < 0
    )
    assert negative == (model.gradient_ < 0).sum()
    X, y = clouds()
    even = page.report(DatasetDerivative().fit(X, y))
    assert "Derivative against leverage" in even.figures


def test_the_confusion_counts_rows_by_label_and_prediction_without_them(model, measured):
    said = model.classes_[model.loo_predictions_.argmax(1)]
    counts = pd.crosstab(clouds()[1], said)
    texts = [
        t.get_text() for t in measured.figures["What is predicted without the row?"].axes[0].texts
    ]
    assert sorted(t for t in texts if t.isdigit()) == sorted(
        str(n) for n in counts.to_numpy().ravel() if n
    )


def test_the_path_of_the_penalty_is_drawn_with_the_chosen_one(model, measured):
    line, at = measured.figures["How was λ chosen?"].axes[0].lines
    assert line.get_ydata() == pytest.approx(model.history_["loo_loss"])
    assert at.get_xdata()[0] == model.penalty_
    X, y = clouds()
    fixed = page.report(DatasetDerivative(penalty=2.0).fit(X[:35], y[:35]))
    assert "How was λ chosen?" not in fixed.figures


@pytest.mark.parametrize("kind", ["values", "multilabel", "soft", "several values"])
def test_other_targets_have_a_page_too(kind):
    X, y = clouds()
    n = np.unique(y, return_inverse=True)[1]
    Y = {
        "values": X["a"] * 2 + X["b"],
        "several values": X[["a", "b"]] * 2,
        "multilabel": (X[["a", "b", "c"]] > 1).astype(int),
        "soft": 0.9 * np.eye(3)[n] + 0.1 / 3,
    }[kind]
    fitted = DatasetDerivative(targets=kind.split()[-1]).fit(X[["a", "c", "d"]], Y)
    pictures = pd.Series([np.full((4, 4), i, dtype=np.uint8) for i in range(120)])
    report = page.report(fitted, show_rows=True, images=pictures)
    assert "Would acting help?" in report.figures and "secret" in report.to_html()
    assert len(listing(fitted)) == 120


# --- rows of the user's --------------------------------------------------------------------------


def test_ids_and_rows_enter_only_when_asked(model, measured):
    X, _ = clouds()
    assert "secret" not in measured.to_html() and "secret" not in measured.to_json()
    report = page.report(model, show_rows=True, rows=X)
    table = report.tables["Rows that harm others most"]
    order = np.argsort(-model.gradient_)[: page.SHOWN]
    assert table.index.tolist() == [f"secret{i}" for i in order]
    assert table["a"].tolist() == X["a"].iloc[order].tolist()
    doubtful = report.tables["Most likely wrong labels (by margin)"]
    assert doubtful["margin"].is_monotonic_increasing
    best = report.tables["Rows that help others most"]
    assert best.index.tolist() == [f"secret{i}" for i in np.argsort(model.gradient_)[:12]]


def test_pictures_stand_in_the_page_and_are_small(model, tmp_path):
    paths = []
    for i in range(120):
        paths.append(str(tmp_path / f"{i}.jpg"))
        noise = np.random.default_rng(i).integers(0, 255, (600, 400, 3)).astype(np.uint8)
        if i in np.argsort(-model.gradient_)[:12]:
            Image.fromarray(noise).save(paths[-1])
        else:
            Image.new("RGB", (60, 40)).save(paths[-1])
    text = page.report(model, show_rows=True, images=pd.Series(paths)).to_html()
    assert text.count("data:image/png;base64,") == 36 and len(text) < 1_500_000
    assert "<script" not in text and str(tmp_path) not in text


@pytest.mark.parametrize("form", ["path", "bytes", "dict", "array"])
def test_a_picture_may_come_in_many_forms(form, tmp_path):
    Image.new("RGB", (500, 250), (10, 20, 30)).save(tmp_path / "one.png")
    content = (tmp_path / "one.png").read_bytes()
    value = {
        "path": str(tmp_path / "one.png"),
        "bytes": content,
        "dict": {"bytes": content, "path": "nowhere"},
        "array": np.full((125, 250, 3), [10, 20, 30.0]),
    }[form]
    (found,) = pictures.load(pd.Series([value]))
    assert found.dtype == np.uint8 and found.shape[1] <= 250 and (found == [10, 20, 30]).all()


@pytest.mark.parametrize("value", [None, np.nan, 7, "", "nowhere.png", b"GIF89a"])
def test_what_is_no_picture_is_named(value):
    with pytest.raises(MakedoInputError, match="of row 'p7'"):
        pictures.load(pd.Series([value], index=["p7"], dtype=object))


# --- a loaded model gets its rows back -----------------------------------------------------------


def test_a_loaded_model_that_gets_its_rows_is_the_fitted_one(loaded, measured):
    X, y = clouds()
    again = with_rows(loaded, X, y, where="rows")
    report = page.report(again)
    assert report.verdict == measured.verdict
    assert report.to_dict()["sections"] == measured.to_dict()["sections"]
    assert again.get_params() == loaded.get_params()


def test_other_rows_or_labels_are_not_taken_for_those_of_the_fit(loaded):
    X, y = clouds()
    for X_other, y_other in ((X + 0.1 * X**2, y), (X, np.roll(y, 1)), (X[:50], y[:50])):
        with pytest.raises(MakedoInputError, match="learnt from"):
            with_rows(loaded, X_other, y_other, where="rows.csv")


# --- a pool --------------------------------------------------------------------------------------


def test_what_a_bad_annotator_labelled_is_added_last():
    X, y = clouds(660)
    labels = np.where(np.arange(660) >= 460, "cat", y)  # half of the pool
    model = DatasetDerivative().fit(X[:60], labels[:60], X_val=X[60:260], y_val=labels[60:260])
    curve = extension.extension_curve(model, X[260:], labels[260:])
    assert set(curve["candidate"]) == {"DIVA", "uniform"} and curve["part"].nunique() == 5
    gains = extension.gains(curve)
    assert gains["gain"].mean() > 1 and gains["low"].max() > 0
    assert not gains["helpful"].all()
    start = curve[curve["added"] == 0].pivot(index="part", columns="candidate", values="score")
    end = curve[curve["added"] == 400].pivot(index="part", columns="candidate", values="score")
    for same in (start, end):  # no row of the pool, and all of them
        assert same["DIVA"].to_numpy() == pytest.approx(same["uniform"].to_numpy())
    report = page.report(model, curve=curve)
    assert "Which rows of the pool to add?" in report.figures
    mean = extension.summary(curve).set_index(["candidate", "added"])["mean"]
    assert mean["DIVA", 0] == pytest.approx(start["DIVA"].mean())


def test_the_curve_of_a_pool_stays_within_a_hundred_per_cent_and_gains_have_one_form(model):
    curve = pd.DataFrame(
        [
            (name, added, 60 + added, part, score, True)
            for name in ("DIVA", "uniform")
            for added in (0, 10, 20)
            for part, score in enumerate((100.0, 99.0, 100.0, 96.0 + added / 10))
        ],
        columns=["candidate", "added", "training", "part", "score", "helpful"],
    )
    section = page.extension_section(model, curve)
    axes = section.figure.axes[0]
    assert axes.get_ylim()[1] <= 100.5
    assert section.formats == {"gain": "+.1f", "low": "+.1f", "high": "+.1f"}
