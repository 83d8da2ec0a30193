"""A diagnosis for a reader."""

from makedo.core.diagnosis import Diagnosis


def test_no_figure_is_written_with_an_exponent_for_being_large():
    figures = {"a": 2531.4, "b": 999.6, "c": 0.04123, "d": -1_234_567.8, "e": 12_345, "f": "word"}
    shown = Diagnosis("applies", figures=figures).shown_figures()
    assert list(shown.values()) == ["2,531", "1,000", "0.0412", "-1,234,568", "12,345", "word"]
