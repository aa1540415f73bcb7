"""Slabs: spacings, neighbours, compositions and symmetries as crystallography has them, and every mistake in one line."""

import itertools
import os
from collections import Counter
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.neighborlist import neighbor_list

from dig_core.data.adsorbates import heuristic_sites, with_adsorbate
from dig_core.data.slab_files import read_slab
from dig_core.data.slabs import cell_in_plane, layers_of
from dig_core.data.surface_symmetry import distinct_points, symmetry_operations
from dig_core.data.surfaces import slab

MIRROR = Path(os.environ.get("DIG_DATA_MIRROR") or Path(__file__).parents[3] / "shared" / "data")
CLEAN = MIRROR / "catalyst" / "vlachos_clean_slabs"
real_files = pytest.mark.skipif(
    not CLEAN.is_dir(), reason="DIG_DATA_MIRROR names no folder with catalyst/vlachos_clean_slabs"
)

PLATINUM = {
    "composition": {"Pt": 1},
    "structure": "fcc",
    "miller": [1, 1, 1],
    "lattice_angstrom": 4.0,
}
RANDOM = PLATINUM | {"composition": {"Pt": 3, "Ni": 1}, "structure": "random"}
TIN = PLATINUM | {"composition": {"Pt": 3, "Sn": 1}, "structure": "L1_2", "repeat": [1, 1]}


def ordered(structure, miller, first="Co", second="Pt", **others):
    return slab(
        PLATINUM | {"composition": {first: 1, second: 1}, "structure": structure, "miller": miller, **others}
    )


def in_layers(atoms):
    """Elements of each layer, from the top."""
    symbols, layers = np.array(atoms.symbols), atoms.get_tags()
    return [Counter(symbols[layers == layer].tolist()) for layer in range(1, layers.max() + 1)]


def heights(atoms):
    layers = atoms.get_tags()
    return np.array([atoms.positions[layers == layer, 2].mean() for layer in range(1, layers.max() + 1)])


# Structure, plane, and in units of a: spacing of layers, area of a surface cell, nearest neighbours and how many of them an
# uppermost atom has.
PURE = {
    "fcc111": ("fcc", [1, 1, 1], 1 / 3**0.5, 3**0.5 / 4, 0.5**0.5, 9),
    "fcc100": ("fcc", [1, 0, 0], 1 / 2, 1 / 2, 0.5**0.5, 8),
    "fcc010": ("fcc", [0, 1, 0], 1 / 2, 1 / 2, 0.5**0.5, 8),
    "fcc110": ("fcc", [1, 1, 0], 0.125**0.5, 0.5**0.5, 0.5**0.5, 7),
    "fcc1-11": ("fcc", [1, -1, 1], 1 / 3**0.5, 3**0.5 / 4, 0.5**0.5, 9),
    "fcc211": ("fcc", [2, 1, 1], 24**-0.5, 1.5**0.5, 0.5**0.5, 7),
    "hcp0001": ("hcp", [0, 0, 0, 1], (2 / 3) ** 0.5, 0.75**0.5, 1, 9),
    "hcp001": ("hcp", [0, 0, 1], (2 / 3) ** 0.5, 0.75**0.5, 1, 9),
    "bcc110": ("bcc", [1, 1, 0], 0.5**0.5, 0.5**0.5, 0.75**0.5, 6),
    "bcc100": ("bcc", [1, 0, 0], 1 / 2, 1, 0.75**0.5, 4),
}


@pytest.mark.parametrize("name", PURE)
def test_pure_metals_have_the_spacings_and_neighbours_of_their_crystal(name):
    structure, miller, spacing, area, nearest, coordination = PURE[name]
    atoms = slab(PLATINUM | {"structure": structure, "miller": miller, "layers": 5, "lattice_angstrom": 3.9})
    assert len(atoms) == 20 and in_layers(atoms) == [{"Pt": 4}] * 5
    assert np.diff(heights(atoms)) == pytest.approx([-3.9 * spacing] * 4)
    assert abs(np.linalg.det(cell_in_plane(atoms))) == pytest.approx(4 * area * 3.9**2)
    first, distances = neighbor_list("id", atoms, 3.9 * nearest * 1.05)
    assert distances == pytest.approx(3.9 * nearest)
    counts = np.bincount(first)
    assert set(counts[atoms.get_tags() == 1]) == set(counts[atoms.get_tags() == 5]) == {coordination}
    # Of (211) the third layer misses two neighbours above and two below.
    assert set(counts[atoms.get_tags() == 3]) == {8 if structure == "bcc" or name == "fcc211" else 12}


