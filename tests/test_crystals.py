"""Crystals as arrays: what reading refuses, cells that do not turn, prototypes that are not separated."""

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from scipy.spatial.transform import Rotation

from dig_core.crystals import Crystals, primitive, symmetric_lattice
from dig_core.data.carbon_phases import phase, supercells
from dig_core.data.crystal_files import read_crystal, shortest_distance
from dig_core.evaluation.matching import held_out_prototypes, prototypes

EXACTLY = StructureMatcher(ltol=1e-4, stol=1e-3, angle_tol=0.01, scale=False)
SIC = Structure.from_spacegroup("F-43m", Lattice.cubic(4.36), ["Si", "C"], [[0, 0, 0], [1 / 4, 1 / 4, 1 / 4]])
SKEWED = np.array([[1, 0, 0], [300, 1, 0], [-20, 500, 1]])  # of determinant 1
DIAMOND = [("C", 0, 0, 0, 1), ("C", 0.25, 0.25, 0.25, 1)]


def cif(atoms=DIAMOND, cell=(2.52225,) * 3 + (60,) * 3) -> str:
    """A CIF without symmetry."""
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    columns = ("type_symbol", "label", "fract_x", "fract_y", "fract_z", "occupancy")
    return "\n".join(
        [
            "data_crystal",
            "_symmetry_space_group_name_H-M 'P 1'",
            *(f"_cell_{name} {value}" for name, value in zip(names, cell, strict=True)),
            "loop_",
            *(f"_atom_site_{name}" for name in columns),
            *(f"{atom[0]} {atom[0]}{k} {' '.join(map(str, atom[1:]))}" for k, atom in enumerate(atoms)),
        ]
    )


def poscar(rows: str, symbol: str = "C") -> str:
    return f"crystal\n1.0\n{rows}\n{symbol}\n2\ndirect\n0 0 0\n0.5 0.5 0.5\n"


def turned(crystal: Structure, seed: int, cell=((1, 0, 0), (0, 1, 0), (0, 0, 1))) -> Structure:
    """The same crystal in another orientation, another cell and with its atoms in other images."""
    rotation = Rotation.random(random_state=seed).as_matrix()
    lattice = Lattice(np.array(cell) @ crystal.lattice.matrix @ rotation)
    return Structure(lattice, crystal.species, crystal.cart_coords @ rotation, coords_are_cartesian=True)


def test_symmetric_lattice_keeps_lengths_and_angles_and_does_not_turn():
    generator = np.random.default_rng(1)
    lattices = generator.normal(size=(7, 3, 3))
    made = symmetric_lattice(lattices)
    assert np.allclose(made @ made.mT, lattices @ lattices.mT) and np.allclose(made, made.mT)
    assert (np.linalg.eigvalsh(made) > 0).all()
    rotations = Rotation.random(7, random_state=2).as_matrix()
    assert np.allclose(symmetric_lattice(lattices @ rotations), made)
    assert np.allclose(symmetric_lattice(np.diag([2.0, 3.0, 5.0]) @ rotations[0]), np.diag([2.0, 3.0, 5.0]))


def test_symmetric_lattice_of_two_vectors_has_its_closed_form():
    """The root of a 2 x 2 matrix G is (G + sqrt(det G)) / sqrt(tr G + 2 sqrt(det G))."""
    metric = np.array([[1.0, -0.5], [-0.5, 1.0]])
    root = np.sqrt(np.linalg.det(metric))
    wanted = (metric + root * np.eye(2)) / np.sqrt(2 + 2 * root)
    assert np.allclose(symmetric_lattice(Lattice.hexagonal(1.0, 2.0).matrix)[:2, :2], wanted)


def test_symmetric_lattice_of_a_flat_cell_is_no_nan():
    flat = np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 1e-12]])
    assert np.allclose(symmetric_lattice(flat) @ symmetric_lattice(flat), flat @ flat.T)


def test_crystals_of_any_number_of_atoms_return_as_they_were():
    lopsided = Structure(Lattice.cubic(4), ["Si", "C", "C"], [[0, 0, 0], [0.5, 0.5, 0.4], [0.1, 0.5, 0]])
    known = [phase("diamond"), phase("lonsdaleite"), SIC, lopsided, *supercells(phase("graphite_ab"), 8)]
    kept = Crystals.of([turned(crystal, seed) for seed, crystal in enumerate(known)])
    assert kept.counts.tolist() == [2, 4, 8, 3, 8, 8, 8]
    assert kept.fractional.shape == (41, 3) and kept.lattices_angstrom.shape == (7, 3, 3)
    for before, after in zip(known, kept.structures(), strict=True):
        assert EXACTLY.fit(before, after) and len(before) == len(after)
        assert before.composition == after.composition


