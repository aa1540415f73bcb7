"""Numbers for ensembles of proteins, against closed forms, an independent search and structures of which they are known."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from dig_core.evaluation.proteins import (
    ca_rmsd,
    contact_difference,
    contact_map,
    radius_of_gyration_angstrom,
    reached,
    secondary_structure,
    tm_score,
    within,
)
from dig_core.evaluation.superposition import tm_length_angstrom
from tests.backbones_for_tests import DATA, HELIX, STRAND, Backbone, built, needs_data, read

PAIRS = {("1AKE", "4AKE"): (7.13, 0.684), ("1URP", "2DRI"): (4.06, 0.729), ("1GGG", "1WDN"): (5.34, 0.662)}


def chain(residues: int, seed: int) -> np.ndarray:
    """A random walk of steps of 3.8 Angstrom."""
    steps = np.random.default_rng(seed).normal(size=(residues, 3))
    return np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)


def moved(positions: np.ndarray, count: int) -> np.ndarray:
    """The same structure in several places."""
    turns = Rotation.random(count, rng=1).as_matrix()
    return positions @ turns + 50 * np.random.default_rng(2).normal(size=(count, 1, 3))


def common(first: str, second: str) -> tuple[np.ndarray, np.ndarray]:
    """CA of the residues that two crystal structures share, [residues, 3] each."""
    one, two = (read(DATA / "proteins" / f"{name}_A.pdb") for name in (first, second))
    _, i, j = np.intersect1d(one.residue_indices, two.residue_indices, return_indices=True)
    return one.alpha[0, i], two.alpha[0, j]


def exhaustive_tm_score(structure: np.ndarray, reference: np.ndarray) -> float:
    """The search of Zhang and Skolnick from every second window, then a climb in rotation and shift from the best five."""
    scale, count = tm_length_angstrom(len(reference)), len(reference)
    tries = []
    for length in (count, count // 2, count // 4, count // 8, count // 16, 5):
        for first in range(0, count - length + 1, 2):
            chosen = (np.arange(count) >= first) & (np.arange(count) < first + length)
            for _ in range(6):
                placed = fitted(structure, reference, chosen)
                distances = np.linalg.norm(placed - reference, axis=1)
                chosen = distances < max(np.clip(scale, 4.5, 8.0) + 1, np.sort(distances)[3])
            tries.append((np.mean(1 / (1 + (distances / scale) ** 2)), placed))

    def lost(motion: np.ndarray, placed: np.ndarray) -> float:
        own = Rotation.from_rotvec(motion[:3] / 10).apply(placed) + motion[3:]
        return -np.mean(1 / (1 + (np.linalg.norm(own - reference, axis=1) / scale) ** 2))

    best = sorted(tries, key=lambda each: -each[0])[:5]
    return max(-minimize(lost, np.zeros(6), args=(placed,)).fun for _, placed in best)


def fitted(structure: np.ndarray, reference: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The structure laid upon the reference by the chosen residues."""
    centre, goal = structure[chosen].mean(axis=0), reference[chosen].mean(axis=0)
    turn, _ = Rotation.align_vectors(reference[chosen] - goal, structure[chosen] - centre)
    return turn.apply(structure - centre) + goal


@pytest.mark.parametrize("residues", [3, 10, 100])
def test_a_moved_structure_is_the_same_structure(residues):
    structure = chain(residues, seed=3)
    frames = moved(structure, 7)
    assert np.allclose(ca_rmsd(frames, structure), 0, atol=1e-10)
    assert np.allclose(tm_score(frames, structure), 1, atol=1e-10)


def test_rmsd_is_that_of_an_independent_superposition():
    reference, frames = chain(40, seed=4), np.stack([chain(40, seed=seed) for seed in range(5, 15)])
    for frame, own in zip(frames, ca_rmsd(frames, reference), strict=True):
        placed = fitted(frame, reference, np.ones(40, dtype=bool))
        assert own == pytest.approx(np.sqrt(np.mean(np.sum((placed - reference) ** 2, axis=1))))


def test_a_mirror_image_is_another_structure():
    structure = chain(60, seed=16)
    assert ca_rmsd(-structure[None], structure)[0] > 3 and tm_score(-structure[None], structure)[0] < 0.5


