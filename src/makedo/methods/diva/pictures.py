"""Pictures of a user's rows, small, for the report."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError

SIDE = 192  # pixels, at most, across


def load(images: pd.Series) -> list[np.ndarray]:
    """Read pictures, each at most 192 pixels wide and high.

    Parameters
    ----------
    images : Series of paths, of bytes of a picture file, of dicts with "bytes" or "path", or of
        arrays (height, width) or (height, width, 3) of values from 0 to 255

    Returns
    -------
    list of uint8 ndarray (height, width) or (height, width, 3)

    Raises
    ------
    MakedoInputError
        A picture is missing, or is none.
    """
    return [_read(value, row) for row, value in images.items()]


def _read(value: Any, row: Any) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    if isinstance(value, np.ndarray):
        return value.astype(np.uint8)
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    is_path = isinstance(value, (str, Path))
    what = (
        f"the picture {str(value)!r} of row {row!r}" if is_path else f"the picture of row {row!r}"
    )
    if not is_path and not isinstance(value, bytes):
        raise MakedoInputError(f"{what} is missing. Give a path or the bytes of a picture file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(value if is_path else io.BytesIO(value)) as picture:
                picture.draft("RGB", (SIDE, SIDE))
                picture.thumbnail((SIDE, SIDE))
                return np.asarray(picture.convert("RGB"))
    except FileNotFoundError as error:
        raise MakedoInputError(
            f"{what} does not exist. Paths are relative to the folder you are in."
        ) from error
    except (
        OSError,
        SyntaxError,  # what PIL raises for some broken files
        ValueError,
        UnidentifiedImageError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise MakedoInputError(
            f"{what} cannot be read as a picture ({str(error)[:80]})."
        ) from error
