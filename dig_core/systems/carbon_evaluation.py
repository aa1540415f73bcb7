"""Drawn crystals beside known ones: metrics of one target, and what its figure shows.

References are prototypes, each by its first crystal and weighted by how many it has. Every number stands beside that of real training crystals
which are not the first of their prototype (noise floor: what copies of the training data would reach), of training crystals whose atoms are displaced, and of random cells of the right density.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from pymatgen.core import Composition, Lattice, Structure
from scipy.stats import wasserstein_distance

from dig_core.crystals import crystals_of, primitive
from dig_core.evaluation.matching import TOLERANCES, Bonding, bonding, matcher, matches, prototypes

Arrays = Mapping[str, np.ndarray]
SAMPLES, FLOOR, DISPLACED, RANDOM = "", "_noise_floor", "_baseline_displaced", "_baseline_random_cells"


@dataclass(frozen=True)
class Known:
    """Crystals that a cell of the same atoms can hold.

    Args:
        training: those of just these atoms that the network was shown.
        repeated: those of them that are not the first of their prototype.
        references: of every prototype whose primitive cell divides them, the first crystal.
        counts: how many crystals each has, of any size.
        unseen: which prototypes the network was not shown.
    """

    training: Sequence[Structure]
    repeated: Sequence[Structure]
    references: Sequence[Structure]
    counts: Float[np.ndarray, " prototypes"]
    unseen: Bool[np.ndarray, " prototypes"]


def known_crystals(arrays: Arrays, atoms: Mapping[str, int]) -> Known:
    """Those of a study that a cell of so many atoms of each element can hold.

    Raises:
        ValueError: none of just these atoms trains the network.
    """
    structures, held_out = crystals_of(arrays).structures(), arrays["held_out"]
    own = [k for k, crystal in enumerate(structures) if crystal.composition == Composition(atoms)]
    training = [structures[k] for k in own if not held_out[k]]
    if not training:
        raise ValueError(
            f"expected crystals of {Composition(atoms).formula} that train the network; got none. Ask for other atoms, or add such crystals"
        )
    _, first, counts = np.unique(arrays["prototypes"], return_index=True, return_counts=True)
    fits = np.array([_divides(structures[k], Composition(atoms)) for k in first])
    references = [structures[k] for k in first[fits]]
    repeated = [structures[k] for k in own if k not in first and not held_out[k]]
    return Known(training, repeated, references, counts[fits].astype(float), held_out[first[fits]])


def _divides(crystal: Structure, whole: Composition) -> bool:
    """Whether a cell of these atoms can hold the crystal: a whole number of its primitive cells."""
    smallest = primitive(crystal)
    return smallest is not None and smallest.composition * (whole.num_atoms // len(smallest)) == whole


def evaluate(
    samples: Arrays, crystals: Arrays, atoms: Mapping[str, int], settings: Mapping[str, Any]
) -> tuple[dict[str, float | int], dict[str, np.ndarray]]:
    """Metrics (one level, units in the keys), and arrays of all series for the figure."""
    known, generator = known_crystals(crystals, atoms), np.random.default_rng(settings["seed"])
    drawn = crystals_of(samples).structures()
    series = {
        SAMPLES: drawn,
        FLOOR: known.repeated,
        DISPLACED: displaced(known.training, len(drawn), settings["noise_angstrom"], generator),
        RANDOM: random_cells(known.training, len(drawn), generator),
    }
    metrics: dict[str, float | int] = {"samples": len(drawn), "training_crystals": len(known.training)}
    arrays: dict[str, np.ndarray] = {}
    for ending, structures in series.items():
        if structures:
            values, own = _compared(structures, known)
            metrics |= {f"{name}{ending}": value for name, value in values.items()}
            arrays |= {f"{(ending or '_samples')[1:]}.{name}": value for name, value in own.items()}
    training = _geometry(known.training, bonding(known.training))
    arrays |= {f"training.{name}": value for name, value in training.items()}
    return metrics | _distinct(drawn), arrays


def _compared(
    structures: Sequence[Structure], known: Known
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """How many match a known prototype, which of them are found, and how atoms are bonded."""
    values, bonds = {}, bonding(structures)
    for ending, tolerances in TOLERANCES.items():
        found = matches(structures, known.references, matcher(tolerances))
        values[f"match_rate{ending}"] = float(found.found.mean())
        if found.found.any():
            values[f"match_rms{ending}"] = float(np.nanmean(found.rms))
        for name, chosen in (("trained", ~known.unseen), ("held_out", known.unseen)):
            if chosen.any():
                values[f"recall_{name}{ending}"] = found.recall(known.counts * chosen)
        if not ending:
            rms, nearest = found.rms, found.reference
    values["valid_fraction"] = float(bonds.valid.mean())
    values["short_fraction"] = float((bonds.shortest_angstrom < 1.2).mean())
    geometry = _geometry(structures, bonds)
    training = _geometry(known.training, bonding(known.training))
    for name in ("density_g_per_cm3", "fourfold_share"):
        values[f"{name}_wasserstein"] = float(wasserstein_distance(geometry[name], training[name]))
    return values, geometry | {"match_rms": rms, "nearest": nearest}


def _geometry(structures: Sequence[Structure], bonds: Bonding) -> dict[str, np.ndarray]:
    return {
        "density_g_per_cm3": np.array([own.density for own in structures]),
        "fourfold_share": bonds.fourfold_share,
        "shortest_angstrom": bonds.shortest_angstrom,
    }


def _distinct(structures: Sequence[Structure]) -> dict[str, float]:
    """The share of samples that are the first of their prototype."""
    return {"unique_fraction": len(np.unique(prototypes(structures, matcher()))) / len(structures)}


def displaced(
    crystals: Sequence[Structure], count: int, noise_angstrom: float, generator: np.random.Generator
) -> list[Structure]:
    """So many of the crystals, by lot, with normal displacements of all atoms in every direction."""
    chosen = [crystals[k].copy() for k in generator.integers(len(crystals), size=count)]
    for own in chosen:
        for site in range(len(own)):
            step = generator.normal(scale=noise_angstrom, size=3)
            own.translate_sites([site], step, frac_coords=False)
    return chosen


def random_cells(
    crystals: Sequence[Structure], count: int, generator: np.random.Generator
) -> list[Structure]:
    """Cells of the crystals, by lot, with atoms anywhere in them: random structures of the right density and cell."""
    chosen = [crystals[k] for k in generator.integers(len(crystals), size=count)]
    return [
        Structure(Lattice(own.lattice.matrix), own.species, generator.random((len(own), 3))) for own in chosen
    ]
