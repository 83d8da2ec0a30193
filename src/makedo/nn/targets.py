"""What a network is trained to say of a row: its class, or a number.

The phases of this package and of the rooms take a :class:`Target`: the loss on labels, what a
teacher hands to a student, the loss on that, and the figures by which validation judges.
"""

from __future__ import annotations

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor


class Target(Protocol):
    """Losses and figures of one kind of output; outputs are (n_rows, n_outputs)."""

    least_gain: float  # of the validation score, for a gain to count when patience is counted

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Mean loss against labels y (n_rows,)."""
        ...

    def soft(self, outputs: Tensor) -> Tensor:
        """What a teacher of these outputs hands to a student, (n_rows, n_outputs)."""
        ...

    def soft_loss(self, outputs: Tensor, soft: Tensor) -> Tensor:
        """Mean loss against what a teacher handed over."""
        ...

    def figures(self, outputs: Tensor, y: Tensor) -> dict[str, float]:
        """Validation figures; ``"score"`` is higher when better."""
        ...


class Classes:
    """Logits of classes: cross-entropy, and the divergence from a teacher's probabilities."""

    least_gain = 1e-3

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy; y are class numbers."""
        return F.cross_entropy(outputs, y)

    def soft(self, outputs: Tensor) -> Tensor:
        """Probabilities."""
        return outputs.softmax(1)

    def soft_loss(self, outputs: Tensor, soft: Tensor) -> Tensor:
        """KL(teacher ‖ student)."""
        return F.kl_div(outputs.log_softmax(1), soft, reduction="batchmean")

    def figures(self, outputs: Tensor, y: Tensor) -> dict[str, float]:
        """Accuracy and loss; the score is the accuracy, and among equal ones the loss decides."""
        accuracy = float((outputs.argmax(1) == y).float().mean())
        loss = float(F.cross_entropy(outputs, y))
        return {
            "score": accuracy - 1e-4 * min(loss, 100.0),
            "valid_accuracy": accuracy,
            "valid_loss": loss,
        }


class Values:
    """One number a row, standardised: squared error, also to what a teacher says."""

    least_gain = 1e-3

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Mean squared error."""
        return F.mse_loss(outputs[:, 0], y)

    def soft(self, outputs: Tensor) -> Tensor:
        """The numbers themselves."""
        return outputs

    def soft_loss(self, outputs: Tensor, soft: Tensor) -> Tensor:
        """Mean squared error to the teacher."""
        return F.mse_loss(outputs, soft)

    def figures(self, outputs: Tensor, y: Tensor) -> dict[str, float]:
        """Mean squared error; y has variance 1, so that one minus it is about R²."""
        error = float(F.mse_loss(outputs[:, 0], y))
        return {"score": 1.0 - error, "valid_error": error}


CLASSES, VALUES = Classes(), Values()
