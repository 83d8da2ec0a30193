"""The demo: labels that are broken on purpose are found, and the page says what was done."""

import numpy as np
import pandas as pd
import pytest

import makedo
from makedo import cli
from makedo.methods.diva import demo


def test_the_broken_labels_are_wrong_and_the_others_right():
    dirty, clean = demo.problem(0.2, 3), demo.problem(0.0, 3)
    assert np.array_equal(dirty.X, clean.X) and np.array_equal(dirty.y_test, clean.y_test)
    assert ((dirty.y != clean.y) == dirty.broken).all() and dirty.broken.sum() == 240
    assert not clean.broken.any() and len(dirty.y_test) == 597
    other = demo.problem(0.2, 4)
    assert not np.array_equal(other.X_test, dirty.X_test)


def test_random_fourier_features_make_the_kernel():
    X = np.random.default_rng(0).uniform(size=(30, 5))
    Z = np.hstack([demo.fourier_features(X, np.random.default_rng(i)) for i in range(50)])
    kernel = np.exp(-demo.GAMMA * ((X[:, None] - X) ** 2).sum(2))
    assert Z @ Z.T / 50 == pytest.approx(kernel, abs=0.05)


def test_each_way_learns_from_what_it_says():
    digits = demo.problem(0.2, 0)
    X, y = demo.training_set(demo.ORACLE, digits)
    assert len(y) == 960
    assert np.array_equal(X, digits.X[~digits.broken])
    X, y = demo.training_set(demo.CHANGED, digits)
    changed = y != digits.y
    assert np.array_equal(X, digits.X) and 100 < changed.sum() < 400
    assert digits.broken[changed].mean() > 0.9
    X, y = demo.training_set(demo.DROPPED, digits)
    assert len(y) == 1200 - changed.sum()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the demo writes, with two seeds in place of all."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "SEEDS", range(2))
        assert cli.main(["demo", "diva", "--out", str(folder), "--quiet"]) == 0
    return folder


def test_the_demo_says_that_we_broke_the_labels_and_what_dropping_them_does(folder):
    text = (folder / "diva.html").read_text(encoding="utf-8")
    first = text.split("<h1")[1].split("</h1>")[0]
    assert "Of 240 labels that we broke the margin marks" in first
    assert "dropping what it marks" in first and "2 seeds" in first
    assert "we broke a fifth" in text and "With nothing broken" in text
    assert text.count("data:image/png;base64,") == 36


def test_most_broken_labels_are_found_and_few_right_ones_suspected(folder):
    issues = pd.read_csv(folder / "issues.csv")
    assert issues["rank"].tolist() == list(range(1, 1201))
    table = pd.crosstab(issues["broken_by_us"], issues["is_issue"])
    assert table.loc[True, True] > 0.8 * 240 and table.loc[False, True] < 0.05 * 960


def test_the_model_of_the_demo_can_be_used(folder):
    digits = demo.problem(0.2, 0)
    model = makedo.load(folder / "model")
    assert model.score(digits.X_test, digits.y_test) > 0.85