@pytest.mark.parametrize("settings", [PLATINUM, RANDOM, TIN, TIN | {"miller": [1, 0, 0]}])
def test_a_slab_stands_upright_under_its_vacuum(settings):
    atoms = slab(settings | {"layers": 3, "vacuum_angstrom": 12.5})
    assert atoms.pbc.all() and np.allclose(atoms.cell[2, :2], 0) and np.allclose(atoms.cell[:2, 2], 0)
    assert atoms.positions[:, 2].min() == pytest.approx(0, abs=1e-9)
    assert atoms.cell[2, 2] - atoms.positions[:, 2].max() == pytest.approx(12.5)
    assert atoms.cell[0, 1] == pytest.approx(0, abs=1e-9) and atoms.cell[0, 0] > 0 and atoms.cell.volume > 0
    within = atoms.get_scaled_positions(wrap=False)[:, :2]
    assert within.min() > -1e-6 and within.max() < 1 - 1e-7
    assert np.abs(atoms.positions[atoms.get_tags() == 1, :2]).sum(axis=1).min() == pytest.approx(0, abs=1e-9)


def test_atoms_are_sorted_from_the_lowest_layer_up():
    atoms = slab(TIN)
    layers, (x, y, _) = atoms.get_tags(), atoms.get_scaled_positions(wrap=False).round(6).T
    assert layers.tolist() == sorted(layers, reverse=True) == layers_of(atoms).tolist()
    for layer in range(1, 5):
        here = list(zip(y[layers == layer], x[layers == layer], strict=True))
        assert here == sorted(here)


def test_defaults_are_those_of_the_docstring():
    stated = slab(PLATINUM | {"repeat": [2, 2], "layers": 4, "vacuum_angstrom": 15.0, "seed": 0})
    assert slab(PLATINUM) == stated and len(stated) == 16


def test_cells_of_the_surface_are_the_shortest_and_repeated():
    lengths = slab(PLATINUM | {"miller": [1, 1, 0], "repeat": [3, 1]}).cell.lengths()
    assert lengths[:2] == pytest.approx([3 * 4 / 2**0.5, 4])
    for name in ("fcc111", "bcc110"):
        structure, miller, _, _, nearest, _ = PURE[name]
        unit = cell_in_plane(slab(PLATINUM | {"structure": structure, "miller": miller, "repeat": [1, 1]}))
        assert np.linalg.norm(unit, axis=1) == pytest.approx([4 * nearest] * 2)


def test_a_slab_is_the_one_of_ase():
    ours, theirs = slab(PLATINUM), fcc111("Pt", (2, 2, 4), a=4.0, vacuum=7.5, periodic=True)
    assert ours.cell.lengths() == pytest.approx(theirs.cell.lengths())
    assert ours.get_tags().tolist() == theirs.get_tags().tolist()
    assert np.sort(ours.get_all_distances(mic=True), axis=None) == pytest.approx(
        np.sort(theirs.get_all_distances(mic=True), axis=None), abs=1e-6
    )


def test_another_c_of_hcp_changes_the_spacing_only():
    ideal, flat = (
        slab(PLATINUM | {"structure": "hcp", "miller": [0, 0, 0, 1], **more})
        for more in ({}, {"c_angstrom": 6.0})
    )
    assert np.diff(heights(flat)) == pytest.approx([-3.0] * 3)
    assert np.allclose(cell_in_plane(ideal), cell_in_plane(flat))


@pytest.mark.parametrize("miller", [[1, 0, -1, 0], [0, 1, -1, 0]])
def test_a_prism_of_hcp_ends_with_close_layers(miller):
    prism = slab(PLATINUM | {"structure": "hcp", "miller": miller})
    assert -np.diff(heights(prism))[:2] == pytest.approx([4 * 3**0.5 / 6, 4 * 3**0.5 / 3])


def test_ordered_alloys_have_the_composition_of_their_planes():
    assert in_layers(slab(TIN)) == [{"Pt": 3, "Sn": 1}] * 4
    # Tin only has platinum around it.
    first, second = neighbor_list("ij", slab(TIN), 3.0)
    symbols = np.array(slab(TIN).symbols)
    assert "Sn" not in symbols[second[symbols[first] == "Sn"]]
    assert in_layers(ordered("B2", [1, 1, 0], repeat=[1, 1])) == [{"Co": 1, "Pt": 1}] * 4
    assert in_layers(ordered("L1_0", [1, 1, 1])) == [{"Co": 4, "Pt": 4}] * 4
    assert in_layers(ordered("L1_0", [1, 0, 0], repeat=[1, 1])) == [{"Co": 1, "Pt": 1}] * 4


