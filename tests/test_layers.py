"""The one-way streets between the modules of dig_core, read from the imports."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "dig_core"

LOW = {"bonds", "units", "structure", "geometry", "rotations", "backbone", "crystals"}
FIVE = {"diffusion", "models", "energies", "data", "evaluation"}
# Module or package: what it may import of ours, besides itself. files and runtime serve all and know none of them.
ALLOWED = {
    "units": set(),
    "files": set(),
    "runtime": {"files"},
    "settings": {"units"},
    "config": {"settings", "units"},
    "sizes": {"settings", "units"},
    "costs": {"settings", "sizes", "units"},
    "job_memory": {"settings", "sizes"},
    "structure": {"units", "files", "runtime"},
    "optimizers": set(),
    "checkpoints": {"files"},
    "parallel": {"files", "runtime"},
    "several": {"files", "runtime"},
    "geometry": LOW,
    "bonds": set(),
    "rotations": LOW,
    "backbone": LOW,
    "crystals": {"units"},
    **{name: LOW | {"files", "runtime"} for name in FIVE},
    "systems": LOW | FIVE | {"pretraining", "files", "runtime", "settings", "config"},
    "training": LOW
    | FIVE
    | {"systems", "optimizers", "checkpoints", "parallel", "files", "runtime", "settings", "config"},
    "pretraining": LOW | FIVE | {"files", "runtime"},
    "energies_only": LOW | FIVE | {"systems", "training", "pretraining", "sampling", "files", "runtime"},
    "sampling": LOW | FIVE | {"systems", "files", "runtime", "settings", "config"},
    "density_estimation": LOW | FIVE | {"systems", "sampling", "files", "runtime"},
    "plotting": {"evaluation", "units"},
    "plotting_comparisons": {"plotting"},
    "plotting_crystals": {"plotting", "crystals"},
    "plotting_properties": {"plotting", "plotting_crystals"},
    "plotting_adsorbates": {"plotting"},
    "plotting_sites": {"plotting"},
    "plotting_densities": {"evaluation", "plotting", "units"},
    "plotting_known_densities": {"plotting", "evaluation", "units"},
    "plotting_pathways": {"plotting", "evaluation", "units"},
    "plotting_states": {"plotting"},
    "plotting_state_paths": {"plotting", "plotting_states"},
}
# Loaded by the Snakefile, or needed to redraw a figure on a laptop.
WITHOUT_TORCH = {
    "units",
    "settings",
    "config",
    "costs",
    "job_memory",
    "sizes",
    "evaluation",
    "plotting",
    "plotting_comparisons",
    "plotting_crystals",
    "plotting_properties",
    "plotting_adsorbates",
    "plotting_sites",
    "crystals",
    "plotting_densities",
    "plotting_known_densities",
    "plotting_pathways",
    "plotting_states",
    "plotting_state_paths",
}


def imports(source: str) -> set[str]:
    """Return the dotted names of all modules that a source imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # `from dig_core import x` imports dig_core.x as far as this map is concerned.
            origin = "." * node.level + (node.module or "")
            names |= {f"{origin}.{alias.name}" if origin == "dig_core" else origin for alias in node.names}
    return names


def broken_streets(module: str, source: str) -> list[str]:
    """Return one line for every import that the module (first part below dig_core) may not make."""
    lines = []
    if module not in ALLOWED:
        return [
            f"dig_core/{module}: expected a module of the plan; add it to ALLOWED with what it may import"
        ]
    for name in sorted(imports(source)):
        package, *parts = name.split(".")
        other = parts[0] if parts else ""
        if name.startswith("."):
            lines.append(f"{module} imports {name}: write the absolute name")
        elif package == "dig_core" and other in ALLOWED and other not in {module, *ALLOWED[module]}:
            lines.append(f"{module} imports dig_core.{other}: expected only {sorted(ALLOWED[module])}")
        elif package == "torch" and module in WITHOUT_TORCH:
            lines.append(f"{module} imports torch: it must load without")
        elif package == "snakemake":
            lines.append(f"{module} imports snakemake: the library does not know the workflow")
    return lines


def result_paths(source: str) -> list[str]:
    """Return the strings of a source that are paths under results/ (docstrings aside)."""
    return [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith("results/")
    ]


def modules() -> list[Path]:
    return sorted(path for path in LIBRARY.rglob("*.py") if path != LIBRARY / "__init__.py")


def layer(path: Path) -> str:
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(LIBRARY)))
def test_module_keeps_to_the_one_way_streets(path):
    source = path.read_text()
    assert broken_streets(layer(path), source) == []
    assert result_paths(source) == [], "the library does not know where results lie"


def test_no_module_of_everything():
    refused = {"utils", "helpers", "base", "manager", "wrapper", "common"}
    assert [path for path in modules() if path.stem in refused] == []


def test_scripts_call_the_library_and_nothing_else():
    known = {"dig_core", *sys.stdlib_module_names}
    for path in sorted((ROOT / "workflow_scripts").glob("*.py")):
        foreign = {name.split(".")[0] for name in imports(path.read_text())} - known
        assert not foreign, f"workflow_scripts/{path.name} imports {sorted(foreign)}: move that into dig_core"


@pytest.mark.parametrize(
    ("module", "source", "told"),
    [
        ("diffusion", "from dig_core.models import graphormer", "dig_core.models"),
        ("diffusion", "from dig_core import models", "dig_core.models"),
        ("energies", "def f():\n    import dig_core.data.features", "dig_core.data"),
        ("evaluation", "import torch", "torch"),
        ("config", "from torch import nn", "torch"),
        ("runtime", "from dig_core import units", "dig_core.units"),
        ("models", "from ..diffusion import processes", "absolute"),
        ("systems", "import snakemake", "snakemake"),
        ("systems", "from dig_core.training import train", "dig_core.training"),
        ("utils", "", "ALLOWED"),
    ],
)
def test_a_broken_street_is_named(module, source, told):
    lines = broken_streets(module, source)
    assert len(lines) == 1 and told in lines[0]


def test_a_kept_street_is_silent():
    source = "import torch\nfrom dig_core.diffusion.samplers import SAMPLERS\nfrom dig_core import units\n"
    assert broken_streets("systems", source) == []
    assert result_paths("x = 'results/a'") == ["results/a"]
