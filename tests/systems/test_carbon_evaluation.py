"""Drawn crystals beside known ones: what is matched, found and counted, where all of it is known."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from dig_core.crystals import Crystals
from dig_core.data.carbon_phases import cells_of_phases, phase
from dig_core.evaluation.matching import matcher, prototypes
from dig_core.systems.carbon_evaluation import displaced, evaluate, known_crystals, random_cells
from tests.evaluation.test_ideal_bonds import BCT_C4

SETTINGS = {
    "noise_angstrom": 0.2, "seed": 1, "within_angstrom": 1.85, "shortest_angstrom": 1.2, "neighbours": (3, 4),
}  # fmt: skip


def known(held_out: tuple[str, ...] = ("lonsdaleite",)) -> dict[str, np.ndarray]:
    """All named phases in cells of at most four atoms; some are held out."""
    cells = cells_of_phases(4)
    arrays = vars(Crystals.of(list(cells.values())))
    return arrays | {
        "prototypes": prototypes(list(cells.values()), matcher()),
        "held_out": np.array([name.rpartition("_")[0].rpartition("_")[0] in held_out for name in cells]),
    }


def samples(structures: list[Structure]) -> dict[str, np.ndarray]:
    return vars(Crystals.of(structures)) | {"seconds_sample": np.array(1.0)}


def test_references_are_prototypes_that_fit_into_the_cell():
    two, four = known_crystals(known(), {"C": 2}, 1.85), known_crystals(known(), {"C": 4}, 1.85)
    assert {len(own) for own in two.references} == {2}
    # Graphite AB and lonsdaleite have four atoms, which two cannot hold.
    assert len(four.references) == len(two.references) + 2
    assert four.unseen.sum() == 1 and not two.unseen.any()
    assert {len(own) for own in four.training} == {4}
    # The first cell of a phase is the one that is its reference.
    assert sorted(four.itself[four.itself >= 0]) == sorted(set(four.itself[four.itself >= 0]))
    for own, reference in zip(four.training, four.itself, strict=True):
        assert reference < 0 or own == four.references[reference]


def test_known_crystals_match_themselves_and_chains_match_nothing():
    cells = cells_of_phases(4)
    chain = Structure(Lattice.orthorhombic(9.0, 9.0, 1.3), ["C"], [[0, 0, 0]]) * (1, 1, 4)
    drawn = [cells["diamond_4_1"], cells["lonsdaleite_4_1"], cells["lonsdaleite_4_1"], chain]
    found, arrays = evaluate(samples(drawn), known(), {"C": 4}, SETTINGS)
    assert found["samples"] == 4 and found["match_rate"] == 0.75
    assert found["match_rms"] < 1e-4
    assert found["recall_held_out"] == 1.0  # lonsdaleite
    counts = np.unique(known()["prototypes"], return_counts=True)[1]
    diamonds = counts[known()["prototypes"][list(cells).index("diamond_4_1")]]
    assert found["recall_trained"] == pytest.approx(diamonds / (counts.sum() - 1))
    assert found["valid_fraction"] == 0.75  # atoms of a chain have two neighbours
    assert found["unique_fraction"] == 0.75
    np.testing.assert_array_equal(np.isnan(arrays["samples.match_rms"]), [False, False, False, True])
    # Copies of what the network was shown never find what it was not shown.
    assert found["recall_held_out_noise_floor"] == 0.0


def test_crystals_of_ideal_bonds_are_left_out_of_a_second_count():
    """Two of four samples are diamond and lonsdaleite; of the others one is the known phase with rings of four."""
    four = BCT_C4.get_primitive_structure()
    cells = [*cells_of_phases(4).values(), four, four.copy()]
    arrays = vars(Crystals.of(cells)) | {"prototypes": prototypes(cells, matcher())}
    arrays["held_out"] = np.zeros(len(cells), dtype=bool)
    chain = Structure(Lattice.orthorhombic(9.0, 9.0, 1.3), ["C"], [[0, 0, 0]]) * (1, 1, 4)
    drawn = [cells[0] * (1, 1, 2), cells_of_phases(4)["lonsdaleite_4_1"], four, chain]
    found, _ = evaluate(samples(drawn), arrays, {"C": 4}, SETTINGS)
    assert found["match_rate"] == 0.75 and found["other_fraction"] == 0.5
    assert found["match_rate_other"] == found["match_rate_paper_other"] == 0.5
    assert found["recall_trained_other"] == 1.0 > found["recall_trained"]
    # Bonds beyond 1.85 Angstrom are none, but the matcher sees a diamond.
    wide = cells_of_phases(4)["diamond_4_1"].copy()
    wide.scale_lattice(2 * wide.volume)
    blown, _ = evaluate(samples([wide, four]), arrays, {"C": 4}, SETTINGS)
    assert blown["valid_fraction"] == 0.5 == blown["other_fraction"] and blown["match_rate_other"] == 1.0
    alone, _ = evaluate(samples(drawn[:2]), arrays, {"C": 4}, SETTINGS)
    assert alone["other_fraction"] == alone["recall_trained_other"] == 0.0 and "match_rate_other" not in alone


def test_a_crystal_without_its_like_is_no_noise_floor():
    """Lonsdaleite and graphite AB have one cell of four atoms each: they do not match themselves."""
    cells = cells_of_phases(4)
    arrays = known(held_out=("diamond", "graphite_aa", "graphite_abc"))
    found, _ = evaluate(samples([cells["lonsdaleite_4_1"]] * 5), arrays, {"C": 4}, SETTINGS)
    assert found["match_rate"] == 1.0 and found["match_rate_noise_floor"] == 0.0


def test_atoms_that_no_crystal_has_are_drawn_and_judged_without_baselines():
    cell = cells_of_phases(6)["diamond_6_1"]
    found, arrays = evaluate(samples([cell, cell]), known(), {"C": 6}, SETTINGS)
    assert found["match_rate"] == 1.0 and found["valid_fraction"] == 1.0 and found["training_crystals"] == 0
    assert not any("baseline" in key or "floor" in key or "wasserstein" in key for key in found)
    assert set(key.partition(".")[0] for key in arrays) == {"training", "samples"}


def test_nothing_matches_where_there_are_only_chains():
    chain = Structure(Lattice.orthorhombic(9.0, 9.0, 1.3), ["C"], [[0, 0, 0]]) * (1, 1, 4)
    found, _ = evaluate(samples([chain, chain]), known(), {"C": 4}, SETTINGS)
    assert found["match_rate"] == 0.0 and found["recall_trained"] == 0.0
    assert "match_rms" not in found and found["unique_fraction"] == 0.5
    assert all(np.isfinite(value) for value in found.values())


def test_displaced_atoms_have_moved_by_the_noise_and_the_originals_have_not():
    original = phase("diamond") * (2, 2, 2)
    before = original.frac_coords.copy()
    moved = displaced([original], 200, 0.2, np.random.default_rng(1))
    steps = np.stack([own.frac_coords - before for own in moved])
    steps = (steps - np.round(steps)) @ original.lattice.matrix
    assert steps.std() == pytest.approx(0.2, rel=0.02)
    np.testing.assert_array_equal(original.frac_coords, before)


def test_random_cells_have_the_density_of_the_crystals():
    crystals = [phase("diamond"), phase("graphite_aa")]
    drawn = random_cells(crystals, 50, np.random.default_rng(1))
    densities = {round(own.density, 3) for own in drawn}
    assert densities == {round(own.density, 3) for own in crystals}
    positions = np.concatenate([own.frac_coords for own in drawn])
    assert np.abs(positions.mean(axis=0) - 0.5).max() < 0.1 and positions.std() == pytest.approx(
        1 / np.sqrt(12), rel=0.1
    )
