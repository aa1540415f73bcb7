"""Band gaps of known phases by Quantum ESPRESSO, and what goes wrong with it."""

import shutil
from pathlib import Path

import pandas
import pytest
from pymatgen.core import Lattice, Structure

from dig_core.data.carbon_phases import phase
from dig_core.energies import espresso
from dig_core.energies.band_gaps import PlaneWaves
from dig_core.energies.espresso import band_gap_eV

PHASES = Path(__file__).parents[2] / "config/structures/carbon_phases.csv"
installed = pytest.mark.skipif(
    shutil.which("pw.x") is None, reason="Quantum ESPRESSO (pw.x) is not installed"
)


@installed
@pytest.mark.parametrize(
    ("name", "cell", "low", "high"),
    [
        ("diamond", "diamond_2_1", 4.0, 4.4),
        ("lonsdaleite", "lonsdaleite_4_1", 3.1, 3.7),
        ("graphite_aa", "graphite_aa_2_1", 0.0, 0.0),
    ],
)
def test_gaps_are_those_of_pbe(name, cell, low, high):
    """PBE: diamond some 4.2 eV (measured: 5.5), lonsdaleite some 3.4, and the bands of graphite touch; and those of the bundled table."""
    gap = band_gap_eV(phase(name), PlaneWaves())
    bundled = pandas.read_csv(PHASES).set_index("name")["band_gap_eV"]
    assert low <= gap <= high and bundled[cell] == pytest.approx(gap, abs=0.02)


@installed
def test_a_calculation_that_does_not_converge_is_told_in_one_line(monkeypatch):
    settings = espresso._input(8, 30.0)
    settings["electrons"] = {"electron_maxstep": 1, "conv_thr": 1e-12}
    monkeypatch.setattr(espresso, "_input", lambda bands, cutoff: settings)
    with pytest.raises(ValueError, match="expected a calculation of C2 that converges"):
        band_gap_eV(phase("diamond"), PlaneWaves())


def test_what_is_missing_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(espresso.shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match=r"expected pw\.x of Quantum ESPRESSO; found none"):
        band_gap_eV(phase("diamond"), PlaneWaves())
    monkeypatch.setattr(espresso.shutil, "which", lambda name: "/usr/bin/pw.x")
    carbide = Structure.from_spacegroup("F-43m", Lattice.cubic(4.36), ["Si", "C"], [[0, 0, 0], [1 / 4] * 3])
    with pytest.raises(RuntimeError, match="expected a pseudopotential for C in nowhere"):
        band_gap_eV(carbide, PlaneWaves(folder="nowhere"))


def test_a_killed_program_says_nothing_about_the_crystal(monkeypatch, tmp_path):
    """It is an error of the job: a label that is kept would never be computed again."""
    program = tmp_path / "pw.x"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    (tmp_path / "C.pbe-rrkjus.UPF").touch()
    monkeypatch.setattr(espresso, "PROGRAM", str(program))
    with pytest.raises(RuntimeError, match="to end by itself for C2; it was killed"):
        band_gap_eV(phase("diamond"), PlaneWaves(folder=str(tmp_path)))