def test_cells_do_not_depend_on_orientation_or_choice_of_cell():
    crystal = supercells(phase("lonsdaleite"), 8)[1]
    cells = [crystal, turned(crystal, 1), turned(crystal, 2, [[1, 0, 0], [2, 1, 0], [-3, 5, 1]])]
    lattices = Crystals.of(cells).lattices_angstrom
    assert np.allclose(lattices, lattices.mT)
    lengths = [np.linalg.eigvalsh(lattice) for lattice in lattices]
    assert np.allclose(lengths[1:], lengths[0], atol=1e-6)


def test_coordinates_stay_below_one():
    lattice = Lattice.cubic(3.0).get_niggli_reduced_lattice()
    crystal = Structure(lattice, ["C", "C"], [[-1e-17, 0, 0], [0.5, 1.5, -0.5]])
    fractional = Crystals.of([crystal]).fractional
    assert (fractional >= 0).all() and (fractional < 1).all()


@pytest.mark.parametrize("rows", [[0, 1, 2], [1, 0, 2]], ids=["right-handed", "left-handed"])
def test_a_crystal_does_not_become_its_mirror_image(rows):
    lattice = Lattice.from_parameters(9, 10, 11, 80, 85, 95).matrix[rows]
    corner = np.array([[3.0, 3, 3], [4.5, 3, 3], [3, 4.7, 3], [3, 3, 4.9]])
    crystal = Structure(Lattice(lattice), ["C"] * 4, corner, coords_are_cartesian=True)
    after = Crystals.of([crystal]).structures()[0]
    steps = after.frac_coords[1:] - after.frac_coords[0]
    vectors = (steps - np.round(steps)) @ after.lattice.matrix
    assert np.linalg.det(vectors) == pytest.approx(1.5 * 1.7 * 1.9)


@pytest.mark.parametrize(
    ("text", "format", "wanted"),
    [
        (cif(), "cif", phase("diamond")),
        (
            poscar("3 0 0\n0 3 0\n0 0 -3"),
            "poscar",
            Structure(Lattice.cubic(3), ["C"] * 2, [[0] * 3, [0.5] * 3]),
        ),
        (SIC.to(fmt="json"), "json", SIC),
    ],
    ids=["cif", "poscar", "json"],
)
def test_a_crystal_is_read(text, format, wanted):
    assert EXACTLY.fit(read_crystal(text, format, ["C", "Si"], "here"), wanted)


def test_oxidation_states_are_left_out():
    charged = SIC.copy().add_oxidation_state_by_element({"Si": 4, "C": -4})
    read = read_crystal(charged.to(fmt="json"), "json", ["C", "Si"], "here")
    assert EXACTLY.fit(read, SIC) and not EXACTLY.fit(charged, SIC)


