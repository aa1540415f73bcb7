"""Drawn crystals beside known ones: metrics of one target, and what its figure shows.

References are prototypes, each by its first crystal and weighted by how many it has. Every number stands beside that of as many real crystals
that train the network (noise floor: a crystal is not compared with itself, so that one without its like matches nothing), of such crystals with
displaced atoms, and of random cells of the right density; and again without crystals of ideal bonds (diamond, graphite and their stackings), `_other`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from pymatgen.core import Composition, Lattice, Structure
from scipy.stats import wasserstein_distance

from dig_core.crystals import crystals_of, primitive
from dig_core.evaluation.ideal_bonds import ideal_bonds
from dig_core.evaluation.matching import (
    TOLERANCES,
    Bonding,
    Bonds,
    Matches,
    bonding,
    matcher,
    matches,
    prototypes,
)
from dig_core.evaluation.phases import phase_shares
from dig_core.evaluation.rings import six_ring_share

Arrays = Mapping[str, np.ndarray]
Metrics = dict[str, float | int]
SAMPLES, FLOOR, DISPLACED, RANDOM = "", "_noise_floor", "_baseline_displaced", "_baseline_random_cells"
DISTRIBUTIONS = ("density_g_per_cm3", "most_bonded_share", "six_ring_share")


@dataclass(frozen=True)
class Known:
    """Crystals that a cell of the same atoms can hold.

    Args:
        training: those of just these atoms that the network was shown.
        itself: which reference each of these is; -1 for none.
        references: of every prototype whose primitive cell divides them, the first crystal.
        places: which crystals of the study these are.
        counts: how many crystals each has, of any size.
        unseen: which prototypes the network was not shown.
        ideal: which have ideal bonds.
    """

    training: Sequence[Structure]
    itself: Int[np.ndarray, " crystals"]
    references: Sequence[Structure]
    places: Int[np.ndarray, " prototypes"]
    counts: Float[np.ndarray, " prototypes"]
    unseen: Bool[np.ndarray, " prototypes"]
    ideal: Bool[np.ndarray, " prototypes"]


def known_crystals(arrays: Arrays, atoms: Mapping[str, int], within_angstrom: float) -> Known:
    """Those of a study that a cell of so many atoms of each element can hold; neighbours are bonded within a distance."""
    structures, held_out, whole = crystals_of(arrays).structures(), arrays["held_out"], Composition(atoms)
    _, first, counts = np.unique(arrays["prototypes"], return_index=True, return_counts=True)
    fits = np.array([_divides(structures[k], whole) for k in first])
    shown = [k for k, crystal in enumerate(structures) if crystal.composition == whole and not held_out[k]]
    places = {k: place for place, k in enumerate(first[fits])}
    references = [structures[k] for k in first[fits]]
    return Known(
        [structures[k] for k in shown],
        np.array([places.get(k, -1) for k in shown], dtype=int),
        references,
        first[fits],
        counts[fits].astype(float),
        held_out[first[fits]],
        ideal_bonds(references, within_angstrom),
    )


def _divides(crystal: Structure, whole: Composition) -> bool:
    """Whether a cell of these atoms can hold the crystal: a whole number of its primitive cells."""
    smallest = primitive(crystal)
    return smallest is not None and smallest.composition * (whole.num_atoms // len(smallest)) == whole


def evaluate(
    samples: Arrays,
    crystals: Arrays,
    atoms: Mapping[str, int],
    settings: Mapping[str, Any],
    phases: Sequence[Structure] = (),
) -> tuple[Metrics, dict[str, np.ndarray]]:
    """Metrics (one level, units in the keys), and arrays of all series for the figure; `samples.references` are the crystals of the study that `samples.nearest` counts.

    Without crystals of just these atoms there are neither baselines nor distances of distributions. Named `phases` are counted: `phase_shares`.
    """
    bonds = Bonds(**{name: settings[name] for name in Bonds.__dataclass_fields__})
    known = known_crystals(crystals, atoms, bonds.within_angstrom)
    drawn = crystals_of(samples).structures()
    real = _geometry(bonding(known.training, bonds), known.training, bonds.within_angstrom)
    metrics: Metrics = {"samples": len(drawn), "training_crystals": len(known.training)}
    arrays = {f"training.{name}": values for name, values in real.items()}
    for ending, (structures, itself) in _series(drawn, known, settings).items():
        bonded = bonding(structures, bonds)
        geometry = _geometry(bonded, structures, bonds.within_angstrom)
        values = {"valid_fraction": bonded.valid.mean(), "short_fraction": bonded.close.mean()}
        if known.training:
            values |= {f"{k}_wasserstein": wasserstein_distance(geometry[k], real[k]) for k in DISTRIBUTIONS}
        matched, nearest = _matched(structures, known, itself, bonds.within_angstrom)
        values["novel_fraction"] = (bonded.valid & (nearest["nearest"] < 0)).mean()
        metrics |= phase_shares(structures, phases, ending)
        metrics |= {f"{name}{ending}": float(value) for name, value in (matched | values).items()}
        arrays |= {f"{(ending or '_samples')[1:]}.{name}": own for name, own in (geometry | nearest).items()}
    return metrics | _distinct(drawn), arrays | {"samples.references": known.places}


def _series(
    drawn: Sequence[Structure], known: Known, settings: Mapping[str, Any]
) -> dict[str, tuple[Sequence[Structure], Int[np.ndarray, " samples"]]]:
    """What is compared, by the ending of its keys, and which reference each structure itself is; -1 for none."""
    count, generator = len(drawn), np.random.default_rng(settings["seed"])
    none = np.full(count, -1)
    series = {SAMPLES: (drawn, none)}
    if known.training:
        chosen = generator.integers(len(known.training), size=count)
        series[FLOOR] = [known.training[k] for k in chosen], known.itself[chosen]
        series[DISPLACED] = displaced(known.training, count, settings["noise_angstrom"], generator), none
        series[RANDOM] = random_cells(known.training, count, generator), none
    return series


def _matched(
    structures: Sequence[Structure],
    known: Known,
    itself: Int[np.ndarray, " samples"],
    within_angstrom: float,
) -> tuple[Metrics, dict[str, np.ndarray]]:
    """How many match a known prototype at both tolerances, and which prototypes are found; the same without crystals of ideal bonds.

    Which samples these are is told, at the usual tolerances, by the prototype that a sample is nearest to; by its own bonds where it matches none.
    """
    usual, drawn = known.ideal, ideal_bonds(structures, within_angstrom)
    values: Metrics = {}
    for ending, tolerances in TOLERANCES.items():
        found = matches(structures, known.references, matcher(tolerances))
        found.distances[np.flatnonzero(itself >= 0), itself[itself >= 0]] = np.inf
        if not ending:
            nearest = {"match_rms": found.rms, "nearest": found.reference}
            drawn = np.where(found.found, np.append(usual, False)[found.reference], drawn)
        values |= _shares(found, known.counts, known.unseen, ending)
        rest = Matches(found.distances[np.ix_(~drawn, ~usual)])
        values |= _shares(rest, known.counts[~usual], known.unseen[~usual], f"{ending}_other")
    return values | {"other_fraction": 1.0 - drawn.mean()}, nearest


def _shares(
    found: Matches, counts: Float[np.ndarray, " _"], unseen: Bool[np.ndarray, " _"], ending: str
) -> Metrics:
    values: Metrics = {f"match_rate{ending}": float(found.found.mean())} if len(found.found) else {}
    if found.found.any():
        values[f"match_rms{ending}"] = float(np.nanmean(found.rms))
    for name, chosen in (("trained", ~unseen), ("held_out", unseen)):
        if chosen.any():
            values[f"recall_{name}{ending}"] = found.recall(counts * chosen)
    return values


def _geometry(
    bonded: Bonding, structures: Sequence[Structure], within_angstrom: float
) -> dict[str, np.ndarray]:
    return {
        "density_g_per_cm3": np.array([float(own.density) for own in structures]),
        "most_bonded_share": bonded.most_bonded_share,
        "shortest_angstrom": bonded.shortest_angstrom,
        "six_ring_share": np.array([six_ring_share(own, within_angstrom) for own in structures]),
    }


def _distinct(structures: Sequence[Structure]) -> Metrics:
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
