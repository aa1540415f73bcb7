"""The network of adsorbates: its symmetries in float64."""

import math

import pytest
import torch

from dig_core.models.elements import element_features
from dig_core.models.surface import SurfaceMessages

CUTOFF, ABOVE = 5.0, 25.0


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def network() -> SurfaceMessages:
    torch.manual_seed(0)
    own = SurfaceMessages(2, 2, 16, 8, CUTOFF)
    for parameter in own.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return own


def lattice() -> torch.Tensor:
    return torch.tensor([[[4.9, 0.0, 0.0], [2.1, 4.4, 0.0], [0.0, 0.0, ABOVE]]])


def slab(count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Cartesian positions of atoms of two elements."""
    x = torch.rand(1, count, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([1, 1, 0.2])
    return x @ lattice(), torch.tensor([[46, 79, 46, 46, 79, 46]])[:, :count]


def adsorbed(batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.rand(batch, 2, 3, generator=torch.Generator().manual_seed(2)) * torch.tensor([1, 1, 0.1])
    return (x + torch.tensor([0.0, 0.0, 0.2])) @ lattice(), torch.tensor([[6, 8]])


LEVELS = torch.tensor([[-1.0, 0.3], [0.5, 0.0], [1.0, -2.0]], dtype=torch.float64)


def outputs(network, positions, numbers, cell, own, own_numbers, levels=LEVELS):
    """From Cartesian positions."""
    inverse = torch.linalg.inv(cell)
    encoded = network.encoded(positions @ inverse, cell, numbers)
    both = torch.cat([positions.expand(len(own), -1, -1), own], dim=1) @ inverse
    return network(both, cell, levels, own_numbers, encoded)


def test_outputs_depend_on_every_input(network):
    x, numbers = slab()
    y, own = adsorbed()
    found = outputs(network, x, numbers, lattice(), y, own)
    assert found.shape == y.shape
    moved = x.clone()
    moved[0, 0, 0] += 0.2
    for other in (
        outputs(network, moved, numbers, lattice(), y, own),
        outputs(network, x, numbers.roll(1, 1), lattice(), y, own),
        outputs(network, x, numbers, 1.05 * lattice(), y, own),
        outputs(network, x, numbers, lattice(), y + 0.1, own),
        outputs(network, x, numbers, lattice(), y, own.flip(1)),
        outputs(network, x, numbers, lattice(), y, own, LEVELS + 0.3),
    ):
        assert (other - found).abs().max() > 1e-5


def test_shifts_by_lattice_vectors_of_any_atom_and_of_everything_in_the_plane_change_nothing(network):
    x, numbers = slab()
    y, own = adsorbed()
    found = outputs(network, x, numbers, lattice(), y, own)
    steps = torch.randint(-2, 3, (3, 2, 3), generator=torch.Generator().manual_seed(3)) * torch.tensor(
        [1, 1, 0]
    )
    torch.testing.assert_close(
        outputs(network, x, numbers, lattice(), y + steps.double() @ lattice(), own), found
    )
    shift = torch.tensor([1.3, -0.7, 0.0])
    torch.testing.assert_close(outputs(network, x + shift, numbers, lattice(), y + shift, own), found)


def test_a_turn_about_the_normal_and_a_mirror_turn_the_outputs(network):
    x, numbers = slab()
    y, own = adsorbed()
    found = outputs(network, x, numbers, lattice(), y, own)
    angle = 0.7
    turn = torch.tensor(
        [[math.cos(angle), math.sin(angle), 0], [-math.sin(angle), math.cos(angle), 0], [0, 0, 1.0]]
    )
    for own_turn in (turn, turn @ torch.diag(torch.tensor([1.0, -1.0, 1.0]))):
        other = outputs(network, x @ own_turn, numbers, lattice() @ own_turn, y @ own_turn, own)
        torch.testing.assert_close(other, found @ own_turn)


def test_permutations_of_the_slab_change_nothing_and_those_of_the_adsorbate_permute(network):
    x, numbers = slab()
    y, own = adsorbed()
    found = outputs(network, x, numbers, lattice(), y, own)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(outputs(network, x[:, order], numbers[:, order], lattice(), y, own), found)
    torch.testing.assert_close(outputs(network, x, numbers, lattice(), y.flip(1), own.flip(1)), found.flip(1))


def test_other_lattice_vectors_of_the_same_surface_change_nothing(network):
    x, numbers = slab()
    y, own = adsorbed()
    found = outputs(network, x, numbers, lattice(), y, own)
    other = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) @ lattice()
    torch.testing.assert_close(outputs(network, x, numbers, other, y, own), found)


def test_a_supercell_with_copies_gives_each_copy_the_same(network):
    x, numbers = slab()
    y, own = adsorbed()
    found = outputs(network, x, numbers, lattice(), y, own)
    step = lattice()[:, :1]
    large = torch.diag(torch.tensor([2.0, 1.0, 1.0])) @ lattice()
    twice, atoms = torch.cat([x, x + step], dim=1), torch.cat([numbers, numbers], dim=1)
    both = outputs(
        network, twice, atoms, large, torch.cat([y, y + step], dim=1), torch.cat([own, own], dim=1)
    )
    torch.testing.assert_close(both, torch.cat([found, found], dim=1))


def test_atoms_beyond_the_cutoff_count_for_nothing(network):
    x, numbers = slab()
    far = torch.tensor([[[0.0, 0.0, ABOVE / 2]]]).expand(3, 2, 3) + torch.tensor(
        [[0.0, 0.0, 0.0], [1.0, 0.5, 0.3]]
    )
    found = outputs(network, x, numbers, lattice(), far, torch.tensor([[6, 8]]))
    shifted = far + torch.tensor([0.4, 0.1, 0.0])
    torch.testing.assert_close(
        outputs(network, x, numbers, lattice(), shifted, torch.tensor([[6, 8]])), found
    )


def test_elements_of_a_group_are_nearer_to_each_other_than_to_others():
    known = element_features()
    electrons = known[:, 6]  # of d shells
    assert electrons[29] == electrons[47] == electrons[79] > electrons[78] > electrons[77], (
        "Cu, Ag, Au, Pt, Ir"
    )
    assert torch.isfinite(known).all() and len(known) == 95 and known[0].abs().max() == 0.0
    assert known[1:].mean(0).abs().max() < 0.2

    def apart(a: int, b: int) -> float:
        return (known[a] - known[b]).norm().item()

    assert apart(46, 78) < apart(46, 8) and apart(7, 8) < apart(7, 79)
    assert len({tuple(row.tolist()) for row in known}) == 95
