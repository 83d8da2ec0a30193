"""Checks, labels, seeds and devices: the sentences of our errors, and what counts as a label."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from makedo.core.checks import (
    Choice,
    Either,
    MakedoInputError,
    MakedoWarning,
    Number,
    check_parameters,
    count,
    first,
    optional,
)
from makedo.core.devices import pick_device
from makedo.core.labels import encode_labels, match_labels, read_mask, split_labelled
from makedo.core.seeds import derive, generator, torch_seed

# --- sentences -----------------------------------------------------------------------------------


def test_counts_have_thousands_separators_and_the_right_number():
    assert count(5429, "edge") == "5,429 edges"
    assert count(1, "edge") == "1 edge"
    assert count(0, "class", "classes") == "0 classes"
    assert count(12345) == "12,345"


def test_at_most_three_offenders_are_quoted_and_numpy_values_look_plain():
    assert first(["p17", "p98", "p99", "p100"]) == "'p17', 'p98', 'p99'"
    assert first(np.array([3, 4])) == "3, 4"
    assert first(np.array(["a"])) == "'a'"
    assert first([]) == ""


def test_a_missing_optional_package_is_named_with_the_extra_that_brings_it():
    message = r'Texts need no_such_package\. Install it: pip install "makedo\[text\]"\.'
    with pytest.raises(MakedoInputError, match=message.replace("need", "needs")):
        optional("no_such_package", extra="text", user="Texts")
    assert optional("json", extra="text", user="Texts").loads("1") == 1


@dataclasses.dataclass
class Owner:
    weight: object = 0.5


def refusal(value, constraint):
    with pytest.raises(MakedoInputError) as caught:
        check_parameters(Owner(value), {"weight": constraint})
    return str(caught.value)


def test_a_refused_parameter_is_named_with_its_range_and_its_value():
    assert refusal(-0.5, Number(0)) == (
        "Owner: parameter weight must be a number in [0, inf). Got -0.5."
    )
    assert "an integer in [1, 8]" in refusal(1.5, Number(1, 8, integer=True))
    assert "a number in (0, 1) or None" in refusal(
        1, Number(0, 1, open_low=True, open_high=True, none=True)
    )
    assert "one of 'auto' or a number in [0, inf)" in refusal(
        "never", Either((Choice(("auto",)), Number(0)))
    )


@pytest.mark.parametrize("value", [True, "3", float("nan"), 1 + 2j, [3], None])
def test_what_is_no_number_is_refused_as_a_number(value):
    assert not Number().accepts(value)


def test_a_number_larger_than_any_float_is_refused_or_accepted_but_no_crash():
    assert not Number(0, 1).accepts(10**400)


def test_numbers_of_numpy_are_numbers():
    assert Number(0, integer=True).accepts(np.int64(3))
    assert Number(0).accepts(np.float32(0.5))
    assert not Number(0, integer=True).accepts(np.float64(3.5))


@given(st.floats(allow_nan=False), st.floats(0, 10), st.booleans(), st.booleans())
def test_a_range_accepts_exactly_what_lies_in_it(value, high, open_low, open_high):
    expected = (value > 0 or (value == 0 and not open_low)) and (
        value < high or (value == high and not open_high)
    )
    assert Number(0, high, open_low=open_low, open_high=open_high).accepts(value) == expected


def test_a_choice_does_not_take_a_value_of_another_type_that_is_equal():
    assert Choice((1, None, "a")).accepts(1)
    assert not Choice((1, None)).accepts(True)
    assert not Choice((1,)).accepts(1.0)


# --- labels --------------------------------------------------------------------------------------

SPELLINGS = {
    "list of text with None": ["a", None, "b", "a"],
    "list of text with NaN": ["a", float("nan"), "b", "a"],
    "object array": np.array(["a", None, "b", "a"], dtype=object),
    "series": pd.Series(["a", None, "b", "a"], index=[3, 1, 2, 0]),
    "categorical": pd.Series(["a", None, "b", "a"], dtype="category"),
    "string dtype": pd.Series(["a", None, "b", "a"], dtype="string"),
}


@pytest.mark.parametrize("y", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_missing_text_labels_are_unlabelled_however_they_are_spelled(y):
    codes, classes = encode_labels("Owner", y, 4)
    assert codes.tolist() == [0, -1, 1, 0]
    assert classes.tolist() == ["a", "b"]


NUMBERS = {
    "minus one": [0, -1, 2, 0],
    "floats with NaN": [0.0, np.nan, 2.0, 0.0],
    "both": [0.0, np.nan, 2.0, 0.0],
    "objects with None": [0, None, 2, 0],
    "tensor": torch.tensor([0, -1, 2, 0]),
    "nullable": pd.array([0, None, 2, 0], dtype="Int64"),
    "column": np.array([[0], [-1], [2], [0]]),
}


@pytest.mark.parametrize("y", NUMBERS.values(), ids=NUMBERS.keys())
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_missing_whole_number_labels_are_unlabelled_however_they_are_spelled(y):
    codes, classes = encode_labels("Owner", y, 4)
    assert codes.tolist() == [0, -1, 1, 0]
    assert classes.tolist() == [0, 2] and classes.dtype == np.int64


def test_minus_one_is_a_label_where_labels_are_text():
    assert encode_labels("Owner", ["-1", "1"], 2)[1].tolist() == ["-1", "1"]
    with pytest.raises(MakedoInputError, match="continuous"):
        encode_labels("Owner", [-1.0, 0.5], 2)


def test_labels_minus_one_and_one_are_one_class_and_the_error_says_why():
    with pytest.raises(MakedoInputError, match="-1 means unlabelled; rename it if it is a class"):
        encode_labels("Owner", [-1, 1, 1, -1], 4)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1, 0], r"y has 3 labels, X has 4 rows"),
        ([None] * 4, "no row has a label"),
        ([-1] * 4, "no row has a label"),
        (["a"] * 4, r"4 labels .*'a'; two (classes )?are needed"),
        (["a", 1, "b", 2], r"the labels mix kinds \(int, str\)"),
        (np.zeros((4, 2)), r"y must have one column. Got shape \(4, 2\)"),
        ("abcd", "y must"),
        (3, "y must"),
        (None, "y"),
    ],
)
def test_labels_that_cannot_be_used_are_refused_in_a_sentence(y, message):
    with pytest.raises(MakedoInputError, match=message):
        encode_labels("Owner", y, 4)


def test_a_class_that_was_never_seen_is_told_from_an_unlabelled_row():
    classes = np.array(["a", "b"], dtype=object)
    with pytest.warns(MakedoWarning, match="1 label of 2 .first: 'c'. name no class"):
        assert match_labels("Owner", ["b", None, "c"], classes, 3).tolist() == [1, -1, -2]
    whole = np.array([0, 2])
    with pytest.warns(MakedoWarning, match="name no class of the model"):
        assert match_labels("Owner", [2.0, np.nan, 7, -1], whole, 4).tolist() == [1, -1, -2, -1]


def test_labels_of_another_type_than_all_classes_are_refused():
    with pytest.raises(MakedoInputError, match="of another type than the classes"):
        match_labels("Owner", ["0", "2"], np.array([0, 2]), 2)


def test_a_list_of_text_with_nan_is_matched_like_one_with_none():
    classes = np.array(["a", "b"], dtype=object)
    assert match_labels("Owner", ["b", float("nan"), "a"], classes, 3).tolist() == [1, -1, 0]


def test_a_mask_must_be_bool_and_as_long_as_x():
    assert read_mask("Owner", None, "train_mask", 3) is None
    assert read_mask("Owner", torch.tensor([True, False]), "train_mask", 2).tolist() == [
        True,
        False,
    ]
    with pytest.raises(MakedoInputError, match="train_mask must hold 3 bools"):
        read_mask("Owner", [0, 1, 1], "train_mask", 3)
    with pytest.raises(MakedoInputError, match="train_mask must hold 3 bools"):
        read_mask("Owner", [True], "train_mask", 3)


@given(st.lists(st.integers(-1, 3), min_size=2, max_size=60), st.floats(0.05, 0.95))
def test_a_share_of_each_class_is_held_back_but_never_its_last_node(labels, fraction):
    y = np.array([*labels, 0])
    train, valid = split_labelled("Owner", y, None, None, fraction, np.random.default_rng(0))
    assert not np.intersect1d(train, valid).size
    assert np.union1d(train, valid).tolist() == np.flatnonzero(y >= 0).tolist()
    for c in np.unique(y[y >= 0]):
        n = (y == c).sum()
        assert (y[valid] == c).sum() == min(round(fraction * n), n - 1)


def test_masks_decide_and_may_not_overlap():
    y = np.array([0, 1, -1, 0, 1])
    head, tail = np.arange(5) < 3, np.arange(5) >= 3
    rng = np.random.default_rng(0)
    train, valid = split_labelled("Owner", y, head, tail, 0.5, rng)
    assert train.tolist() == [0, 1] and valid.tolist() == [3, 4]
    assert split_labelled("Owner", y, None, tail, 0.5, rng)[0].tolist() == [0, 1]
    with pytest.raises(MakedoInputError, match="2 nodes in both train_mask and valid_mask"):
        split_labelled("Owner", y, head, head, 0.5, rng)
    with pytest.raises(MakedoInputError, match="no labelled node is left to learn from"):
        split_labelled("Owner", y, y < 0, None, 0.5, rng)


# --- seeds and devices ---------------------------------------------------------------------------


def test_streams_of_different_names_differ_and_are_fixed():
    seeds = {
        derive(s, *path) for s in range(5) for path in [(), ("a",), ("b",), ("a", 1), ("a", 2)]
    }
    assert len(seeds) == 25 and all(0 <= seed < 2**63 for seed in seeds)
    a, b = (generator(0, "a").random(4) for _ in range(2))
    assert (a == b).all() and (a != generator(1, "a").random(4)).all()


def test_a_seed_counts_by_its_value_not_by_its_type():
    assert derive(3, "a") == derive(np.int64(3), "a")


def test_a_seeded_block_leaves_the_global_generator_alone_even_when_it_fails():
    before = torch.get_rng_state()
    with torch_seed(1):
        first_draw = torch.rand(3)
    with pytest.raises(ZeroDivisionError), torch_seed(1):
        assert torch.equal(torch.rand(3), first_draw)
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), before)


def test_auto_is_a_device_and_cpu_is_itself():
    assert pick_device("auto").type in ("cuda", "mps", "cpu")
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "", None, 1.5, "meta", {}])
def test_a_device_that_cannot_compute_is_refused(device):
    with pytest.raises(MakedoInputError, match="device"):
        pick_device(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(MakedoInputError, match="this torch sees no GPU. Use device='auto'"):
        pick_device("cuda")
