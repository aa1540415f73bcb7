"""Some frames of a region, and frames joined by their effective sizes."""

import numpy as np
import pytest

from dig_core.evaluation.torsions import torsion_angles
from dig_core.systems.kept_frames import joined, with_kept
from dig_core.systems.molecule_subset import subset

TORSION = np.array([[[0, 1, 2, 3], [1, 2, 3, 4]]])
MOLECULE = {"backbone_torsions": TORSION}
SETTINGS = {"frames": 20, "region": {"phi_deg": (-180.0, 0.0), "psi_deg": (-180.0, 180.0)}, "seed": 3}


def frames(count: int = 400) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    positions = generator.standard_normal((count, 5, 3)).astype(np.float32)
    weights = generator.random(count)
    arrays = {"positions_angstrom": positions, "weights": weights / weights.sum()}
    return arrays | {
        "potential_energy_kJ_per_mol": np.arange(count, dtype=float),
        "frame_interval_ps": np.array(0.2),
    }


def test_a_subset_lies_in_its_region_in_the_order_of_time():
    every = frames()
    some = subset(every, MOLECULE, SETTINGS)
    assert (torsion_angles(some["positions_angstrom"], TORSION[0])[:, 0] < 0).all()
    chosen = some["potential_energy_kJ_per_mol"].astype(int)
    assert len(set(chosen)) == 20 and (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(some["positions_angstrom"], every["positions_angstrom"][chosen])
    np.testing.assert_allclose(some["weights"], 1 / 20)
    assert some["frame_interval_ps"] == 0.2


def test_frames_without_weight_are_not_drawn():
    every = frames()
    every["weights"][100:] = 0.0
    some = subset(every, MOLECULE, SETTINGS)
    assert some["potential_energy_kJ_per_mol"].max() < 100


def test_too_few_frames_and_molecules_without_backbone_are_told():
    with pytest.raises(ValueError, match=r"expected 300 frames in data\.subset\.region; got"):
        subset(frames(), MOLECULE, SETTINGS | {"frames": 300})
    with pytest.raises(ValueError, match="Write `subset: null`"):
        subset(frames(), {"backbone_torsions": np.zeros((0, 2, 4), dtype=int)}, SETTINGS)


def test_joined_frames_share_by_effective_size():
    """100 equal frames, and 400 of which 50 carry all weight equally: shares 2/3 and 1/3."""
    first = {"positions_angstrom": np.zeros((100, 5, 3)), "weights": np.full(100, 0.01)}
    second = {"positions_angstrom": np.ones((400, 5, 3)), "weights": np.repeat([0.02, 0.0], [50, 350])}
    both = joined(first, second)
    assert both["weights"][:100].sum() == pytest.approx(2 / 3)
    assert both["weights"].sum() == pytest.approx(1.0)
    dataset = {f"a.{key}": x for key, x in first.items()} | {f"b.{key}": x for key, x in first.items()}
    mixed = with_kept(dataset, {"b": second})
    assert len(mixed["a.weights"]) == 100 and len(mixed["b.weights"]) == 500
    assert with_kept(dataset, {}) == dataset


def test_joined_frames_keep_their_forces_in_the_same_order():
    forces = "forces_kJ_per_mol_angstrom"
    sets = [{**frames(count), forces: np.full((count, 5, 3), float(count))} for count in (30, 40)]
    both = joined(*sets)
    np.testing.assert_array_equal(both[forces][:, 0, 0], np.repeat([30.0, 40.0], [30, 40]))
    assert len(both["positions_angstrom"]) == len(both["weights"]) == 70
    assert forces not in joined(sets[0], frames(40))
    dataset = {f"a.{name}": x for name, x in sets[0].items()}
    assert len(with_kept(dataset, {"a": sets[1]})[f"a.{forces}"]) == 70
