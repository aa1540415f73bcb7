"""Paths between structures of a protein: a hinge whose motion the model knows exactly, and what is told of the points."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from dig_core import rotations
from dig_core.backbone import frames_of
from dig_core.data.proteins import protein_arrays, read_protein
from dig_core.diffusion.processes import mean_free
from dig_core.systems import protein
from dig_core.systems.molecule_alignment import rmsd
from dig_core.systems.protein_model import ProteinModel, diffusion_process, network
from dig_core.systems.protein_path import interpolate_states, interpolate_structures, laid_over, path_metrics
from tests.backbones_for_tests import HELIX, Backbone, built
from tests.proteins_for_tests import PROCESS, SETTINGS

PATH = {"points": 9, "kind": "linear", "tolerance": 1e-4, "largest_noise": 0.5}
RESIDUES, SCALE_ANGSTROM, WIDTH = 8, 4.0, 0.02


def hinge(psi_deg: float) -> Backbone:
    """A helix that bends where psi of one residue changes."""
    return built([*[HELIX] * 3, (HELIX[0], psi_deg), *[HELIX] * 4])


def corners(own: Backbone) -> np.ndarray:
    return own.positions[0][own.first_atom_of_residue[:, None] + np.arange(3)]


def described(own: Backbone) -> dict[str, np.ndarray]:
    names = ("residue_indices", "chain_indices", "first_atom_of_residue")
    return {name: getattr(own, name) for name in names}


PROTEIN = described(hinge(0.0))
MIDDLE = corners(hinge(41.0))
FAMILY = [laid_over(MIDDLE, corners(hinge(psi))) for psi in np.linspace(-67.0, 150.0, 61)]
FIRST, SECOND = FAMILY[8], FAMILY[-9]


@cache
def knows_the_hinge() -> ProteinModel:
    """The exact score of all bends with the same weight, of residues that are a little loose."""
    nitrogen, alpha, carbon = torch.as_tensor(np.stack(FAMILY)).unbind(-2)
    positions, turned = mean_free(alpha) / SCALE_ANGSTROM, frames_of(nitrogen, alpha, carbon)
    process = diffusion_process(PROCESS)

    def score(state, time):
        x, r = (state[field].double() for field in ("positions", "rotations"))
        sigma, sigma_turn = (process[f].sigma(time.double()) for f in ("positions", "rotations"))
        variance = WIDTH**2 + sigma**2
        width = torch.sqrt(WIDTH**2 + sigma_turn**2)[None, :, None].expand(len(positions), -1, RESIDUES)
        shift, turn = x - positions[:, None], rotations.logarithm(turned.mT[:, None] @ r)
        logarithms = -0.5 * shift.square().sum((-1, -2)) / variance
        logarithms = logarithms + rotations.log_density(turn.norm(dim=-1), width).sum(-1)
        share = torch.softmax(logarithms, dim=0)[..., None, None]
        slope = {"positions": -shift / variance[:, None, None], "rotations": rotations.score(turn, width)}
        return {field: (share * part).sum(dim=0) for field, part in slope.items()}

    shape = {"positions": (RESIDUES, 3), "rotations": (RESIDUES, 3, 3)}
    return ProteinModel(score, process, SCALE_ANGSTROM, shape, "cpu", np.ones((RESIDUES, 5), dtype=bool))


def knows_nothing() -> ProteinModel:
    def nothing(state, time):
        return {"positions": 0 * state["positions"], "rotations": 0 * state["rotations"][..., 0]}

    return replace(knows_the_hinge(), score=nothing)


@cache
def along_the_hinge() -> dict[str, np.ndarray]:
    return interpolate_structures(knows_the_hinge(), PROTEIN, FIRST, SECOND, PATH)


def alphas(positions: np.ndarray) -> np.ndarray:
    return positions[..., PROTEIN["first_atom_of_residue"] + 1, :].astype(np.float64)


def from_the_family(positions: np.ndarray) -> float:
    """The farthest of the points from the bend that is nearest to it, RMSD of CA in Angstrom."""
    own = alphas(positions)
    distances = [rmsd(own, np.repeat(member[None, :, 1], len(own), axis=0)) for member in FAMILY]
    return np.min(distances, axis=0).max()


def test_a_path_bends_the_hinge_where_a_straight_one_breaks_the_chain():
    """Half a step between the bends of the family is 0.04 Angstrom."""
    found = along_the_hinge()
    assert from_the_family(found["latent_positions_angstrom"]) < 0.1
    assert from_the_family(found["straight_positions_angstrom"]) > 0.6
    assert found["resolved"] and found["endpoint_rmsd_angstrom"].max() < 0.002
    metrics = path_metrics(found)
    assert metrics["path_valid_fraction"] == 1.0 and metrics["path_valid_fraction_baseline_straight"] < 0.5
    assert metrics["path_neighbour_distance_max_angstrom"] == pytest.approx(3.8, abs=0.1)
    assert metrics["path_neighbour_distance_min_angstrom"] == pytest.approx(3.8, abs=0.1)
    straight = {k: metrics[f"path_neighbour_distance_{k}_angstrom_baseline_straight"] for k in ("max", "min")}
    assert straight["max"] == pytest.approx(3.8, abs=0.01) and straight["min"] < 3.6
    assert metrics["path_endpoint_rmsd_angstrom"] == found["endpoint_rmsd_angstrom"].max()


def test_points_go_from_one_end_to_the_other_in_even_steps():
    found = along_the_hinge()
    whole = rmsd(FIRST[None, :, 1], SECOND[None, :, 1])[0]
    for kind in ("latent", "straight"):
        away = found[f"{kind}_rmsd_to_ends_angstrom"]
        assert away[[0, -1], [0, 1]] == pytest.approx(0.0, abs=0.002)
        assert away[[0, -1], [1, 0]] == pytest.approx(whole, abs=0.002)
        assert (np.diff(away[:, 0]) > 0).all() and (np.diff(away[:, 1]) < 0).all()
    steps = np.diff(found["latent_rmsd_to_ends_angstrom"][:, 0])
    assert steps.max() < 2.0 * steps.mean()
    assert found["latent_shares"][[0, -1]].tolist() == [0.0, 1.0] and found["latent_valid"].shape == (9,)


def test_known_structures_are_joined_by_their_names():
    """In the order of the settings, not of the descriptor."""
    atoms = [hinge(psi).positions[0] for psi in (-30.0, 20.0, 110.0)]
    known = {"state_names": np.array(["a", "b", "c"]), "state_positions_angstrom": np.stack(atoms)}
    named = PATH | {"start_state": "c", "end_state": "a", "points": 3}
    found = interpolate_states(knows_nothing(), PROTEIN | known, named)
    ends = alphas(np.stack(atoms)[[2, 0]])
    for kind in ("latent", "straight"):
        assert rmsd(alphas(found[f"{kind}_positions_angstrom"][[0, -1]]), ends).max() < 0.002
    assert found["state_names"].tolist() == ["c", "a"]


def test_the_straight_path_is_that_of_every_residue():
    positions = along_the_hinge()["straight_positions_angstrom"]
    middle = (FIRST[:, 1] + laid_over(FIRST, SECOND)[:, 1]) / 2
    assert rmsd(alphas(positions)[4][None], middle[None])[0] < 1e-4
    apart = np.linalg.norm(np.diff(middle, axis=0), axis=-1).max()
    assert along_the_hinge()["straight_neighbour_distance_max_angstrom"][4] == pytest.approx(apart, abs=1e-4)


def test_where_the_second_structure_lies_does_not_matter():
    turn = rotations.exponential(torch.tensor([0.4, -1.0, 0.8])).double().numpy()
    found = interpolate_structures(knows_the_hinge(), PROTEIN, FIRST, SECOND @ turn + 30.0, PATH)
    for name in ("latent_positions_angstrom", "straight_positions_angstrom"):
        assert found[name] == pytest.approx(along_the_hinge()[name], abs=0.002)


def test_without_knowledge_the_path_is_straight_and_nothing_is_asked_of_residues_beside_a_gap():
    model = knows_nothing()
    gap = PROTEIN | {"residue_indices": PROTEIN["residue_indices"] + 5 * (np.arange(RESIDUES) > 3)}
    stretched = SECOND + np.where(np.arange(RESIDUES) > 3, 20.0, 0.0)[:, None, None]
    whole, apart = (
        interpolate_structures(model, own, FIRST, stretched, PATH | {"points": 5}) for own in (PROTEIN, gap)
    )
    assert whole["latent_positions_angstrom"] == pytest.approx(whole["straight_positions_angstrom"], abs=1e-3)
    for kind in ("latent", "straight"):
        assert (
            whole[f"{kind}_neighbour_distance_max_angstrom"][-1] > 20.0 and not whole[f"{kind}_no_break"][-1]
        )
        assert apart[f"{kind}_neighbour_distance_max_angstrom"][-1] == pytest.approx(3.8, abs=0.01)
        assert apart[f"{kind}_no_break"][-1]


def test_a_network_is_followed_in_both_directions_and_its_paths_do_not_depend_on_where_the_ends_are():
    chain, bent = (built([HELIX, HELIX, (-100.0, psi), HELIX], glycines=(1,)) for psi in (0.0, 60.0))
    sequence = read_protein({"sequence": "AGSA"})
    arrays = protein_arrays(sequence) | described(chain) | {"sequence": np.array(sequence.sequence)}
    torch.manual_seed(0)
    model = network(SETTINGS["model"])
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.02 * torch.randn_like(weights)
    checkpoint = {"settings": SETTINGS, "weights": model.state_dict(), "scale_angstrom": 2.0}
    trained = protein.trained_model(checkpoint, arrays)
    first, second = corners(chain), corners(bent)
    turn = rotations.exponential(torch.tensor([0.4, -1.0, 0.8])).double().numpy()
    settings = {"points": 3, "kind": "slerp", "tolerance": 1e-3, "largest_noise": 0.5}
    found, again = (
        interpolate_structures(trained, arrays, *ends, settings)
        for ends in ((first, second), (first @ turn, second @ turn - 5.0))
    )
    assert found["latent_positions_angstrom"].shape == (3, 19, 3)
    assert found["endpoint_rmsd_angstrom"].max() < 0.02
    away = rmsd(*(own["latent_positions_angstrom"].astype(np.float64) for own in (found, again)))
    assert away.max() < 0.02


def test_structures_of_another_protein_are_refused():
    with pytest.raises(ValueError, match="expected N, CA and C of 8 residues") as caught:
        interpolate_structures(knows_the_hinge(), PROTEIN, FIRST[:7], SECOND[:7], PATH)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="expected largest_noise above the smallest noise"):
        interpolate_structures(knows_the_hinge(), PROTEIN, FIRST, SECOND, PATH | {"largest_noise": 0.001})
