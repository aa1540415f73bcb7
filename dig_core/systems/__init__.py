"""Kinds of systems: the one visible table from `kind` in a study to the module that knows it, and to its pre-training."""

from collections.abc import Callable
from types import ModuleType

from dig_core.systems import (
    adsorption,
    adsorption_pretraining,
    carbon,
    carbon_property,
    molecule,
    molecule_exploration,
    molecule_pretraining,
    protein,
    protein_exploration,
    protein_pretraining,
)

SYSTEMS: dict[str, ModuleType] = {
    "molecule": molecule,
    "protein": protein,
    "carbon": carbon,
    "adsorption": adsorption,
    "carbon_property": carbon_property,  # of the network that tells a property of crystals; no study has this kind
}
EXPLORATION: dict[str, Callable] = {
    "molecule": molecule_exploration.explore,
    "protein": protein_exploration.explore,
}
PRETRAINING: dict[str, Callable] = {
    "molecule": molecule_pretraining.pretraining_loss,
    "protein": protein_pretraining.pretraining_loss,
    "adsorption": adsorption_pretraining.pretraining_loss,
}
