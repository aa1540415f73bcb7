"""Settings of the score network, of the diffusion process, and of the training on frames."""

from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from dig_core.settings.fields import Fraction, Name, Seed, Settings


class Blocks(Settings):
    """What the score networks of molecules and of proteins have in common."""

    kind: str = Field(description="Architecture")
    layers: PositiveInt = Field(description="Number of transformer layers")
    blocks: PositiveInt = Field(
        description="Blocks that share the layers; each sees the structure as denoised by those before it"
    )
    width: PositiveInt = Field(description="Width of a node's representation")
    heads: PositiveInt = Field(description="Attention heads; they divide the width")

    @model_validator(mode="after")
    def _parts_divide_wholes(self) -> Self:
        for whole, part in (("layers", "blocks"), ("width", "heads")):
            if getattr(self, whole) % getattr(self, part):
                raise ValueError(
                    f"expected {whole} to be a multiple of {part}; got {getattr(self, whole)} and {getattr(self, part)}."
                    " Change one of them"
                )
        return self


class Model(Blocks):
    """Score network (Graphormer)."""

    kind: Literal["graphormer"] = Field(description="Architecture")
    radial_features: PositiveInt = Field(description="Gaussian functions of the interatomic distance")
    head_width: PositiveInt = Field(description="Width of the output head")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Of matrix products while training and drawing on a GPU; positions stay in float32",
    )
    compile: bool = Field(
        False,
        description="Compile the network (torch.compile) for training and drawing on a GPU: a minute, then faster",
    )


class VariancePreserving(Settings):
    """Variance-preserving diffusion of coordinates scaled to unit variance."""

    kind: Literal["variance_preserving"] = Field(description="Diffusion process")
    schedule: Literal["linear", "cosine", "sigmoid"] = Field(
        description="Noise schedule; sigmoid is the paper's"
    )


def _expect_ordered(noise: Any) -> Any:
    """The smallest noise is below the largest."""
    if noise.sigma_min >= noise.sigma_max:
        raise ValueError(
            f"expected sigma_min < sigma_max; got {noise.sigma_min} and {noise.sigma_max}. Swap them"
        )
    return noise


class Noise(Settings):
    """From the smallest noise to the largest."""

    sigma_min: PositiveFloat = Field(description="Smallest noise")
    sigma_max: PositiveFloat = Field(description="Largest noise")

    _ordered = model_validator(mode="after")(_expect_ordered)


class VarianceExploding(Settings):
    """Variance-exploding diffusion; noise in units of the data's standard deviation."""

    kind: Literal["variance_exploding"] = Field(description="Diffusion process")
    sigma_min: PositiveFloat = Field(description="Smallest noise, in standard deviations of the data")
    sigma_max: PositiveFloat = Field(description="Largest noise, in standard deviations of the data")

    _ordered = model_validator(mode="after")(_expect_ordered)


class BrownianRotations(Settings):
    """Brownian motion of orientations; in radians for each axis (the literature's IGSO(3) has eps = sigma / sqrt(2))."""

    kind: Literal["brownian_rotations"] = Field(description="Diffusion process")
    sigma_min: PositiveFloat = Field(description="Smallest noise in radians")
    sigma_max: float = Field(gt=0.0, le=4.0, description="Largest noise in radians; 2.3 are the paper's")

    _ordered = model_validator(mode="after")(_expect_ordered)


class Optimisation(Settings):
    """What every training has: Muon and AdamW with a warm-up, averaged weights, restart points."""

    learning_rate: PositiveFloat = Field(description="Largest learning rate")
    warmup_steps: int = Field(ge=0, description="Steps of linear warm-up")
    weight_decay: float = Field(ge=0.0, description="Weight decay of Muon and AdamW")
    gradient_clip: PositiveFloat = Field(description="Largest norm of the gradient")
    ema_decay: Fraction = Field(description="Decay per step of the averaged weights")
    checkpoint_interval_steps: PositiveInt = Field(description="Steps between two restart points")


class GroupTraining(Optimisation):
    """Training on structures in groups: crystals of one number of atoms, adsorbates on one surface."""

    steps: PositiveInt = Field(description="Optimiser steps")
    batch_size: PositiveInt = Field(
        description="Noised structures per step, all of one group; in denoising each appears twice, with opposite noise"
    )
    validation_fraction: Fraction = Field(
        description="Share of the structures of a group kept for the learning curve"
    )
    seed: Seed = Field(description="Seed of weights, batches and noise")


class Training(Optimisation):
    """Denoising score matching."""

    start_from: Name | None = Field(
        None,
        description="Study whose trained network (averaged weights, same `model`) this one starts from, in its pre-training if it has one; null: random weights",
    )
    steps: int = Field(
        ge=0,
        description="Optimiser steps; 0 leaves the weights as pre-training, or the study of start_from, has made them",
    )
    batch_size: PositiveInt = Field(
        description="Noised structures per step; frames appear twice, with opposite noise"
    )
    draw_exponent: float = Field(
        ge=0.0,
        le=1.0,
        description="Frames are drawn as their weight to this power, and the loss corrects for it; below 1 rare states are seen more often",
    )
    noise_log_mean: float = Field(description="Mean of ln(noise / signal) at which the network is trained")
    noise_log_std: PositiveFloat = Field(description="Standard deviation of ln(noise / signal)")
    weight_low: PositiveFloat = Field(description="Noise / signal below which the loss weighs less")
    weight_high: PositiveFloat = Field(description="Noise / signal above which the loss weighs less")
    control_variate: Literal["forces"] | None = Field(
        None,
        description="Forces on the frames take noise off the targets: better scores at small noise. Needs data.force_field"
        " and frames at temperature_K; null: plain denoising",
    )
    validation_fraction: Fraction = Field(
        description="Share of the training frames kept for the learning curve"
    )
    seed: Seed = Field(description="Seed of weights, batches and noise")
