"""Reading settings: a file in, frozen models out, or one line that says what is wrong.

`python -m dig_core.config FILE` checks a study (or config.yaml); `--schema` prints the JSON schema.
Imports neither torch nor any simulation package: the Snakefile loads it at every start.
"""

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from dig_core.settings.adsorption import AdsorptionStudy
from dig_core.settings.analytic import AnalyticStudy, AnyStudy
from dig_core.settings.carbon import CarbonStudy
from dig_core.settings.description import describe
from dig_core.settings.download import Download
from dig_core.settings.fields import Settings, suggestion
from dig_core.settings.protein import ProteinStudy
from dig_core.settings.starting import Started, expect_held_out, expect_same_network
from dig_core.settings.study import Study
from dig_core.settings.study_files import (
    expect_bundled,
    expect_files,
    expect_present,
    files_of_crystals,
    files_of_slabs,
)
from dig_core.settings.validation import ConfigError, validated
from dig_core.settings.workflow import Comparison, Workflow
from dig_core.settings.yaml_files import read_yaml

# Named by the user and complete in themselves: an ablation replaces them whole, it does not add to them.
REPLACED_WHOLE = ("targets", "states", "solvers")

STUDIES: dict[str, type[AnyStudy]] = {
    "molecule": Study,
    "analytic": AnalyticStudy,
    "protein": ProteinStudy,
    "carbon": CarbonStudy,
    "adsorption": AdsorptionStudy,
}
# Of molecules and proteins; the others have no frames.
OF_FRAMES = Study | ProteinStudy


KINDS = {"figure_4": "adsorption", "figure_5": "carbon"}  # of the studies that a figure shows


@dataclass(frozen=True)
class Config:
    """The workflow's settings with all studies it names, read and checked.

    `listed` are those that it makes by itself, `asked` others that it is asked for.
    """

    studies: dict[str, AnyStudy]
    listed: tuple[str, ...]
    asked: tuple[str, ...]
    figures: dict[str, tuple[str, ...]]
    comparisons: dict[str, Comparison]
    downloads: dict[str, Download]

    @property
    def listed_figures(self) -> list[str]:
        """Figures that the workflow makes by itself: all of their studies are listed. Those of `KINDS` are made of figures of their studies."""
        own = {name: studies for name, studies in self.figures.items() if name not in KINDS}
        return [name for name, studies in own.items() if set(studies) <= set(self.listed)]


def load_config(path: str | Path) -> Config:
    """Read config.yaml and the studies it names, from the folder `systems` beside it.

    Raises ConfigError (one line) for a missing or unreadable file, an unknown key or a bad value.
    """
    return read_config(read_yaml(Path(path)), Path(path))


def read_config(values: dict[str, Any], path: str | Path, targets: Iterable[object] = ()) -> Config:
    """Check the workflow's settings as read from `path` (Snakemake merges its command line into them).

    Studies beside it that `targets` name, the words of what Snakemake is asked for, are read too, whether they are listed or not.
    """
    workflow = validated(Workflow, values, str(path))
    folder = Path(path).parent / "systems"
    asked = tuple(name for name in _named(targets, folder) if name not in workflow.studies)
    studies = {name: load_study(folder / f"{name}.yaml") for name in (*workflow.studies, *asked)}
    for figure, names in workflow.figures.items():
        for name in names:
            studies[name] = studies.get(name) or load_study(folder / f"{name}.yaml")
            _expect_shown(studies[name], name, figure, f"{path}: figures.{figure}")
    for table, comparison in workflow.comparisons.items():
        for name in comparison.studies:
            study = studies.get(name) or load_study(folder / f"{name}.yaml")
            studies |= _compared(name, study, comparison, f"{path}: comparisons.{table}")
    studies |= _starts(studies, folder)
    studies |= _simulating(studies, folder)
    return Config(
        studies,
        workflow.studies,
        asked,
        dict(workflow.figures),
        dict(workflow.comparisons),
        dict(workflow.downloads),
    )


def _named(targets: Iterable[object], folder: Path) -> list[str]:
    """Studies of a folder whose names are among the words of targets: of a rule, of the path of a file, of the wildcards of a job."""
    words = {word for target in targets for word in re.findall(r"[\w-]+", str(target))}
    return sorted(words & {path.stem for path in folder.glob("*.yaml")})


