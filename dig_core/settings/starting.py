"""A study that starts from the network of another one: what both must have in common, and what the earlier one must not have learned."""

from typing import Any

from dig_core.settings.carbon import CarbonStudy
from dig_core.settings.protein import ProteinStudy
from dig_core.settings.study import Study
from dig_core.settings.validation import ConfigError

Started = Study | ProteinStudy | CarbonStudy  # whose training may start from another one
IDENTITY = ("sequence", "fasta", "pdb", "chain", "residues", "states")


def expect_same_network(study: Started, name: str, other: Started, where: str) -> None:
    """Raise ConfigError (one line) unless the network of the study `name` fits: in kind and sizes and, where it is taken as it is, in noise
    and temperature.
    """
    if other.kind != study.kind:
        raise ConfigError(
            f"{where}: expected a study of kind {study.kind}; got {name!r}, of kind {other.kind}. Name another one"
        )
    own, theirs = (each.model.model_dump(exclude={"precision", "compile"}) for each in (study, other))
    for key in own:
        if own[key] != theirs[key]:
            raise ConfigError(
                f"{where}: expected the network of {name}, whose model.{key} is {theirs[key]}; got {own[key]}. Write the same model"
            )
    for key in ("process", "temperature_K") if study.training.steps == 0 else ():
        if getattr(study, key, None) != getattr(other, key, None):
            raise ConfigError(
                f"{where}: expected the {key} of {name} where training.steps is 0 and its network is taken as it is; got another one."
                " Write the same, or train"
            )


def expect_held_out(study: Started, name: str, other: Started, where: str) -> None:
    """Raise ConfigError (one line) if a target, or a crystal, that is held out has trained the study `name`, from whose network this one starts."""
    if isinstance(study, CarbonStudy) and study.data.held_out_share and study.data != other.data:
        raise ConfigError(
            f"{where}: expected the data of {name}, so that what is held out has not trained its network; got others."
            " Write the same data, or held_out_share: 0.0"
        )
    learned = [_identity(own) for own in other.targets.values() if not getattr(own, "held_out", False)]
    for target, own in study.targets.items():
        if getattr(own, "held_out", False) and _identity(own) in learned:
            raise ConfigError(
                f"{where}: expected a network that has not learned targets.{target}, which is held out; got {name}, which trains on it."
                " Hold it out there as well"
            )


def _identity(target: Any) -> dict[str, Any]:
    values = target.model_dump()
    return {key: values.get(key) for key in IDENTITY}
