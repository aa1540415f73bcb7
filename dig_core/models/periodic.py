"""Network of crystals: messages from all images within a cutoff to scalars and vectors of each atom (Schuett et al. 2021, arXiv 2102.03150).

The lattice is a symmetric matrix L whose rows are the lattice vectors: its only rotation is that of the lattice vectors among themselves. So
a permutation or a change of sign of lattice vectors is an orthogonal matrix P, L -> P L P^T and x -> x P^T, and a network that is
equivariant in space is equivariant to it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

ATOMIC_NUMBERS = 119  # 0 is none
USUAL_LN_VOLUME = 2.0  # ln of Angstrom^3 per atom: what the network is told is about 0
FREQUENCIES = 16  # of the noise level
LARGEST_IMAGE = 4  # lattice translations along every axis that may hold a neighbour
FADING = 0.005  # Angstrom: directions of closer pairs fade
UPPER = ((0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2))  # rows and columns of the upper triangle


@dataclass(frozen=True)
class Pairs:
    """What atom i sees of atom j and all its images within the cutoff: radial functions of their distances r, alone and with directions u.

    Where some atoms only send, the rows are those of the others, and the columns of all. Sums over images are taken once; all that follows costs atoms^2, however many images the cutoff reaches.
    """

    scalars: Float[Tensor, "batch atoms senders functions"]  # sum of b(r)
    vectors: Float[Tensor, "batch atoms senders 3 functions"]  # sum of b(r) u
    tensors: Float[Tensor, "batch atoms senders 6 functions"]  # sum of b(r) u u^T, in the order of UPPER


def images_needed(lattice: Float[Tensor, "batch 3 3"], cutoff: float) -> Int[Tensor, "batch 3"]:
    """How many lattice translations along each axis a neighbour within the cutoff may be away from the nearest image."""
    spacing = 1.0 / torch.linalg.inv(lattice).norm(dim=1)  # between planes
    return (cutoff / spacing + 0.5).floor().long()


@torch.no_grad()
def neighbour_pairs(
    fractional: Float[Tensor, "batch atoms 3"],
    lattice: Float[Tensor, "batch 3 3"],
    cutoff: float,
    first: int = 0,
) -> tuple[Int[Tensor, "edges 3"], Float[Tensor, "edges 3"]]:
    """Structure, atom and atom of every pair within the cutoff, and the lattice translation of the second, to be added to x_j - x_i.

    Atom i is one from `first` on, and counted from there.
    Of cells so flat that images further than LARGEST_IMAGE would be within the cutoff, as noise makes them, these are left out.
    """
    reach = images_needed(lattice, cutoff).clamp(max=LARGEST_IMAGE).amax(dim=0).tolist()
    axes = [torch.arange(-r, r + 1, device=lattice.device) for r in reach]
    images = torch.cartesian_prod(*axes).to(lattice.dtype)
    apart = fractional[:, None] - fractional[:, first:, None]
    nearest = -apart.round()
    near = (apart + nearest) @ lattice[:, None]
    shifts = images @ lattice
    # |x + s|^2 = |x|^2 + 2 x.s + |s|^2
    squares = (
        near.square().sum(-1)[..., None]
        + 2 * near.flatten(1, 2).matmul(shifts.mT).unflatten(1, near.shape[1:3])
        + shifts.square().sum(-1)[:, None, None]
    )
    same = torch.eye(fractional.shape[1], dtype=torch.bool, device=lattice.device)[first:, :, None]
    itself = (squares < 1e-8) & same
    found = ((squares < cutoff**2) & ~itself).nonzero()
    batch, first, second, image = found.unbind(1)
    return found[:, :3], nearest[batch, first, second] + images[image]


class RadialBasis(nn.Module):
    """Gaussians of a distance, times a smooth cutoff."""

    def __init__(self, functions: int, cutoff: float):
        super().__init__()
        self.cutoff = cutoff
        self.register_buffer("centres", torch.linspace(0.0, cutoff, functions), persistent=False)
        self.width = cutoff / (functions - 1)

    def forward(self, distance: Float[Tensor, " edges"]) -> Float[Tensor, "edges functions"]:
        """0 at the cutoff, with its derivative."""
        inside = (1.0 - (distance / self.cutoff) ** 2).clamp(min=0.0) ** 2
        return torch.exp(-0.5 * ((distance[:, None] - self.centres) / self.width) ** 2) * inside[:, None]


class ImageSums(nn.Module):
    """From atoms and lattice to the sums over images."""

    def __init__(self, functions: int, cutoff: float):
        super().__init__()
        self.basis = RadialBasis(functions, cutoff)

    def forward(self, fractional: Tensor, lattice: Tensor, first: int = 0) -> Pairs:
        """What atoms from `first` on see of all within the cutoff, with gradients of their distances."""
        size, atoms = fractional.shape[:2]
        found, shifts = neighbour_pairs(fractional, lattice, self.basis.cutoff, first)
        batch, own, second = found.unbind(1)
        apart = fractional[batch, second] - fractional[batch, own + first] + shifts
        apart = (apart[:, None] @ lattice[batch])[:, 0]
        distance = (apart.square().sum(-1) + FADING**2).sqrt()
        directions, basis = apart / distance[:, None], self.basis(distance)
        products = directions[:, UPPER[0]] * directions[:, UPPER[1]]
        along = torch.cat([torch.ones_like(distance)[:, None], directions, products], dim=-1)
        where = (batch * (atoms - first) + own) * atoms + second
        sums = basis.new_zeros(size * (atoms - first) * atoms, 10, basis.shape[-1])
        sums = sums.index_add(0, where, along[..., None] * basis[:, None])
        sums = sums.view(size, atoms - first, atoms, 10, -1)
        return Pairs(sums[..., 0, :], sums[..., 1:4, :], sums[..., 4:, :])


class Layer(nn.Module):
    """Messages of neighbours to scalars and vectors of an atom, then scalars and vectors of the atom among themselves."""

    def __init__(self, width: int, functions: int):
        super().__init__()
        self.sender = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 4 * width))
        self.radial = nn.Linear(functions, 2 * width, bias=False)
        self.along = nn.Linear(functions, width, bias=False)
        self.square = nn.Linear(functions, width, bias=False)
        self.mix = nn.Linear(width, 2 * width, bias=False)
        self.update = nn.Sequential(
            nn.Linear(3 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, 3 * width)
        )
        self.level = nn.Linear(width, 2 * width)

    def forward(
        self,
        scalars: Tensor,
        vectors: Tensor,
        pairs: Pairs,
        level: Tensor,
        around: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Updated scalars [batch, atoms, width] and vectors [batch, atoms, 3, width]; those of atoms `around` them, which come first, stay as they are."""
        scale, shift = self.level(level)[:, None].chunk(2, dim=-1)
        senders, arrows = scalars, vectors
        if around:
            senders, arrows = (
                torch.cat([a, b], dim=1) for a, b in zip(around, (scalars, vectors), strict=True)
            )
        sent = self.sender(normed(senders) * (1 + scale) + shift)[:, None]
        own, along, other, square = sent.chunk(4, dim=-1)
        here, there = self.radial(pairs.scalars).chunk(2, dim=-1)
        scalars = scalars + (here * own).sum(2)
        pulled = (self.along(pairs.vectors) * along[..., None, :]).sum(2)
        vectors = vectors + pulled + torch.einsum("bijw,bjdw->bidw", there * other, arrows)
        shape = (self.square(pairs.tensors) * square[..., None, :]).sum(2)
        left, right = self.mix(vectors).chunk(2, dim=-1)
        lengths = [(left.square().sum(2) + 1e-6).sqrt(), (frobenius(shape) + 1e-6).sqrt()]
        gate, dot, plain = self.update(torch.cat([normed(scalars), *lengths], dim=-1)).chunk(3, dim=-1)
        scalars = scalars + plain + dot * (left * right).sum(2)
        return scalars, vectors + gate[:, :, None] * right