def test_the_termination_is_mixed_or_else_of_the_element_named_first():
    hundred = in_layers(slab(TIN | {"miller": [1, 0, 0]}))
    assert hundred == [{"Pt": 1, "Sn": 1}, {"Pt": 2}] * 2
    for structure, miller in (("L1_0", [0, 0, 1]), ("B2", [1, 0, 0])):
        for first, second in (("Co", "Pt"), ("Pt", "Co")):
            layers = in_layers(ordered(structure, miller, first, second, repeat=[1, 1], layers=3))
            assert layers == [{first: 1}, {second: 1}, {first: 1}]


def test_an_ordered_alloy_with_its_own_c():
    assert np.diff(heights(ordered("L1_0", [0, 0, 1], c_angstrom=3.7))) == pytest.approx([-1.85] * 3)
    assert ordered("L1_0", [1, 0, 0], c_angstrom=3.7, repeat=[1, 1]).cell.lengths()[:2] == pytest.approx(
        [3.7, 4.0]
    )


def test_a_random_alloy_is_the_same_for_a_seed_and_another_for_another():
    assert slab(RANDOM) == slab(RANDOM | {"seed": 0})
    others = {str(slab(RANDOM | {"seed": seed}).symbols) for seed in range(5)}
    assert len(others) == 5
    assert np.allclose(slab(RANDOM).positions, slab(PLATINUM).positions)


@pytest.mark.parametrize(
    ("composition", "counts"),
    [
        ({"Pt": 3, "Ni": 1}, {"Pt": 12, "Ni": 4}),
        ({"Pt": 2, "Ni": 1}, {"Pt": 11, "Ni": 5}),
        ({"Pt": 1, "Ni": 1, "Co": 1, "Fe": 1, "Mn": 1}, {"Pt": 4, "Ni": 3, "Co": 3, "Fe": 3, "Mn": 3}),
    ],
)
def test_a_random_alloy_has_the_nearest_whole_numbers(composition, counts):
    assert Counter(slab(RANDOM | {"composition": composition}).symbols) == counts


def test_elements_of_a_random_alloy_are_in_all_layers_alike():
    many = [in_layers(slab(RANDOM | {"seed": seed})) for seed in range(200)]
    shares = np.mean([[layer["Ni"] / 4 for layer in own] for own in many], axis=0)
    assert shares == pytest.approx([0.25] * 4, abs=0.05)  # three standard errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"structure": "random", "composition": {"Pt": 99, "Sn": 1}}, "expected a site for each of Pt, Sn"),
        ({"miller": [3, 2, 1]}, r"expected layers more than 0\.6 Angstrom apart; got 0\.53 between two"),
        ({"miller": [7, 5, 3], "layers": 1}, "expected layers more than 0.6 Angstrom apart"),
        ({"structure": "hcp", "miller": [1, 0, -1, 1]}, r"expected layers more than .* got 0\.51"),
        ({"structure": "hcp", "miller": [0, 1, -1, 1]}, r"expected layers more than .* got 0\.51"),
    ],
)
def test_a_surface_that_cannot_be_cut_is_refused_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        slab(PLATINUM | change)
    assert "\n" not in str(caught.value)


def test_layers_are_counted_from_the_top_and_may_be_rough():
    atoms = Atoms("H5", [[0, 0, 0], [0, 0, 4.1], [0, 0, 2], [0, 0, 2.5], [0, 0, 3.8]])
    assert layers_of(atoms).tolist() == [3, 1, 2, 2, 1]
    assert layers_of(atoms, 0.2).tolist() == [5, 1, 4, 3, 2]


def test_layers_that_cannot_be_told_apart_are_refused():
    with pytest.raises(ValueError, match=r"between them; got one of 1\.50 Angstrom in height"):
        layers_of(Atoms("H4", [[0, 0, 0.5 * z] for z in range(4)]))
    with pytest.raises(ValueError, match="expected at least one atom; got none"):
        layers_of(Atoms())