def _compared(name: str, study: AnyStudy, comparison: Comparison, where: str) -> dict[str, AnyStudy]:
    """A study with every seed of a comparison; without seeds it is one of known densities, which have their own."""
    if not comparison.seeds and not isinstance(study, Study):
        return {name: study}
    _expect_molecule(study, name, where)
    if len(comparison.seeds) < 2:
        raise ConfigError(f"{where}: expected two seeds or more; got {len(comparison.seeds)}. Add `seeds:`")
    return {seeded_name(name, seed): seeded(study, seed) for seed in comparison.seeds}


def seeded_name(study: str, seed: int) -> str:
    """Name of a study with another seed."""
    return f"{study}_seed{seed}"


def seeded(study: Study, seed: int) -> Study:
    """The study with one seed for pre-training, training, sampling and relaxation; frames stay the same."""
    values = study.model_dump()
    parts = [values["pretraining"], values["training"], values["sampler"], values["sampler"]["relaxation"]]
    for part in parts:
        if part is not None:
            part["seed"] = seed
    return Study.model_validate(values)


def _starts(studies: dict[str, AnyStudy], folder: Path) -> dict[str, AnyStudy]:
    """The studies whose networks others start from, and those that these start from in turn."""
    found: dict[str, AnyStudy] = {}
    waiting = list(studies.values())
    while waiting:
        name = _start_of(waiting.pop())
        if name and name not in {**studies, **found}:
            found[name] = load_study(folder / f"{name}.yaml")
            waiting.append(found[name])
    return found


def _start_of(study: AnyStudy) -> str | None:
    return study.training.start_from if isinstance(study, Started) else None


def _simulating(studies: dict[str, AnyStudy], folder: Path) -> dict[str, Study]:
    """The studies whose replicas others use; they must be of the same molecules, and have replicas of their own."""
    found: dict[str, Study] = {}
    for name, study in studies.items():
        other = study.data.simulations_of if isinstance(study, Study) else None
        if other is not None:
            found[other] = studies.get(other) or load_study(folder / f"{other}.yaml")
            _expect_molecule(found[other], other, f"{folder / name}.yaml: data.simulations_of")
            own = (found[other].data.source, found[other].data.simulations_of)
            if own != ("simulate", None) or study.targets != found[other].targets:
                raise ConfigError(
                    f"{folder / name}.yaml: data.simulations_of: expected a study of the same targets that simulates"
                    f" them itself; got {other}. Name another one"
                )
    return found


def _expect_shown(study: AnyStudy, name: str, figure: str, where: str) -> None:
    """Figure 2a shows landscapes, figure 2b known structures, the others a kind."""
    if kind := KINDS.get(figure):
        if study.kind != kind:
            raise ConfigError(
                f"{where}: expected a study of kind {kind}; got {name!r}, of kind {study.kind}. Name another one"
            )
        return
    has_frames = isinstance(study, OF_FRAMES)
    known = has_frames and study.data.source == "structures"
    if not has_frames or known != (figure == "figure_2b"):
        expected = (
            "with known structures" if figure == "figure_2b" else "of molecules or proteins with landscapes"
        )
        source = f" with data.source {study.data.source}" if has_frames else ""
        raise ConfigError(
            f"{where}: expected a study {expected}; got {name!r}, of kind {study.kind}{source}. Name another one"
        )


def _expect_molecule(study: AnyStudy, name: str, where: str) -> None:
    """Comparisons and shared simulations are those of molecules."""
    if not isinstance(study, Study):
        raise ConfigError(
            f"{where}: expected a study of molecules; got {name!r}, of kind {study.kind}. Name another one"
        )


def load_study(path: str | Path) -> AnyStudy:
    """Read one study; `based_on` and `start_from` are looked up in the same folder. Raises ConfigError (one line)."""
    return _loaded(Path(path), ())


def _loaded(path: Path, starting: tuple[Path, ...]) -> AnyStudy:
    """The study of a file, from whose network those of the files `starting` start."""
    if path in starting:
        chain = " -> ".join(file.stem for file in (*starting, path))
        raise ConfigError(
            f"{starting[0]}: training.start_from: expected a study that does not lead back here; got {chain}"
        )
    validated(_FileName, {"name": path.stem}, str(path))
    values = _with_base(path, ())
    study = validated_study(values, str(path))
    if isinstance(study, OF_FRAMES):
        expect_files(study, path)
    if isinstance(study, CarbonStudy):
        expect_present(files_of_crystals(study), path)
    if isinstance(study, AdsorptionStudy):
        expect_present(files_of_slabs(study), path)
        expect_bundled(study, path)
    if isinstance(study, Started):
        _expect_start(study, path, starting)
    return study


