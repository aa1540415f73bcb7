"""dig: equilibrium distributions of molecular systems by diffusion models."""

__version__ = "0.1.0"
