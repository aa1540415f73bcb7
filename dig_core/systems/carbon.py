"""Kind `carbon`: crystals of any elements; fractional coordinates on the torus, and a symmetric lattice.

Here the parts meet: files and reduced cells, process and network.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from pymatgen.core import Structure
from torch import nn

from dig_core.crystals import Crystals, crystals_of
from dig_core.data.crystal_files import read_crystals, rows
from dig_core.evaluation.matching import held_out_prototypes, matcher, matches, prototypes
from dig_core.systems.carbon_denoising import denoising_loss
from dig_core.systems.carbon_model import network, trained_model
from dig_core.systems.carbon_predictor import predictor_likelihood, predictor_of, told
from dig_core.systems.carbon_property import (
    network_likelihood,
    predicted,
    property_units,
    towards,
    trained_property,
)

# What a kind of system offers to the jobs; see dig_core.systems.
__all__ = [
    "accelerated", "denoising_loss", "network", "network_likelihood", "predicted", "predictor_likelihood", "predictor_of", "prepared", "property_units", "tabulated", "told", "towards", "trained_model", "trained_property",
]  # fmt: skip


def accelerated(model: nn.Module, settings: Mapping[str, Any]) -> nn.Module:
    """The network as it is: small crystals gain nothing from lower precision."""
    return model


def prepared(
    files: Sequence[str | Path],
    data: Mapping[str, Any],
    column: str | None = None,
    table: str | Path | None = None,
) -> dict[str, np.ndarray]:
    """All crystals of the files in reduced cells, with their prototypes, which of them are held out, and a property, if asked.

    Crystals that match one which is held out do not train: matching is not transitive, and prototypes may touch.

    Args:
        data: settings `data` of a study.
        column: the property: a column of the tables in `files`, or of another `table`, whose other column these have as well.

    Returns:
        The arrays of `Crystals`, `prototypes` [crystals], `held_out` [crystals], `weights` [crystals], which are equal, and `places`
        [crystals] among all in the files; with a `column`, `property` [crystals], NaN where a crystal has no number there.

    Raises:
        ValueError: a crystal that is none, or of other elements; none with few enough atoms; one prototype alone.
    """
    found = read_crystals(files, data["elements"])
    whole = [structure for structure in found if len(structure) <= data["largest_atoms"]]
    if not whole:
        raise ValueError(
            f"expected crystals of at most {data['largest_atoms']} atoms; got {len(found)} larger ones. Raise data.largest_atoms"
        )
    numbers = prototypes(whole, matcher())
    held_out = held_out_prototypes(numbers, data["held_out_share"], data["seed"])
    kept = _apart(whole, held_out)
    print(
        f"{len(found)} crystals: {len(found) - len(whole)} have more atoms than data.largest_atoms; of {numbers.max() + 1} prototypes"
        f" {len(np.unique(numbers[held_out]))} with {held_out.sum()} crystals are held out; {(~kept).sum()} others match these and are left out",
        flush=True,
    )
    crystals = Crystals.of(whole).chosen(kept)
    print(_units(crystals.chosen(~held_out[kept])), flush=True)
    places = np.flatnonzero([len(structure) <= data["largest_atoms"] for structure in found])
    parts = {
        "prototypes": numbers[kept],
        "held_out": held_out[kept],
        "weights": np.ones(kept.sum()),
        "places": places[kept],
    }
    if column:
        values = _of_table(whole, column, table) if table else [own.properties.get(column) for own in whole]
        parts["property"] = _property(values, column)[kept]
    return vars(crystals) | parts


def training_part(crystals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of `prepared` that train networks: those of crystals that are not held out, without what tells which these are."""
    trained = ~crystals["held_out"]
    each = {name: crystals[name][trained] for name in ("weights", "property") if name in crystals}
    return vars(crystals_of(crystals).chosen(trained)) | each


def tabulated(files: Sequence[str | Path], crystals: Mapping[str, np.ndarray], column: str) -> pd.DataFrame:
    """The rows of the files of a study with the property of its crystals, empty where nothing is known.

    Args:
        crystals: arrays of `prepared`, with `property`.
    """
    table = rows(files)
    table[column] = np.nan
    table.loc[crystals["places"], column] = crystals["property"]
    return table


def _of_table(crystals: Sequence[Structure], column: str, file: str | Path) -> list[Any]:
    """Values of a table that tells crystals apart by its other column."""
    table = pd.read_csv(file)
    others = [name for name in table if name != column]
    if column not in table or len(others) != 1:
        raise ValueError(
            f"expected {column} and one more column in {file}, by which crystals are told apart; got {', '.join(table)}. Write two columns"
        )
    values = dict(zip(table[others[0]], table[column], strict=True))
    return [values.get(own.properties.get(others[0])) for own in crystals]


def _property(found: Sequence[Any], column: str) -> Float[np.ndarray, " crystals"]:
    if words := [value for value in found if isinstance(value, str)]:
        raise ValueError(
            f"expected numbers in the column {column!r} of data.files; got {words[0]!r}. Correct it, or leave it empty where nothing is known"
        )
    values = np.array(found, dtype=float)
    if not np.isfinite(values).any():
        raise ValueError(
            f"expected the column {column!r} in a table of data.files, with numbers; got none. Write it, compute it (property.labels.known), or leave out `property:`"
        )
    tell_usual_values(column, values)
    return values


def tell_usual_values(column: str, values: Float[np.ndarray, " crystals"]) -> None:
    """Print how many are known, and what the settings `property` ask for: their mean and standard deviation."""
    own = values[np.isfinite(values)]
    usual = f", mean {own.mean():.3g}, standard deviation {own.std():.2g}" if len(own) else ""
    print(f"{column}: {len(own)} of {len(values)} crystals{usual}", flush=True)


def _apart(
    crystals: Sequence[Structure], held_out: Bool[np.ndarray, " crystals"]
) -> Bool[np.ndarray, " crystals"]:
    """Those that are held out, and those that match none of them."""
    unseen = [crystals[k] for k in np.flatnonzero(held_out)]
    kept = held_out.copy()
    kept[~held_out] = ~matches([crystals[k] for k in np.flatnonzero(~held_out)], unseen, matcher()).found
    return kept


def _units(crystals: Crystals) -> str:
    """Volume per atom (geometric mean) and spread of ln(cell), of the crystals that train: what the settings `model` ask for."""
    lengths, _ = np.linalg.eigh(crystals.lattices_angstrom)
    volume = np.exp(np.mean(np.log(lengths).sum(axis=1) - np.log(crystals.counts)))
    shapes = np.log(lengths) - np.log(crystals.counts * volume)[:, None] / 3
    spread = np.sqrt(
        np.square(shapes).sum(axis=1).mean() / 6
    )  # of a symmetric matrix: its norm is that of its eigenvalues
    return f"volume_per_atom_angstrom3: {volume:.3g}, lattice_spread: {spread:.2g}"
