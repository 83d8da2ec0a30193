"""Dropout that does not cost more than the layer it stands before."""

from __future__ import annotations

import torch
from torch import Tensor


def dropout(x: Tensor, p: float, generator: torch.Generator | None = None) -> Tensor:
    """Return ``x`` with a fresh share ``p`` of its entries zero and the others scaled up.

    16 random bits decide about an entry, several times faster on a CPU than
    ``torch.nn.functional.dropout``; ``p`` is rounded to a multiple of 2⁻¹⁶ and the scale is that of
    the rounded value, so that the mean is exact.

    Parameters
    ----------
    x : float tensor of any shape
    p : float in [0, 1)
    """
    threshold = round(p * 2**16)
    if threshold == 0:
        return x
    assert 0 < threshold < 2**16, f"p={p} must be in [0, 1)"
    n = x.numel()
    bits = torch.empty((n + 3) // 4, dtype=torch.int64, device=x.device)
    bits = bits.random_(-(2**63), None, generator=generator).view(torch.int16)[:n].view(x.shape)
    # 0.0 or 1.0, written as floats at once: a bool tensor first would take five times as long
    kept = torch.ge(bits, threshold - 2**15, out=torch.empty_like(x))
    return x * kept.mul_(2**16 / (2**16 - threshold))
