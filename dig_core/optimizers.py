"""Optimisers: Muon for the matrices of a network, AdamW for the rest.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) moves a matrix along the nearest orthogonal one to its
averaged gradient, so that directions with small gradients move as far as those with large ones. torch.optim.Muon does the
same in bfloat16, one matrix after the other: on a CPU without units for bfloat16 that is an order of magnitude slower. Here
products are in bfloat16 on a GPU alone, and matrices of one shape share them.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """Momentum of Nesterov's kind, made orthogonal, then scaled to the size of a step of Adam.

    Args:
        parameters: matrices only.
        lr: learning rate, as for Adam: a step of rows x columns is 0.2 sqrt(max(rows, columns)) times an orthogonal matrix
            (Liu et al. 2025, arXiv 2502.16982, eq. 4).
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            for matrices in _by_shape(group["params"]):
                averaged = torch.stack([self._momentum(matrix, group["momentum"]) for matrix in matrices])
                with torch.autocast("cuda", torch.bfloat16, enabled=averaged.is_cuda):
                    directions = orthogonalised(averaged).to(averaged.dtype)
                length = 0.2 * group["lr"] * max(averaged.shape[1:]) ** 0.5
                torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(matrices, list(directions), alpha=-length)

    def _momentum(self, matrix: Tensor, momentum: float) -> Tensor:
        state = self.state[matrix]
        average = state.setdefault("momentum_buffer", torch.zeros_like(matrix))
        average.lerp_(matrix.grad, 1 - momentum)
        return torch.lerp(matrix.grad, average, momentum)


def orthogonalised(matrices: Float[Tensor, "batch rows columns"]) -> Float[Tensor, "batch rows columns"]:
    """About U V^T of each matrix U S V^T: singular values between 0.7 and 1.2, unless they were a thousandth of the largest.

    Five steps of X <- a X + (b X X^T + c (X X^T)^2) X, with a, b, c of the Muon post: steepest at 0, not exact at 1.
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalised(matrices.mT).mT
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    for _ in range(5):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x


def optimizers(network: nn.Module, lr: float, weight_decay: float) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices of linear layers, AdamW for embeddings, biases and everything else."""
    matrices = [layer.weight for layer in network.modules() if isinstance(layer, nn.Linear)]
    chosen = {id(matrix) for matrix in matrices}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in chosen]
    adam = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay, foreach=True)
    return Muon(matrices, lr=lr, weight_decay=weight_decay), adam


def _by_shape(matrices: Iterable[Tensor]) -> Iterable[list[Tensor]]:
    """Groups of one shape, which one batch of products serves; those without a gradient are left out."""
    groups = defaultdict(list)
    for matrix in matrices:
        if matrix.grad is not None:
            groups[matrix.shape].append(matrix)
    return groups.values()
