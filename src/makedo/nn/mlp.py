"""A perceptron over feature rows, and the phase that trains it on labels and soft labels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from makedo.core.training import Phase, Update
from makedo.nn.dropout import dropout as drop
from makedo.nn.features import FeatureLinear, Features
from makedo.nn.targets import CLASSES, Target

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU}


class FeatureMLP(nn.Module):
    """[x, extra] → Linear → (LayerNorm) → activation → Dropout → Linear.

    Parameters
    ----------
    n_features, n_extra, hidden, n_outputs : int
        Widths; ``n_extra`` counts further dense columns beside the features.
    dropout, input_dropout : float
        On the hidden layer and on the features.
    norm : bool
        Whether the hidden layer is layer-normalised.
    activation : {"relu", "gelu"}

    Shapes
    ------
    features (n_rows, n_features), extra (n_rows, n_extra) or None -> (n_rows, n_outputs)
    """

    def __init__(
        self,
        n_features: int,
        n_extra: int,
        hidden: int,
        n_outputs: int,
        *,
        dropout: float = 0.5,
        input_dropout: float = 0.0,
        norm: bool = True,
        activation: str = "gelu",
    ):
        super().__init__()
        self.input = FeatureLinear(n_features, hidden)
        # torch's own start for linear layers: steadier here than Glorot's, which suits the GCN
        nn.init.uniform_(self.input.weight, -(n_features**-0.5), n_features**-0.5)
        self.extra = nn.Linear(n_extra, hidden, bias=False) if n_extra else None
        self.norm = nn.LayerNorm(hidden) if norm else nn.Identity()
        self.activation = ACTIVATIONS[activation]()
        self.dropout = dropout
        self.output = nn.Linear(hidden, n_outputs)
        self.input_dropout = input_dropout

    def forward(self, features: Features, extra: Tensor | None = None) -> Tensor:
        """Return the outputs before any softmax."""
        h = self.input(features, dropout=self.input_dropout)  # (n_rows, hidden)
        if self.extra is not None:
            assert extra is not None
            h = h + self.extra(extra)
        h = self.activation(self.norm(h))
        return self.output(drop(h, self.dropout) if self.training else h)


def step_size(n_rows: int, batch_size: int) -> int:
    """Rows a step such that an epoch has five steps or more: patience counts epochs."""
    return min(batch_size, max(1, math.ceil(n_rows / 5)))


def mlp_phase(
    name: str,
    net: FeatureMLP,
    features: Features,
    y: Tensor,
    train: Tensor,
    valid: Tensor,
    *,
    learning_rate: float,
    weight_decay: float,
    max_epochs: int,
    patience: int | None,
    batch_size: int,
    extra: Tensor | None = None,
    soft: Tensor | None = None,
    soft_rows: Tensor | None = None,
    distill: float = 0.0,
    target: Target = CLASSES,
) -> Phase:
    """(1 − λ) · loss on labelled rows + λ · loss to a teacher's soft labels on ``soft_rows``.

    Parameters
    ----------
    features, extra : Features and tensor of n_rows rows
        What ``net`` sees of a node; ``extra`` (n_rows, n_extra) stands beside the features.
    y : tensor (n_rows,)
        Class numbers, or the numbers to predict; see ``target``.
    train, valid : int64 tensors
        Row positions.  Without validation rows the last state is kept.
    soft : tensor (n_rows, n_outputs), optional
        What a teacher says, with ``soft_rows`` where they are used and ``distill`` their
        weight λ in [0, 1].
    batch_size : int
        Most rows a step.  An epoch passes once over the rows that carry the loss: soft ones where
        there are any (see :func:`step_size`), else labelled.
    """
    optimizer = torch.optim.Adam(
        net.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
    )

    def inputs(rows: Tensor) -> tuple[Features, Tensor | None]:
        return features.rows(rows), None if extra is None else extra.index_select(0, rows)

    def labelled(rng: np.random.Generator) -> Iterable[tuple[Any, Tensor, int]]:
        if len(train) <= batch_size:
            yield train_inputs, train, len(train)
            return
        for rows in train[_permuted(rng, len(train), train)].split(batch_size):
            yield inputs(rows), rows, len(rows)

    def distilled(rng: np.random.Generator) -> Iterable[tuple[Any, Tensor, int]]:
        assert soft_rows is not None
        order = _permuted(rng, len(soft_rows), train)
        for rows in soft_rows[order].split(step_size(len(soft_rows), batch_size)):
            hard = train
            if len(train) > batch_size:
                hard = train[_permuted(rng, len(train), train)[:batch_size]]
            hard = hard if distill < 1 else hard[:0]
            both = torch.cat([hard, rows])  # one pass for both terms
            yield inputs(both), both, len(hard)

    def loss(batch: tuple[Any, Tensor, int]) -> Tensor:
        given, rows, n_hard = batch
        outputs = net(*given)
        hard = outputs.new_zeros(())
        if n_hard:
            hard = target.loss(outputs[:n_hard], y[rows[:n_hard]])
        if n_hard == len(rows):
            return hard
        assert soft is not None
        told = target.soft_loss(outputs[n_hard:], soft.index_select(0, rows[n_hard:]))
        return (1 - distill) * hard + distill * told

    distils = soft_rows is not None and len(soft_rows) > 0 and distill > 0
    train_inputs = inputs(train) if not distils and len(train) <= batch_size else None
    valid_inputs = inputs(valid) if len(valid) else None

    def validate() -> dict[str, float]:
        assert valid_inputs is not None
        return target.figures(net(*valid_inputs), y[valid])

    return Phase(
        name,
        {"net": net},
        [Update(optimizer, loss)],
        max_epochs,
        batches=distilled if distils else labelled,
        validate=validate if len(valid) else None,
        patience=patience,
        least_gain=target.least_gain,
    )


def _permuted(rng: np.random.Generator, n: int, like: Tensor) -> Tensor:
    return torch.from_numpy(rng.permutation(n)).to(like.device)