def _expect_start(study: Started, path: Path, starting: tuple[Path, ...]) -> None:
    """The network that the training starts from fits, and neither it nor what it started from has learned what is held out."""
    name = study.training.start_from
    if name is None:
        return
    where, file = f"{path}: training.start_from", path.parent / f"{name}.yaml"
    if not file.is_file():
        hint = suggestion(name, [other.stem for other in path.parent.glob("*.yaml") if other != path])
        raise ConfigError(f"{where}: expected a study in {path.parent}; got {name!r}.{hint}")
    other = _loaded(file, (*starting, path))
    expect_same_network(study, name, other, where)
    while True:
        expect_held_out(study, name, other, where)
        name = other.training.start_from
        if name is None:
            return
        other = load_study(path.parent / f"{name}.yaml")


def validated_study(values: Any, where: str) -> AnyStudy:
    """Turn plain values into a study of the kind that they state; ConfigError as `validated`."""
    if not (isinstance(values, dict) and "kind" in values):
        return validated(Study, values, where)
    kind = validated(_Kind, {"kind": values["kind"]}, where).kind
    return validated(STUDIES[kind], values, where)


def plain(settings: Settings) -> dict[str, Any]:
    """Return settings as numbers, strings, lists and mappings, in the order of the model."""
    return settings.model_dump(mode="json")


def schema() -> str:
    """Return the JSON schema of a study of any kind as text (config/schema.json)."""
    content = TypeAdapter(AnyStudy).json_schema()
    for study in STUDIES.values():
        content["$defs"][study.__name__]["properties"]["based_on"] = {
            "type": "string",
            "description": "Study from which all keys that are not written here are taken",
        }
    return json.dumps(content, indent=2) + "\n"


class _FileName(Settings):
    name: Study.model_fields["targets"].annotation.__args__[0]  # the type of a target's name


class _Kind(Settings):
    kind: Literal["molecule", "analytic", "protein", "carbon", "adsorption"]


def _with_base(path: Path, seen: tuple[Path, ...]) -> Any:
    """Return the values of a file laid over those of the study it is based on."""
    if path in seen:
        chain = " -> ".join(file.stem for file in (*seen, path))
        raise ConfigError(f"{seen[0]}: based_on: expected a study that does not lead back here; got {chain}")
    values = read_yaml(path)
    if not isinstance(values, dict) or "based_on" not in values:
        return values
    base = path.parent / f"{values['based_on']}.yaml"
    if not base.is_file():
        hint = suggestion(base.stem, [other.stem for other in path.parent.glob("*.yaml") if other != path])
        raise ConfigError(f"{path}: based_on: expected a study in {path.parent}; got {base.stem!r}.{hint}")
    own = {key: value for key, value in values.items() if key != "based_on"}
    base_values = _with_base(base, (*seen, path))
    # Checked on its own, so that a mistake is told of the file in which it stands.
    validated_study(base_values, str(base))
    return _replaced(base_values, own)


def _replaced(base: Any, own: Any) -> Any:
    """Replace the keys of `base` that `own` states; another kind or source replaces a whole section."""
    if not (isinstance(base, dict) and isinstance(own, dict)):
        return own
    if any(own.get(tag, base.get(tag)) != base.get(tag) for tag in ("kind", "source")):
        return own
    merged = {
        key: value if key in REPLACED_WHOLE else _replaced(base.get(key), value) for key, value in own.items()
    }
    return {**base, **merged}


def main(arguments: list[str]) -> int:
    """Check the files named on the command line, or print the schema; return the exit status."""
    if arguments == ["--schema"]:
        print(schema(), end="")
        return 0
    if not arguments:
        print(
            "expected a settings file; got none. Write: make check CONFIG=config/systems/<name>.yaml",
            file=sys.stderr,
        )
        return 1
    try:
        for path in map(Path, arguments):
            is_workflow = path.name == "config.yaml"
            text = (
                f"studies {', '.join(load_config(path).listed)}"
                if is_workflow
                else describe(load_study(path))
            )
            print(f"OK {path}: {text}")
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
