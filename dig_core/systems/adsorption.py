"""Kind `adsorption`: an atom or a molecule of two on the surface of a metal or alloy; the slab is cut, brought to rest, and then stays as it is.

Here the parts meet: surfaces and energies, process and network.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from jaxtyping import Float
from torch import nn

from dig_core.data.energy_maps import FINER, EnergyMap
from dig_core.data.slab_files import read_slab
from dig_core.data.surfaces import crystal, slab
from dig_core.energies.ase import calculator
from dig_core.energies.bulk import scale_at_rest
from dig_core.energies.slab_relaxation import slab_at_rest
from dig_core.runtime import fingerprint
from dig_core.systems.adsorption_denoising import denoising_loss
from dig_core.systems.adsorption_density import density_map
from dig_core.systems.adsorption_model import network, slab_of, trained_model
from dig_core.units import thermal_energy_eV

# What a kind of system offers to the jobs; see dig_core.systems.
__all__ = [
    "SURFACE", "accelerated", "build", "denoising_loss", "density_map", "descriptor_hash", "network", "prepared", "slab_of", "surface_part", "trained_model", "with_adsorbates",
]  # fmt: skip

Arrays = Mapping[str, np.ndarray]
SURFACE = ("slab_angstrom", "slab_numbers", "layers", "lattice_angstrom", "adsorbed_numbers")


def accelerated(model: nn.Module, settings: Mapping[str, Any]) -> nn.Module:
    """The network as it is: few atoms move, and gain nothing from lower precision."""
    return model


def build(target: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The slab of a target at rest, and what is adsorbed.

    Returns:
        `slab_angstrom` [slab, 3], `slab_numbers`, `layers` [slab] (1: the uppermost), `lattice_angstrom` [3, 3], `adsorbed_numbers` [atoms] (the binding one first).
    """
    potential = calculator(data["calculator"], {})
    clean = slab_at_rest(
        _slab(target, potential), potential, data["fixed_layers"], data["force_eV_per_angstrom"], data["steps"],
    )  # fmt: skip
    return {
        "slab_angstrom": clean.positions,
        "slab_numbers": clean.numbers,
        "layers": clean.get_tags(),
        "lattice_angstrom": np.array(clean.cell),
        "adsorbed_numbers": Atoms(target["adsorbate"]).numbers,
    }


def surface_part(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of a bundled file what `build` returns."""
    return {name: arrays[name] for name in SURFACE}


def _slab(target: Mapping[str, Any], potential: BaseCalculator) -> Atoms:
    if target["slab"]:
        return read_slab(target["slab"])
    surface = {key: value for key, value in target["surface"].items() if value is not None}
    if "lattice_angstrom" not in surface:
        surface["lattice_angstrom"] = scale_at_rest(crystal(surface | {"lattice_angstrom": 1.0}), potential)
        print(f"lattice_angstrom: {surface['lattice_angstrom']:.3f}", flush=True)
    return slab(surface)


def with_adsorbates(
    arrays: Mapping[str, np.ndarray], positions: Float[np.ndarray, "samples atoms 3"]
) -> list[Atoms]:
    """The slab with each of the adsorbates (positions in Angstrom)."""
    slab = slab_of(arrays)
    return [slab + Atoms(arrays["adsorbed_numbers"], own) for own in positions]


def descriptor_hash(arrays: Mapping[str, np.ndarray]) -> str:
    """Identifies a surface and what is adsorbed on it."""
    names = ("slab_numbers", "adsorbed_numbers", "slab_angstrom", "lattice_angstrom")
    return fingerprint(*(np.round(arrays[name], 3).tobytes() for name in names))


def prepared(
    molecules: Mapping[str, Arrays], energies: Mapping[str, Arrays], settings: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Structures of every target by their Boltzmann weight; prints the numbers that the settings `model` ask for.

    Args:
        molecules, energies: arrays of `build` and of the map, by target.
        settings: `temperature_K`, `structures` (of each target) and `seed`.

    Returns:
        `{target}.positions_angstrom` [structures, atoms, 3] and `{target}.weights`, which are equal.
    """
    kT, count = thermal_energy_eV(settings["temperature_K"]), settings["structures"]
    dataset, heights = {}, []
    for number, (name, arrays) in enumerate(molecules.items()):
        generator = np.random.default_rng([settings["seed"], number])
        drawn = EnergyMap.of(energies[name]).finer(FINER).drawn(count, kT, generator)
        heights.append(drawn[..., 2].ravel())
        above = drawn + np.array([0.0, 0.0, arrays["slab_angstrom"][:, 2].max()])
        dataset |= {f"{name}.positions_angstrom": above, f"{name}.weights": np.ones(count)}
    mean, spread = np.mean(np.concatenate(heights)), np.std(np.concatenate(heights))
    print(f"height_mean_angstrom: {mean:.3g}, height_spread_angstrom: {spread:.2g}", flush=True)
    return dataset
