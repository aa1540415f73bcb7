"""Embeddings of a protein's residues that were computed elsewhere: by AlphaFold, or by a language model."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def used_embeddings(path: str | Path, sequence: str, features: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Those embeddings of a protein that a network asks for; see `read_embeddings`.

    Args:
        features: of `single` and `pair`; what the network has 0 of is left out.

    Raises:
        ValueError: as `read_embeddings`, and for another number of features.
    """
    found = read_embeddings(path, sequence)
    used = {f"{key}_embedding": count for key, count in features.items() if count}
    for name, count in used.items():
        key = name.removesuffix("_embedding")
        have = found[name].shape[-1] if name in found else "none"
        if have != count:
            raise ValueError(
                f"expected {count} features of {key} in {path}; got {have}. Correct model.{key}_features, or compute them anew"
            )
    return {name: found[name] for name in used}


def read_embeddings(path: str | Path, sequence: str) -> dict[str, np.ndarray]:
    """Embeddings of the protein of this sequence that were computed elsewhere, float32, by the names that `ResidueGraph` has for them.

    Args:
        path: npz file with `sequence` (a string) and `single` [residues, features], `pair` [residues, residues, features] or both.

    Returns:
        `single_embedding` and `pair_embedding`, as far as the file has them.

    Raises:
        ValueError: not such a file, one of another sequence, or values of another shape, not float or not finite.
    """
    arrays = _arrays(path)
    _check_sequence(path, str(arrays["sequence"]), sequence)
    length = len(sequence)
    found = {}
    for key, leading in (("single", (length,)), ("pair", (length, length))):
        if key not in arrays:
            continue
        values = arrays[key]
        if values.shape[:-1] != leading or not np.issubdtype(values.dtype, np.floating):
            shape = ", ".join(map(str, leading))
            raise ValueError(
                f"expected {key} [{shape}, features] of floats in {path}; got {list(values.shape)} of {values.dtype}. Write it anew"
            )
        if not np.isfinite(values).all():
            raise ValueError(
                f"expected finite values of {key} in {path}; got NaN or infinity. Compute them anew"
            )
        found[f"{key}_embedding"] = values.astype(np.float32)
    return found


def _arrays(path: str | Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"expected an npz file; got {path}, which cannot be read ({error}). Write it by numpy.savez"
        ) from error
    if "sequence" not in arrays or not {"single", "pair"} & arrays.keys():
        raise ValueError(
            f"expected sequence, and single or pair, in {path}; got {', '.join(arrays) or 'nothing'}. Add what is missing"
        )
    return arrays


def _check_sequence(path: str | Path, found: str, expected: str) -> None:
    if found == expected:
        return
    pairs = enumerate(zip(found, expected, strict=False), start=1)
    place = next((k for k, (a, b) in pairs if a != b), min(len(found), len(expected)) + 1)
    shown = [text[max(place - 4, 0) : place + 3] or "its end" for text in (expected, found)]
    raise ValueError(
        f"expected the {len(expected)} residues of this protein in {path}; got {len(found)} that first differ at {place}"
        f" ({shown[0]} expected, {shown[1]} there). Embed the sequence of residues with coordinates"
    )
