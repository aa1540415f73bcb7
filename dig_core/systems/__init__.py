"""Kinds of systems: the one visible table from `kind` in a study to the module that knows it."""

from types import ModuleType

from dig_core.systems import molecule

SYSTEMS: dict[str, ModuleType] = {"molecule": molecule}
