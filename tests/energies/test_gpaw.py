"""Band gaps of known phases by GPAW, and what goes wrong with it."""

import importlib.util
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from pymatgen.core import Lattice, Structure

from dig_core.data.carbon_phases import phase
from dig_core.energies import gpaw
from dig_core.energies.band_gaps import PlaneWaves

installed = pytest.mark.skipif(importlib.util.find_spec("gpaw") is None, reason="GPAW is not installed")


@installed
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("diamond", 4.0, 4.4), ("lonsdaleite", 3.1, 3.7), ("graphite_aa", 0.0, 0.0)],
)
def test_gaps_are_those_of_pbe(name, low, high):
    """PBE: diamond some 4.2 eV (measured: 5.5), lonsdaleite some 3.4, and the bands of graphite touch."""
    assert low <= gpaw.band_gap_eV(phase(name), PlaneWaves()) <= high


@installed
def test_a_calculation_that_does_not_converge_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(gpaw, "MOST_ITERATIONS", 2)
    with pytest.raises(ValueError, match="expected a calculation of C2 that converges; got none after 2"):
        gpaw.band_gap_eV(phase("diamond"), PlaneWaves(k_spacing_per_angstrom=2.0))


@installed
def test_elements_without_data_are_told_in_one_line():
    with pytest.raises(RuntimeError, match="expected data sets of GPAW for U1; got none"):
        gpaw.band_gap_eV(Structure(Lattice.cubic(3.0), ["U"], [[0, 0, 0]]), PlaneWaves())


class Package:
    """Stands in for GPAW: sodium of seven electrons, whose fourth band is half filled, or of eight."""

    KohnShamConvergenceError = type("KohnShamConvergenceError", (Exception,), {})

    class GPAW(SinglePointCalculator):
        electrons, error = 8, None

        def __init__(self, **settings):
            super().__init__(Atoms("Na"), energy=0.0)
            self.settings = settings

        def get_potential_energy(self, *args, **kwargs):
            if self.error:
                raise self.error
            return 0.0

        def get_number_of_electrons(self):
            return self.electrons

        def get_ibz_k_points(self):
            return [0, 1]

        def get_eigenvalues(self, kpt):
            return np.array([[-50.0, -30.0, -28.0, -2.0, 3.0], [-50.0, -30.0, -29.0, 0.0, 2.5]][kpt])


@pytest.mark.parametrize(("electrons", "gap"), [(8, 2.5), (7, 0.0)])
def test_half_filled_bands_are_metals(monkeypatch, electrons, gap):
    monkeypatch.setitem(sys.modules, "gpaw", Package)
    monkeypatch.setattr(Package.GPAW, "electrons", electrons)
    assert gpaw.band_gap_eV(Structure(Lattice.cubic(4.0), ["Na"], [[0, 0, 0]]), PlaneWaves()) == gap


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (
            Package.KohnShamConvergenceError(),
            ValueError,
            "expected a calculation of C2 that converges; got none after",
        ),
        (FileNotFoundError(), RuntimeError, "expected data sets of GPAW for C2; got none"),
    ],
)
def test_what_goes_wrong_in_it_is_told_in_one_line(monkeypatch, error, kind, told):
    monkeypatch.setitem(sys.modules, "gpaw", Package)
    monkeypatch.setattr(Package.GPAW, "error", error)
    with pytest.raises(kind, match=told):
        gpaw.band_gap_eV(phase("diamond"), PlaneWaves())


def test_what_is_missing_is_told_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "gpaw", None)
    with pytest.raises(RuntimeError, match=r"expected GPAW; found none\. Install it"):
        gpaw.band_gap_eV(phase("diamond"), PlaneWaves())
