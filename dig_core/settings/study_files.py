"""Files that a study names: they are there before anything starts."""

import itertools
from collections.abc import Collection, Iterable
from pathlib import Path

from dig_core.settings.adsorption import AdsorptionStudy
from dig_core.settings.bundled import BUNDLED
from dig_core.settings.carbon import CarbonStudy
from dig_core.settings.data import Target
from dig_core.settings.fields import suggestion
from dig_core.settings.protein import ProteinStudy
from dig_core.settings.protein_targets import KnownStructure, ProteinTarget
from dig_core.settings.study import Study
from dig_core.settings.validation import ConfigError
from dig_core.settings.yaml_files import read_yaml


def expect_files(study: Study | ProteinStudy, path: Path) -> None:
    """Raise ConfigError (one line) unless the files that the study of the file `path` names are there, or fetched by the workflow."""
    bundled = [file.stem for file in BUNDLED.glob("*.npz")]
    name = study.data.tight_reference
    if name and name not in bundled:
        hint = suggestion(name, bundled) or " Write null"
        raise ConfigError(f"{path}: data.tight_reference: expected one of {bundled}; got {name!r}.{hint}")
    if isinstance(study, ProteinStudy):
        expect_bundled(study, path)
    expect_present(_files(study), path)


def expect_present(files: Iterable[str], path: Path) -> None:
    """Raise ConfigError (one line) for a file that the study of the file `path` names, and that is neither there nor fetched by the workflow."""
    fetched = _downloads(path.parent.parent / "config.yaml")
    for file in files:  # in order: the same mistake gives the same line
        if file not in fetched and not Path(file).is_file():
            raise ConfigError(
                f"{path}: expected the file {file}; found none."
                " Write the path relative to the repository root, or absolute, or name it under downloads in config.yaml"
            )


def files_of_slabs(study: AdsorptionStudy) -> list[str]:
    """Files that a study of adsorption names."""
    known = [study.evaluation.known] if study.evaluation.known else []
    return [target.slab for target in study.targets.values() if target.slab] + known


def files_of_crystals(study: CarbonStudy) -> list[str]:
    """Files that a study of crystals names."""
    known = study.data.search.known if study.data.search else ()
    own = [study.property.table, study.property.predictor] if study.property else []
    phases = [study.evaluation.phases] if study.evaluation.phases else []
    return [*study.data.files, *known, *(file for file in own if file), *phases]


def _files(study: Study | ProteinStudy) -> list[str]:
    """Files that a study names."""
    files = [target.pdb for target in study.targets.values() if target.pdb]
    files += [own.pdb for target in study.targets.values() for own in _states(target)]
    for key in ("fasta", "embeddings"):
        files += [own for target in study.targets.values() if (own := getattr(target, key, None))]
    for own in (getattr(target, "trajectory", None) for target in study.targets.values()):
        files += [own.topology, *itertools.chain(*own.replicas)] if own else []
    for own in (getattr(target, "transition", None) for target in study.targets.values()):
        files += [own.topology, own.trajectory] if own else []
    if study.kind == "molecule" and study.data.source == "trajectory":
        files += [*study.data.files, study.data.topology, *(study.data.weights or ())]
    return files


def _states(target: Target | ProteinTarget) -> Iterable[KnownStructure]:
    return (getattr(target, "states", None) or {}).values()


def _downloads(path: Path) -> Collection[str]:
    """Files that the workflow fetches by itself."""
    values = read_yaml(path) if path.is_file() else {}
    return values.get("downloads") or {}


def expect_bundled(study: ProteinStudy | AdsorptionStudy, path: Path) -> None:
    """Raise ConfigError (one line) unless the folder of bundled files that the study names is there; what is not in it is computed."""
    names = sorted(folder.name for folder in BUNDLED.iterdir() if folder.is_dir())
    if study.data.bundled not in (None, *names):
        hint = suggestion(study.data.bundled, names) or " Write null, and the workflow computes them"
        raise ConfigError(f"{path}: data.bundled: expected one of {names}; got {study.data.bundled!r}.{hint}")
