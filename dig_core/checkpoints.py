"""Trained weights on disk with what explains them, and the history of their training. Tensors and plain values, never code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas
import torch
from torch import Tensor, nn

from dig_core.files import atomic

HISTORY = ["step", "training_loss", "validation_loss", "learning_rate"]


def save_checkpoint(path: Path, weights: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Write the averaged weights with what explains them: `settings`, `molecules`, `scale_angstrom`, `provenance`.

    The description goes through JSON, so that nothing but plain values can be in it.
    """
    content = {
        "weights": {name: value.cpu() for name, value in weights.items()},
        "description": json.dumps(description),
    }
    with atomic(path) as temporary:
        torch.save(content, temporary)


def load_checkpoint(path: Path, kind: str) -> dict[str, Any]:
    """Read a checkpoint: `weights` and the entries of its description.

    Raises:
        FileNotFoundError, ValueError: as `read_tensors`, and for a checkpoint of another kind of system.
    """
    content = read_tensors(path)
    if not isinstance(content, dict) or "description" not in content:
        raise ValueError(
            f"expected a checkpoint of this project; got {path}, which holds something else. Check the path"
        )
    description = json.loads(content["description"])
    if description["kind"] != kind:
        raise ValueError(
            f"expected a checkpoint of kind {kind}; got one of kind {description['kind']}: {path}. Check the path"
        )
    return description | {"weights": content["weights"]}


def load_weights(network: nn.Module, checkpoint: Mapping[str, Any]) -> None:
    """Give a network the weights of a checkpoint.

    Raises:
        ValueError: they are those of a network of other sizes.
    """
    try:
        network.load_state_dict(checkpoint["weights"])
    except RuntimeError as error:  # a page of names and shapes
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"expected weights of the network under `model:`; got those of another one ({reason} ...). Write the model of the study"
            " that the training starts from, or train that study again"
        ) from error


def save_history(path: str | Path, history: list[dict[str, float | int]]) -> None:
    """Write the history as CSV, a row per report."""
    with atomic(path) as temporary:
        pandas.DataFrame(history, columns=HISTORY).to_csv(temporary, index=False)


def read_tensors(path: Path) -> dict[str, Any]:
    """Read what torch.save wrote: tensors and plain values, never code.

    Raises:
        FileNotFoundError: no such file.
        ValueError: truncated, damaged, or more than tensors and plain values in it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"expected the file {path}; found none. Train the model first")
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises a dozen types for a damaged file
        raise ValueError(
            f"expected a whole checkpoint; got a truncated or damaged one: {path}. Delete it and train again"
        ) from error
