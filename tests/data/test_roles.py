import pandas as pd

from makedo.data.roles import find_roles

NODES = pd.DataFrame({"id": ["007", "b", "c"], "age": [1, 2, 3]})


def roles(id=None, **tables):
    return find_roles(tables, id)


def test_a_table_whose_ends_are_ids_of_another_is_an_edge_list():
    edges = pd.DataFrame({"from": ["007", "b"], "to": ["b", "c"], "weight": [1.0, 2.0]})
    assert roles(a=NODES, b=edges) == {"a": "rows", "b": "edges"}
    assert roles(b=edges) == {"b": "rows"}  # whose ids?


def test_source_and_target_may_stand_anywhere():
    edges = pd.DataFrame({"weight": [1.0], "target": ["b"], "source": ["007"]})
    assert roles(a=NODES, b=edges)["b"] == "edges"


def test_ids_that_are_numbers_in_one_file_and_text_in_the_other_match():
    nodes = pd.DataFrame({"node": [1, 2, 3], "age": [1, 2, 3]})
    edges = pd.DataFrame({"x": ["1", "2", None], "y": ["2", "3", "1"]})
    assert roles("node", a=nodes, b=edges) == {"a": "rows", "b": "edges"}
    assert roles(a=nodes, b=edges)["b"] == "rows"  # the column of ids was not named


def test_mostly_unknown_ids_make_no_edge_list():
    strangers = pd.DataFrame({"x": ["b", "u", "v", "w"], "y": ["c", "b", "007", "b"]})
    some = pd.DataFrame({"x": ["b", "b", "007", "w"], "y": ["c", "b", "c", "b"]})
    assert roles(a=NODES, b=strangers)["b"] == "rows"
    assert roles(a=NODES, b=some)["b"] == "edges"


def test_odd_tables_are_rows():
    one_column, empty = pd.DataFrame({"x": ["b"]}), pd.DataFrame({"x": [], "y": []})
    assert set(roles(a=NODES, b=one_column, c=empty).values()) == {"rows"}
