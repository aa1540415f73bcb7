"""A property of crystals, such as the band gap, that is told from noised ones: what guides drawing, and what drawn crystals are judged by.

A network of its own gives the density q(c | x_t) of the property c at every noise level. `centre` and `spread` are those of usual values, and no
density is narrower than `tolerance`: values that near are the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, Normal

from dig_core.crystals import Crystals, crystals_of
from dig_core.diffusion.guidance import LogLikelihood, guided
from dig_core.diffusion.losses import Batch
from dig_core.diffusion.processes import Process, State
from dig_core.models.periodic import PeriodicProperty
from dig_core.systems.batches import even_times, indices_of_one_target
from dig_core.systems.carbon_denoising import (
    SameCount,
    crystals_by_count,
    device_probabilities,
    expect_seen,
    places_by_count,
)
from dig_core.systems.carbon_model import (
    FRACTIONAL,
    CarbonModel,
    LatticeScale,
    diffusion_process,
    lattice_scale,
    shown,
)

PREDICTED_AT_ONCE = 256
KNOWN = "property"  # of the arrays of a dataset: values by crystal, NaN where there is none


def accelerated(model: nn.Module, settings: Mapping[str, Any]) -> nn.Module:
    """The network as it is."""
    return model


def network(settings: Mapping[str, Any]) -> PeriodicProperty:
    """The untrained network."""
    names = ("layers", "width", "functions", "cutoff_angstrom", "modes")
    return PeriodicProperty(**{name: settings[name] for name in names})


@dataclass(frozen=True)
class PropertyUnits:
    """From the numbers of the network to those of the property."""

    centre: float
    spread: float
    tolerance: float

    def density(self, raw: Float[Tensor, "3 batch modes"]) -> MixtureSameFamily:
        """The mixture of normal distributions of these logits, means and ln of standard deviations."""
        logits, means, log_deviations = raw
        wide = torch.sqrt((self.spread * log_deviations.exp()) ** 2 + self.tolerance**2)
        return MixtureSameFamily(Categorical(logits=logits), Normal(self.centre + self.spread * means, wide))


@dataclass(frozen=True)
class PropertyModel:
    """What is known of the property of noised crystals of given atoms."""

    model: nn.Module
    process: dict[str, Process]
    scale: LatticeScale
    units: PropertyUnits

    def density(self, state: State, time: Tensor, atomic_numbers: Int[Tensor, "#batch atoms"]):
        """q(c | x_t) of every crystal."""
        noise = self.process[FRACTIONAL].noise_to_signal(time)
        x, lattices, levels = shown(state, noise, self.process, self.scale)
        return self.units.density(self.model(x, lattices, levels, atomic_numbers.expand(len(x), -1)))


@dataclass
class PropertyLikelihood:
    """The training loss: -ln q(c | x_t) of crystals whose property is known, at noise that is even in its logarithm."""

    groups: Sequence[SameCount]
    values: Sequence[Float[Tensor, " _"]]
    process: dict[str, Process]
    scale: LatticeScale
    units: PropertyUnits

    def __call__(self, model: nn.Module, batch: Batch) -> Float[Tensor, " batch"]:
        """In nats, of the crystals with these indices; the first one picks the number of atoms."""
        number, local = indices_of_one_target(batch.indices, [len(own) for own in self.values])
        clean, time = self.groups[number].states(local), even_times(len(local), batch.generator)
        noised = [
            own.perturb(clean[field], time, own.noise(clean[field], batch.generator))
            for field, own in self.process.items()
        ]
        numbers, values = self.groups[number].atomic_numbers[local], self.values[number][local]
        *fields, time, numbers, values = batch.own(*noised, time, numbers, values)
        known = PropertyModel(model, self.process, self.scale, self.units)
        state = dict(zip(self.process, fields, strict=True))
        return -known.density(state, time, numbers).log_prob(values)


def denoising_loss(
    dataset: Mapping[str, np.ndarray],
    descriptors: Mapping[str, Any],
    settings: Mapping[str, Any],
    device: str,
) -> tuple[PropertyLikelihood, dict[str, Tensor], float]:
    """The loss on the crystals of a dataset whose property is known, and the probabilities by which they train and validate.

    Raises:
        ValueError: there are fewer than two of them.
    """
    known = np.isfinite(dataset[KNOWN])
    if known.sum() < 2:
        raise ValueError(
            f"expected two crystals or more that train and have a number in property.column; got {known.sum()}. Add numbers, or hold out fewer"
        )
    crystals, model = crystals_of(dataset).chosen(known), settings["model"]
    expect_seen(crystals.lattices_angstrom, model["cutoff_angstrom"])
    places, values = places_by_count(crystals.counts), dataset[KNOWN][known]
    own = [torch.as_tensor(values[chosen], dtype=torch.get_default_dtype()).to(device) for chosen in places]
    loss = PropertyLikelihood(
        crystals_by_count(vars(crystals), lattice_scale(model), device),
        own,
        diffusion_process(settings["process"]),
        lattice_scale(model),
        property_units(model),
    )
    weights = dataset["weights"][known]
    return loss, device_probabilities(weights, places, settings["training"], device), 1.0


def property_units(settings: Mapping[str, Any]) -> PropertyUnits:
    """From the settings `property` of a study."""
    return PropertyUnits(settings["centre"], settings["spread"], settings["tolerance"])


def trained_property(checkpoint: Mapping[str, Any], device: str = "cpu") -> PropertyModel:
    """What a checkpoint knows of the property."""
    settings = checkpoint["settings"]
    model = network(settings["model"])
    model.load_state_dict(checkpoint["weights"])
    return PropertyModel(
        model.to(device).eval().requires_grad_(False),
        diffusion_process(settings["process"]),
        lattice_scale(settings["model"]),
        property_units(settings["model"]),
    )


def network_likelihood(
    known: PropertyModel, atomic_numbers: Int[np.ndarray, " atoms"], asked: float, device: str
) -> LogLikelihood:
    """ln q(asked | x_t) of crystals with these atoms, as the network of noised crystals tells it."""
    numbers = torch.as_tensor(atomic_numbers, dtype=torch.long, device=device)[None]

    def log_likelihood(state: State, time: Tensor) -> Tensor:
        """ln q(asked | x_t) of every crystal."""
        return known.density(state, time, numbers).log_prob(torch.full_like(time, asked))

    return log_likelihood


def towards(model: CarbonModel, likelihood: LogLikelihood, guidance: Mapping[str, Any]) -> CarbonModel:
    """The model of crystals whose property is asked to be a value: its score with that of the likelihood^scale, up to `largest_noise`."""

    def scale(noise: Tensor) -> Tensor:
        """Constant, and nothing where the noise of fractional coordinates is larger."""
        return guidance["scale"] * (noise <= guidance["largest_noise"])

    return replace(model, score=guided(model.score, likelihood, model.process, scale))


@torch.inference_mode()
def predicted(known: PropertyModel, crystals: Crystals, device: str = "cpu") -> dict[str, np.ndarray]:
    """The property of crystals as they are: `predicted` and its `deviation` by the network itself, [crystals]."""
    found = {"predicted": np.zeros(len(crystals.counts)), "deviation": np.zeros(len(crystals.counts))}
    places = places_by_count(crystals.counts)
    for chosen, group in zip(places, crystals_by_count(vars(crystals), known.scale, device), strict=True):
        for part in np.array_split(np.arange(len(chosen)), -(-len(chosen) // PREDICTED_AT_ONCE)):
            rows = torch.as_tensor(part, device=device)
            time = torch.zeros(len(part), dtype=group.fractional.dtype, device=device)
            density = known.density(group.states(rows), time, group.atomic_numbers[rows])
            found["predicted"][chosen[part]] = density.mean.cpu()
            found["deviation"][chosen[part]] = density.stddev.cpu()
    return found
