"""Files that appear whole or not at all, and are told when they are not: arrays with their provenance, JSON, text.

Imports nothing of the project.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and move it there on success: a file appears whole or not at all.

    The temporary file keeps the suffix, since many writers choose the format by it. After an error or an
    interruption it is removed, and an older file of that name is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _flush_to_disk(temporary)
        # mkstemp makes files private; results are readable as the umask says.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as JSON, whole or not at all. NumPy numbers are allowed; NaN and infinity are not."""
    try:
        text = json.dumps(content, indent=2, allow_nan=False, default=_plain)
    except ValueError as error:
        raise ValueError(
            f"expected finite numbers in {path}; got NaN or infinity. Leave such keys out"
        ) from error
    write_text(path, text + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write a text, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: str | Path) -> dict[str, Any]:
    """Read what `write_json` wrote."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (Path, tuple, set)):
        return str(value) if isinstance(value, Path) else list(value)
    raise TypeError(
        f"expected numbers, text, lists or mappings; got {type(value).__name__}. Convert it first"
    )


def save_arrays(path: str | Path, provenance: Mapping[str, Any], **arrays: Any) -> None:
    """Write arrays as .npz, whole or not at all, with the provenance as JSON in the array `provenance`."""
    record = np.array(json.dumps(provenance, default=_plain))
    # NumPy appends .npz to other names: the move would then miss the file.
    if Path(path).suffix != ".npz":
        raise ValueError(f"expected a file name that ends in .npz; got {Path(path).name!r}. Rename it")
    with atomic(path) as temporary:
        np.savez_compressed(temporary, provenance=record, **arrays)


def load_arrays(path: str | Path, required: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz file (all of them, so that the whole file is checked).

    Raises FileNotFoundError for a missing file and ValueError for a truncated one or one without the
    `required` arrays, each in one line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"expected the file {path}; found none. Run the rule that makes it")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, EOFError, ValueError, OSError, KeyError, AttributeError) as error:
        raise ValueError(
            f"expected a whole .npz file; got a truncated or damaged one: {path}. Delete it and make it again"
        ) from error
    missing = [name for name in required if name not in arrays]
    if missing:
        raise ValueError(
            f"expected the arrays {', '.join(required)} in {path}; got {', '.join(arrays)}."
            f" Make the file again with {', '.join(missing)}"
        )
    return arrays


def load_provenance(path: str | Path) -> dict[str, Any]:
    """Return the provenance that `save_arrays` wrote."""
    return json.loads(str(load_arrays(path, required=["provenance"])["provenance"]))


def sha256(path: str | Path) -> str:
    """Return the SHA-256 checksum of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
