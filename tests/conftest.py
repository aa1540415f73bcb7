"""All tests check shapes and types of dig_core's functions as they are annotated."""

import os

from jaxtyping import install_import_hook

# Before torch and OpenMM load: tests are deterministic, and two of them may run side by side on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Not the settings: pydantic checks them, and beartype refuses `Self` on its validators.
CHECKED = (
    "diffusion", "models", "energies", "data", "systems", "evaluation", "geometry", "structure", "training", "pretraining", "optimizers", "sampling",
    "files", "checkpoints", "parallel", "several", "rotations", "backbone", "plotting", "units", "costs", "density_estimation", "plotting_densities", "energies_only",
    "plotting_known_densities", "plotting_pathways", "plotting_comparisons", "plotting_states", "plotting_crystals", "plotting_properties", "crystals", "plotting_sites",
)  # fmt: skip
install_import_hook([f"dig_core.{name}" for name in CHECKED], "beartype.beartype")

# Whole runs of the workflow and trainings: begun first, so that two processes end at about the same time.
LONGEST = (
    "test_tiny_study",
    "test_few_frames",
    "test_pretraining",
    "test_tiny_proteins",
    "test_tiny_states",
    "test_energies_only",
    "test_tiny_carbon",
    "test_tiny_adsorption",
    "test_workflow",
)


def pytest_collection_modifyitems(items):
    """Files that take minutes come first; within a file the order stays."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)
