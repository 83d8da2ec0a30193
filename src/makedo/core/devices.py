"""Where a network runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from makedo.core.checks import MakedoInputError

if TYPE_CHECKING:
    import torch


def pick_device(device: str) -> torch.device:
    """The torch device for ``device``: ``"auto"`` is cuda, else mps, else cpu."""
    import torch

    wrong = f"device must be 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'. Got {device!r}."
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise MakedoInputError(wrong) from error
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise MakedoInputError(wrong)
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise MakedoInputError(
            f"device {device!r} was asked for, but this torch sees no GPU. Use device='auto'."
        )
    return chosen