def test_the_tm_score_overlooks_a_tail_that_lies_elsewhere():
    """90 of 100 residues in place: 0.9 and a little, whatever the tail does; the RMSD sees the tail alone."""
    reference = chain(100, seed=17)
    frame = reference.copy()
    frame[90:] += [300.0, 0.0, 0.0]
    assert tm_score(frame[None], reference)[0] == pytest.approx(0.9, abs=1e-3)
    assert ca_rmsd(frame[None], reference)[0] > 70


def test_the_length_of_the_tm_score():
    assert tm_length_angstrom(214) == pytest.approx(1.24 * 199 ** (1 / 3) - 1.8)
    assert tm_length_angstrom(10) == tm_length_angstrom(20) == 0.5


def test_frames_that_are_not_finite_have_no_number_and_are_in_no_state():
    structure = chain(30, seed=18)
    frames = np.stack([structure, structure, structure])
    frames[1, 4, 2] = np.nan
    for numbers in (
        ca_rmsd(frames, structure),
        tm_score(frames, structure),
        radius_of_gyration_angstrom(frames),
    ):
        assert np.isnan(numbers).tolist() == [False, True, False]
    assert within(frames, structure, 1.0) == pytest.approx(2 / 3)
    assert np.isnan(tm_score(frames[1:2], structure)).all()


def test_another_number_of_residues_is_refused():
    with pytest.raises(ValueError, match="expected the 31 residues of the reference; got 30"):
        ca_rmsd(chain(30, seed=19)[None], chain(31, seed=19))


def test_many_frames_have_the_scores_of_single_ones():
    reference = chain(80, seed=20)
    frames = reference + np.random.default_rng(21).normal(scale=2.0, size=(60, 80, 3))
    alone = [tm_score(frame[None], reference)[0] for frame in frames[::10]]
    assert np.allclose(tm_score(frames, reference)[::10], alone)


@needs_data
@pytest.mark.parametrize(("names", "known"), PAIRS.items(), ids=["-".join(names) for names in PAIRS])
def test_pairs_of_states_are_apart_as_known(names, known):
    first, second = common(*names)
    scores = tm_score(first[None], second)[0], tm_score(second[None], first)[0]
    assert (ca_rmsd(first[None], second)[0], scores[0]) == pytest.approx(known, abs=0.005)
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


@needs_data
def test_the_search_of_the_tm_score_finds_what_an_exhaustive_one_finds():
    first, second = common("1AKE", "4AKE")
    ubiquitin = read(DATA / "proteins" / "1ubi.pdb").alpha[0]
    for structure, reference in ((first, second), (first[40:116], ubiquitin)):
        assert tm_score(structure[None], reference)[0] == pytest.approx(
            exhaustive_tm_score(structure, reference), abs=0.005
        )


def test_radii_of_gyration_of_a_rod_and_of_an_octahedron():
    rod = np.arange(11)[:, None] * np.array([2.0, 0.0, 0.0])
    assert radius_of_gyration_angstrom(moved(rod, 3)) == pytest.approx(2 * np.sqrt((11**2 - 1) / 12))
    octahedron = 4 * np.concatenate([np.eye(3), -np.eye(3)])
    assert radius_of_gyration_angstrom(octahedron[None]) == pytest.approx(4)
    # Two masses of 3 and 1 at a distance of 8: 8 sqrt(3 x 1) / (3 + 1).
    assert radius_of_gyration_angstrom(rod[None, [0, 4]], np.array([3.0, 1.0])) == pytest.approx(
        8 * np.sqrt(3) / 4
    )


def test_contacts_of_a_chain_made_by_hand():
    """CB decides, and CA in the second residue, which has none; in the second of two frames the last residue has left."""
    first = np.array([0, 5, 9, 14])
    frames = np.zeros((2, 19, 3))
    frames[:, [4, 6, 13, 18], 0] = [0.0, 7.9, 15.9, 22.0]
    frames[1, 18, 0] = 90.0
    wanted = np.eye(4)
    wanted[0, 1] = wanted[1, 0] = 1.0
    wanted[2, 3] = wanted[3, 2] = 0.5
    assert np.array_equal(contact_map(frames, first), wanted)
    assert contact_map(frames, first, cutoff_angstrom=8.1)[1, 2] == 1.0
    with pytest.raises(ValueError, match="expected at least one frame; got none"):
        contact_map(frames[:0], first)


