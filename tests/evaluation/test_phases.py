"""Which named phase crystals are."""

import pytest
from pymatgen.core import Lattice, Structure

from dig_core.data.carbon_phases import cells_of_phases, phase
from dig_core.evaluation.phases import phase_shares


def named(*names: str) -> list[Structure]:
    """Phases of carbon that know their names."""
    found = [phase(name) for name in names]
    for own, name in zip(found, names, strict=True):
        own.properties = {"phase": name.partition("_")[0]}
    return found


def test_every_crystal_is_of_the_phase_that_it_is_however_large_its_cell():
    cells = cells_of_phases(8)
    chain = Structure(Lattice.orthorhombic(9.0, 9.0, 1.3), ["C"], [[0, 0, 0]]) * (1, 1, 4)
    drawn = [cells["diamond_8_1"], cells["graphite_ab_8_1"], cells["graphite_aa_6_1"], chain]
    drawn[0].scale_lattice(1.1 * drawn[0].volume)  # volumes do not count
    found = phase_shares(drawn, named("diamond", "lonsdaleite", "graphite_aa", "graphite_ab"), "_relaxed")
    assert found == {
        "diamond_fraction_relaxed": 0.25, "lonsdaleite_fraction_relaxed": 0.0, "graphite_fraction_relaxed": 0.5
    }  # fmt: skip
    assert phase_shares(drawn, []) == {}


def test_a_phase_without_a_name_is_told():
    with pytest.raises(ValueError, match="a column `phase` with a name in every row"):
        phase_shares([phase("diamond")], [phase("diamond")])
