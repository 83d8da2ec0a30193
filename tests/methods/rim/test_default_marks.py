"""The contract of the house once more, with the marks that RIM has by default.

The small problem of the room trains a network, so the tests of that folder never see the default.
Here stand those of its tests that are not about epochs.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest
from sklearn.base import clone

from makedo import RIM
from makedo.methods.rim.example import small_example

CONTRACT = Path(__file__).parents[2] / "contract" / "test_estimators.py"
spec = importlib.util.spec_from_file_location("contract_of_the_house", CONTRACT)
contract = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contract)


@pytest.fixture
def example():
    return small_example(0, RIM().marks)


@pytest.fixture(scope="module")
def model():
    """Fitted; tests must not change it."""
    example = small_example(0, RIM().marks)
    return example.estimator.fit(**example.fit)


@pytest.fixture
def room():
    return "rim"


globals().update(
    {
        name: getattr(contract, name)
        for name in (
            "test_parameters_round_trip_through_get_set_clone_and_repr",
            "test_fit_returns_the_estimator_and_does_not_change_its_inputs_or_parameters",
            "test_prediction_does_not_change_its_input_or_the_model",
            "test_global_state_of_random_numbers_and_threads_is_left_alone",
            "test_a_second_fit_forgets_the_first",
            "test_the_number_of_threads_changes_results_by_rounding_only",
            "test_use_before_fit_is_refused",
            "test_copies_in_memory_say_the_same",
            "test_the_order_of_rows_does_not_matter_and_one_row_equals_its_batch",
            "test_no_rows_give_an_empty_answer",
            "test_a_loaded_model_is_the_saved_one",
            "test_diagnose_gives_a_verdict_on_good_data_and_leaves_the_estimator_alone",
            "test_evaluate_gives_a_table_of_the_model_and_simpler_things",
        )
    }
)


def test_these_are_the_default_marks_and_the_other_small_problem_has_a_network(example):
    assert example.estimator.marks == RIM().marks == "ease"
    assert small_example().estimator.marks == "transformer"


def test_the_same_log_gives_the_same_model_whatever_the_seed(model, example):
    other = clone(example.estimator).set_params(random_state=7).fit(**example.fit)
    a, b = (contract.outputs(one, example.new) for one in (model, other))
    assert contract.equal(a, b)  # nothing is drawn


def test_its_history_says_what_took_how_long(model):
    assert model.history_["phase"].tolist() == ["marks", "intensity"]
    pd.testing.assert_index_equal(model.history_.columns, pd.Index(["phase", "seconds"]))
