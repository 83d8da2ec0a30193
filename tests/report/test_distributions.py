import re

import numpy as np
import pandas as pd
import pytest

from makedo.report import Report, Section, distributions
from makedo.report.palette import SERIES
from makedo.report.svg import inline_svg

HOSTILE = "<script>alert('x')</script> & $x$ \x00"


def written(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def bars(axes):
    return [(p.get_x() + p.get_width() / 2, p.get_height()) for p in axes.patches]


# --- histograms ----------------------------------------------------------------------------------


def test_every_value_is_in_a_bin_of_its_group_also_those_beyond_the_scale():
    values = np.concatenate([np.linspace(-1, 1, 400), [1e9, -1e9]])
    groups = np.repeat(["a", "b"], 201)
    figure = distributions.histograms(values, groups, label="v", ends=("less", "more"))
    assert len(figure.axes) == 2
    assert [sum(height for _, height in bars(axes)) for axes in figure.axes] == [201, 201]
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert max(map(abs, figure.axes[0].get_xlim())) < 2


def test_no_bin_holds_values_of_both_signs_where_the_sides_differ():
    rng = np.random.default_rng(0)
    for values in (rng.normal(0.3, 1, 999), rng.exponential(size=99), -rng.exponential(size=99)):
        axes = distributions.histograms(
            values, np.zeros(len(values)), label="v", ends=("l", "r")
        ).axes[0]
        negative = sum(height for middle, height in bars(axes) if middle < 0)
        assert negative == (values < 0).sum()


def test_groups_stand_in_their_own_order_and_the_smallest_are_left_out():
    groups = np.repeat(np.arange(14), np.arange(1, 15))
    figure = distributions.histograms(np.zeros(105), groups, label="v", most=4)
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["10", "11", "12", "13"]
    assert "and 10 more" in written(figure)
    words = written(distributions.histograms([1, 2, 3], ["b", "a", "c"], label="v"))
    assert [w for w in words if w in "abc"] == ["a", "b", "c"]


def test_no_value_and_one_value_are_drawn_too():
    assert distributions.histograms([], [], label="v").axes == []
    assert len(distributions.histograms([2.0], ["a"], label="v").axes) == 1
    assert len(distributions.histograms([np.nan, 1], ["a", "b"], label="v").axes) == 1


# --- cloud ---------------------------------------------------------------------------------------


def points(axes):
    lines = [
        line for line in axes.lines if len(line.get_xdata()) != 2 or line.get_marker() != "None"
    ]
    return [(line.get_color(), line.get_xydata()) for line in lines]


def test_a_few_points_are_all_drawn_and_marked_ones_in_another_colour():
    x, y = np.arange(1.0, 11), np.arange(10.0)
    figure = distributions.cloud(x, y, label="y", x_label="x", marked=y > 6, marked_label="odd")
    found = dict(points(figure.axes[0]))
    assert found[SERIES[0]][:, 1].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert found[SERIES[1]][:, 1].tolist() == [7, 8, 9]
    assert "■ odd" in written(figure)


def test_of_many_points_the_outermost_stay():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20_000))
    figure = distributions.cloud(x, y, label="y", x_label="x")
    drawn = np.vstack([xy for _, xy in points(figure.axes[0])])
    assert 1_000 <= len(drawn) <= distributions.MOST_POINTS
    assert {x.min(), x.max()} <= set(drawn[:, 0]) and {y.min(), y.max()} <= set(drawn[:, 1])
    assert any("of 20,000 rows" in text for text in written(figure))


@pytest.mark.parametrize("low, high", [(0.06, 0.19), (0.3, 0.9), (0.2, 1.5), (0.01, 0.8), (1, 1e6)])
def test_a_logarithmic_scale_has_some_ticks_whatever_its_reach(low, high):
    x = np.geomspace(low, high, 50)
    axes = distributions.cloud(x, x, label="y", x_label="x", log_x=True).axes[0]
    left, right = axes.get_xlim()
    assert sum(left <= tick <= right for tick in axes.get_xticks()) >= 2


def test_names_above_a_table_of_counts_do_not_touch():
    names = ["benign", "malignant"]
    table = pd.DataFrame([[139, 17], [28, 116]], index=names, columns=names)
    figure = distributions.count_map(table, label="given", x_label="suggested")
    assert written(figure).count("benign") == written(figure).count("malignant") == 2
    figure.canvas.draw()
    boxes = [
        text.get_window_extent()
        for text in figure.axes[0].texts
        if text.get_text() in names and text.get_ha() == "center"
    ]
    assert len(boxes) == 2 and boxes[0].x1 < boxes[1].x0


def test_a_logarithmic_scale_leaves_out_what_has_no_logarithm():
    figure = distributions.cloud(
        [0, 1e-3, 10, np.nan], [1, 2, 3, 4], label="y", x_label="x", log_x=True
    )
    drawn = np.vstack([xy for _, xy in points(figure.axes[0])])
    assert drawn[:, 1].tolist() == [2, 3]
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == ["0.001", "0.01", "0.1", "1", "10"]


# --- counts --------------------------------------------------------------------------------------


