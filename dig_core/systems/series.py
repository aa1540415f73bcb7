"""Structures as an evaluation sees them: torsions, points in a plane, weights, energies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dig_core.data.features import descriptor_hash
from dig_core.evaluation import statistics
from dig_core.evaluation.tica import SlowCoordinates, fit_tica
from dig_core.evaluation.tight_reference import TightReference, tight_reference_of
from dig_core.evaluation.torsions import graph_torsions, torsion_angles
from dig_core.files import load_arrays

BLOCKS = 20
Arrays = Mapping[str, np.ndarray]
Energy = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Sources:
    """The arrays of all files that are compared (`results/README.md` lists them); None where there is none.

    `training` has the keys of `reference`, those of the dataset without the target's name. `samples` has
    `potential_energy_kJ_per_mol` where energies are wanted; `relaxed` are the same structures after their relaxation, `exploration` the weighted
    structures of the pre-training, `trained_frames` those that the network was trained on where these are only some of `training`.
    """

    molecule: Arrays
    samples: Arrays
    training: Arrays
    reference: Arrays
    competitor: Arrays | None = None
    tight_reference: TightReference | None = None
    relaxed: Arrays | None = None
    exploration: Arrays | None = None
    trained_frames: Arrays | None = None


def read_sources(
    files: Mapping[str, Any], target: str, temperature_K: float, energy: Energy | None
) -> Sources:
    """Read what is compared, and add energies where there is an energy function.

    Args:
        files: paths by name: those of `Sources`, with `dataset` for the training frames of all targets. Optional ones may be
            empty; `tight_reference` is a list.

    Raises FileNotFoundError or ValueError in one line for a missing or damaged file.
    """
    molecule = load_arrays(files["molecule"])
    training = of_target(load_arrays(files["dataset"]), target)
    frames = {"samples": load_arrays(files["samples"]), "training": training}
    frames["reference"] = load_arrays(files["reference"])
    optional = {name: files[name] for name in ("competitor", "relaxed", "exploration") if files[name]}
    tight = None
    if files["tight_reference"]:
        tight = tight_reference_of(*files["tight_reference"], descriptor_hash(molecule), temperature_K)
    return Sources(
        molecule,
        **{name: with_energies(arrays, energy) for name, arrays in frames.items()},
        **{name: load_arrays(path) for name, path in optional.items()},
        tight_reference=tight,
    )


@dataclass(frozen=True)
class Coordinates:
    """The plane of the landscape: phi/psi of the only residue that has both, otherwise slow coordinates.

    `torsion_atoms` [k, 4] are the backbone's torsions (phi, psi, phi, ...), or those of the bond graph where
    there is no backbone; `slow` is fitted to them on the training replica.
    """

    torsion_atoms: Int[np.ndarray, "torsions 4"]
    is_torsion_plane: bool
    slow: SlowCoordinates

    def planes(self, torsions: Float[np.ndarray, "frames torsions"]) -> dict[str, np.ndarray]:
        """Points [frames, 2] in each plane by the suffix of its keys: the landscape's own has none."""
        slow = self.slow.project(torsions)
        return {"": torsions, "_tica": slow} if self.is_torsion_plane else {"": slow}


@dataclass(frozen=True)
class Series:
    """Structures of one source: torsions (radians), weights (sum 1), points by plane, energies in kJ/mol.

    `correlated` frames follow one another in time.
    """

    torsions: Float[np.ndarray, "frames torsions"]
    weights: Float[np.ndarray, "frames"]
    planes: Mapping[str, Float[np.ndarray, "frames 2"]]
    energies: Float[np.ndarray, "frames"] | None
    correlated: bool

    @property
    def block(self) -> int:
        """Frames that are resampled together."""
        return max(1, len(self.weights) // BLOCKS) if self.correlated else 1


def coordinates(molecule: Arrays, training: Arrays, tica_lag_ps: float) -> Coordinates:
    """Torsions of the molecule and the slow coordinates of the training frames.

    Raises ValueError when the molecule has no torsion, or the frames are too few for the lag.
    """
    backbone = molecule["backbone_torsions"].reshape(-1, 4)
    atoms = backbone if len(backbone) else graph_torsions(molecule["bonds"], molecule["atomic_numbers"])
    if len(atoms) == 0:
        raise ValueError("expected a molecule with a torsion; got one without. Nothing can be compared here")
    torsions = torsion_angles(training["positions_angstrom"], atoms)
    lag_frames = max(1, round(tica_lag_ps / float(training["frame_interval_ps"])))
    slow = fit_tica(torsions, lag_frames, training["weights"])
    return Coordinates(atoms, len(backbone) == 2, slow)


def series(arrays: Arrays, plane: Coordinates, correlated: bool) -> Series:
    """Prepare structures for scoring; equal weights where there are none."""
    torsions = torsion_angles(arrays["positions_angstrom"], plane.torsion_atoms)
    weights = statistics.normalized_weights(len(torsions), arrays.get("weights"))
    energies = arrays.get("potential_energy_kJ_per_mol")
    return Series(torsions, weights, plane.planes(torsions), energies, correlated)


def all_series(sources: Sources, plane: Coordinates) -> dict[str, Series]:
    """The series `samples, training, reference` and, where there are any, `competitor`, `relaxed` and `exploration`."""
    found = {"samples": series(sources.samples, plane, correlated=False)}
    for name in ("training", "reference", "competitor"):
        arrays = getattr(sources, name)
        if arrays is not None:
            found[name] = series(arrays, plane, correlated=True)
    if sources.relaxed is not None:
        found["relaxed"] = series(sources.relaxed, plane, correlated=False)
    if sources.exploration is not None:
        found["exploration"] = series(sources.exploration, plane, correlated=True)
    return found


def of_target(dataset: Arrays, target: str) -> dict[str, np.ndarray]:
    """The arrays of one target in a dataset, without the target's name. Raises ValueError where it has none."""
    found = {k.removeprefix(f"{target}."): v for k, v in dataset.items() if k.startswith(f"{target}.")}
    if "positions_angstrom" not in found:
        raise ValueError(f"expected frames of {target} in the dataset; got none. Make the dataset again")
    return found


def with_energies(samples: Arrays, energy: Energy | None) -> dict[str, np.ndarray]:
    """Structures with `potential_energy_kJ_per_mol`, infinite where positions are not finite.

    Energies that the arrays have are kept; no energy function: they are left out.
    """
    arrays = {key: value for key, value in samples.items() if key != "potential_energy_kJ_per_mol"}
    if energy is None or len(arrays) < len(samples):
        return arrays if energy is None else dict(samples)
    finite = np.isfinite(samples["positions_angstrom"]).all(axis=(1, 2))
    values = np.full(len(finite), np.inf)
    if finite.any():
        values[finite] = energy(samples["positions_angstrom"][finite])[0]
    return arrays | {"potential_energy_kJ_per_mol": values}
