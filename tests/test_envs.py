"""The conda environments and the exact pins agree with pyproject.toml."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"pytorch": "torch"}
# Needed in a conda environment only: the interpreter and what installs dig_core; snakemake brings pyyaml.
NOT_IN_PROJECT = {"python", "pip", "pyyaml"}


def requirements() -> list[Requirement]:
    """All of the project's, without its own groups of them."""
    lines = PROJECT["dependencies"] + [
        line for own in PROJECT["optional-dependencies"].values() for line in own
    ]
    return [own for own in map(Requirement, lines) if own.name != PROJECT["name"]]


def project_ranges() -> dict[str, str]:
    ranges = {canonicalize_name(item.name): str(item.specifier) for item in requirements()}
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    return ranges | {Requirement(item).name: str(Requirement(item).specifier) for item in build}


def conda_ranges(path: Path) -> dict[str, str]:
    entries = yaml.safe_load(path.read_text())["dependencies"]
    matches = [re.fullmatch(r"(\S+)\s*(.*)", entry) for entry in entries]
    return {CONDA_NAMES.get(match[1], match[1]): match[2] for match in matches}


def pins() -> dict[str, str]:
    lines = (ROOT / "envs" / "demo-pins.txt").read_text().splitlines()
    return {
        canonicalize_name(name): version
        for name, version in (line.split("==") for line in lines if not line.startswith("#"))
    }


def same(range_a: str, range_b: str) -> bool:
    return set(range_a.replace(" ", "").split(",")) == set(range_b.replace(" ", "").split(","))


def test_every_environment_installs_the_library_too():
    names = {path.stem for path in (ROOT / "envs").glob("*.yaml")}
    assert {path.name.removesuffix(".post-deploy.sh") for path in (ROOT / "envs").glob("*.sh")} == names


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_environment_has_the_projects_ranges(path):
    ranges = project_ranges()
    for name, wanted in conda_ranges(path).items():
        if name not in NOT_IN_PROJECT:
            assert same(wanted, ranges[name]), f"{path.name}: {name} {wanted}; pyproject has {ranges[name]}"


def test_environments_cover_the_libraries():
    tools = {"snakemake", "snakemake-executor-plugin-slurm"}  # not used by these rules
    needed = {canonicalize_name(Requirement(item).name) for item in PROJECT["dependencies"]} - tools
    learning = conda_ranges(ROOT / "envs" / "learning.yaml")
    simulation = conda_ranges(ROOT / "envs" / "simulation.yaml")
    assert needed <= set(learning)
    assert needed - {"torch", "pymatgen", "ase"} <= set(simulation)


def test_pins_lie_in_the_projects_ranges():
    pinned = pins()
    for requirement in requirements():
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}; pinned {version}"


def test_pins_are_plain_releases():
    assert "dig" not in pins()
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pins().values())


def test_ranges_that_differ_are_seen():
    assert same(">=2,<3", "<3, >=2")
    assert not same(">=2,<3", ">=2,<4")


def test_rules_without_torch_load_without_it():
    """The scripts of all rules that run in simulation.yaml."""
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    blocks = re.split(r"\n(?=(?:use )?rule )", rules)
    scripts = {
        found[1]
        for block in blocks
        if "envs/simulation.yaml" in block and (found := re.search(r"workflow_scripts/(\w+)\.py", block))
    }
    assert len(scripts) > 10
    lines = ["import sys", *(f"sys.modules[{name!r}] = None" for name in ("torch", "pymatgen", "ase"))]
    code = "\n".join([*lines, *(f"import workflow_scripts.{name}" for name in sorted(scripts))])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
