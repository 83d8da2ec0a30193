import numpy as np
import pandas as pd
import pytest

from makedo.report import Report, Section, distributions, figures


@pytest.fixture(scope="session")
def scores():
    rows = [
        ("MLP", "isolated", 68.04, 65.1, 71.2, 190),
        ("Cold Brew", "isolated", 74.42, 73.0, 75.6, 190),
        ("MLP", "all", 70.19, 69.9, 70.5, 1837),
        ("Cold Brew", "all", np.nan, np.nan, np.nan, 1837),
    ]
    return pd.DataFrame(rows, columns=["candidate", "group", "mean", "low", "high", "size"])


@pytest.fixture(scope="session")
def differences():
    rows = [
        ("Cold Brew", "MLP", "isolated", 6.4, 4.1, 8.7),
        ("Cold Brew", "GLNN", "isolated", -1.6, -3.4, 0.2),
        ("Cold Brew", "GCN", "isolated", -4.0, -5.0, -3.0),
    ]
    return pd.DataFrame(rows, columns=["ours", "reference", "group", "gain", "low", "high"])


@pytest.fixture(scope="session")
def history():
    epochs = np.arange(1, 21)
    teacher = pd.DataFrame({"phase": "teacher", "epoch": epochs, "loss": 2 / epochs})
    teacher["score"] = 0.8 - 0.002 * (epochs - 12) ** 2  # best at epoch 12
    embedding = pd.DataFrame({"phase": "embedding", "epoch": epochs, "loss": 1 / epochs})
    return pd.concat([teacher, embedding], ignore_index=True)


@pytest.fixture(scope="session")
def all_figures(scores, differences, history):
    degree = np.repeat([0, 1, 2, 3, 5, 9, 17, 40], 20)
    right = {"teacher": np.arange(160) % 3 > 0, "student": np.arange(160) % 4 > 0}
    neighbours = pd.Series([0.1, 0.4, 0.2], index=["p7", "p8", "p9"])
    zones = [(50, "the graph matters more"), (100, "features matter"), (150, "features win")]
    return {
        "comparison": figures.comparison(
            scores, label="accuracy, %", ours="Cold Brew", reference="MLP"
        ),
        "differences": figures.paired_differences(differences, label="gain in accuracy, points"),
        "degree": figures.score_against(
            figures.score_by_bin(degree, right), label="accuracy, %", bin_label="degree"
        ),
        "ratio": figures.ratio_bar(
            32.9, label="FCR", zones=zones, interval=(28, 39), parts={"GNN": 87.0, "MLP": 69.0}
        ),
        "curves": figures.curves(history, labels={"loss": "loss", "score": "accuracy"}),
        "bars": figures.ranked_bars(neighbours, label="weight"),
        **drawn_distributions(),
    }


def drawn_distributions():
    rng = np.random.default_rng(0)
    values, groups = (
        rng.normal(size=300),
        np.repeat(["cat", "dog", "a class with a long name"], 100),
    )
    counts = pd.DataFrame(rng.integers(0, 90, (14, 14)), range(14), range(14))
    path = pd.DataFrame({"candidate": "DIVA", "x": [0.01, 1, 100], "mean": [3.0, 1, 2]})
    pictures = [rng.integers(0, 255, (20, 30, 3)).astype(np.uint8)] * 5
    return {
        "histograms": distributions.histograms(
            values, groups, label="derivative", ends=("helps others", "harms others")
        ),
        "cloud": distributions.cloud(
            np.exp(values), values, label="derivative", x_label="leverage", log_x=True
        ),
        "counts": distributions.count_map(counts, label="given", x_label="predicted"),
        "bands": distributions.bands(
            path, label="loss", x_label="λ", log_x=True, at=100, at_label="chosen: 100"
        ),
        "pictures": distributions.image_sheet(pictures, [["cat → dog", "0.12"]] * 5),
    }


@pytest.fixture(scope="session")
def report(all_figures, scores):
    wide = pd.DataFrame({f"a long column name {i}": [1.25, -20.5] for i in range(12)})
    sections = [
        Section(f"About {name}", "Why.\n\nHow.", figure, f"What {name} shows.")
        for name, figure in all_figures.items()
    ]
    return Report(
        "Cold Brew on cora",
        "Use Cold Brew: it beats MLP by 6.4 points.",
        summary=["Routed by `predict`."],
        facts={"nodes": 2708, "homophily": 0.8251, "labelled": "600 (22 %)"},
        sections=[*sections, Section("Scores", table=scores), Section("Wide", table=wide)],
        command="makedo cold-brew report model/",
    )
