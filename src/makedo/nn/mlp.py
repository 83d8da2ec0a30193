"""A perceptron over feature rows, and the phase that trains it on labels and soft labels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from makedo.core.training import Phase, Update
from makedo.nn.dropout import dropout as drop
from makedo.nn.features import FeatureLinear, Features

LEAST_GAIN = 1e-3  # accuracy that counts as an improvement when patience is counted
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


def accuracy_and_loss(logits: Tensor, y: Tensor) -> dict[str, float]:
    """Validation figures; the score is the accuracy, and among equal ones the loss decides."""
    accuracy = float((logits.argmax(1) == y).float().mean())
    loss = float(F.cross_entropy(logits, y))
    return {
        "score": accuracy - 1e-4 * min(loss, 100.0),
        "valid_accuracy": accuracy,
        "valid_loss": loss,
    }


def classifier_phase(
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
) -> Phase:
    """(1 − λ) · cross-entropy on labelled rows + λ · KL(soft label ‖ prediction) on ``soft_rows``.

    Parameters
    ----------
    features, extra : Features and tensor of n_rows rows
        What ``net`` sees of a node; ``extra`` (n_rows, n_extra) stands beside the features.
    y : int64 tensor (n_rows,)
    train, valid : int64 tensors
        Row positions.  Without validation rows the last state is kept.
    soft : tensor (n_rows, n_classes), optional
        A teacher's probabilities, with ``soft_rows`` where they are used and ``distill`` their
        weight λ in [0, 1].
    batch_size : int
        Most rows a step.  An epoch passes once over the rows that carry the loss: soft ones where
        there are any (see :func:`step_size`), else labelled.
    """
    optimizer = torch.optim.Adam(
        net.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
    )

    def inputs(rows: Tensor) -> tuple[Features, Tensor | None]:
        return features.rows(rows), None if extra is None else extra[rows]

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
        logits = net(*given)
        hard = logits.new_zeros(())
        if n_hard:
            hard = F.cross_entropy(logits[:n_hard], y[rows[:n_hard]])
        if n_hard == len(rows):
            return hard
        assert soft is not None
        kl = F.kl_div(logits[n_hard:].log_softmax(1), soft[rows[n_hard:]], reduction="batchmean")
        return (1 - distill) * hard + distill * kl

    distils = soft_rows is not None and len(soft_rows) > 0 and distill > 0
    train_inputs = inputs(train) if not distils and len(train) <= batch_size else None
    valid_inputs = inputs(valid) if len(valid) else None

    def validate() -> dict[str, float]:
        assert valid_inputs is not None
        return accuracy_and_loss(net(*valid_inputs), y[valid])

    return Phase(
        name,
        {"net": net},
        [Update(optimizer, loss)],
        max_epochs,
        batches=distilled if distils else labelled,
        validate=validate if len(valid) else None,
        patience=patience,
        least_gain=LEAST_GAIN,
    )


def _permuted(rng: np.random.Generator, n: int, like: Tensor) -> Tensor:
    return torch.from_numpy(rng.permutation(n)).to(like.device)
