"""Model directories: JSON, safetensors, Parquet and a model card, and never a pickle.

A model is its constructor parameters and a *state*: a tree of plain values, arrays, sparse
matrices, tensors, data frames and indexes.  :func:`pack` splits such a tree into JSON (with
references), named arrays and named columns; :func:`unpack` puts it together again.  Loading reads
data only: it executes nothing that stands in the files and needs no network.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from makedo.core.checks import MakedoInputError, first

if TYPE_CHECKING:
    from makedo.core.estimator import Estimator

FORMAT_VERSION = 1
FILES = {"model.json", "weights.safetensors", "tables.parquet", "README.md"}
SPARSE_PARTS = ("data", "indices", "indptr")
# What wrong sizes, types and references in the files of somebody else can raise.
DAMAGE = (
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,  # torch's, and recursion
    MemoryError,
)


# --- a tree of values to JSON, arrays and columns, and back ---------------------------------------


def pack(value: Any, name: str, arrays: dict[str, np.ndarray], columns: dict[str, Any]) -> Any:
    """The JSON form of ``value``; its arrays and columns go into the dictionaries by ``name``."""
    import pandas as pd
    import scipy.sparse as sp

    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, np.generic):
        return pack(value.item(), name, arrays, columns)
    if isinstance(value, dict):
        for key in value:
            assert isinstance(key, str) and not key.startswith("$"), f"{name}: key {key!r}"
        return {key: pack(item, f"{name}.{key}", arrays, columns) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [pack(item, f"{name}.{i}", arrays, columns) for i, item in enumerate(value)]
    name = _free(name, arrays, columns)
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "OU":
            columns[name] = value.tolist()
            return {"$strings": name}
        arrays[name] = np.asarray(value, order="C")
        return {"$array": name}
    if sp.issparse(value):
        matrix: Any = sp.csr_matrix(value)
        for part in SPARSE_PARTS:
            arrays[f"{name}.{part}"] = np.ascontiguousarray(getattr(matrix, part))
        return {"$sparse": name, "shape": list(matrix.shape)}
    if isinstance(value, pd.DataFrame):
        for i, column in enumerate(value.columns):
            columns[f"{name}.{i}"] = value[column].reset_index(drop=True)
        return {"$frame": name, "columns": [str(c) for c in value.columns], "rows": len(value)}
    if isinstance(value, pd.Index):
        columns[name] = value.to_series(index=range(len(value)))
        tuples = len(value) > 0 and isinstance(value[0], tuple)
        return {"$index": name, "name": _name_to_json(value.name), "tuples": tuples}
    if "torch" in sys.modules:
        import torch

        if isinstance(value, torch.Tensor):
            value = value.detach().cpu()
            kind = str(value.dtype).removeprefix("torch.")
            value = value.float() if kind == "bfloat16" else value  # numpy has no such type
            arrays[name] = np.asarray(value.numpy(), order="C")
            return {"$tensor": name, "dtype": kind}
        if isinstance(value, torch.nn.Module):
            return pack(dict(value.state_dict()), name, arrays, columns)
    if hasattr(value, "to_state"):
        return pack(value.to_state(), name, arrays, columns)
    raise TypeError(f"{name}: a {type(value).__name__} cannot be stored in a model directory")


def _free(name: str, *taken: dict[str, Any]) -> str:
    """``name``, or one that no array or column has: keys may hold dots, as those of networks do."""
    while any(k == name or k.startswith(name + ".") for known in taken for k in known):
        name += "'"
    return name


def _name_to_json(name: Any) -> Any:
    return name if name is None or isinstance(name, (str, int, float)) else str(name)


def unpack(tree: Any, arrays: dict[str, np.ndarray], columns: dict[str, Any]) -> Any:
    """The inverse of :func:`pack`; objects with ``to_state`` come back as their state."""
    import pandas as pd
    import scipy.sparse as sp

    if isinstance(tree, list):
        return [unpack(item, arrays, columns) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "$float" in tree:
        return float(tree["$float"])
    if "$array" in tree:
        return arrays[tree["$array"]]
    if "$strings" in tree:
        return np.array(columns[tree["$strings"]].tolist(), dtype=object)
    if "$sparse" in tree:
        parts = tuple(arrays[f"{tree['$sparse']}.{part}"] for part in SPARSE_PARTS)
        matrix = sp.csr_matrix(parts, shape=tuple(tree["shape"]))
        matrix.check_format(full_check=True)
        return matrix
    if "$frame" in tree:
        data = {i: columns[f"{tree['$frame']}.{i}"] for i in range(len(tree["columns"]))}
        if any(len(column) != tree["rows"] for column in data.values()):
            raise ValueError(f"columns of {tree['$frame']} have another length than {tree['rows']}")
        return pd.DataFrame(data, index=range(tree["rows"])).set_axis(tree["columns"], axis=1)
    if "$index" in tree:
        values = columns[tree["$index"]]
        if tree.get("tuples"):
            return pd.Index([tuple(v) for v in values], name=tree["name"], tupleize_cols=False)
        return pd.Index(values, name=tree["name"])
    if "$tensor" in tree:
        import torch

        tensor = torch.from_numpy(arrays[tree["$tensor"]].copy())
        return tensor.bfloat16() if tree.get("dtype") == "bfloat16" else tensor
    return {key: unpack(item, arrays, columns) for key, item in tree.items()}


def write_tables(columns: dict[str, Any], path: Path) -> None:
    """One Parquet file for columns of any lengths: one row, in which each column is a list."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lists = {}
    for name, values in columns.items():
        is_list = isinstance(values, list) or not hasattr(values, "index")
        array = pa.array(values) if is_list else pa.Array.from_pandas(values)
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        lists[name] = pa.ListArray.from_arrays(pa.array([0, len(array)], pa.int32()), array)
    pq.write_table(pa.table(lists), path)


