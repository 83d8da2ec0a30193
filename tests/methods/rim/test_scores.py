"""Rankings of an operator against those of the dense matrix: masks, ties, links, threads."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from makedo.methods.rim import best, scores
from makedo.methods.rim.best import BestOfColumns, best_of_rows, pack, unpack
from makedo.methods.rim.scores import LINKS, ScoreOperator

N, M, D = 200, 150, 4


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """So that a small problem has several blocks, groups and refills."""
    monkeypatch.setattr(scores, "BLOCK_BYTES", 48 * 4 * M)
    monkeypatch.setattr(best, "GROUP", 4)
    monkeypatch.setattr(best, "ROWS", 8)
    monkeypatch.setattr(best, "SPARE", 16)


def operator(kind, seed=0, link="identity"):
    """Whole numbers, so that products are exact and ties are many, or real ones."""
    rng = np.random.default_rng(seed)

    def factors(n):
        found = rng.integers(-2, 3, (n, D)) if kind == "whole" else rng.normal(size=(n, D))
        return found.astype(np.float32)

    seen = sp.random_array((N, M), density=0.1, rng=rng, format="csr")
    return ScoreOperator(
        (N, M),
        factors(N),
        factors(M),
        item_term=factors(M)[:, 0],
        pairs=sp.csr_matrix(sp.random_array((N, M), density=0.05, rng=rng), dtype=np.float32),
        link=link,
        user_floor=None if link == "exp" else np.ones(N, np.float32),
        item_floor=None if link == "exp" else rng.integers(0, 3, M).astype(np.float32),
        excluded=sp.csr_matrix(seen).astype(bool),
    )


def formula(op):
    """S written down, in float64."""
    raw = op.users.astype(float) @ op.items.T + op.item_term + op.pairs.toarray()
    g = {
        "identity": raw,
        "relu": np.maximum(raw, 0),
        "softplus": np.logaddexp(0, raw),
        "sigmoid": 1 / (1 + np.exp(-raw)),
        "exp": np.exp(raw),
    }[op.link]
    if op.item_floor is not None:
        g = g + np.outer(op.user_floor, op.item_floor)
    if op.log_scale is not None:
        g = g * np.exp(op.log_scale)[:, None]
    return np.where(op.excluded.toarray(), -np.inf, g)


def best_by_sorting(dense, k, rank=None):
    """Positions of the k largest of each row; equal ones by rank."""
    rank = np.arange(dense.shape[1]) if rank is None else rank
    order = np.lexsort((np.broadcast_to(rank, dense.shape), -dense))[:, :k]
    return np.where(np.take_along_axis(dense, order, 1) > -np.inf, order, -1)


@pytest.mark.parametrize("link", LINKS)
def test_blocks_are_the_formula(link):
    op = operator("real", link=link).scaled(np.random.default_rng(1).gamma(1, size=N))
    expected = formula(op)
    np.testing.assert_allclose(op.to_dense(), expected, rtol=2e-5, atol=1e-6)
    some = np.array([7, 3, 150])
    np.testing.assert_allclose(op.block(some), expected[some], rtol=2e-5, atol=1e-6)
    rows, items = np.array([9, 9, 0, 150, 9]), np.array([1, 149, 0, 2, 1])
    np.testing.assert_allclose(op.of_pairs(rows, items), expected[rows, items], rtol=2e-5)


@pytest.mark.parametrize("tie_seed", [None, 3])
@pytest.mark.parametrize("link", ["identity", "relu"])
def test_lists_are_those_of_the_dense_matrix_ties_included(link, tie_seed):
    op = operator("whole", link=link)
    op = scores.replace(op, pairs=op.pairs.astype(bool).astype(np.float32), tie_seed=tie_seed)
    op = op.scaled(2.0 ** np.random.default_rng(1).integers(-2, 3, N))  # exact: all is in binary
    dense = op.to_dense()
    by_row, by_column = op.top_both(7, 11)
    ranks = [None, None] if tie_seed is None else [op._ties("items"), op._ties("users")]
    assert (by_row.index == best_by_sorting(dense, 7, ranks[0])).all()
    assert (by_column.index == best_by_sorting(dense.T, 11, ranks[1])).all()
    there = by_column.index >= 0
    item = np.broadcast_to(np.arange(M)[:, None], there.shape)
    assert (by_column.score[there] == dense[by_column.index[there], item[there]]).all()
    assert (op.top_items(7).index == by_row.index).all()
    assert (op.top_users(11).index == by_column.index).all()


@pytest.mark.parametrize("link", LINKS)
def test_lists_of_real_scores_are_the_best_of_the_dense_matrix(link):
    op = operator("real", link=link).scaled(np.random.default_rng(1).gamma(1, size=N))
    dense = op.to_dense()
    by_row, by_column = op.top_both(9, 9)
    for lists, matrix in ((by_row, dense), (by_column, dense.T)):
        expected = -np.sort(-matrix, axis=1)[:, :9]
        np.testing.assert_allclose(lists.score, expected, rtol=1e-5, atol=1e-6)
        found = np.take_along_axis(matrix, np.maximum(lists.index, 0), 1)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_no_factor_of_a_row_changes_the_ranking_of_items():
    for kind, link in (("real", "exp"), ("real", "relu"), ("whole", "identity")):
        op = operator(kind, link=link)
        alone = op.top_items(20).index
        for seed in range(3):
            rate = np.exp(5 * np.random.default_rng(seed).normal(size=N))
            assert (op.scaled(rate).top_items(20).index == alone).all()


def test_a_common_factor_and_the_order_of_users_and_items_change_no_list_of_users():
    op = operator("real", link="softplus").scaled(np.random.default_rng(1).gamma(1, size=N))
    lists = op.top_users(10).index
    assert (op.scaled(np.full(N, 8.0)).top_users(10).index == lists).all()
    rng = np.random.default_rng(2)
    rows, items = rng.permutation(N), rng.permutation(M)
    moved = op.take(rows, items).top_users(10).index
    assert (np.where(moved < 0, -1, rows[moved]) == lists[items]).mean() > 0.999  # but for rounding


def test_lists_longer_than_what_may_be_ranked_end_early():
    op = operator("whole").take(np.arange(20), np.arange(6))
    by_row, by_column = op.top_both(50, 50)
    assert by_row.index.shape == (20, 6) and by_column.index.shape == (6, 20)
    shut = op.excluded.toarray()
    assert ((by_row.index >= 0).sum(1) == (~shut).sum(1)).all()
    assert ((by_column.index >= 0).sum(1) == (~shut).sum(0)).all()
    assert np.isneginf(by_row.score[by_row.index < 0]).all()


def test_a_row_that_is_all_excluded_gives_an_empty_list():
    op = operator("whole").take(np.arange(3), np.arange(20))
    shut = sp.csr_matrix(np.array([[True], [False], [False]]) * np.ones(20, bool))
    lists = op.without(shut).top_items(5)
    assert (lists.index[0] == -1).all() and (lists.index[1:] >= 0).all()


def test_equal_scores_stand_in_the_order_of_positions_or_of_a_seed():
    flat = ScoreOperator((50, 40), user_floor=np.ones(50, np.float32), item_floor=np.ones(40))
    by_row, by_column = flat.top_both(5, 6)
    assert (by_row.index == np.arange(5)).all() and (by_column.index == np.arange(6)).all()
    mixed = scores.replace(flat, tie_seed=1)
    assert (mixed.top_users(6).index == mixed.top_users(6).index[0]).all()
    assert (mixed.top_users(6).index[0] != np.arange(6)).any()
    assert (mixed.top_users(6).index == scores.replace(flat, tie_seed=1).top_users(6).index).all()


def test_row_lists_can_be_written_as_they_come():
    op = operator("whole", link="relu").scaled(np.random.default_rng(1).gamma(1, size=N))
    whole, columns = op.top_both(6, 4)
    index, calls = np.full((N, 6), -9), []

    def write(rows, found, score):
        index[rows] = found
        calls.append(len(rows))

    none, again = op.top_both(6, 4, write)
    assert none is None and len(calls) > 1 and sum(calls) == N
    assert (index == whole.index).all() and (again.index == columns.index).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_nothing(threads, monkeypatch):
    op = operator("whole", link="relu")
    expected = op.top_both(6, 4)
    monkeypatch.setattr(scores, "n_threads", lambda: threads)
    for found, lists in zip(op.top_both(6, 4), expected, strict=True):
        assert (found.index == lists.index).all() and (found.score == lists.score).all()


@pytest.mark.parametrize("left", ["dense", "sparse"])
@pytest.mark.parametrize("right", ["dense", "sparse"])
def test_factors_may_be_sparse(left, right):
    op = operator("whole")
    as_form = {"dense": np.asarray, "sparse": sp.csr_matrix}
    other = scores.replace(op, users=as_form[left](op.users), items=as_form[right](op.items))
    assert (other.to_dense() == op.to_dense()).all()
    assert (other.top_users(5).index == op.top_users(5).index).all()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_best_of_rows_and_columns_of_any_matrix(data):
    n, m = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    values = st.sampled_from([-np.inf, -1.5, -0.0, 0.0, 1.0, 2.5])
    dense = data.draw(st.lists(st.lists(values, min_size=m, max_size=m), min_size=n, max_size=n))
    dense = np.array(dense, np.float32)
    k, c = data.draw(st.integers(1, m)), data.draw(st.integers(1, n))
    scan = best.Scan(m)
    padded = scan.block(n)
    padded[:, :m] = dense
    assert (best_of_rows(padded, k, None)[0] == best_by_sorting(dense, k)).all()
    columns = BestOfColumns(range(m), c, None)
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    for begin, stop in zip([0, *cuts], [*cuts, n], strict=True):
        columns.add(padded[begin:stop], np.arange(begin, stop))
    assert (columns.lists()[0] == best_by_sorting(dense.T, c)).all()


def test_packed_scores_sort_like_scores_and_then_by_rank():
    rng = np.random.default_rng(0)
    values = np.r_[rng.normal(size=500), -np.inf, 0.0, -0.0, np.inf, 3.0, 3.0].astype(np.float32)
    ranks = rng.permutation(len(values)).astype(np.uint32)
    keys = pack(values, ranks)
    assert (np.argsort(keys)[::-1] == np.lexsort((ranks, -values))).all()
    again, order = unpack(keys)
    assert (again == values).all() and (order == ranks).all()
