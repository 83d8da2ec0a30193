import matplotlib
import numpy as np
import pandas as pd
import pytest

from makedo.report import figures
from makedo.report.palette import INK, SERIES
from makedo.report.svg import inline_svg


def written(figure):
    """All texts of a figure that can be seen."""
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_drawing_leaves_the_settings_of_matplotlib_alone(all_figures):
    before = dict(matplotlib.rcParams)
    for figure in all_figures.values():
        inline_svg(figure, prefix="f", label="x")
    assert dict(matplotlib.rcParams) == before
    assert before["text.parse_math"] is True


def test_figures_leave_their_tables_alone(scores, differences, history):
    for table, draw in (
        (scores, lambda t: figures.comparison(t, label="a")),
        (differences, lambda t: figures.paired_differences(t, label="a")),
        (history, figures.curves),
    ):
        before = table.copy(deep=True)
        draw(table)
        pd.testing.assert_frame_equal(table, before)


def test_all_groups_of_a_comparison_share_one_scale(scores):
    figure = figures.comparison(scores, label="accuracy, %")
    assert len(figure.axes) == 2
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    low, high = figure.axes[0].get_xlim()
    assert low < scores["low"].min() and high > scores["high"].max()


def test_a_comparison_writes_values_and_sizes_and_a_dash_for_what_is_missing(scores):
    texts = written(figures.comparison(scores, label="accuracy, %"))
    assert {"68.0", "74.4", "70.2", "–", "n = 190", "n = 1,837", "accuracy, %"} <= set(texts)
    assert "68.04" in written(figures.comparison(scores, label="accuracy, %", digits=2))


def test_ticks_are_thinned_where_their_labels_would_touch():
    def ticks(low, high):
        row = ("a candidate with a long name", "all", (low + high) / 2, low, high)
        table = pd.DataFrame([row], columns=["candidate", "group", "mean", "low", "high"])
        axes = figures.comparison(table, label="cost, USD").axes[0]
        return [label.get_text() for label in axes.get_xticklabels()]

    assert ticks(0, 5) == ["0", "1", "2", "3", "4", "5"]
    assert 2 <= len(ticks(1_000_000, 1_250_000)) <= 3


def test_ours_is_drawn_in_colour_and_the_reference_as_a_line_at_its_mean(scores):
    figure = figures.comparison(scores, label="a", ours="Cold Brew", reference="MLP")
    first = figure.axes[0]
    lines = {tuple(line.get_xdata()): line.get_color() for line in first.lines}
    assert lines[(74.42,)] == SERIES[0] and lines[(68.04,)] == INK
    assert (68.04, 68.04) in lines


def test_a_difference_is_coloured_only_if_its_interval_leaves_out_zero(differences):
    axes = figures.paired_differences(differences, label="gain, points").axes[0]
    dots = {line.get_xdata()[0]: line for line in axes.lines if len(line.get_xdata()) == 1}
    assert dots[6.4].get_color() == SERIES[0] and dots[-4.0].get_color() == SERIES[1]
    assert dots[-1.6].get_markeredgecolor() == INK != dots[-1.6].get_color()
    assert axes.get_xlim()[0] < 0 < axes.get_xlim()[1]


def test_a_difference_without_interval_is_hollow():
    columns = ["ours", "reference", "group", "gain", "low", "high"]
    table = pd.DataFrame([("a", "b", "all", 3.0, np.nan, np.nan)], columns=columns)
    axes = figures.paired_differences(table, label="gain").axes[0]
    assert [line.get_markeredgecolor() for line in axes.lines[1:]] == [INK]


@pytest.mark.parametrize("below", [0.0, 5.0, 10.0], ids=["bottom", "middle", "top"])
def test_names_at_the_ends_of_lines_do_not_touch(below):
    names = [f"model {i}" for i in range(6)]
    means = [50 + 0.01 * i for i in range(6)]
    rows = [
        (n, b, m, 50 - below, 60 - below) for n, m in zip(names, means, strict=True) for b in "xyz"
    ]
    table = pd.DataFrame(rows, columns=["candidate", "bin", "mean", "low", "high"])
    figure = figures.score_against(table, label="accuracy, %", bin_label="degree")
    axes = figure.axes[0]
    height = axes.get_position().height * figure.get_figheight() * 72
    ends = sorted(t.xy[1] * height for t in axes.texts if t.get_text() in names)
    assert len(ends) == 6 and min(np.diff(ends)) >= 14.9
    assert ends[0] > -1 and ends[-1] < height + 1


def test_as_many_bins_are_named_as_fit():
    rows = [("m", f"{i}00–{i}99", 1.0, 0.5, 1.5) for i in range(30)]
    table = pd.DataFrame(rows, columns=["candidate", "bin", "mean", "low", "high"])
    axes = figures.score_against(table, label="score", bin_label="size").axes[0]
    named = [label.get_text() for label in axes.get_xticklabels() if label.get_text()]
    assert named[0] == "000–099" and 3 <= len(named) <= 8


def test_a_candidate_may_lack_bins():
    rows = [("a", "0", 1.0, 0.5, 1.5), ("a", "1", 2.0, 1.5, 2.5), ("b", "1", 3.0, 2.5, 3.5)]
    table = pd.DataFrame(rows, columns=["candidate", "bin", "mean", "low", "high"])
    axes = figures.score_against(table, label="score", bin_label="size").axes[0]
    assert np.isnan(axes.lines[1].get_ydata()[0]) and axes.lines[1].get_ydata()[1] == 3.0


def test_bins_double_and_hold_every_row():
    x = np.array([0] * 10 + [1] * 10 + [2] * 10 + [3, 4] * 5 + [5, 8] * 5)
    table = figures.score_by_bin(x, {"m": x > 2})
    assert table["bin"].tolist() == ["0", "1", "2", "3–4", "5–8"]
    assert table["mean"].tolist() == [0, 0, 0, 100, 100]
    assert table["size"].sum() == len(x)