def read_tables(path: Path) -> dict[str, Any]:
    """The columns that :func:`write_tables` stored, as pandas Series."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return {name: table[name].combine_chunks().flatten().to_pandas() for name in table.column_names}


# --- files that appear whole or not at all --------------------------------------------------------


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; what the block puts there becomes ``path``.

    That may be a file or a folder.  If the block raises, nothing changes at ``path`` and nothing is
    left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield fresh
        if path.is_dir():
            old = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
            path.rename(old)
            fresh.rename(path)
            shutil.rmtree(old)
        else:
            os.replace(fresh, path)
    finally:
        if fresh.is_dir():
            shutil.rmtree(fresh)
        else:
            fresh.unlink(missing_ok=True)


def write_state(path: Path, header: dict[str, Any], state: dict[str, Any]) -> None:
    """Write ``header`` and ``state`` as three files into the existing folder ``path``."""
    from safetensors.numpy import save_file

    arrays: dict[str, np.ndarray] = {}
    columns: dict[str, Any] = {}
    tree = pack(state, "state", arrays, columns)
    save_file(arrays, path / "weights.safetensors")
    write_tables(columns, path / "tables.parquet")
    text = json.dumps({**header, "state": tree}, indent=1, allow_nan=False)
    (path / "model.json").write_text(text + "\n", encoding="utf-8")
    # safetensors makes its file readable to its owner only; the directory is one thing
    shutil.copymode(path / "model.json", path / "weights.safetensors")


def read_state(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """The state whose JSON form stands in ``document`` (the content of ``path/model.json``)."""
    from pyarrow import ArrowException
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(path / "weights.safetensors")
        columns = read_tables(path / "tables.parquet")
        return unpack(document["state"], arrays, columns)
    except (SafetensorError, ArrowException, OSError, *DAMAGE) as error:
        raise MakedoInputError(
            f"{path}: the model directory is damaged ({_kind_and_line(error)}). Save the model "
            "again."
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _kind_and_line(error: Exception) -> str:
    return f"{type(error).__name__}: {_one_line(error)}"


# --- models ---------------------------------------------------------------------------------------


def _is_ours(path: Path) -> bool:
    """Whether a directory holds what we write and nothing else, so that it may be replaced."""
    if not (path / "model.json").is_file() or {p.name for p in path.iterdir()} - FILES:
        return False
    try:
        _read_document(path)
    except MakedoInputError:
        return False
    return True


def save_model(model: Estimator, path: str | Path, state: dict[str, Any], card: str) -> None:
    """Write a model directory, in the place of an older one at ``path`` but of nothing else."""
    import makedo

    path = Path(os.path.realpath(path))  # what a link points to is replaced, not the link
    if path.exists() and not (_is_ours(path) or (path.is_dir() and not any(path.iterdir()))):
        raise MakedoInputError(
            f"{path} exists and is not a model directory of makedo. Choose another place to save "
            "to."
        )
    given = model.get_params(deep=False)
    header = {
        "format_version": FORMAT_VERSION,
        "makedo": makedo.__version__,
        "room": model.room,
        "class": type(model).__name__,
        "parameters": {name: _plain(model, name, value) for name, value in given.items()},
        "fingerprint": getattr(model, "fingerprint_", ""),
    }
    with replacing(path) as fresh:
        fresh.mkdir()
        write_state(fresh, header, state)
        (fresh / "README.md").write_text(card, encoding="utf-8")


def _plain(model: Estimator, name: str, value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (np.ndarray, tuple)):
        value = list(value)
    if isinstance(value, list):
        return [_plain(model, name, one) for one in value]
    if "pandas" in sys.modules and (by_id := _as_series(value)) is not None:
        parts = {"ids": list(by_id.index), "values": list(by_id)}
        return {"$series": {key: _plain(model, name, one) for key, one in parts.items()}}
    if type(value) is model._parts.get(type(value).__name__):
        given = value.get_params(deep=False)
        return {
            "$part": type(value).__name__,
            "parameters": {key: _plain(value, key, one) for key, one in given.items()},
        }
    if callable(value) or hasattr(value, "predict"):  # the caller hands it back to ``load``
        return {"$function": getattr(value, "__qualname__", type(value).__name__)}
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        if isinstance(value, float):
            return {"$float": repr(value)}
        raise MakedoInputError(
            f"{type(model).__name__}.save: parameter {name} is a {type(value).__name__}, which a "
            "model directory cannot hold."
        ) from error
    return value


def load_model(
    path: str | Path, find_class: Callable[[str, str], type | None], **objects: Any
) -> Any:
    """Read a model directory.

    Parameters
    ----------
    path : str or Path
    find_class : callable (room, class name) -> class or None
        Which class the directory's words name; None refuses it.
    **objects
        Constructor parameters that a directory cannot hold and that the caller hands back.
    """
    path = Path(path)
    document = _read_document(path)
    room, name = document.get("room"), document.get("class")
    cls = find_class(room, name) if isinstance(room, str) and isinstance(name, str) else None
    if cls is None:
        raise MakedoInputError(
            f"{path}: model.json names the model {name!r} of {room!r}, which this makedo does not "
            "have."
        )
    parameters = document.get("parameters")
    if not isinstance(parameters, dict):
        raise MakedoInputError(f"{path}: model.json holds no parameters. Save the model again.")
    try:
        parameters = {key: _given(cls, value) for key, value in parameters.items()} | objects
    except (ValueError, TypeError) as error:
        raise MakedoInputError(
            f"{path}: model.json has a parameter that is no number ({_one_line(error)})."
        ) from error
    known = set(cls._get_param_names())  # type: ignore[attr-defined]
    if unknown := [key for key in parameters if key not in known]:
        raise MakedoInputError(
            f"{path}: model.json has parameters that {name} does not take ({first(unknown)})."
        )
    for key, value in parameters.items():
        if isinstance(value, dict) and "$function" in value:
            raise MakedoInputError(
                f"{path}: {key} was the function {value['$function']!s:.60}, which a model "
                f"directory cannot hold. Hand it back: load(path, {key}=…)."
            )
    state = read_state(path, document)
    model = cls(**parameters)
    try:
        model._check_parameters()
        model._restore(state)
    except MakedoInputError as error:
        raise MakedoInputError(f"{path}: {error}") from error
    except DAMAGE as error:
        raise MakedoInputError(
            f"{path}: model.json and the weights do not fit together ({_kind_and_line(error)}). "
            "Save the model again."
        ) from error
    if document.get("fingerprint"):
        model.fingerprint_ = str(document["fingerprint"])
    return model


def _as_series(value: Any) -> Any:
    """A Series, a frame of ids and numbers, or a dict that JSON cannot hold; else None."""
    import pandas as pd

    if isinstance(value, pd.DataFrame) and value.shape[1] in (1, 2):
        return (
            value.set_index(value.columns[0]).squeeze("columns")
            if value.shape[1] == 2
            else (value.squeeze("columns"))
        )
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        value = pd.Series(value)
    return value if isinstance(value, pd.Series) else None


def _given(cls: Any, value: Any) -> Any:
    """A parameter as the constructor of ``cls`` took it; the inverse of :func:`_plain`."""
    if isinstance(value, list):
        return [_given(cls, one) for one in value]
    if isinstance(value, dict) and "$series" in value:
        import pandas as pd

        parts = value["$series"]
        return pd.Series(_given(cls, parts["values"]), _given(cls, parts["ids"]))
    if isinstance(value, dict) and "$float" in value:
        return unpack(value, {}, {})
    if isinstance(value, dict) and "$part" in value:
        part = cls._parts.get(value["$part"])
        if part is None:
            raise ValueError(f"no part {value['$part']!s:.40}")
        return part(**{key: _given(part, one) for key, one in value["parameters"].items()})
    return value


def _read_document(path: Path) -> dict[str, Any]:
    if not (path / "model.json").is_file():
        what = "does not exist"
        if path.exists():
            what = "is not a model directory (it has no model.json)"
        raise MakedoInputError(f"{path} {what}. Give the directory that fit or save wrote.")
    try:
        document = json.loads((path / "model.json").read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise MakedoInputError(
            f"{path}: model.json is not valid JSON ({_one_line(error)}). Save the model again."
        ) from error
    version = document.get("format_version") if isinstance(document, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise MakedoInputError(
            f"{path}: model.json has no format_version, so it is not a model of makedo."
        )
    if version > FORMAT_VERSION:
        newer = f"{document.get('makedo')!s:.20}"
        raise MakedoInputError(
            f"{path} was written by makedo {newer} in format {version}; this makedo reads up to "
            f"{FORMAT_VERSION}. Install the newer one: pip install 'makedo>={newer}'."
        )
    return document


def fingerprint(*values: Any) -> str:
    """A hash of arrays, frames, sparse matrices and plain values: equal data, equal fingerprint."""
    import pandas as pd

    arrays: dict[str, np.ndarray] = {}
    columns: dict[str, Any] = {}
    tree = pack(list(values), "data", arrays, columns)
    digest = hashlib.sha256(json.dumps(tree).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(array.view(np.uint8).data if array.size and array.ndim else array.tobytes())
    for name, column in sorted(columns.items()):
        digest.update(name.encode())
        rows = pd.util.hash_pandas_object(pd.Series(column), index=False)  # pyright: ignore
        digest.update(rows.to_numpy().tobytes())
    return digest.hexdigest()