@pytest.mark.parametrize(
    ("text", "format", "told"),
    [
        (cif([*DIAMOND, ("N", 0.6, 0.6, 0.6, 1)]), "cif", "expected C, Si in here; got N. Add it to `data.elements`"),
        (cif([("C", 0, 0, 0, 0.5)]), "cif", "expected whole atoms in here; got partial occupancies"),
        (cif([("C", 0, 0, 0, 0.5), ("Si", 0, 0, 0, 0.5)]), "cif", "expected whole atoms in here; got partial"),
        (cif([*DIAMOND, ("C", 0.01, 0, 0, 1)]), "cif", "0.6 Angstrom apart in here; got 0.025"),
        (cif([*DIAMOND, ("C", 0, 0, 0, 1)]), "cif", "expected a crystal in here; got ValueError: Occupancy 2.0"),
        (poscar("9 0 0\n0 9 0\n0 0 0.5"), "poscar", "0.6 Angstrom apart in here; got 0.500"),
        (poscar("3 0 0\n0 3 0\n3 3 0"), "poscar", "1 cubic Angstrom per atom in here; got 0. Correct the cell"),
        (poscar("3 0 0\n0 3 0\n0 0 nan"), "poscar", "1 cubic Angstrom per atom in here; got nan"),
        (poscar("3 0 0\n0 3 0\n0 0 inf"), "poscar", "1 cubic Angstrom per atom in here; got inf"),
        (cif(cell=(3, 3, 0, 90, 90, 90)), "cif", "expected a crystal in here; got ValueError: Singular matrix"),
        ("An essay\non crystals.", "cif", "expected a crystal in here; got ValueError: Invalid CIF file"),
        ("An essay\non crystals.", "poscar", "expected a crystal in here; got"),
        ("", "json", "expected a crystal in here; got JSONDecodeError"),
        (poscar("3 0 0\n0 3 0\n0 0 3", "Xx"), "poscar", "expected"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of NumPy, on NaN
def test_what_is_no_crystal_is_refused_in_one_line(text, format, told):
    with pytest.raises(ValueError, match=told) as caught:
        read_crystal(text, format, ["C", "Si"], "here")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_shortest_distance_sees_images():
    assert shortest_distance(phase("diamond")) == pytest.approx(3.567 * np.sqrt(3) / 4)
    assert shortest_distance(Structure(Lattice.orthorhombic(2, 7, 9), ["C"], [[0, 0, 0]])) == pytest.approx(2)
    assert shortest_distance(Structure(Lattice.cubic(9), ["C"], [[0, 0, 0]])) == 5.0


def test_cells_of_one_phase_are_one_prototype():
    names = ("diamond", "lonsdaleite", "graphite_aa", "graphite_ab", "graphite_abc")
    crystals = [phase(name) for name in names]
    crystals += [cell for atoms in (4, 6, 8) for cell in supercells(crystals[0], atoms)]
    crystals += [SIC, SIC.get_primitive_structure(), supercells(crystals[3], 8)[2]]
    assert prototypes(crystals, StructureMatcher()).tolist() == [0, 1, 2, 3, 4] + [0] * 12 + [5, 5, 3]


def test_prototypes_are_those_of_the_plain_loop():
    generator = np.random.default_rng(3)
    crystals = [
        cell.copy().perturb(0.3 * generator.random())
        for name in ("diamond", "lonsdaleite", "graphite_aa", "graphite_abc")
        for cell in supercells(phase(name), 8)
    ]
    matcher, wanted, first = StructureMatcher(), [], []
    for crystal in crystals:
        number = next((k for k, other in enumerate(first) if matcher.fit(other, crystal)), len(first))
        wanted.append(number)
        first += [crystal] if number == len(first) else []
    assert 4 < len(first) < len(crystals)
    assert prototypes(crystals, matcher).tolist() == wanted


def test_cells_that_noise_has_made_are_alone_and_skewed_ones_are_reduced():
    lattice = phase("diamond").lattice.matrix
    tiny, long, infinite = (
        Structure(Lattice(own), ["C"] * 2, [[0, 0, 0], [0.25, 0.25, 0.25]])
        for own in (0.1 * lattice, np.diag([0.1, 1, 99]), np.diag([1, 1, np.inf]))
    )
    skewed = turned(phase("diamond"), 1, SKEWED)
    assert primitive(tiny) is None and primitive(long) is None and primitive(infinite) is None
    assert EXACTLY.fit(primitive(skewed), phase("diamond"))
    found = prototypes([tiny, phase("diamond"), tiny, skewed, long], StructureMatcher())
    assert found.tolist() == [0, 1, 2, 1, 3]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.99])
def test_a_prototype_is_trained_on_or_held_out(share):
    numbers = np.random.default_rng(1).integers(20, size=200)
    held_out = held_out_prototypes(numbers, share, seed=4)
    assert not set(numbers[held_out]) & set(numbers[~held_out])
    expected = np.clip(20 * share, 1, 19).round() if share else 0
    assert len(set(numbers[held_out])) == expected


def test_the_seed_draws_the_lot():
    numbers = np.arange(50)
    first, again, other = (held_out_prototypes(numbers, 0.2, seed) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_one_prototype_cannot_be_split():
    numbers = np.zeros(5, dtype=np.int64)
    with pytest.raises(
        ValueError, match="expected crystals of two prototypes or more, to hold one out; got one"
    ):
        held_out_prototypes(numbers, 0.2, seed=1)
    assert not held_out_prototypes(numbers, 0.0, seed=1).any()
