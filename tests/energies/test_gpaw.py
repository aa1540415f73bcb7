"""Band gaps of known phases by GPAW, and what goes wrong with it."""

import importlib.util
import sys

import pytest
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


def test_what_is_missing_is_told_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "gpaw", None)
    with pytest.raises(RuntimeError, match=r"expected GPAW; found none\. Install it"):
        gpaw.band_gap_eV(phase("diamond"), PlaneWaves())
