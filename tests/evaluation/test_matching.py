"""Matches of crystals against known distances, a plain loop over pymatgen, and bonds of known phases."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from dig_core.evaluation.matching import TOLERANCES, Bonds, Matches, bonding, matcher, matches

SKEWED = np.array([[1, 0, 0], [300, 1, 0], [-20, 500, 1]])  # of determinant 1
DIAMOND = Structure.from_spacegroup("Fd-3m", Lattice.cubic(3.567), ["C"], [[0, 0, 0]])
LONSDALEITE = Structure.from_spacegroup(
    "P6_3/mmc", Lattice.hexagonal(2.52, 4.12), ["C"], [[1 / 3, 2 / 3, 1 / 16]]
)
GRAPHITE = Structure.from_spacegroup(
    "P6_3/mmc", Lattice.hexagonal(2.461, 6.708), ["C"] * 2, [[0, 0, 1 / 4], [1 / 3, 2 / 3, 1 / 4]]
)
PHASES = (DIAMOND, LONSDALEITE, GRAPHITE)


def random_crystal(generator: np.random.Generator, atoms: int = 6, closest: float = 1.3) -> Structure:
    """Atoms at least so far apart, at the density of diamond."""
    cell = Lattice.from_parameters(*generator.uniform(0.8, 1.2, 3), *generator.uniform(70, 110, 3))
    while True:
        drawn = Structure(cell.scale(5.7 * atoms), ["C"] * atoms, generator.random((atoms, 3)))
        if drawn.is_valid(closest):
            return drawn


def moved(crystal: Structure, displacements: np.ndarray) -> Structure:
    """With its atoms displaced by so many Angstrom."""
    positions = crystal.cart_coords + displacements
    return Structure(crystal.lattice, crystal.species, positions, coords_are_cartesian=True)


def as_silicon_carbide(crystal: Structure) -> Structure:
    half = len(crystal) // 2
    return Structure(crystal.lattice, ["Si"] * half + ["C"] * half, crystal.frac_coords)


@pytest.mark.parametrize("tolerances", TOLERANCES.values(), ids=["default", "paper"])
def test_phases_match_their_own_cells_and_no_other_phase(tolerances):
    samples = [
        crystal.make_supercell([[1, 1, 0], [0, 1, 0], [0, 1, 2]], in_place=False) for crystal in PHASES
    ]
    found = matches(samples, PHASES, matcher(tolerances))
    assert found.reference.tolist() == [0, 1, 2] and np.allclose(found.rms, 0, atol=1e-6)
    assert (np.isfinite(found.distances) == np.eye(3)).all()


def test_the_distance_is_that_of_the_noise():
    """Displacements less their mean, by (V/N)^(1/3): sigma sqrt(3 (1 - 1/N)) for a crystal with no symmetry."""
    generator = np.random.default_rng(1)
    crystals = [random_crystal(generator, 8) for _ in range(6)]
    noise = 0.05 * generator.normal(size=(6, 8, 3))
    samples = [moved(*pair) for pair in zip(crystals, noise, strict=True)]
    found = matches(samples, crystals, matcher())
    centred = noise - noise.mean(axis=1, keepdims=True)
    assert found.reference.tolist() == list(range(6))
    assert np.allclose(found.rms, np.sqrt((centred**2).sum(axis=2).mean(axis=1)) / 5.7 ** (1 / 3), rtol=1e-3)
    assert found.rms.mean() == pytest.approx(0.05 * np.sqrt(3 * 7 / 8) / 5.7 ** (1 / 3), rel=0.2)


def test_orientation_order_and_volume_do_not_matter():
    generator = np.random.default_rng(2)
    crystal = random_crystal(generator)
    order = generator.permutation(len(crystal))
    turned = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    other = Structure(
        Lattice(1.3 * crystal.lattice.matrix @ turned), ["C"] * 6, crystal.frac_coords[order] + 0.37
    )
    assert matches([other], [crystal], matcher()).rms == pytest.approx(0, abs=1e-6)


def test_random_cells_hardly_match_at_the_usual_tolerances():
    generator = np.random.default_rng(3)
    references = [random_crystal(generator) for _ in range(10)]
    samples = [random_crystal(generator, closest=0) for _ in range(30)]
    usual, loose = (matches(samples, references, matcher(own)).found.mean() for own in TOLERANCES.values())
    assert usual <= 0.1 and loose >= 0.5


@pytest.mark.parametrize("tolerances", TOLERANCES.values(), ids=["default", "paper"])
def test_matches_are_those_of_the_plain_loop(tolerances):
    generator = np.random.default_rng(4)
    references = [*PHASES, *(random_crystal(generator, n) for n in (4, 4, 6, 6)), as_silicon_carbide(DIAMOND)]
    samples = [moved(own, 0.15 * generator.normal(size=(len(own), 3))) for own in references]
    samples += [LONSDALEITE * (2, 1, 1), as_silicon_carbide(DIAMOND), random_crystal(generator, 4)]
    compare = matcher(tolerances)
    plain = [[compare.get_rms_dist(reference, sample) for reference in references] for sample in samples]
    wanted = np.array([[np.inf if own is None else own[0] for own in row] for row in plain])
    assert 5 < np.isfinite(wanted).sum() < wanted.size / 2
    assert np.allclose(matches(samples, references, compare).distances, wanted, atol=1e-6)


def test_other_elements_do_not_match():
    found = matches([as_silicon_carbide(DIAMOND), DIAMOND], [DIAMOND], matcher())
    assert found.found.tolist() == [False, True]


def test_skewed_cells_match_and_cells_that_noise_has_made_do_not():
    primitive = DIAMOND.get_primitive_structure()
    lattices = (SKEWED @ primitive.lattice.matrix, 0.1 * primitive.lattice.matrix, np.diag([0.1, 1, 200]))
    coordinates = (
        primitive.frac_coords @ np.linalg.inv(SKEWED),
        primitive.frac_coords,
        primitive.frac_coords,
    )
    samples = [Structure(Lattice(own), ["C"] * 2, x) for own, x in zip(lattices, coordinates, strict=True)]
    assert matches(samples, [LONSDALEITE, DIAMOND], matcher()).reference.tolist() == [1, -1, -1]


def test_recall_is_the_weight_of_what_was_found():
    samples = [DIAMOND, moved(DIAMOND, 0.02 * np.random.default_rng(5).normal(size=(8, 3))), GRAPHITE]
    found = matches([*samples, random_crystal(np.random.default_rng(6))], PHASES, matcher())
    assert found.reference.tolist() == [0, 0, 2, -1] and found.found.tolist() == [True, True, True, False]
    assert np.isnan(found.rms).tolist() == [False, False, False, True]
    assert found.recall(np.array([5.0, 3.0, 2.0])) == pytest.approx(0.7)
    assert found.recall(np.array([0.0, 1.0, 0.0])) == 0


def test_a_sample_between_two_references_finds_both_and_is_nearest_to_one():
    found = Matches(np.array([[0.2, 0.1, np.inf], [np.inf, np.inf, np.inf]]))
    assert found.reference.tolist() == [1, -1] and found.rms[0] == 0.1
    assert found.recall(np.array([1.0, 1.0, 2.0])) == 0.5


def chain(spacing: float) -> Structure:
    """One atom and its images in a row."""
    return Structure(Lattice.orthorhombic(8, 9, spacing), ["C"], [[0, 0, 0]])


def test_bonds_of_known_phases():
    bonds = bonding(PHASES, Bonds())
    assert [own.tolist() for own in bonds.coordination] == [[4] * 8, [4] * 4, [3] * 4]
    assert bonds.shortest_angstrom == pytest.approx([1.5446, 1.5434, 1.4209], abs=1e-4)
    assert bonds.valid.all() and bonds.most_bonded_share.tolist() == [1, 1, 0]


def test_chains_and_lone_and_crowded_atoms_are_not_valid():
    lone, crowded = (Structure(Lattice.cubic(side), ["C"], [[0, 0, 0]]) for side in (9, 1.6))
    bonds = bonding([chain(1.3), lone, crowded, DIAMOND], Bonds())
    assert bonds.shortest_angstrom == pytest.approx([1.3, 1.85, 1.6, 1.5446], abs=1e-4)
    assert [own[0] for own in bonds.coordination] == [2, 0, 6, 4]
    assert bonds.valid.tolist() == [False, False, False, True]


@pytest.mark.parametrize(("closer", "valid"), [(0.545, False), (0.3, True)])
def test_a_close_pair_is_not_valid_whatever_its_neighbours(closer, valid):
    pair = DIAMOND.copy()
    pair.translate_sites([0], [closer / np.sqrt(3)] * 3, frac_coords=False)
    bonds = bonding([pair], Bonds())
    assert bonds.shortest_angstrom[0] == pytest.approx(3.567 * np.sqrt(3) / 4 - closer, abs=1e-4)
    assert (bonds.coordination[0] == 4).all() and bonds.valid.tolist() == [valid]


def test_bonds_of_other_elements_are_settings():
    carbide = Structure.from_spacegroup("F-43m", Lattice.cubic(4.36), ["Si", "C"], [[0, 0, 0], [1 / 4] * 3])
    assert not bonding([carbide], Bonds()).valid[0]  # 1.888 Angstrom
    found = bonding([carbide], Bonds(within_angstrom=2.1, shortest_angstrom=1.5, neighbours=(4,)))
    assert found.valid[0] and found.most_bonded_share[0] == 1.0
    assert found.shortest_angstrom[0] == pytest.approx(4.36 * np.sqrt(3) / 4)


def test_needles_that_noise_makes_fill_no_memory():
    needle = Structure(Lattice.orthorhombic(0.15, 0.15, 500.0), ["C"] * 2, [[0, 0, 0], [0, 0, 0.5]])
    found = bonding([needle], Bonds())
    assert found.close[0] and not found.valid[0] and found.most_bonded_share[0] == 0.0


def test_nothing_matches_where_there_is_no_reference():
    found = matches([DIAMOND, GRAPHITE], [], matcher())
    assert not found.found.any() and found.reference.tolist() == [-1, -1] and np.isnan(found.rms).all()
