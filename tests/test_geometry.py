"""Superposition: undoes rigid motions, never reflects, and is the best one."""

import torch
from scipy.spatial.transform import Rotation

from dig_core.geometry import superposed


def structures(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_rigid_motion_is_undone():
    reference = structures(0, 7, 10)
    turns = torch.as_tensor(Rotation.random(7, rng=0).as_matrix())
    moved = reference @ turns.mT + structures(1, 7, 1)
    torch.testing.assert_close(superposed(moved, reference), reference)


def test_agrees_with_scipy_and_does_not_reflect():
    mobile, reference = structures(2, 5, 8), structures(3, 8)
    # The mirror image of the reference is what tempts most.
    mobile[0] = -reference
    found = superposed(mobile, reference.expand(5, -1, -1))
    for one, own in zip(mobile, found, strict=True):
        centre, centred = reference.mean(dim=0), one - one.mean(dim=0)
        turn, _ = Rotation.align_vectors((reference - centre).numpy(), centred.numpy())
        torch.testing.assert_close(own, torch.as_tensor(turn.apply(centred.numpy())) + centre)
    assert (found[0] - reference).norm().item() > 1.0


def test_flat_structures_are_superposed_too():
    reference = structures(4, 6)
    reference[:, 2] = 0.0
    turn = torch.as_tensor(Rotation.random(rng=1).as_matrix())
    torch.testing.assert_close(superposed(reference @ turn.T, reference), reference)
