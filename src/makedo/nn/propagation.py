r"""Sparse times dense, forward and backward: the product under every graph network.

Both products of this file are a sum of selected rows of a dense table, which is what
``embedding_bag`` computes: row i of :math:`A X` is :math:`\sum_j a_{ij} x_j`.  Its own backward is
slow, so the gradient :math:`A^T G` is computed as another forward with the transpose's rows, which
are kept.  ``benchmarks/propagation.py`` compares it with gather and scatter and with torch's CSR.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag


class _Rows:
    """The rows of a sparse matrix: their column numbers, where each begins, and the values."""

    def __init__(self, indptr: Tensor, indices: Tensor, values: Tensor):
        self.indptr, self.indices, self.values = indptr, indices, values

    def to(self, device: Any) -> _Rows:
        return _Rows(*(t.to(device) for t in (self.indptr, self.indices, self.values)))

    def times(self, table: Tensor, values: Tensor | None = None) -> Tensor:
        """Times table (n_columns, width) -> (n_rows, width), in the table's precision."""
        values = (self.values if values is None else values).to(table.dtype)
        return embedding_bag(
            self.indices,
            table.contiguous(),
            self.indptr,
            mode="sum",
            per_sample_weights=values,
            include_last_offset=True,
        )


def _canonical(matrix: Any) -> sp.csr_matrix:
    """Return a float32 CSR matrix of its own, column numbers ascending and each there once."""
    matrix = sp.csr_matrix(matrix, dtype=np.float32, copy=True)
    matrix.sum_duplicates()
    return matrix


def _rows_of(matrix: Any) -> _Rows:
    """Share the arrays of a CSR (or, as the rows of its transpose, CSC) matrix."""
    return _Rows(*(torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data)))


# --- a fixed matrix times features ---------------------------------------------------------------


