"""What the samples of a protein are worth: every number beside the noise floor and beside samples that do not know the sequence.

As for molecules (`molecule_evaluation`), all candidates are scored on the held-out replica, with as many structures as there are samples.
The plane is that of slow coordinates of the target's own training replica; that replica has trained the network only where the target is
not held out. The *sequence-blind* baseline are frames of the other targets that are trained on, of as many residues: what a model that
ignores the sequence would draw at best.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dig_core.evaluation import backbone_validity, statistics
from dig_core.evaluation.proteins import (
    SECONDARY_STRUCTURE,
    contact_difference,
    contact_map,
    radius_of_gyration_angstrom,
    secondary_structure,
)
from dig_core.evaluation.torsions import torsion_angles
from dig_core.systems.metrics import Evaluated, competitor_metrics, share_with_interval
from dig_core.systems.protein import physical_filter
from dig_core.systems.series import Arrays, Coordinates, Series, Sources, coordinates, series
from dig_core.systems.yardstick import Scores, Study, yardstick

SHAPES = 1000  # structures are enough for contacts and secondary structure
Others = Mapping[str, tuple[Arrays, Arrays]]  # descriptor and training frames, by target


def evaluate(sources: Sources, others: Others, study: Study) -> Evaluated:
    """Score samples, noise floor and the sequence-blind baseline of one protein on its held-out replica."""
    # Also of two residues, whose only torsions are psi of the first and phi of the second.
    plane = replace(
        coordinates(sources.molecule, sources.training, study.settings.tica_lag_ps), is_torsion_plane=False
    )
    compared = {"samples": series(sources.samples, plane, correlated=False)}
    for name in ("training", "reference"):
        compared[name] = series(getattr(sources, name), plane, correlated=True)
    for name in ("exploration", "trained_frames"):
        if (arrays := getattr(sources, name)) is not None:
            compared[name] = series(arrays, plane, correlated=True)
    if (blind := sequence_blind(others, plane)) is not None:
        compared["baseline"] = blind
    count = len(compared["samples"].weights)
    measure = yardstick(study, compared["reference"], plane, count)
    metrics: Scores = {"samples": count}
    samples = compared["samples"]
    metrics |= study.with_intervals(lambda chosen: measure.scores(samples, chosen), samples)
    metrics |= validity_metrics(sources, study)
    metrics |= competitor_metrics(study, compared, measure)
    metrics |= shape_metrics(sources)
    metrics |= {f"frames_{name}": len(compared[name].weights) for name in ("training", "reference")}
    defined = {key: value for key, value in metrics.items() if np.isfinite(value)}
    return Evaluated(defined, plane, compared, {"reference": measure.planes[""]})


def sequence_blind(others: Others, plane: Coordinates) -> Series | None:
    """Frames of other targets with as many torsions, every target alike, seen in the plane of this one; None where there is none."""
    angles = [
        torsion_angles(frames["positions_angstrom"], protein["backbone_torsions"].reshape(-1, 4))
        for protein, frames in others.values()
        if len(protein["backbone_torsions"].reshape(-1, 4)) == len(plane.torsion_atoms)
    ]
    if not angles:
        return None
    torsions = np.concatenate(angles)
    weights = np.concatenate([np.full(len(own), 1.0 / (len(own) * len(angles))) for own in angles])
    return Series(torsions, weights, plane.planes(torsions), None, correlated=True)


def validity_metrics(sources: Sources, study: Study) -> Scores:
    """Shares of samples that fulfil each criterion, with intervals, and those of as many frames of the reference."""
    verdict = physical_filter(sources.samples["positions_angstrom"], sources.molecule)
    values, count = validity_shares(verdict), len(verdict.valid)
    chosen = statistics.draw_by_weight(sources.reference["weights"], count, study.generator)
    known = physical_filter(sources.reference["positions_angstrom"][chosen], sources.molecule)
    values["valid_fraction_reference"] = float(known.valid.mean())
    return values | {
        f"valid_{name}_fraction_reference": float(getattr(known, name).mean())
        for name in backbone_validity.CRITERIA
    }


def validity_shares(verdict: backbone_validity.BackboneValidity) -> Scores:
    """Shares of structures that are valid and that fulfil each criterion, with intervals."""
    values = share_with_interval("valid_fraction", verdict.valid)
    for name, good in verdict.criteria().items():
        values |= share_with_interval(f"valid_{name}_fraction", good)
    return values


def shape_metrics(sources: Sources) -> Scores:
    """Mean radius of gyration of C-alpha atoms, helices and strands, beside those of the reference; how far the maps of contacts are apart."""
    firsts, values = sources.molecule["first_atom_of_residue"], {}
    prolines = np.array([letter == "P" for letter in str(sources.molecule["sequence"])])
    arrays = {"": sources.samples, "_training": sources.training, "_reference": sources.reference}
    for ending, own in arrays.items():
        positions = finite_structures(own["positions_angstrom"])
        gyration = radius_of_gyration_angstrom(positions[:, firsts + 1])
        values[f"radius_of_gyration_angstrom{ending}"] = float(gyration.mean())
        found = secondary_structure(positions[:SHAPES], *residues(sources.molecule), prolines)
        shares = found.mean(axis=0)
        for name, share in zip(SECONDARY_STRUCTURE, shares, strict=True):
            values[f"{name}_fraction{ending}"] = float(share)
        values[f"left_handed_fraction{ending}"] = left_handed_share(positions, sources.molecule)
    return values | contact_metrics(arrays, firsts)


def left_handed_share(positions: np.ndarray, protein: Arrays) -> float:
    """Share of phi > 0 in residues other than glycine, for which it is rare and slow to come and go; NaN where none has phi."""
    phi = protein["backbone_torsions"].reshape(-1, 4)[1::2]
    of = np.searchsorted(protein["first_atom_of_residue"], phi[:, 2] - 1)  # the third atom is CA, next to N
    chiral = np.array([str(protein["sequence"])[residue] != "G" for residue in of], dtype=bool)
    if not chiral.any():
        return float("nan")
    return float((torsion_angles(positions, phi[chiral]) > 0).mean())


def contact_metrics(arrays: Mapping[str, Arrays], firsts: np.ndarray) -> Scores:
    """Correlation and root-mean-square difference of the maps of contacts of samples and reference, and of both replicas."""
    maps = {
        ending: contact_map(finite_structures(own["positions_angstrom"])[:SHAPES], firsts)
        for ending, own in arrays.items()
    }
    found: Scores = {}
    for ending, suffix in (("", ""), ("_training", "_noise_floor")):
        own = contact_difference(maps[ending], maps["_reference"])
        found |= {f"{key}{suffix}": value for key, value in own.items()}
    return found


def finite_structures(positions: np.ndarray) -> np.ndarray:
    """The structures without NaN."""
    return positions[np.isfinite(positions).all(axis=(1, 2))]


def residues(protein: Arrays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What tells residues apart in an array of atoms: numbers, chains and first atoms."""
    return protein["residue_indices"], protein["chain_indices"], protein["first_atom_of_residue"]
