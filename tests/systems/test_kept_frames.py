"""Frames joined by their effective sizes."""

import numpy as np
import pytest

from dig_core.systems.kept_frames import joined, with_kept


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
    plain = [
        {"positions_angstrom": np.zeros((count, 5, 3)), "weights": np.full(count, 1.0 / count)}
        for count in (30, 40)
    ]
    sets = [
        {**own, forces: np.full((len(own["weights"]), 5, 3), float(len(own["weights"])))} for own in plain
    ]
    both = joined(*sets)
    np.testing.assert_array_equal(both[forces][:, 0, 0], np.repeat([30.0, 40.0], [30, 40]))
    assert len(both["positions_angstrom"]) == len(both["weights"]) == 70
    assert forces not in joined(sets[0], plain[1])
    dataset = {f"a.{name}": x for name, x in sets[0].items()}
    assert len(with_kept(dataset, {"a": sets[1]})[f"a.{forces}"]) == 70
