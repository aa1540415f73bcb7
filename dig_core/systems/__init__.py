"""Kinds of systems: the one visible table from `kind` in a study to the module that knows it, and to its pre-training."""

from collections.abc import Callable
from types import ModuleType

from dig_core.systems import molecule, molecule_pretraining, protein

SYSTEMS: dict[str, ModuleType] = {"molecule": molecule, "protein": protein}
PRETRAINING: dict[str, Callable] = {"molecule": molecule_pretraining.pretraining_loss}
