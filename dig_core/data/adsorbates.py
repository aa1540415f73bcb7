"""Slabs with something on them, and where geometry alone would put it."""

import numpy as np
from ase import Atoms
from jaxtyping import Float
from pymatgen.analysis.adsorption import AdsorbateSiteFinder
from pymatgen.io.ase import AseAtomsAdaptor


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