class _Product(torch.autograd.Function):
    """Y = A X and its gradient Aᵀ G, again such a product (and so differentiable again)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: _Rows, transposed: _Rows) -> Tensor:
        ctx.rows, ctx.transposed = rows, transposed
        return rows.times(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return _Product.apply(grads[0], ctx.transposed, ctx.rows), None, None


class Propagation:
    """Multiply by a fixed sparse matrix, such as a normalised adjacency, with fast gradients.

    Parameters
    ----------
    matrix : scipy sparse of shape (n_rows, n_columns)
        Stored as float32.  A symmetric one is kept once, any other together with its transpose.

    Shapes
    ------
    x (n_columns, width), float32 or float64 -> (n_rows, width)

    Cost
    ----
    O(nnz · width) time each way; 12 bytes per stored entry, 24 when not symmetric.

    Examples
    --------
    >>> import scipy.sparse as sp, torch
    >>> swap = Propagation(sp.csr_matrix([[0.0, 1.0], [1.0, 0.0]]))
    >>> swap(torch.tensor([[1.0], [2.0]]))
    tensor([[2.],
            [1.]])
    """

    def __init__(self, matrix: Any):
        matrix = _canonical(matrix)
        transposed = matrix.tocsc()
        symmetric = matrix.shape[0] == matrix.shape[1] and all(
            np.array_equal(getattr(matrix, part), getattr(transposed, part))
            for part in ("indptr", "indices", "data")
        )
        self.shape = (int(matrix.shape[0]), int(matrix.shape[1]))
        self._rows = _rows_of(matrix)
        self._transposed = self._rows if symmetric else _rows_of(transposed)

    def __call__(self, x: Tensor) -> Tensor:
        """Return matrix times ``x``."""
        assert x.ndim == 2 and x.shape[0] == self.shape[1], f"{self.shape} times {tuple(x.shape)}"
        return _Product.apply(x, self._rows, self._transposed)  # pyright: ignore[reportReturnType]

    def to(self, device: Any) -> Propagation:
        """Return the same on another device."""
        moved = object.__new__(Propagation)
        moved.shape, moved._rows = self.shape, self._rows.to(device)
        symmetric = self._transposed is self._rows
        moved._transposed = moved._rows if symmetric else self._transposed.to(device)
        return moved

    # --- the same places with other values, of a symmetric matrix --------------------------------

    @property
    def values(self) -> Tensor:
        """The stored entries by rows, float32 of shape (nnz,)."""
        return self._rows.values

    @cached_property
    def places(self) -> tuple[Tensor, Tensor, Tensor]:
        """Row, column and mirror of each stored entry, int64 tensors of shape (nnz,).

        The mirror of an entry (i, j) is the number of the entry (j, i).
        """
        assert self._transposed is self._rows, "only entries of a symmetric matrix have a mirror"
        indptr, indices = self._rows.indptr, self._rows.indices
        number = np.arange(len(indices))
        numbered = sp.csr_matrix((number, indices.cpu().numpy(), indptr.cpu().numpy()), self.shape)
        row = torch.repeat_interleave(indptr.diff()).long()
        mirror = torch.from_numpy(numbered.tocsc().data).to(indices.device)
        return row, indices.long(), mirror

    def with_values(self, values: Tensor) -> Propagation:
        """Return the matrix with ``values`` (nnz,) in its places; an entry equals its mirror."""
        other = object.__new__(Propagation)
        other.shape = self.shape
        other._rows = other._transposed = _Rows(self._rows.indptr, self._rows.indices, values)
        return other


# --- sparse features times a weight that is learnt -----------------------------------------------


class SparseFeatures:
    """A sparse feature matrix, ready for :func:`sparse_linear`.

    Parameters
    ----------
    matrix : scipy sparse of shape (n_samples, n_features)
        Stored as float32.

    Attributes
    ----------
    shape : (n_samples, n_features)
    values : Tensor of shape (nnz,)
        The stored entries by rows.
    """

    def __init__(self, matrix: Any, device: Any = "cpu"):
        self._set(_canonical(matrix), torch.device(device))

    def _set(self, matrix: sp.csr_matrix, device: torch.device) -> SparseFeatures:
        self._matrix, self.device = matrix, device
        self.shape: tuple[int, int] = matrix.get_shape()
        self._rows = _rows_of(matrix).to(device)
        self._columns: _Rows | None = None
        return self

    @property
    def values(self) -> Tensor:
        """The stored entries by rows, float32 of shape (nnz,)."""
        return self._rows.values

    @property
    def columns(self) -> _Rows:
        """The rows of the transpose; its values are the numbers of the entries, not the entries."""
        if self._columns is None:
            matrix = self._matrix
            number = np.arange(matrix.nnz, dtype=matrix.indices.dtype)
            numbered = sp.csr_matrix((number, matrix.indices, matrix.indptr), self.shape)
            self._columns = _rows_of(numbered.tocsc()).to(self.device)
        return self._columns

    def rows(self, positions: Any) -> SparseFeatures:
        """Return some of the rows, in this order; keep the result if the subset is fixed."""
        positions = positions.cpu().numpy() if isinstance(positions, Tensor) else positions
        part = sp.csr_matrix(self._matrix[positions])
        return object.__new__(SparseFeatures)._set(part, self.device)

    def to(self, device: Any) -> SparseFeatures:
        """Return the same on another device."""
        return object.__new__(SparseFeatures)._set(self._matrix, torch.device(device))

    def dropout(self, p: float, generator: torch.Generator | None = None) -> Tensor:
        """Return ``values`` with a fresh share ``p`` of them zero and the others scaled up.

        16 random bits decide about an entry, several times faster than a random float would;
        ``p`` is rounded to a multiple of 2⁻¹⁶ and the scale is that of the rounded value, so that
        the mean is exact.
        """
        threshold = round(p * 2**16)
        if threshold == 0:
            return self.values
        assert 0 < threshold < 2**16, f"p={p} must be in [0, 1)"
        n = len(self.values)
        bits = torch.empty((n + 3) // 4, dtype=torch.int64, device=self.device)
        bits = bits.random_(-(2**63), None, generator=generator).view(torch.int16)[:n]
        kept = torch.ge(bits, threshold - 2**15, out=torch.empty_like(self.values))  # 0.0 or 1.0
        return kept.mul_(self.values).mul_(2**16 / (2**16 - threshold))


class _SparseLinear(torch.autograd.Function):
    """Y = X W with X sparse; the gradient of W is Xᵀ G.  X gets none."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, features: SparseFeatures, values: Tensor | None
    ) -> Tensor:
        ctx.features, ctx.values = features, features.values if values is None else values
        return features._rows.times(weight, ctx.values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        columns = ctx.features.columns
        values = ctx.values.index_select(0, columns.values)
        return columns.times(grads[0], values), None, None


def sparse_linear(features: SparseFeatures, weight: Tensor, values: Tensor | None = None) -> Tensor:
    """Sparse features times a dense weight, the first layer on a bag of words.

    Parameters
    ----------
    features : SparseFeatures of shape (n_samples, n_features)
    weight : Tensor of shape (n_features, width)
        Gets a gradient.  Note that ``torch.nn.Linear`` keeps its weight the other way round.
    values : Tensor of shape (nnz,), optional
        Take the place of ``features.values`` in this call, for example ``features.dropout(0.5)``.

    Returns
    -------
    Tensor of shape (n_samples, width)
    """
    return _SparseLinear.apply(weight, features, values)  # pyright: ignore[reportReturnType]
