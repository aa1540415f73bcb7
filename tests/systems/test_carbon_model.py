"""The state of a crystal, its score and its loss: scales, symmetries, crystals of several sizes, and shares of several processes."""

import numpy as np
import pytest
import torch

from dig_core.diffusion.losses import Batch
from dig_core.systems.carbon_denoising import (
    crystal_probabilities,
    denoising_loss,
    emphasis_in_time,
    expect_seen,
    mean_square,
    training_times,
)
from dig_core.systems.carbon_model import (
    FRACTIONAL,
    LATTICE,
    LatticeScale,
    diffusion_process,
    network,
    score,
    symmetric,
)

MODEL = {
    "layers": 2, "width": 16, "functions": 8, "cutoff_angstrom": 4.0, "volume_per_atom_angstrom3": 6.0,
    "lattice_spread": 0.2,
}  # fmt: skip
PROCESS = {
    "fractional": {"sigma_min": 0.005, "sigma_max": 0.3},
    "lattice": {"sigma_min": 0.01, "sigma_max": 5.0},
}
SCALE = LatticeScale(6.0, 0.2)


def normal(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def crystals(count: int = 6, atoms: int = 4, seed: int = 1) -> dict[str, np.ndarray]:
    y = symmetric(normal(count, 3, 3, seed=seed))
    return {
        "counts": np.full(count, atoms),
        "fractional": np.random.default_rng(seed).random((count * atoms, 3)),
        "atomic_numbers": np.full(count * atoms, 6),
        "lattices_angstrom": SCALE.lattices(y.double(), atoms).numpy(),
        "weights": np.ones(count),
    }


def test_any_symmetric_matrix_is_a_lattice_and_comes_back():
    y = symmetric(normal(20, 3, 3)).double()
    lattices = SCALE.lattices(y, 5)
    torch.testing.assert_close(SCALE.scaled(lattices, 5), y)
    # det exp(s Y) = exp(s tr Y)
    volumes = 5 * 6.0 * (0.2 * y.diagonal(dim1=1, dim2=2).sum(-1)).exp()
    torch.testing.assert_close(torch.linalg.det(lattices), volumes)
    cube = SCALE.lattices(torch.zeros(3, 3).double(), 5)
    torch.testing.assert_close(cube, 30.0 ** (1 / 3) * torch.eye(3).double())


def test_the_score_turns_with_the_lattice_vectors():
    """P of `models.periodic`: fractional coordinates are permuted, the matrix of the lattice is turned."""
    torch.manual_seed(0)
    own = network(MODEL).double()
    for parameter in own.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    process, numbers = diffusion_process(PROCESS), torch.full((1, 4), 6)
    state = {FRACTIONAL: normal(3, 4, 3).double(), LATTICE: symmetric(normal(3, 3, 3).double())}
    time = torch.tensor([0.2, 0.5, 0.8]).double()
    slope = score(own, process, SCALE, numbers)(state, time)
    p = torch.tensor([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]).double()
    other = {FRACTIONAL: state[FRACTIONAL] @ p.mT, LATTICE: p @ state[LATTICE] @ p.mT}
    found = score(own, process, SCALE, numbers)(other, time)
    torch.testing.assert_close(found[FRACTIONAL], slope[FRACTIONAL] @ p.mT)
    torch.testing.assert_close(found[LATTICE], p @ slope[LATTICE] @ p.mT)
    assert slope[FRACTIONAL].abs().max() > 1e-3 and slope[LATTICE].abs().max() > 1e-3


def test_emphasis_puts_its_share_into_its_range_and_the_rest_everywhere():
    process = diffusion_process(PROCESS)
    emphasis = emphasis_in_time(process, {"share": 0.6, "sigma_min": 0.02, "sigma_max": 0.15})
    times = training_times(1000, torch.Generator().manual_seed(1), emphasis)
    noise = process[FRACTIONAL].sigma(times)
    inside = ((noise >= 0.02) & (noise <= 0.15)).float().mean().item()
    # Even in ln of the noise: of the other 40 % this share is in the range, too.
    also = np.log(0.15 / 0.02) / np.log(0.3 / 0.005)
    assert inside == pytest.approx(0.6 + 0.4 * also, abs=0.003)
    logs = noise[:600].log()
    assert logs.mean().item() == pytest.approx(0.5 * np.log(0.15 * 0.02), abs=0.01)
    assert noise[600:].min() < 0.0052 and noise[600:].max() > 0.29
    assert emphasis_in_time(process, None) is None
    everywhere = training_times(10, torch.Generator().manual_seed(1), None)
    assert torch.equal((10 * everywhere).floor(), torch.arange(10.0))


def test_loss_is_asked_where_the_emphasis_is():
    settings = {"model": MODEL, "process": PROCESS, "training": {"validation_fraction": 0.2}}
    settings["training"]["emphasis"] = {"share": 0.9999, "sigma_min": 0.05, "sigma_max": 0.1}
    loss, _, _ = denoising_loss(crystals(), {}, settings, "cpu")
    seen = []

    class Nothing(torch.nn.Module):
        def forward(self, x, lattices, levels, numbers):
            seen.append(levels[:, 0].exp())
            return torch.zeros_like(x), torch.zeros_like(lattices)

    loss(Nothing(), Batch(torch.arange(6), torch.Generator().manual_seed(1)))
    assert torch.cat(seen).min() >= 0.0499 and torch.cat(seen).max() <= 0.1001


def test_crystals_of_several_sizes_train_together():
    small, large = crystals(6, 4), crystals(5, 7, seed=2)
    dataset = {name: np.concatenate([small[name], large[name]]) for name in small}
    loss, probabilities, _ = denoising_loss(
        dataset, {}, {"model": MODEL, "process": PROCESS, "training": {"validation_fraction": 0.2}}, "cpu"
    )
    assert [tuple(group.fractional.shape) for group in loss.groups] == [(6, 4, 3), (5, 7, 3)]
    np.testing.assert_allclose(loss.groups[1].fractional[2], large["fractional"][14:21], atol=1e-6)
    for part in probabilities.values():
        assert float(part.sum()) == pytest.approx(1.0)
    assert not (probabilities["train"] * probabilities["validation"]).any()
    torch.manual_seed(0)
    for first in (0, 8):  # of the first size, of the second
        indices = torch.tensor([first] * 4)
        values = loss(network(MODEL), Batch(indices, torch.Generator().manual_seed(1)))
        assert torch.isfinite(values).all() and values.shape == (4,)


def test_a_network_that_says_nothing_has_a_loss_of_one():
    """By construction of the preconditioned loss: targets have unit variance, apart from what the data add."""
    dataset = crystals(40, 6)
    loss, _, _ = denoising_loss(
        dataset, {}, {"model": MODEL, "process": PROCESS, "training": {"validation_fraction": 0.1}}, "cpu"
    )
    torch.manual_seed(0)
    quiet = network(MODEL)
    for parameter in quiet.head.parameters():
        torch.nn.init.zeros_(parameter)
    generator = torch.Generator().manual_seed(1)
    values = torch.cat([loss(quiet, Batch(torch.arange(36), generator)) for _ in range(20)])
    assert values.mean().item() == pytest.approx(1.0, abs=0.15)


def test_the_loss_counts_free_coordinates():
    residuals = {FRACTIONAL: torch.ones(2, 4, 3), LATTICE: torch.zeros(2, 3, 3)}
    assert mean_square(residuals).tolist() == pytest.approx([12 / 9 / 2] * 2)
    residuals = {FRACTIONAL: torch.zeros(2, 4, 3), LATTICE: torch.ones(2, 3, 3)}
    assert mean_square(residuals).tolist() == pytest.approx([9 / 6 / 2] * 2)


SETTINGS = {"model": MODEL, "process": PROCESS, "training": {"validation_fraction": 0.2}}


def test_a_lone_crystal_of_its_size_trains():
    """Sizes weigh as many crystals as they have."""
    probabilities = crystal_probabilities([torch.ones(1), torch.ones(10)], 0.2)
    assert probabilities["train"].tolist() == pytest.approx([1 / 9] * 9 + [0.0, 0.0])
    assert probabilities["validation"].tolist() == pytest.approx([0.0] * 9 + [0.5, 0.5])
    few = crystal_probabilities([torch.ones(1), torch.ones(1)], 0.2)
    assert few["train"].tolist() == [1.0, 0.0] and few["validation"].tolist() == [0.0, 1.0]
    with pytest.raises(ValueError, match="expected two crystals or more to train on; got one"):
        crystal_probabilities([torch.ones(1)], 0.2)


def test_shares_of_two_processes_are_the_batch_of_one():
    loss, _, _ = denoising_loss(crystals(8), {}, SETTINGS, "cpu")
    torch.manual_seed(0)
    own = network(MODEL)
    for parameter in own.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    whole, first, second = (
        loss(own, Batch(torch.arange(8), torch.Generator().manual_seed(1), part=part))
        for part in ((0, 1), (0, 2), (1, 2))
    )
    torch.testing.assert_close(whole[0::2], first)
    torch.testing.assert_close(whole[1::2], second)


def test_one_atom_in_a_cell_has_a_lattice_to_learn():
    loss, _, _ = denoising_loss(crystals(4, 1), {}, SETTINGS, "cpu")
    torch.manual_seed(0)
    values = loss(network(MODEL), Batch(torch.arange(4), torch.Generator().manual_seed(1)))
    assert values.shape == (4,) and torch.isfinite(values).all()


def test_cells_that_the_cutoff_sees_through_are_refused():
    expect_seen(np.diag([3.0, 3.0, 3.0])[None], 5.0)
    with pytest.raises(ValueError, match=r"expected cells whose images up to 4 .* got one that needs 5"):
        expect_seen(np.diag([3.0, 3.0, 1.0])[None], 5.0)
