"""A study in one line."""

from dig_core.settings.adsorption import AdsorptionStudy
from dig_core.settings.analytic import AnalyticStudy, AnyStudy
from dig_core.settings.bundled import bundled_share
from dig_core.settings.carbon import CarbonStudy
from dig_core.settings.protein import ProteinStructures, ProteinStudy
from dig_core.settings.study import Study


def describe(study: AnyStudy) -> str:
    """Say in one line what a study will do."""
    if isinstance(study, AnalyticStudy):
        return (
            f"{', '.join(study.targets)} from energies alone as {' and '.join(study.forms)}:"
            f" {len(study.seeds)} training(s) each; {study.sampler.samples} samples by {study.sampler.kind}"
        )
    if isinstance(study, AdsorptionStudy):
        return (
            f"{', '.join(study.targets)} at {study.temperature_K:g} K: energies by {study.data.calculator}{_bundled(study, 'surfaces')};"
            f"{_before(study)} {study.training.steps} training steps; {study.sampler.samples} samples by {study.sampler.kind} in {study.sampler.steps} steps"
        )
    if isinstance(study, CarbonStudy):
        return (
            f"{', '.join(study.targets)} of {', '.join(study.data.elements)}: crystals of {len(study.data.files)} file(s);"
            f" {study.training.steps} training steps; {study.sampler.samples} samples by {study.sampler.kind} in {study.sampler.steps} steps"
        )
    return (
        f"{', '.join(study.targets)} at {study.temperature_K:g} K: {_source(study)};"
        f"{_before(study)} {study.training.steps} training steps;"
        f" {study.sampler.samples} samples by {study.sampler.kind} in {study.sampler.steps} steps"
    )


def _before(study: Study | ProteinStudy | AdsorptionStudy) -> str:
    own = study.pretraining
    if own is None:
        return ""
    learned = "energies" if isinstance(study, AdsorptionStudy) else own.structures.kind
    return f" {own.steps} steps of pre-training on {learned};"


def _source(study: Study | ProteinStudy) -> str:
    data = study.data
    if data.source == "trajectory":
        return f"{_trajectory_files(study)} trajectory file(s)"
    if isinstance(data, ProteinStructures):
        return f"{sum(len(target.states) for target in study.targets.values())} known structures"
    bias = "metadynamics" if data.bias else "plain dynamics"
    if tempering := getattr(data, "tempering", None):
        bias = f"parallel tempering at {1 + len(tempering.higher_temperatures_K)} temperatures"
    return f"{data.replicas} x {data.duration_ns:g} ns of {bias}{_bundled(study, 'replicas')}"


def _bundled(study: Study | ProteinStudy | AdsorptionStudy, what: str) -> str:
    if not getattr(study.data, "bundled", None):
        return ""
    found, total = bundled_share(study)
    return f" ({found} of {total} {what} bundled)" if found else ""


def _trajectory_files(study: Study | ProteinStudy) -> int:
    if isinstance(study, Study):
        return len(study.data.files)
    return sum(len(files) for target in study.targets.values() for files in target.trajectory.replicas)