class Head(nn.Module):
    """Vectors of atoms, and a symmetric matrix of the lattice: sums over pairs along their directions."""

    def __init__(self, width: int, functions: int):
        super().__init__()
        self.ends = nn.Linear(width, 2 * width)
        self.pair = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * functions))
        self.vector = nn.Linear(width, 1, bias=False)
        self.isotropic = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))
        self.products = nn.Linear(width, width, bias=False)
        self.weight = nn.Linear(width, width)
        for last in (self.pair[1], self.vector, self.isotropic[2]):
            nn.init.zeros_(last.weight)
        nn.init.zeros_(self.pair[1].bias)

    def forward(self, scalars: Tensor, vectors: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Forces [batch, atoms, 3] and a matrix [batch, 3, 3]."""
        read = normed(scalars)
        first, second = self.ends(read).chunk(2, dim=-1)
        pull, stress = self.pair(first[:, :, None] + second[:, None]).chunk(2, dim=-1)
        forces = torch.einsum("bijf,bijdf->bid", pull, pairs.vectors) + self.vector(vectors)[..., 0]
        upper = torch.einsum("bijf,bijcf->bic", stress, pairs.tensors)
        mixed = self.products(vectors)
        products = (self.weight(read)[:, :, None] * mixed) @ mixed.mT
        one = torch.eye(3, device=read.device, dtype=read.dtype)
        matrices = full(upper) + products + self.isotropic(read)[..., None] * one
        return forces, matrices.mean(1)


class PeriodicFeatures(nn.Module):
    """Scalars and vectors of atoms that know their neighbours, the noise, and the volume per atom."""

    def __init__(self, layers: int, width: int, functions: int, cutoff_angstrom: float):
        super().__init__()
        self.pairs = ImageSums(functions, cutoff_angstrom)
        self.elements = nn.Embedding(ATOMIC_NUMBERS, width)
        self.level = nn.Sequential(
            nn.Linear(4 * FREQUENCIES + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.layers = nn.ModuleList(Layer(width, functions) for _ in range(layers))

    def features(self, fractional, lattice, levels, atomic_numbers) -> tuple[Tensor, Tensor, Pairs]:
        """Scalars [batch, atoms, width], vectors [batch, atoms, 3, width], and what they were made from; arguments as in `PeriodicMessages`."""
        atoms = fractional.shape[1]
        pairs = self.pairs(fractional, lattice)
        volume = (torch.linalg.det(lattice).abs() / atoms).log()[:, None]
        level = self.level(torch.cat([level_features(levels), volume - USUAL_LN_VOLUME], dim=-1))
        scalars = self.elements(atomic_numbers) + level[:, None]
        vectors = scalars.new_zeros(*scalars.shape[:2], 3, scalars.shape[-1])
        for layer in self.layers:
            scalars, vectors = layer(scalars, vectors, pairs, level)
        return scalars, vectors, pairs


class PeriodicMessages(PeriodicFeatures):
    """The score network of crystals (before preconditioning)."""

    def __init__(self, layers: int, width: int, functions: int, cutoff_angstrom: float):
        super().__init__(layers, width, functions, cutoff_angstrom)
        self.head = Head(width, functions)

    def forward(self, fractional, lattice, levels, atomic_numbers):
        """Raw outputs: Cartesian vectors [batch, atoms, 3] and symmetric matrices [batch, 3, 3].

        fractional [batch, atoms, 3]; lattice [batch, 3, 3] Angstrom; levels [batch, 2] ln of noise; atomic_numbers [batch, atoms].
        """
        return self.head(*self.features(fractional, lattice, levels, atomic_numbers))


class PeriodicProperty(PeriodicFeatures):
    """A property of noised crystals, as a mixture of normal distributions (Bishop 1994): what noise leaves open may have several values."""

    def __init__(self, layers: int, width: int, functions: int, cutoff_angstrom: float, modes: int):
        super().__init__(layers, width, functions, cutoff_angstrom)
        self.modes = modes
        self.read = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 3 * modes))
        nn.init.zeros_(self.read[2].weight)
        nn.init.zeros_(self.read[2].bias)
        self.register_buffer("first_means", torch.linspace(-1.0, 1.0, modes), persistent=False)

    def forward(self, fractional, lattice, levels, atomic_numbers):
        """Logits, means and ln of standard deviations [3, batch, modes] in units of usual values; arguments as in `PeriodicMessages`."""
        scalars, _, _ = self.features(fractional, lattice, levels, atomic_numbers)
        logits, means, log_deviations = (
            self.read(normed(scalars)).mean(1).unflatten(1, (3, self.modes)).unbind(1)
        )
        return torch.stack([logits, means + self.first_means, log_deviations])


def normed(scalars: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
    """Mean 0, variance 1 over the width."""
    return functional.layer_norm(scalars, scalars.shape[-1:])


def full(upper: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """The symmetric matrix of its upper triangle."""
    return upper[..., [0, 1, 2, 1, 3, 4, 2, 4, 5]].unflatten(-1, (3, 3))


def frobenius(upper: Float[Tensor, "*batch 6 width"]) -> Float[Tensor, "*batch width"]:
    """The sum of squares of all nine elements."""
    weights = upper.new_tensor([1.0, 2.0, 2.0, 1.0, 2.0, 1.0])
    return (upper.square() * weights[:, None]).sum(-2)


def level_features(log_noise: Float[Tensor, "batch fields"]) -> Float[Tensor, "batch features"]:
    """Sines and cosines of ln of the noise of each field."""
    frequencies = 2.0 ** torch.linspace(-2, 2, FREQUENCIES, dtype=log_noise.dtype, device=log_noise.device)
    angles = log_noise[..., None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)
