"""A property of crystals as a predictor of somebody else tells it: a function `predict` in a Python file.

    def predict(fractional, lattices_angstrom, atomic_numbers): ...

It is given torch tensors, [batch, atoms, 3], [batch, 3, 3] (rows are lattice vectors) and [batch, atoms], and returns the property [batch]. It need not know
of noise: where it guides drawing, it is shown what a noised crystal becomes on the average (`diffusion.guidance.at_denoised`), and has to be
differentiable with respect to coordinates or lattice.
"""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.distributions import StudentT

from dig_core.crystals import Crystals
from dig_core.diffusion.guidance import LogLikelihood, at_denoised
from dig_core.diffusion.processes import State
from dig_core.systems.carbon_denoising import places_by_count
from dig_core.systems.carbon_model import FRACTIONAL, LATTICE, CarbonModel
from dig_core.systems.carbon_property import PropertyUnits

PREDICT = "predict"
PREDICTED_AT_ONCE = 256
VARIANCES = {
    FRACTIONAL: 1.0 / 12.0,
    LATTICE: 1.0,
}  # of usual crystals: anywhere in the cell, and Y as its scale makes it
TAILS = 3.0  # degrees of freedom: a predictor is at times far off
LONGEST = 6.0  # of the matrix Y of a lattice, whose six numbers have a variance of about 1
Predictor = Callable[[Tensor, Tensor, Tensor], Tensor]


def predictor_of(file: str | Path) -> Predictor:
    """The function `predict` of a Python file, whose answers are looked at.

    Raises:
        ValueError: there is none, or the file is not Python; later, when it is called: it returns anything but one number for each crystal.
    """
    module = _module_of(Path(file))
    predict = getattr(module, PREDICT, None)
    if not callable(predict):
        raise ValueError(
            f"expected a function {PREDICT} in {file}; got {', '.join(n for n in vars(module) if n[0] != '_') or 'nothing'}. Name it so"
        )

    def checked(fractional: Tensor, lattices: Tensor, atomic_numbers: Tensor) -> Tensor:
        """The property of every crystal."""
        try:
            values = predict(fractional, lattices, atomic_numbers)
        except TypeError as error:
            raise ValueError(
                f"expected {PREDICT} in {file} to take fractional coordinates, lattices and atomic numbers; got TypeError: {error}. Correct it"
            ) from error
        if not isinstance(values, Tensor) or values.shape != (len(fractional),):
            raise ValueError(
                f"expected {PREDICT} in {file} to return a tensor of {len(fractional)} numbers for as many crystals; got {_described(values)}. Return one for each"
            )
        return values

    return checked


def _module_of(file: Path) -> ModuleType:
    """A file as a module; its neighbours are no packages that it could import."""
    spec = importlib.util.spec_from_file_location(f"predictor_{file.stem}", file)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look there
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, NameError, AttributeError, TypeError) as error:
        raise ValueError(
            f"expected Python that can be loaded in {file}; got {type(error).__name__}: {error}. Correct it, or install what it needs"
        ) from error
    return module


def _described(values: object) -> str:
    return f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__


@torch.no_grad()
def told(predict: Predictor, crystals: Crystals) -> Float[np.ndarray, " crystals"]:
    """The property of crystals as they are."""
    values, ends = np.zeros(len(crystals.counts)), np.cumsum(crystals.counts)
    for chosen in places_by_count(crystals.counts):
        for part in np.array_split(chosen, -(-len(chosen) // PREDICTED_AT_ONCE)):
            atoms = ends[part, None] - np.arange(crystals.counts[part[0]], 0, -1)
            own = crystals.fractional[atoms], crystals.lattices_angstrom[part]
            real = [torch.as_tensor(x, dtype=torch.get_default_dtype()) for x in own]
            numbers = torch.as_tensor(crystals.atomic_numbers[atoms], dtype=torch.long)
            values[part] = predict(*real, numbers)
    return values


def predictor_likelihood(
    model: CarbonModel,
    predict: Predictor,
    atomic_numbers: Int[np.ndarray, " atoms"],
    asked: float,
    units: PropertyUnits,
) -> LogLikelihood:
    """ln of a t distribution at `asked`, about predict(x_0) of the denoised crystal x_0, of width^2 = tolerance^2 + spread^2 tau^2 / (1 + tau^2).

    Noise tau of the lattice leaves it uncertain, in the end as much as usual values differ. A normal distribution would carry crystals of which the
    predictor tells something absurd out of this world: the further off, the harder it pulls.
    """
    numbers = torch.as_tensor(atomic_numbers, dtype=torch.long, device=model.device)[None]

    def of_denoised(state: State, time: Tensor) -> Float[Tensor, " batch"]:
        """Of crystals that had so much noise."""
        x, left = state[FRACTIONAL], model.process[LATTICE].noise_to_signal(time) ** 2
        lattices = model.scale.lattices(within(state[LATTICE]), x.shape[1])
        value = _pulling(predict(x, lattices, numbers.expand(len(x), -1)), x.requires_grad)
        deviation = torch.sqrt(units.tolerance**2 + units.spread**2 * left / (1 + left))
        return StudentT(TAILS, value, deviation).log_prob(torch.full_like(value, asked))

    return at_denoised(model.score, model.process, of_denoised, VARIANCES)


def within(y: Float[Tensor, "batch 3 3"]) -> Float[Tensor, "batch 3 3"]:
    """Matrices Y no longer than LONGEST: what noise has made of a cell may lead the network to one that is out of this world, and a predictor astray."""
    return y * (LONGEST / y.flatten(1).norm(dim=1).clamp(min=LONGEST))[:, None, None]


def _pulling(values: Float[Tensor, " batch"], wanted: bool) -> Float[Tensor, " batch"]:
    """The values, if they say where to go: by a gradient, where one is wanted."""
    lost, missing = wanted and not values.requires_grad, int((~values.isfinite()).sum())
    if lost or missing:
        found = "no gradient" if lost else f"{missing} others"
        raise ValueError(
            f"expected {PREDICT} to return finite numbers that torch can differentiate, for any crystal; got {found}. Correct it, lower guidance.largest_noise, or write by: network"
        )
    return values