def test_the_shade_is_the_share_of_the_row_and_the_diagonal_is_blue():
    table = pd.DataFrame([[3, 1], [0, 0]], index=["a", "b"], columns=["a", "b"])
    figure = distributions.count_map(table, label="given", x_label="predicted")
    alpha = [p.get_alpha() for p in figure.axes[0].patches]
    assert np.allclose(alpha, [0.45, 0.15, 0, 0])  # 0.6 of 3/4 and of 1/4; an empty row is blank
    texts = written(figure)
    assert "3" in texts and "1" in texts and "0" not in texts
    assert "given ↓, predicted →" in texts


def test_of_many_groups_the_most_confused_are_drawn():
    counts = 100 * np.eye(20, dtype=int)
    counts[4, 17] = counts[9, 2] = 5
    figure = distributions.count_map(pd.DataFrame(counts), label="g", x_label="p", most=4)
    names = [t for t in written(figure) if t in {"2", "4", "9", "17"}]
    assert sorted(names, key=int) == ["2", "2", "4", "4", "9", "9", "17", "17"]
    assert "and 16 more, which are confused less" in written(figure)


# --- bands ---------------------------------------------------------------------------------------


def test_a_band_is_drawn_where_there_is_one_and_curves_are_named():
    rows = [
        (n, x, m + x, m + x - 1, m + x + 1)
        for n, m in (("DIVA", 3), ("uniform", 1))
        for x in (2, 1)
    ]
    table = pd.DataFrame(rows, columns=["candidate", "x", "mean", "low", "high"])
    before = table.copy()
    figure = distributions.bands(table, label="accuracy, %", x_label="rows", ours="DIVA")
    axes = figure.axes[0]
    assert len(axes.collections) == 2
    assert axes.lines[0].get_xydata().tolist() == [[1, 4], [2, 5]]
    assert {"DIVA", "uniform"} <= set(written(figure))
    pd.testing.assert_frame_equal(table, before)
    alone = distributions.bands(table[["candidate", "x", "mean"]][:2], label="a", x_label="x")
    assert not alone.axes[0].collections and "DIVA" not in written(alone)


def test_a_place_is_marked_with_words_that_stay_inside():
    table = pd.DataFrame({"candidate": "loo", "x": [0.1, 1, 10], "mean": [2, 1, 3]})
    for at, side in ((0.1, "left"), (10, "right")):
        figure = distributions.bands(
            table, label="a", x_label="x", log_x=True, at=at, at_label="here"
        )
        text = next(t for t in figure.axes[0].texts if t.get_text() == "here")
        assert text.get_ha() == side and (at, at) in [
            tuple(line.get_xdata()) for line in figure.axes[0].lines
        ]


# --- pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (500, 200, 3), (3, 700), (96, 96)])
def test_a_picture_stands_in_the_figure_small_and_of_the_same_shape(shape):
    image = np.full(shape, 200, np.uint8)
    figure = distributions.image_sheet([image], [["one", "two"]])
    drawn = figure.axes[0].images[0].get_array()
    assert max(drawn.shape[:2]) <= distributions.PIXELS and drawn.ndim == image.ndim
    assert (np.asarray(drawn) == 200).all()
    svg = inline_svg(figure, prefix="f", label="x")
    assert svg.count("data:image/png;base64,") == 1 and "http" not in svg.replace(
        "http://www.w3.org", ""
    )
    assert {"one", "two"} <= set(written(figure))


def test_shrinking_takes_means_of_blocks():
    image = np.zeros((200, 192), np.uint8)
    image[:3, :3] = 90
    drawn = distributions.image_sheet([image], [[]]).axes[0].images[0].get_array()
    assert drawn[0, 0] == 90 and drawn[1, 1] == 0 and drawn.shape == (66, 64)


def test_a_large_picture_does_not_make_a_large_page():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (2000, 3000, 3)).astype(np.uint8)
    figure = distributions.image_sheet([image] * 4, [["x"]] * 4)
    page = Report("t", "v", sections=[Section("s", "", figure, "c")]).to_html()
    assert len(page) < 250_000


# --- all -----------------------------------------------------------------------------------------


def test_hostile_text_is_text():
    table = pd.DataFrame([[1, 2], [3, 4]], index=[HOSTILE, "b"], columns=[HOSTILE, "b"])
    curve = pd.DataFrame({"candidate": [HOSTILE, "b"], "x": [1, 1], "mean": [1, 2]})
    drawn = [
        distributions.histograms([1, 2], [HOSTILE, "b"], label=HOSTILE, ends=(HOSTILE, HOSTILE)),
        distributions.cloud(
            [1], [1], label=HOSTILE, x_label=HOSTILE, marked=[True], marked_label=HOSTILE
        ),
        distributions.count_map(table, label=HOSTILE, x_label=HOSTILE),
        distributions.bands(curve, label=HOSTILE, x_label=HOSTILE, at=1, at_label=HOSTILE),
        distributions.image_sheet([np.zeros((2, 2), np.uint8)], [[HOSTILE]]),
    ]
    for figure in drawn:
        svg = inline_svg(figure, prefix="f", label=HOSTILE)
        assert (
            "<script" not in svg and "\x00" not in svg and re.search("&lt;script|alert|&lt;", svg)
        )