def test_the_cell_in_the_plane_is_refused_where_there_is_none():
    assert cell_in_plane(Atoms(cell=[[3, 0, 0], [1, 2, 0], [0, 0, 9]])).tolist() == [[3, 0], [1, 2]]
    for cell in ([[3, 0, 0], [1, 2, 0.1], [0, 0, 9]], [[3, 0, 0], [1, 2, 0], [0, 1, 9]], [3, 3, -9]):
        with pytest.raises(ValueError, match="in the plane of x and y and the third along z"):
            cell_in_plane(Atoms(cell=cell))
    for cell in (None, [3, 3, 0], [[3, 0, 0], [6, 0, 0], [0, 0, 9]]):
        with pytest.raises(ValueError, match="expected a cell of three lattice vectors"):
            cell_in_plane(Atoms(cell=cell))


@real_files
@pytest.mark.parametrize("name", ["Pt111", "Au111", "Ni111", "Co0001", "Ru0001", "Re0001"])
def test_real_slabs_are_read(name):
    atoms, raw = read_slab(CLEAN / f"{name}.CONTCAR"), ase.io.read(CLEAN / f"{name}.CONTCAR")
    assert np.bincount(atoms.get_tags()).tolist() == [0, 16, 16, 16, 16] and atoms.pbc.all()
    assert atoms.positions[:, 2].min() == 0 and np.allclose(atoms.cell, raw.cell, atol=1e-6)
    moved = (atoms.positions - raw.positions) @ np.linalg.inv(raw.cell)
    assert np.allclose(moved - moved[0], np.round(moved - moved[0]), atol=1e-6)
    assert len(symmetry_operations(atoms)) == 16 * 6
    counts = np.bincount(neighbor_list("i", atoms, 1.2 * neighbor_list("d", atoms, 3.5).min()))
    assert set(counts[atoms.get_tags() == 1]) == {9} and set(counts[atoms.get_tags() == 2]) == {12}


@real_files
def test_all_real_slabs_have_the_spacing_of_a_metal():
    for file in sorted(CLEAN.glob("*.CONTCAR")):
        spacing = -np.diff(heights(read_slab(file)))
        assert len(spacing) == 3 and (spacing > 1.9).all() and (spacing < 2.5).all()


@pytest.mark.parametrize("name", ["CONTCAR", "slab.extxyz", "slab.cif", "slab.vasp"])
def test_a_slab_is_read_as_it_was_written(tmp_path, name):
    for settings in (RANDOM | {"vacuum_angstrom": 8.0}, TIN):
        atoms = slab(settings)
        written = atoms[np.argsort(atoms.numbers, kind="stable")]  # formats of VASP have elements in turn
        written.set_constraint(FixAtoms([0]))
        # Half of it on the other side of its cell.
        written.positions[:, 2] = (written.positions[:, 2] - 3.0) % atoms.cell[2, 2]
        ase.io.write(tmp_path / name, written)
        again = read_slab(tmp_path / name)
        assert again.symbols.get_chemical_formula() == atoms.symbols.get_chemical_formula()
        assert again.get_tags().tolist() == written.get_tags().tolist() and not again.constraints
        assert again.positions[:, 2] == pytest.approx(
            atoms[np.argsort(atoms.numbers, kind="stable")].positions[:, 2], abs=1e-5
        )
        assert len(symmetry_operations(again)) == len(symmetry_operations(atoms))


def test_rounding_of_heights_changes_nothing(tmp_path):
    atoms = slab(PLATINUM | {"repeat": [4, 4], "vacuum_angstrom": 8.0})
    atoms.cell[2, 2] -= 5e-4
    atoms.positions[:, 2] += np.random.default_rng(0).normal(0.0, 1e-13, len(atoms))
    ase.io.write(tmp_path / "CONTCAR", atoms)
    again = read_slab(tmp_path / "CONTCAR")
    assert np.allclose(again.positions[:, 2], atoms.positions[:, 2])
    assert again.get_tags().tolist() == atoms.get_tags().tolist()


def test_a_long_or_left_handed_cell_is_read_with_short_vectors(tmp_path):
    atoms = slab(PLATINUM)
    first, second, up = atoms.cell.array
    for cell in ([second, first, up], [first, second + 3 * first, up], [first - second, second, up]):
        ase.io.write(
            tmp_path / "slab.extxyz", Atoms(atoms.numbers, cell=cell, positions=atoms.positions, pbc=True)
        )
        again = read_slab(tmp_path / "slab.extxyz")
        assert np.linalg.det(cell_in_plane(again)) > 0
        assert again.cell.lengths() == pytest.approx(atoms.cell.lengths())
        assert len(symmetry_operations(again)) == 24


