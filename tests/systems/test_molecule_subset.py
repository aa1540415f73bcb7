"""Some frames of a region."""

import numpy as np
import pytest

from dig_core.evaluation.torsions import torsion_angles
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
