import pytest

from makedo.core.checks import MakedoInputError
from makedo.methods.cold_brew.baselines import STUDENT, candidates


def test_candidates_are_ordered_and_have_the_same_budget():
    found = candidates()
    assert [c.name for c in found] == [
        "MLP", "label propagation", "feature neighbours", "SGC", "GCN", "GCN + SE", "GraphSAGE",
        "GraphMLP", "GLNN", STUDENT, "Cold Brew",
    ]  # fmt: skip
    for candidate in found:
        assert len(candidate.grid) == 8
        assert len({tuple(sorted(map(str, c.items()))) for c in candidate.grid}) == 8
        for configuration in candidate.grid:
            model = candidate.make(random_state=4, **configuration)
            model._check_parameters()
            assert configuration.items() <= model.get_params().items()
            assert model.random_state == 4


def test_candidates_are_picked_by_name_in_the_order_of_the_names():
    assert [c.name for c in candidates("GCN", "MLP")] == ["GCN", "MLP"]
    with pytest.raises(MakedoInputError, match="'GAT' is not among the candidates 'MLP', 'label"):
        candidates("GCN", "GAT")


def test_the_student_row_differs_from_cold_brew_in_what_serves_nodes_without_edges_only():
    student, whole = (c.make(random_state=0) for c in candidates(STUDENT, "Cold Brew"))
    differ = {k for k, v in student.get_params().items() if v != whole.get_params()[k]}
    assert differ == {"cold_part"} and student.cold_part == "student"