def test_small_bins_are_joined_and_the_last_is_open():
    x = np.concatenate([np.zeros(20), np.full(3, 1), np.full(20, 2), 2 ** np.arange(2, 12)])
    table = figures.score_by_bin(x.astype(int), {"m": np.ones(len(x))}, smallest=10)
    assert table["bin"].tolist() == ["0", "1–2", "4+"]
    assert table["size"].tolist() == [20, 23, 10]
    many = figures.score_by_bin(2 ** np.arange(12), {"m": np.ones(12)}, smallest=1, most=4)
    assert many["bin"].tolist() == ["1", "2", "4", "8+"]
    assert many["size"].tolist() == [1, 1, 1, 9]


def test_intervals_of_shares_stay_between_none_and_all_and_cover():
    table = figures.score_by_bin(np.zeros(12), {"m": np.ones(12), "n": [np.nan] * 12})
    assert 70 < table.loc[0, "low"] < 80 and table.loc[0, "high"] == pytest.approx(100)
    assert np.isnan(table.loc[1, "mean"]) and table.loc[1, "size"] == 0
    rng = np.random.default_rng(0)
    draws = rng.random((400, 50)) < 0.9
    rows = [figures.score_by_bin(np.zeros(50), {"m": draw}, scale=1).loc[0] for draw in draws]
    covered = np.mean([row["low"] <= 0.9 <= row["high"] for row in rows])
    assert 0.91 < covered < 0.99


def test_scores_that_are_not_shares_get_the_normal_interval():
    values = np.arange(30.0)
    row = figures.score_by_bin(np.zeros(30), {"m": values}, scale=1).loc[0]
    half = 1.96 * values.std(ddof=1) / np.sqrt(30)
    assert row["high"] - row["mean"] == pytest.approx(half, rel=1e-3)


ZONES = [(50, "the graph matters more"), (100, "features matter more"), (150, "features win")]


@pytest.mark.parametrize(
    ("ratio", "at", "marker"), [(32.9, 32.9, "o"), (171.2, 150.0, ">"), (-3.0, 0.0, "<")]
)
def test_a_ratio_off_the_scale_is_an_arrow_at_its_end_with_the_true_number(ratio, at, marker):
    figure = figures.ratio_bar(ratio, label="FCR", zones=ZONES, interval=(ratio - 9, ratio + 9))
    dot = figure.axes[0].lines[0]
    assert dot.get_xdata()[0] == at and dot.get_marker() == marker
    assert f"FCR: {round(ratio)} %".replace("-", "−") in written(figure)
    low, high = figure.axes[0].collections[0].get_segments()[0][:, 0]
    assert 0 <= low <= high <= 150


def test_a_ratio_that_is_not_defined_says_so():
    figure = figures.ratio_bar(np.nan, label="FCR", zones=ZONES, interval=(np.nan, np.nan))
    assert "FCR: not defined" in written(figure) and not figure.axes[0].lines


def test_the_parts_of_a_ratio_are_bars_from_zero():
    figure = figures.ratio_bar(
        20, label="FCR", zones=ZONES, parts={"GNN": 87.0, "MLP": np.nan}, parts_label="accuracy, %"
    )
    bars = figure.axes[1].patches
    assert [(bar.get_x(), bar.get_width()) for bar in bars] == [(0, 87.0)]
    assert {"GNN", "87", "–", "accuracy, %"} <= set(written(figure))


def test_curves_mark_the_state_that_was_kept_and_leave_out_what_was_not_measured(history):
    figure = figures.curves(history, labels={"loss": "loss", "score": "accuracy", "other": "x"})
    assert len(figure.axes) == 4  # two phases, loss and score
    dot = figure.axes[1].lines[1]
    assert dot.get_xdata()[0] == 12
    assert not figure.axes[3].axison and figure.axes[2].axison
    assert {"teacher", "embedding", "loss", "accuracy", "epoch"} <= set(written(figure))


def test_curves_draw_each_number_but_epoch_and_seconds_by_default():
    history = pd.DataFrame(
        {"epoch": [1, 2], "loss": [2.0, 1.0], "seconds": [1, 2], "name": ["a", "b"]}
    )
    figure = figures.curves(history)
    assert len(figure.axes) == 1 and "loss" in written(figure)


def test_one_epoch_is_a_point_and_no_epoch_an_empty_figure():
    columns = ["phase", "epoch", "loss", "seconds"]
    one = figures.curves(pd.DataFrame([("a", 1, 0.5, 0.1)], columns=columns))
    assert [len(line.get_xdata()) for line in one.axes[0].lines] == [1, 1]
    assert not figures.curves(pd.DataFrame(columns=columns)).axes


def test_bars_are_ranked_by_size_and_the_rest_is_counted():
    values = pd.Series([0.1, -0.6, np.nan, 0.4, 0.2], index=list("abcde"))
    figure = figures.ranked_bars(values, label="weight", most=3)
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths == [-0.6, 0.4, 0.2]
    texts = written(figure)
    assert texts.index("b") < texts.index("d") < texts.index("e") and "and 1 more" in texts
    assert "−0.6" in texts and "c" not in texts


def test_long_names_are_cut_and_foreign_scripts_are_drawn():
    values = pd.Series(
        [1.0, 2.0], index=["a very long name " * 5, "数据集的一个很长的名字 🙂 עברית"]
    )
    figure = figures.ranked_bars(values, label="weight", kinds=["x", "y"])
    assert any(text.endswith("…") for text in written(figure))
    assert "数据集" in inline_svg(figure, prefix="f", label="x")
