import datetime
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import makedo
from makedo.core.checks import MakedoInputError
from makedo.report import Report, Section, figures
from makedo.report.palette import DARK, LIGHT
from makedo.report.svg import inline_svg
from makedo.report.writing import decimals, number

VOID = {"meta", "br", "hr", "img", "link", "input"}
HOSTILE = "<script>alert('x')</script> & \"quoted\" $\\frac{1$ \x00\x1b\n]]> <!--"
EMBEDDED = "data:image/png;base64,"  # a picture that stands in the page itself


class Page(HTMLParser):
    """Checks that tags nest, and keeps what the tests ask for."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.attributes = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and "body" in self.open:
            self.texts.append((self.open[-1], data.strip()))

    def of(self, name):
        return [value for _, key, value in self.attributes if key == name]


def cells(table, formats=None):
    page = Page(
        Report("t", "v", sections=[Section("s", table=table, formats=formats or {})]).to_html()
    )
    return [text for tag, text in page.texts if tag in ("th", "td")]


def test_the_verdict_is_the_first_line_of_the_page(report):
    page = Page(report.to_html())
    assert page.texts[0] == ("h1", report.verdict)
    assert page.texts[1][1] == report.title


def test_the_page_needs_nothing_from_outside_and_runs_no_script(report):
    text = report.to_html()
    page = Page(text)
    links = [link for link in page.of("href") if not link.startswith(EMBEDDED)]
    assert "://" not in text and "//" not in "".join(page.of("src") + links)
    assert not page.of("src") and not {"script", "link", "iframe", "object"} & set(page.tags)
    assert all(link.startswith("#") for link in links) and len(links) < len(page.of("href"))
    assert "@import" not in text and not re.search(r"url\((?!#)", text)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert any("default-src 'none'" in value for value in page.of("content"))


def test_ids_are_unique_on_the_page_and_every_reference_has_its_target(report):
    text = report.to_html()
    ids = Page(text).of("id")
    links = [link for link in Page(text).of("href") if not link.startswith(EMBEDDED)]
    used = set(re.findall(r"url\(#([^)]+)\)", text)) | {link[1:] for link in links}
    assert len(ids) == len(set(ids)) > 0
    assert used == set(ids)


def test_dark_mode_and_print_and_phone_have_their_rules(report):
    text = report.to_html()
    assert "@media screen and (prefers-color-scheme: dark)" in text
    assert "@media print" in text and 'content="width=device-width, initial-scale=1"' in text
    for name in LIGHT:
        assert f"--{name}: {LIGHT[name]}" in text and f"--{name}: {DARK[name]}" in text


def test_hostile_text_is_escaped_wherever_it_can_enter(tmp_path):
    table = pd.DataFrame({HOSTILE: [HOSTILE, "b"]}, index=pd.Index([HOSTILE, "i"], name=HOSTILE))
    scores = pd.DataFrame(
        {"candidate": [HOSTILE], "group": [HOSTILE], "mean": [1.0], "low": [0.5], "high": [1.5]}
    )
    bins = scores.rename(columns={"group": "bin"})
    history = pd.DataFrame({"phase": [HOSTILE] * 2, "epoch": [1, 2], "loss": [2.0, 1.0]})
    columns = ["ours", "reference", "group", "gain", "low", "high"]
    gains = pd.DataFrame([(HOSTILE, HOSTILE, HOSTILE, 1.0, 0.0, 2.0)], columns=columns)
    drawn = [
        figures.comparison(scores, label=HOSTILE, ours=HOSTILE),
        figures.paired_differences(gains, label=HOSTILE),
        figures.score_against(bins, label=HOSTILE, bin_label=HOSTILE),
        figures.ratio_bar(10, label=HOSTILE, zones=[(100, HOSTILE)], parts={HOSTILE: 1.0}),
        figures.curves(history, labels={"loss": HOSTILE}),
        figures.ranked_bars(pd.Series([1.0], index=[HOSTILE]), label=HOSTILE, kinds=[HOSTILE]),
    ]
    parts = [Section(f"{HOSTILE}{i}", HOSTILE, f, f"{HOSTILE}.") for i, f in enumerate(drawn)]
    parts.append(Section(HOSTILE, HOSTILE, None, "", table, HOSTILE, note=HOSTILE))
    report = Report(HOSTILE, HOSTILE, [HOSTILE], {HOSTILE: HOSTILE}, parts, HOSTILE + "\udc80")
    text = report.to_html(tmp_path / "report.html")
    report.to_json(tmp_path / "report.json")
    page = Page(text)
    assert not set(map(chr, range(32))) & set(text) - {"\n"}  # HTML has no control characters
    assert "script" not in page.tags and "<script" not in text and "<!--" not in text
    assert page.texts[0][1].startswith("<script>alert('x')</script> &")
    assert "<iframe" in report._repr_html_() and "<script" not in report._repr_html_()
    assert json.loads(report.to_json())["verdict"] == HOSTILE


def test_json_holds_the_whole_tables_and_reads_back_the_same(report):
    document = json.loads(report.to_json())
    assert document == report.to_dict()
    assert document["makedo"] == makedo.__version__
    by_title = {section["title"]: section for section in document["sections"]}
    table = by_title["Scores"]["table"]
    back = pd.DataFrame(table["rows"], columns=table["columns"])
    pd.testing.assert_frame_equal(back, report.tables["Scores"], check_dtype=False)
    assert by_title["About curves"]["figure"] == "What curves shows."


def test_json_has_no_nan_and_no_numpy():
    day = pd.Timestamp("2026-01-02")
    table = pd.DataFrame(
        {"a": [np.nan, np.inf], "b": pd.array([1, None], "Int64"), "c": [day, pd.NaT]}
    )
    report = Report(
        "t", "v", facts={"x": np.float32(0.5), "y": np.nan}, sections=[Section("s", table=table)]
    )
    document = json.loads(report.to_json(), parse_constant=pytest.fail)
    assert document["facts"] == {"x": 0.5, "y": None}
    assert document["sections"][0]["table"]["rows"] == [
        [None, 1, "2026-01-02 00:00:00"],
        ["inf", None, None],
    ]


def test_tables_and_figures_are_found_by_the_title_of_their_section(report, scores, all_figures):
    assert report.tables["Scores"] is scores
    assert report.figures["About ratio"] is all_figures["ratio"]
    assert len(report.figures) == len(all_figures)


def test_the_foot_says_version_date_and_command():
    report = Report("t", "v", command="makedo demo", date=datetime.date(2026, 1, 2))
    foot = report.to_html().split("<footer>")[1]
    assert f"makedo {makedo.__version__}" in foot
    assert "2026-01-02" in foot and "<code>makedo demo</code>" in foot
    assert Report("t", "v").date == datetime.date.today()


def test_html_is_written_in_utf8_and_a_missing_folder_is_named(tmp_path, report):
    path = tmp_path / "report.html"
    assert report.to_html(path) == path.read_text(encoding="utf-8")
    with pytest.raises(MakedoInputError, match="nowhere.*does not exist. Create it first"):
        report.to_html(tmp_path / "nowhere" / "report.html")
    report.to_json(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report.to_dict()


def test_backticks_become_code_and_nothing_else_does():
    text = Report("t", "v", summary=["Use `predict(<X>)` now, not `."]).to_html()
    assert "<p>Use <code>predict(&lt;X&gt;)</code> now, not `.</p>" in text


def test_cells_have_common_decimals_thousands_and_true_minus():
    table = pd.DataFrame({"a": [1.0, 12.345, -0.5, np.nan], "n": [1204, 3, 0, -7]})
    assert cells(table) == ["a", "n", "1.0", "1,204", "12.3", "3", "−0.5", "0", "–", "−7"]
    gains = pd.DataFrame({"gain": [6.4, -0.04, 0.0]})
    assert cells(gains, {"gain": "+.1f"}) == ["gain", "+6.4", "0.0", "0.0"]


def test_number_columns_stand_right_and_words_left():
    table = pd.DataFrame({"name": ["a", "b"], "score": ["74.1 ± 0.6", "−3"], "x": [1.5, 2.5]})
    text = Report("t", "v", sections=[Section("s", table=table)]).to_html()
    assert '<th scope="col" class="short">name</th>' in text
    assert '<td class="number">74.1 ± 0.6</td>' in text and '<td class="number">1.5</td>' in text


def test_an_index_is_shown_unless_it_only_counts_rows():
    frame = pd.DataFrame({"x": [1, 2]})
    assert cells(frame) == ["x", "1", "2"]
    assert cells(frame[frame["x"] > 1]) == ["x", "2"]
    assert cells(frame.set_axis(["a", "b"])) == ["x", "a", "1", "b", "2"]  # its header is empty
    pairs = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["k", "n"])
    columns = pd.MultiIndex.from_tuples([("all", "mean")])
    assert cells(pd.DataFrame([[7], [8]], index=pairs, columns=columns)) == [
        "k", "n", "all · mean", "a", "1", "7", "b", "2", "8",
    ]  # fmt: skip


def test_a_long_table_is_cut_on_the_page_but_not_in_json():
    report = Report("t", "v", sections=[Section("s", table=pd.DataFrame({"x": range(1300)}))])
    assert "1,100 further rows not shown" in report.to_html()
    assert report.to_html().count("<tr>") == 201
    assert len(report.to_dict()["sections"][0]["table"]["rows"]) == 1300


def test_an_empty_table_and_a_bare_report_are_pages_too():
    Page(Report("t", "v").to_html())
    assert cells(pd.DataFrame({"x": []})) == ["x"]


def test_two_sections_of_one_title_and_a_figure_without_sentence_are_refused():
    with pytest.raises(AssertionError, match="not unique"):
        Report("t", "v", sections=[Section("s"), Section("s")]).to_html()
    with pytest.raises(AssertionError, match="no sentence"):
        Section("s", figure=Figure())
    with pytest.raises(AssertionError, match="unknown columns"):
        Section("s", table=pd.DataFrame({"a": [1]}), formats={"b": ".1f"})


def test_a_notebook_gets_the_page_in_a_frame_of_its_own(report):
    frame = report._repr_html_()
    page = Page(frame)
    assert page.tags == ["iframe"]
    assert page.of("srcdoc") == [report.to_html()] and page.of("sandbox") == [""]


def test_pages_of_equal_reports_are_equal(scores):
    def page():
        figure = figures.comparison(scores, label="accuracy, %")
        return Report("t", "v", sections=[Section("s", "", figure, "Scores.")]).to_html()

    assert page() == page()


def test_a_figure_made_elsewhere_takes_the_colours_of_the_page():
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="black")
    axes.imshow(np.eye(2))
    axes.set_title("$x^2$", url="https://example.org/")
    svg = inline_svg(figure, prefix="f1", label="a line")
    assert "stroke: var(--ink)" in svg and "#000000" not in svg
    assert "data:image/png" in svg and "example.org" not in svg
    assert "font-family" not in svg and "<style" not in svg


def test_text_in_a_figure_stays_text(all_figures):
    svg = inline_svg(all_figures["comparison"], prefix="f1", label="Scores")
    assert ">Cold Brew</text>" in svg and 'role="img"' in svg and 'aria-label="Scores"' in svg


def luminance(color):
    channels = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
def test_every_colour_that_carries_meaning_stands_out_from_the_page(colors):
    def contrast(name):
        a, b = sorted((luminance(colors[name]), luminance(colors["paper"])))
        return (b + 0.05) / (a + 0.05)

    assert contrast("ink") > 12 and contrast("muted") > 4.5
    assert all(contrast(name) >= 3 for name in colors if name.startswith("series"))


def test_decimals_show_three_figures_of_the_largest_and_no_padding():
    assert decimals([74.123, 8.2]) == 1
    assert decimals([0.8123, 0.7]) == 3
    assert decimals([0.21, 0.18]) == 2
    assert decimals([1204.4, 0.0123, 0.0377]) == 3
    assert decimals([3.0, 12.0]) == decimals([]) == decimals([np.nan, 0.0]) == 0


def test_numbers_are_written_for_reading():
    assert [number(v) for v in (1204, -0.5, 1e-7, 0)] == ["1,204", "−0.5", "1e−07", "0"]
    assert number(6.44, 1, sign=True) == "+6.4" and number(-0.04, 1, sign=True) == "0.0"
    assert [number(v) for v in (np.nan, np.inf, -np.inf)] == ["–", "∞", "−∞"]


def test_the_report_is_imported_without_torch_and_the_page_without_matplotlib():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from makedo.report import Report\n"
        "Report('t', 'v').to_html()\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import makedo.report.figures\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
