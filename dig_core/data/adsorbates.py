"""Small molecules that are adsorbed, and slabs with one on them."""

from collections.abc import Mapping

import ase.build
import numpy as np
from ase import Atoms
from jaxtyping import Float
from pymatgen.analysis.adsorption import AdsorbateSiteFinder
from pymatgen.io.ase import AseAtomsAdaptor

from dig_core.data.surface_settings import expect_known

# The atom that binds, a molecule of the G2 set (geometries at MP2(full)/6-31G(d): Curtiss et al., J. Chem. Phys. 106, 1063
# (1997)), and how many of its hydrogens the surface replaces: CH3 is methane without the one that would point down.
ADSORBATES: Mapping[str, tuple[str, str, int]] = {
    "H": ("H", "H", 0),
    "C": ("C", "C", 0),
    "N": ("N", "N", 0),
    "O": ("O", "O", 0),
    "CO": ("C", "CO", 0),
    "CH": ("C", "CH4", 3),
    "CH2": ("C", "CH4", 2),
    "CH3": ("C", "CH4", 1),
    "NH": ("N", "NH", 0),
    "NH2": ("N", "NH2", 0),
    "OH": ("O", "H2O", 1),
}


def adsorbate(name: str) -> Atoms:
    """One of ADSORBATES, ready to stand on a surface: the atom that binds is the first, at the origin, others are above.

    `info["bonds"]` holds its bonds as pairs of atoms. CO and NH are upright. CH, CH2 and CH3 are methane and OH is water with
    the surface in place of missing hydrogens, so OH is tilted by 76 degrees: an upright one would stay so in a relaxation.

    Raises:
        ValueError: there is none of that name.
    """
    expect_known(name, ADSORBATES, "an adsorbate")
    binding, whole, replaced = ADSORBATES[name]
    molecule = ase.build.molecule(whole)
    first = molecule.symbols.search(binding)[0]
    others = [atom.index for atom in molecule if atom.index != first]
    around = molecule.positions[others] - molecule.positions[first]
    kept = around[replaced:]
    found = Atoms(
        [binding, *molecule.symbols[others[replaced:]]], [np.zeros(3), *kept], tags=[0] * (1 + len(kept))
    )
    if others:
        found.rotate(around[:replaced].sum(axis=0) if replaced else -kept.sum(axis=0), "-z")
    found.info["bonds"] = [(0, other) for other in range(1, len(found))]
    return found


def heuristic_sites(slab: Atoms, height_angstrom: float) -> Float[np.ndarray, "sites 3"]:
    """Tops, bridges and hollows as the geometry of the slab has them, so far above its uppermost atom: no energy is asked.

    By pymatgen's AdsorbateSiteFinder (Montoya and Persson, npj Comput. Mater. 3, 14 (2017)), copies by symmetry included.
    """
    finder = AdsorbateSiteFinder(AseAtomsAdaptor.get_structure(slab))
    found = np.array(finder.find_adsorption_sites(distance=0.0, symm_reduce=0)["all"])
    found[:, 2] = slab.positions[:, 2].max() + height_angstrom
    return found


def with_adsorbate(slab: Atoms, adsorbate: Atoms, position: Float[np.ndarray, "3"]) -> Atoms:
    """A new slab with an adsorbate whose first atom is at a position (x, y, z in Angstrom); its atoms are last, with tag 0."""
    placed = Atoms(adsorbate.numbers, adsorbate.positions - adsorbate.positions[0] + position)
    return slab + placed
