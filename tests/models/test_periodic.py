"""The network of crystals: its symmetries in float64, and its sums over images against all images one by one."""

import itertools

import pytest
import torch

from dig_core.models.periodic import UPPER, PeriodicMessages, full, neighbour_pairs

CUTOFF = 4.5


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def network() -> PeriodicMessages:
    torch.manual_seed(0)
    own = PeriodicMessages(2, 16, 8, CUTOFF)
    for parameter in own.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return own


def crystals(atoms: int = 5) -> tuple[torch.Tensor, ...]:
    """Fractional coordinates, lattices of 2 to 4 Angstrom that are symmetric, levels, and atoms of two elements."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(4, 3, 3, generator=generator)
    lattice = 3.0 * torch.eye(3) + 0.3 * (noise + noise.mT)
    numbers = torch.tensor([6, 14, 6, 6, 14])[:atoms].expand(4, -1)
    x = torch.rand(4, atoms, 3, generator=generator)
    return x, lattice, torch.randn(4, 2, generator=generator), numbers


def same(found, expected) -> bool:
    return all(
        torch.allclose(own, other, rtol=1e-10, atol=1e-10) for own, other in zip(found, expected, strict=True)
    )


def rotation() -> torch.Tensor:
    q = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2)))[0]
    return q * torch.linalg.det(q)


def test_outputs_depend_on_every_input():
    x, lattice, levels, numbers = crystals()
    forces, matrices = network()(x, lattice, levels, numbers)
    for changed in (
        (x + 0.1 * torch.rand_like(x), lattice, levels, numbers),
        (x, 1.1 * lattice, levels, numbers),
        (x, lattice, levels + 0.5, numbers),
        (x, lattice, levels, numbers.flip(1)),
    ):
        other = network()(*changed)
        assert (other[0] - forces).abs().max() > 1e-3 and (other[1] - matrices).abs().max() > 1e-3


def test_a_shift_of_the_crystal_changes_nothing():
    x, lattice, levels, numbers = crystals()
    moved = x + torch.tensor([0.3, -1.7, 0.9])
    assert same(network()(moved, lattice, levels, numbers), network()(x, lattice, levels, numbers))


def test_whole_cells_that_single_atoms_move_by_change_nothing():
    x, lattice, levels, numbers = crystals()
    cells = torch.randint(-3, 4, x.shape, generator=torch.Generator().manual_seed(3)).double()
    assert same(network()(x + cells, lattice, levels, numbers), network()(x, lattice, levels, numbers))


def test_outputs_turn_with_the_crystal_and_with_its_mirror_image():
    x, lattice, levels, numbers = crystals()
    forces, matrices = network()(x, lattice, levels, numbers)
    for turn in (rotation(), -torch.eye(3)):
        found = network()(x, lattice @ turn.mT, levels, numbers)
        assert same(found, (forces @ turn.mT, turn @ matrices @ turn.mT))


def test_atoms_have_no_order():
    x, lattice, levels, numbers = crystals()
    forces, matrices = network()(x, lattice, levels, numbers)
    order = torch.tensor([3, 0, 4, 1, 2])
    found = network()(x[:, order], lattice, levels, numbers[:, order])
    assert same(found, (forces[:, order], matrices))


def test_equivalent_lattice_vectors_describe_the_same_crystal():
    """In space; the symmetric matrix of the new vectors is another one, which is turned against the old one."""
    x, lattice, levels, numbers = crystals()
    change = torch.tensor(
        [[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 1.0]]
    )  # whole numbers, determinant 1
    found = network()(x @ torch.linalg.inv(change), change @ lattice, levels, numbers)
    assert same(found, network()(x, lattice, levels, numbers))


def test_lattice_vectors_have_no_order_and_no_sign():
    """A permutation with signs P takes the symmetric lattice L to P L P^T: outputs turn with it."""
    x, lattice, levels, numbers = crystals()
    forces, matrices = network()(x, lattice, levels, numbers)
    p = torch.tensor([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    found = network()(x @ p.mT, p @ lattice @ p.mT, levels, numbers)
    assert same(found, (forces @ p.mT, p @ matrices @ p.mT))


def test_all_images_within_the_cutoff_are_pairs_and_no_others():
    x, lattice, _, _ = crystals()
    found, shifts = neighbour_pairs(x, lattice, CUTOFF)
    batch, first, second = found.unbind(1)
    vectors = torch.einsum("ed,edc->ec", x[batch, second] - x[batch, first] + shifts, lattice[batch])
    assert vectors.norm(dim=-1).max() < CUTOFF
    expected = 0
    for image in itertools.product(range(-5, 6), repeat=3):
        apart = (x[:, None] - x[:, :, None] + torch.tensor(image, dtype=x.dtype)) @ lattice[:, None]
        distance = apart.norm(dim=-1)
        expected += int(((distance < CUTOFF) & (distance > 1e-6)).sum())
    assert len(found) == expected > 4 * 5 * 50  # far more images than atoms


def test_sums_over_images_are_those_of_all_images_one_by_one():
    x, lattice, _, _ = crystals()
    own = network()
    pairs = own.pairs(x, lattice)
    scalars, vectors, tensors = (
        torch.zeros_like(part) for part in (pairs.scalars, pairs.vectors, pairs.tensors)
    )
    for image in itertools.product(range(-5, 6), repeat=3):
        apart = (x[:, None] - x[:, :, None] + torch.tensor(image, dtype=x.dtype)) @ lattice[:, None]
        distance = apart.norm(dim=-1)
        near = (distance < CUTOFF) & (distance > 1e-6)
        basis = own.pairs.basis(distance.flatten()).unflatten(0, distance.shape) * near[..., None]
        unit = apart / distance.clamp(min=1e-6)[..., None]
        scalars += basis
        vectors += unit[..., None] * basis[..., None, :]
        tensors += (unit[..., UPPER[0]] * unit[..., UPPER[1]])[..., None] * basis[..., None, :]
    for found, expected in ((pairs.scalars, scalars), (pairs.vectors, vectors), (pairs.tensors, tensors)):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)  # unit vectors fade at 0.005 Angstrom


def test_an_atom_that_crosses_the_cutoff_changes_nothing_abruptly():
    _, _, levels, numbers = crystals(2)
    lattice = 6.0 * torch.eye(3)[None]
    own = network()
    outputs = []
    for distance in (CUTOFF - 1e-9, CUTOFF + 1e-9):
        x = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, distance / 6.0]]])
        outputs.append(own(x, lattice, levels[:1], numbers[:1])[0])
    assert (outputs[0] - outputs[1]).abs().max() < 1e-8


def test_six_numbers_are_a_symmetric_matrix():
    matrix = full(torch.arange(6.0))
    assert torch.equal(matrix, matrix.mT)
    assert torch.equal(matrix[UPPER[0], UPPER[1]], torch.arange(6.0))
