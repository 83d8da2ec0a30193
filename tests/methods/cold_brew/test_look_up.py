"""The look-up in cells against the look-up everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import makedo
import makedo.methods.cold_brew.look_up as look_up_module
import makedo.methods.cold_brew.student as student_module
from makedo.methods.cold_brew.look_up import Cells, enough_cells, make_cells, recall, search
from makedo.methods.cold_brew.student import Bank, choose_cells, exact_search, nearest_in_bank
from makedo.nn.features import Features
from makedo.nn.mlp import FeatureMLP

SCORES = ["cosine", "dot"]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def clustered(n, seed=0, n_clusters=40, width=8):
    """Points about a few centers, which are the same for every seed."""
    at = torch.randint(n_clusters, (n,), generator=torch.Generator().manual_seed(seed))
    return 2 * normal(n_clusters, width, seed=99)[at] + 0.5 * normal(n, width, seed=seed + 1)


def prepared(keys, score, seed=0):
    """Keys as a bank with cells holds them, and the cells."""
    keys = F.normalize(keys) if score == "cosine" else keys
    order, cells = make_cells(keys, score, np.random.default_rng(seed))
    return keys[order], cells


def queries_like(keys, score):
    return F.normalize(keys) if score == "cosine" else keys


# --- the same as everywhere ----------------------------------------------------------------------


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("make", [clustered, lambda n, seed=0: normal(n, 8, seed=seed)])
@pytest.mark.parametrize("rows", [50, 65_536])
def test_with_every_cell_searched_it_finds_what_the_look_up_everywhere_finds(
    score, make, rows, monkeypatch
):
    monkeypatch.setattr(look_up_module, "ROWS", rows)
    monkeypatch.setattr(look_up_module, "TOGETHER", 37)
    keys, cells = prepared(make(900), score)
    query = queries_like(make(200, seed=7), score)
    own = torch.randint(-1, 900, (200,), generator=torch.Generator().manual_seed(3))
    assert len(cells.centers) == cells.n_probe == 60
    for mine in (None, own):
        s, index = search(query, keys, cells, 10, mine)
        expected_s, expected = exact_search(query, keys, 10, mine)
        assert torch.equal(index, expected)
        torch.testing.assert_close(s, expected_s)


@pytest.mark.parametrize("score", SCORES)
def test_every_score_belongs_to_its_key_and_no_key_comes_twice(score):
    keys, cells = prepared(clustered(900), score)
    query = queries_like(clustered(150, seed=5), score)
    s, index = search(query, keys, cells._replace(n_probe=4), 12)
    torch.testing.assert_close(s, (query @ keys.T).gather(1, index))
    assert (s[:, :-1] >= s[:, 1:]).all()
    assert all(len(set(row)) == 12 for row in index.tolist())


@pytest.mark.parametrize("score", SCORES)
def test_what_is_found_are_the_best_keys_of_the_cells_searched(score):
    """One query at a time: the keys of its P cells, sorted."""
    keys, cells = prepared(normal(500, 5), score)
    query, n_probe = queries_like(normal(40, 5, seed=2), score), 6
    _, index = search(query, keys, cells._replace(n_probe=n_probe), 7)
    ends = cells.indptr.tolist()
    for q, found in zip(query, index.tolist(), strict=True):
        near = (cells.centers @ q).argsort(descending=True)[:n_probe].tolist()
        inside = np.concatenate([np.arange(ends[c], ends[c + 1]) for c in near])
        best = inside[np.argsort(-(keys[inside] @ q).numpy())[:7]]
        assert found == best.tolist()


def test_small_banks_and_exact_ones_have_no_cells_and_large_ones_do(monkeypatch):
    monkeypatch.setattr(student_module, "EXACT_UP_TO", 100)
    rng = np.random.default_rng(0)
    for n, how, has_cells in (
        (100, "auto", False),
        (101, "auto", True),
        (101, "exact", False),
        (20, "approximate", True),
    ):
        bank = Bank(torch.arange(n), normal(n, 3), "dot")
        made = bank.for_look_up(how, rng)
        assert (made.cells is not None) == has_cells and (made is bank) == (not has_cells)


# --- recall --------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", SCORES)
def test_the_cells_chosen_on_some_queries_find_95_in_100_neighbours_of_others_in_clusters(score):
    keys, cells = prepared(clustered(6000), score)
    some, others = (queries_like(clustered(400, seed=s), score) for s in (5, 6))
    cells = enough_cells(some, exact_search(some, keys, 16)[1], cells)
    assert cells.n_probe < len(cells.centers) / 4
    found = search(others, keys, cells, 16)[1]
    assert recall(found, exact_search(others, keys, 16)[1]) >= 0.95


def test_without_any_clusters_more_cells_are_chosen_and_the_recall_is_the_same():
    chosen = []
    for make in (clustered, lambda n, seed=0: normal(n, 8, seed=seed)):
        keys, cells = prepared(make(6000), "cosine")
        some, others = (queries_like(make(400, seed=s), "cosine") for s in (5, 6))
        cells = enough_cells(some, exact_search(some, keys, 16)[1], cells)
        chosen.append(cells.n_probe)
        found = search(others, keys, cells, 16)[1]
        assert recall(found, exact_search(others, keys, 16)[1]) >= 0.95
    assert chosen[0] < chosen[1]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("least", [0.5, 0.9, 1.0])
def test_the_cells_chosen_are_the_fewest_that_reach_the_recall_asked_for(score, least):
    """By a second road: search with every number of cells."""
    keys, cells = prepared(normal(400, 4), score)
    query = queries_like(normal(60, 4, seed=9), score)
    exact = exact_search(query, keys, 5)[1]
    chosen = enough_cells(query, exact, cells, least).n_probe
    reached = [0.0]
    for n_probe in range(1, chosen + 1):
        found = search(query, keys, cells._replace(n_probe=n_probe), 5)[1]
        reached.append(recall(found, exact))
    assert max(reached[:-1]) < least <= reached[-1]


def test_recall_is_the_share_of_the_exact_neighbours_that_were_found():
    index = torch.tensor([[3, 1, 2], [7, 8, 9]])
    exact = torch.tensor([[1, 2, 3], [9, 4, 5]])
    assert recall(index, exact) == pytest.approx(4 / 6)
    assert recall(exact, exact) == 1


def test_cells_are_chosen_on_held_out_rows_and_bank_nodes_join_without_themselves(monkeypatch):
    monkeypatch.setattr(student_module, "TRIED", 50)
    X = Features(clustered(800, width=4))
    net = FeatureMLP(4, 0, 8, 8).eval()
    bank = Bank(torch.arange(300, 800), clustered(500), "cosine")
    choose_cells(net, X, bank, torch.arange(30), 5, np.random.default_rng(0))
    assert bank.cells is None  # an exact bank stays one
    bank = bank.for_look_up("approximate", np.random.default_rng(0))
    asked = []
    monkeypatch.setattr(
        student_module,
        "enough_cells",
        lambda query, exact, cells: asked.append((query, exact)) or cells,
    )
    choose_cells(net, X, bank, torch.arange(30), 5, np.random.default_rng(0))
    (query, exact), guess = asked[0], F.normalize(net(X)).detach()
    rows = torch.cdist(query, guess).argmin(1)
    assert set(rows[:30].tolist()) == set(range(30)) and (rows[30:] >= 300).all()
    assert len(rows) == 50 and len(rows.unique()) == 50
    assert not (bank.rows[exact] == rows[:, None]).any()


# --- odd banks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("score", SCORES)
def test_a_query_whose_cells_hold_too_little_looks_into_more(score):
    keys, cells = prepared(normal(300, 6), score)
    assert int(cells.indptr.diff().max()) < 100
    query = queries_like(normal(25, 6, seed=4), score)
    s, index = search(query, keys, cells._replace(n_probe=1), 100)
    assert torch.isfinite(s).all() and all(len(set(row)) == 100 for row in index.tolist())
    s, index = search(query, keys, cells._replace(n_probe=1), 300)  # all that there are
    assert torch.equal(index.sort(1)[0], torch.arange(300).expand(25, 300))


@pytest.mark.parametrize("score", SCORES)
def test_a_bank_of_equal_rows_gives_any_of_them_and_never_the_query_itself(score):
    keys, cells = prepared(torch.ones(64, 3), score)
    own = torch.arange(64)
    for n_probe in (1, len(cells.centers)):
        s, index = search(keys, keys, cells._replace(n_probe=n_probe), 63, own)
        assert torch.isfinite(s).all() and not (index == own[:, None]).any()
        assert all(len(set(row)) == 63 for row in index.tolist())


@pytest.mark.parametrize("score", SCORES)
def test_ties_are_all_found_whatever_the_cell_they_are_in(score):
    """Each key stands in the bank three times: three best with equal scores, then others."""
    distinct = normal(80, 4)
    keys, cells = prepared(distinct.repeat(3, 1), score)
    s, index = search(queries_like(distinct, score), keys, cells, 3)
    torch.testing.assert_close(s, s[:, :1].expand(-1, 3))
    assert all(len(set(row)) == 3 for row in index.tolist())


@pytest.mark.parametrize("n", [1, 2, 5])
def test_tiny_banks_can_be_searched_in_cells(n):
    keys, cells = prepared(normal(n, 3), "cosine")
    query = queries_like(normal(4, 3, seed=1), "cosine")
    s, index = search(query, keys, cells, n)
    assert torch.equal(index, exact_search(query, keys, n)[1])
    assert search(query[:0], keys, cells, n)[1].shape == (0, n)


@pytest.mark.parametrize("n_probe", [1, 5])
def test_a_query_that_is_no_number_gets_some_answer_and_does_not_spoil_the_others(n_probe):
    keys, cells = prepared(normal(300, 6), "cosine")
    cells = cells._replace(n_probe=n_probe)
    query = queries_like(normal(9, 6, seed=4), "cosine")
    alone = search(query[1:], keys, cells, 20)
    query[0] = torch.nan
    s, index = search(query, keys, cells, 20)
    assert s[0].isnan().all() and ((index >= 0) & (index < 300)).all()
    assert torch.equal(index[1:], alone[1])


# --- the bank ------------------------------------------------------------------------------------


def test_a_bank_in_cells_holds_the_same_rows_sorted_by_their_nearest_center():
    values, rows = clustered(500), torch.arange(500) * 2
    bank = Bank(rows, values, "dot").for_look_up("approximate", np.random.default_rng(0))
    assert torch.equal(bank.rows.sort()[0], rows)
    assert torch.equal(bank.values, values[bank.rows // 2])
    positions = bank.positions(1000)
    assert torch.equal(positions[bank.rows], torch.arange(500)) and (positions[1::2] == -1).all()
    cell = torch.repeat_interleave(bank.cells.indptr.diff())
    nearest = torch.cdist(bank.values, bank.cells.centers).argmin(1)
    assert (cell == nearest).float().mean() > 0.99  # centers with equal distances aside


@pytest.mark.parametrize("score", SCORES)
def test_equal_seeds_make_equal_cells(score):
    values = clustered(700)
    one, same, other = (prepared(values, score, seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one[1][:2], same[1][:2], strict=True))
    assert not torch.equal(one[1].centers, other[1].centers)


def test_a_bank_in_cells_comes_back_from_its_state_and_answers_the_same():
    bank = Bank(torch.arange(500), clustered(500), "cosine")
    bank = bank.for_look_up("approximate", np.random.default_rng(0))
    bank.cells = bank.cells._replace(n_probe=3)
    back = Bank.from_state(bank.to_state(), "cpu")
    query = clustered(50, seed=5)
    for a, b in zip(*(nearest_in_bank(query, b, 9, 0.1) for b in (bank, back)), strict=True):
        assert torch.equal(a, b)


def test_a_state_without_cells_is_that_of_an_exact_bank():
    state = Bank(torch.arange(5), normal(5, 2), "dot").to_state()
    assert state["cells"] is None and Bank.from_state(state, "cpu").cells is None
    del state["cells"]  # as an older version wrote it
    assert Bank.from_state(state, "cpu").cells is None


@pytest.mark.parametrize(
    "change",
    [
        {"indptr": torch.tensor([0, 4, 2, 6])},
        {"indptr": torch.tensor([0, 2, 4, 7])},
        {"indptr": torch.tensor([1, 2, 4, 6])},
        {"indptr": torch.tensor([0, 6])},
        {"indptr": torch.tensor([0.0, 2, 4, 6])},
        {"centers": torch.zeros(3, 2, dtype=torch.int64)},
        {"centers": torch.zeros(3, 5)},
        {"n_probe": 4},
        {"n_probe": 0},
        {"n_probe": 1.5},
        {"n_probe": True},
    ],
)
def test_cells_of_another_bank_are_refused(change):
    good = {"centers": torch.zeros(3, 2), "indptr": torch.tensor([0, 2, 4, 6]), "n_probe": 2}
    assert isinstance(Cells.from_state(good, 6, 2), Cells)
    with pytest.raises(ValueError, match="cells"):
        Cells.from_state(good | change, 6, 2)


# --- the model -----------------------------------------------------------------------------------


def test_a_model_that_looks_into_cells_is_saved_and_answers_the_same_bit_for_bit(
    small, problem, tmp_path
):
    model = small(cold_part="student", look_up="approximate").fit(
        problem.X, problem.y, graph=problem.graph
    )
    assert 1 <= model.bank_.cells.n_probe <= len(model.bank_.cells.centers)
    model.save(tmp_path / "model")
    back = makedo.load(tmp_path / "model")
    assert back.bank_.cells.n_probe == model.bank_.cells.n_probe
    assert np.array_equal(back.predict_proba(problem.X), model.predict_proba(problem.X))
    for a, b in zip(
        back.virtual_neighbors(problem.X), model.virtual_neighbors(problem.X), strict=True
    ):
        assert np.array_equal(a, b)


def test_a_model_finds_most_neighbours_in_cells_and_learns_from_them_as_well(small, make_problem):
    """The teacher does not depend on the look-up; the student learns as much with it."""
    problem, new = make_problem(400), make_problem(200, random_state=1)
    exact, approximate = (
        small(cold_part="student", look_up=how).fit(problem.X, problem.y, graph=problem.graph)
        for how in ("exact", "approximate")
    )
    assert exact.bank_.cells is None
    for a, b in zip(
        exact.nets_["teacher"].parameters(), approximate.nets_["teacher"].parameters(), strict=True
    ):
        assert torch.equal(a, b)
    everywhere = Bank(approximate.bank_.rows, approximate.bank_.values, "cosine")
    guess = torch.from_numpy(approximate.transform(new.X)[:, everywhere.values.shape[1] :])
    wanted = nearest_in_bank(guess, everywhere, 4, 0.1)[0]
    assert recall(nearest_in_bank(guess, approximate.bank_, 4, 0.1)[0], wanted) >= 0.9
    assert approximate.score(new.X, new.y) > exact.score(new.X, new.y) - 0.05 > 0.8


def test_auto_is_exact_on_a_bank_of_this_size_bit_for_bit(small, problem):
    models = [
        small(cold_part="student", look_up=how).fit(problem.X, problem.y, graph=problem.graph)
        for how in ("auto", "exact")
    ]
    assert np.array_equal(*(model.predict_proba(problem.X) for model in models))


def test_part_2_sees_the_inputs_of_its_rows_and_zeros_elsewhere(model, problem, monkeypatch):
    x = Features(torch.from_numpy(model.scaler_.transform(problem.X.astype(np.float32))))
    part1, bank, rows = model.nets_["part 1"], model.bank_, torch.tensor([1, 5, 8, 40, 77])
    wanted = student_module.virtual_neighborhood(part1, x, bank, 4, 0.1, bank.positions(len(x)))[2]
    monkeypatch.setattr(student_module, "GUESSES", 2)  # in blocks
    extra = student_module.beside_the_features(part1, x, bank, 4, 0.1, rows)
    torch.testing.assert_close(extra[rows], wanted[rows])
    others = np.setdiff1d(np.arange(len(x)), rows)
    assert not extra[others].any() and wanted[others].any(1).all()