def test_energies_and_forces_of_a_file_are_left(tmp_path):
    atoms = slab(PLATINUM)
    atoms.calc = SinglePointCalculator(atoms, energy=1.0, forces=np.zeros((16, 3)))
    ase.io.write(tmp_path / "slab.extxyz", atoms)
    again = read_slab(tmp_path / "slab.extxyz")
    assert again.calc is None and set(again.arrays) == {"numbers", "positions", "tags"}


def _touching(atoms):
    atoms.positions[1] = atoms.positions[0] + 0.1
    return atoms


def _rough(atoms):
    atoms.positions[:, 2] *= 0.2
    return atoms


FAULTS = {
    "none": (lambda atoms: atoms[:0], "expected (atoms of known elements; got none|a slab; got)"),
    "unknown element": (
        lambda atoms: Atoms("X16", atoms.positions, cell=atoms.cell),
        "got one of no element",
    ),
    "no numbers": (
        lambda atoms: Atoms("H", [[0, 0, np.nan]], cell=atoms.cell),
        "expected positions that are",
    ),
    "no cell": (lambda atoms: Atoms("H"), "expected a cell of three lattice vectors"),
    "skewed": (
        lambda atoms: Atoms("H", cell=[[3, 0, 0], [0, 3, 0], [1, 0, 20]]),
        "the third along z; got",
    ),
    "no vacuum": (
        lambda atoms: Atoms(atoms.symbols, atoms.positions, cell=[*atoms.cell[:2], [0, 0, 14]]),
        r"at least 8 Angstrom of vacuum along z; got 7\.07",
    ),
    "touching": (_touching, r"expected atoms at least 0\.6 Angstrom apart; got 0\.17"),
    "rough": (_rough, "expected layers with more than"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_no_slab_is_refused_in_one_line(tmp_path, name):
    change, message = FAULTS[name]
    file = tmp_path / "slab.extxyz"
    ase.io.write(file, change(slab(PLATINUM)))
    with pytest.raises(ValueError, match=message) as caught:
        read_slab(file)
    assert str(caught.value).startswith(f"{file}: expected") and "\n" not in str(caught.value)


def test_partial_occupancies_are_refused(tmp_path):
    file = tmp_path / "slab.cif"
    ase.io.write(file, slab(PLATINUM | {"repeat": [1, 1], "layers": 1}))
    lines = file.read_text().replace(" 1.0000\n", " 0.5000\n")
    assert "0.5000" in lines
    file.write_text(lines)
    with pytest.raises(ValueError, match="expected whole atoms; got partial occupancies"):
        read_slab(file)


def test_files_of_other_things_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_slab(tmp_path / "CONTCAR")
    (tmp_path / "CONTCAR").write_text("not a slab\n")
    ase.io.write(tmp_path / "two.extxyz", [slab(PLATINUM)] * 2)
    for name, message in (
        ("CONTCAR", r"expected a slab; got \w+: "),
        ("two.extxyz", "expected one slab; got 2"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            read_slab(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_an_adsorbate_is_placed_by_the_atom_that_binds():
    clean, molecule = slab(PLATINUM), Atoms("OH", [[0, 0, 0], [0, 0.9, 0.3]])
    molecule.positions += 3.0
    covered = with_adsorbate(clean, molecule, np.array([1.0, 2.0, 9.0]))
    assert str(covered.symbols) == "Pt16OH" and covered.get_tags().tolist() == [*clean.get_tags(), 0, 0]
    assert covered.positions[16].tolist() == pytest.approx([1, 2, 9])
    assert covered.get_distance(16, 17) == pytest.approx(molecule.get_distance(0, 1))
    assert covered[:16] == clean == slab(PLATINUM) and molecule == molecule.copy()
    assert np.allclose(covered.cell, clean.cell) and covered.pbc.all()


# Translations of the repeated cell times operations of the plane group: p3m1 6, p4mm 8, p2mm 4, pm 2.
SYMMETRIES = {
    "fcc(111)": (PLATINUM, 4 * 6),
    "fcc(111) 3x2": (PLATINUM | {"repeat": [3, 2]}, 6 * 1),
    "fcc(111) 2x1": (PLATINUM | {"repeat": [2, 1]}, 2 * 2),
    "fcc(100)": (PLATINUM | {"miller": [1, 0, 0]}, 4 * 8),
    "fcc(100) 2x1": (PLATINUM | {"miller": [1, 0, 0], "repeat": [2, 1]}, 2 * 4),
    "fcc(110)": (PLATINUM | {"miller": [1, 1, 0]}, 4 * 4),
    "fcc(211)": (PLATINUM | {"miller": [2, 1, 1]}, 4 * 2),
    "hcp(0001)": (PLATINUM | {"structure": "hcp", "miller": [0, 0, 0, 1]}, 4 * 6),
    "bcc(110)": (PLATINUM | {"structure": "bcc", "miller": [1, 1, 0]}, 4 * 4),
    "L1_2(111)": (TIN, 6),
    "L1_2(100)": (TIN | {"miller": [1, 0, 0], "repeat": [2, 2]}, 4 * 8),
    "random": (RANDOM, 1),
}


@pytest.mark.parametrize("name", SYMMETRIES)
def test_a_slab_has_the_symmetries_of_its_plane_group(name):
    settings, count = SYMMETRIES[name]
    atoms = slab(settings)
    operations = symmetry_operations(atoms)
    assert len(operations) == count
    here = atoms.get_scaled_positions()
    for rotation, translation in operations:
        away = (here[:, :2] @ rotation.T + translation)[:, None] - here[None, :, :2]
        same = np.abs(away - np.round(away)).max(axis=2) < 1e-3
        same &= np.abs(here[:, None, 2] - here[:, 2]) < 1e-3
        same &= atoms.numbers[:, None] == atoms.numbers
        assert (same.sum(axis=0) == 1).all() and (same.sum(axis=1) == 1).all()
        metric = cell_in_plane(atoms) @ cell_in_plane(atoms).T
        assert np.allclose(rotation.T @ metric @ rotation, metric)


def test_an_adsorbate_breaks_symmetries():
    clean = slab(PLATINUM)
    top = with_adsorbate(clean, Atoms("CO", [[0, 0, 0], [0, 0, 1.13]]), clean.positions[-4] + [0, 0, 1.9])
    assert len(symmetry_operations(top)) == 6
    aside = with_adsorbate(
        clean, Atoms("CO", [[0, 0, 0], [0, 0, 1.13]]), clean.positions[-4] + [0.4, 0.3, 1.9]
    )
    assert len(symmetry_operations(aside)) == 1


def sites_of_111(atoms):
    """Top, three bridges and two hollows of each surface cell of fcc(111), and which hollow has an atom below it."""
    cell = cell_in_plane(atoms) / 2
    acute = cell[0] @ cell[1] > 0
    # The two hollows are the centres of the two triangles of a cell.
    hollows = [[1 / 3, 1 / 3], [2 / 3, 2 / 3]] if acute else [[1 / 3, 2 / 3], [2 / 3, 1 / 3]]
    own = np.array([[0, 0], [0.5, 0], [0, 0.5], [0.5, 0.5], *hollows])
    points = (np.array(list(itertools.product(range(2), repeat=2)))[:, None] + own) / 2
    return points.reshape(-1, 2), np.tile(["top", "bridge", "bridge", "bridge", "hollow", "hollow"], 4)


def test_sites_of_fcc_111_are_four_kinds():
    atoms = slab(PLATINUM)
    points, names = sites_of_111(atoms)
    firsts, orbits = distinct_points(points, symmetry_operations(atoms))
    assert firsts.tolist() == [0, 1, 4, 5] and np.bincount(orbits).tolist() == [4, 12, 4, 4]
    assert [set(names[orbits == orbit]) for orbit in range(4)] == [
        {"top"},
        {"bridge"},
        {"hollow"},
        {"hollow"},
    ]
    # One of the hollows is above the second layer (hcp), the other above the third (fcc).
    below = {layer: atoms.get_scaled_positions()[atoms.get_tags() == layer, :2] for layer in range(1, 4)}
    found = [
        next(
            layer
            for layer, own in below.items()
            if (np.abs((d := own - points[first]) - np.round(d)).max(axis=1) < 1e-6).any()
        )
        for first in firsts[[0, 2, 3]]
    ]
    assert found[0] == 1 and sorted(found[1:]) == [2, 3]


def test_sites_of_a_random_alloy_all_differ():
    points, _ = sites_of_111(slab(RANDOM))
    firsts, orbits = distinct_points(points, symmetry_operations(slab(RANDOM)))
    assert firsts.tolist() == orbits.tolist() == list(range(24))


def grid(number):
    return np.stack(np.meshgrid(*[np.arange(number) / number] * 2, indexing="ij"), axis=-1).reshape(-1, 2)


def like_an_energy(atoms, points):
    """Gaussians of a width for each element around all atoms and their images, 1.5 Angstrom above the slab."""
    cell = cell_in_plane(atoms)
    shifts = np.array(list(itertools.product(range(-2, 3), repeat=2))) @ cell
    where = np.column_stack([points @ cell, np.full(len(points), atoms.positions[:, 2].max() + 1.5)])
    images = (atoms.positions[:, None] + np.pad(shifts, ((0, 0), (0, 1)))).reshape(-1, 3)
    widths = np.repeat(0.6 + atoms.numbers / 300, len(shifts))
    squared = ((where[:, None] - images) ** 2).sum(axis=2)
    return np.exp(-squared / (2 * widths**2)).sum(axis=1)


@pytest.mark.parametrize("name", ["fcc(111)", "fcc(100)", "fcc(110)", "bcc(110)", "L1_2(111)"])
def test_an_energy_is_the_same_on_an_orbit_and_differs_between_orbits(name):
    atoms, points = slab(SYMMETRIES[name][0]), grid(12)
    operations = symmetry_operations(atoms)
    firsts, orbits = distinct_points(points, operations)
    sizes = np.bincount(orbits)
    assert sizes.sum() == 144 and len(sizes) == len(firsts) < 144
    assert all(len(operations) % size == 0 for size in sizes)
    assert orbits[firsts].tolist() == list(range(len(firsts)))
    energies = like_an_energy(atoms, points)
    assert np.abs(energies - energies[firsts][orbits]).max() < 1e-6 * np.ptp(energies)
    apart = np.abs(energies[firsts][:, None] - energies[firsts])[np.triu_indices(len(firsts), 1)]
    assert apart.min() > 1e-5 * np.ptp(energies)


def test_points_outside_the_cell_are_those_within():
    operations = symmetry_operations(slab(PLATINUM))
    points = np.array([[0.0, 0.0], [-1e-17, 1.0], [3.5, -2.0], [0.25, 0.0], [0.21, 0.13], [1 - 1e-6, 1e-6]])
    firsts, orbits = distinct_points(points, operations)
    assert firsts.tolist() == [0, 3, 4] and orbits.tolist() == [0, 0, 0, 1, 2, 0]
    assert distinct_points(points, operations[:1])[1].tolist() == [0, 0, 1, 2, 3, 0]


def test_first_points_are_of_their_own_orbits_even_where_operations_are_no_whole_group():
    quarter = [(np.eye(2, dtype=int), np.array([0.25, 0.0]))]
    firsts, orbits = distinct_points(np.array([[0, 0], [0.75, 0], [0.5, 0], [0.1, 0]]), quarter)
    assert firsts.tolist() == [0, 3] and orbits.tolist() == [0, 0, 0, 1]


def test_a_grid_without_the_symmetries_joins_less_but_nothing_wrong():
    atoms, points = slab(PLATINUM), grid(5)
    firsts, orbits = distinct_points(points, symmetry_operations(atoms))
    energies = like_an_energy(atoms, points)
    assert np.abs(energies - energies[firsts][orbits]).max() < 1e-6 * np.ptp(energies)
    assert 25 / 6 < len(firsts) < 25


def test_heuristic_sites_of_fcc_111_are_all_tops_bridges_and_hollows():
    clean = slab(PLATINUM)
    found = heuristic_sites(clean, 1.2)
    assert len(found) == 4 + 12 + 8
    np.testing.assert_allclose(found[:, 2], clean.positions[:, 2].max() + 1.2)
    for kind, count in (("tops", 4), ("bridges", 12), ("hollows", 8)):
        near = {"tops": 1, "bridges": 2, "hollows": 3}[kind]
        shortest = [
            np.sort(
                [with_adsorbate(clean, Atoms("H"), own).get_distance(16, k, mic=True) for k in range(12, 16)]
            )[:1]
            for own in found
        ]
        levels = {1: 1.2, 2: np.hypot(1.2, 2**0.5), 3: np.hypot(1.2, 4.0 / 6**0.5)}
        assert sum(np.isclose(own[0], levels[near], atol=0.02) for own in shortest) == count