def test_difference_of_contact_maps():
    found, reference = np.zeros((6, 6)), np.zeros((6, 6))
    reference[0, 3] = found[0, 3] = 1.0
    found[1, 5] = 0.6
    same, other = contact_difference(reference, reference), contact_difference(found, reference)
    assert same == pytest.approx({"contact_correlation": 1.0, "contact_rms_difference": 0.0})
    assert other["contact_rms_difference"] == pytest.approx(0.6 / np.sqrt(6))
    assert other["contact_correlation"] == pytest.approx(
        np.corrcoef([1, 0, 0, 0, 0.6, 0], [1, 0, 0, 0, 0, 0])[0, 1]
    )
    assert np.isnan(contact_difference(np.ones((6, 6)), reference)["contact_correlation"])


def structure_of(own: Backbone) -> str:
    """H, E or - for each residue: what it is in most frames."""
    prolines = np.array([name == "PRO" for name in own.names])
    shares = secondary_structure(own.positions, *own.residues, prolines)
    assert np.allclose(shares.sum(axis=1), 1)
    return "".join("HE-"[k] for k in shares.argmax(axis=1))


def test_an_ideal_helix_is_a_helix_and_a_lone_strand_is_none():
    assert structure_of(built([HELIX] * 14)) == "-" + 12 * "H" + "-"
    assert structure_of(built([STRAND] * 14)) == 14 * "-"


def test_shares_are_those_of_frames():
    helix, strand = built([HELIX] * 14), built([STRAND] * 14)
    frames = np.concatenate([helix.positions, helix.positions, helix.positions, strand.positions])
    frames = np.concatenate([frames, np.full((1, *frames.shape[1:]), np.nan)])
    shares = secondary_structure(frames, *helix.residues)
    assert shares[7].tolist() == [0.75, 0.0, 0.25] and shares[0].tolist() == [0.0, 0.0, 1.0]


def test_a_gap_ends_a_helix_and_a_proline_gives_no_hydrogen_bond():
    helix = built([HELIX] * 14)
    numbers, chains, first = helix.residues
    cut = secondary_structure(helix.positions, numbers + 5 * (np.arange(14) >= 7), chains, first)
    assert cut[6:8, 0].tolist() == [0.0, 0.0]
    prolines = secondary_structure(helix.positions, *helix.residues, np.ones(14, dtype=bool))
    assert not prolines[:, 0].any()


@needs_data
def test_ubiquitin_and_villin_have_their_helices_and_strands():
    """Vijay-Kumar, Bugg and Cook, J. Mol. Biol. 194, 531 (1987); McKnight, Matsudaira and Kim, Nat. Struct. Biol. 4, 180 (1997)."""
    ubiquitin = " " + structure_of(read(DATA / "proteins" / "1ubi.pdb"))
    assert set(ubiquitin[23:35]) == {"H"}
    assert all(
        set(ubiquitin[first : last + 1]) == {"E"} for first, last in ((2, 7), (12, 16), (41, 45), (66, 71))
    )
    villin = read(DATA / "proteins" / "1vii_3frames.pdb")
    found = dict(zip(villin.residue_indices.tolist(), structure_of(villin), strict=True))
    assert "E" not in found.values()
    assert all(
        found[r] == "H" for first, last in ((44, 48), (55, 58), (64, 72)) for r in range(first, last + 1)
    )


def test_a_state_is_reached_by_the_first_sample_within_the_threshold():
    own = reached(np.array([5.0, np.nan, 1.9, 0.7, 3.0]), 2.0)
    assert (own.within_fraction, own.first_sample, own.expected_samples) == (0.4, 3, 2.5)
    assert own.best_rmsd_angstrom == 0.7
    never = reached(np.array([5.0, np.nan]), 2.0)
    assert (never.within_fraction, never.first_sample, never.expected_samples) == (0.0, None, np.inf)
    assert never.best_rmsd_angstrom == 5.0
    with pytest.raises(ValueError, match="at least one sample; got none"):
        reached(np.zeros(0), 2.0)
