import warnings

import numpy as np
import pandas as pd
import pytest

from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.edges import known_edges

IDS = pd.Index(["a", "b", "c"])


@pytest.mark.parametrize("names", [("source", "target"), ("from", "to")])
def test_edges_are_known_when_both_ends_are(names):
    ends = [("a", "b"), ("a", "x"), ("x", "b"), ("c", "c"), ("x", "y")]
    edges = pd.DataFrame(ends, columns=names).assign(weight=np.arange(5.0))
    with pytest.warns(MakedoWarning, match="links.csv: 3 of 5 edges name nodes that are not there"):
        kept = known_edges(edges, IDS, "links.csv")
    assert [tuple(pair) for pair in kept[list(names)].to_numpy()] == [("a", "b"), ("c", "c")]
    assert list(kept["weight"]) == [0.0, 3.0]


def test_nothing_is_said_when_all_edges_are_known():
    edges = pd.DataFrame({"source": ["a"], "target": ["c"]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pd.testing.assert_frame_equal(known_edges(edges, IDS, "links.csv"), edges)


def test_an_id_of_another_type_is_another_id():
    edges = pd.DataFrame({"source": ["1"], "target": ["2"]})
    with pytest.warns(MakedoWarning, match="1 of 1 edge "):
        assert known_edges(edges, pd.Index([1, 2]), "links.csv").empty


def test_a_table_of_one_column_holds_no_edges():
    with pytest.raises(MakedoInputError, match="two columns"):
        known_edges(pd.DataFrame({"source": ["a"]}), IDS, "links.csv")
