"""Short missing pieces of a chain, made sound: L residues, trans peptide bonds, no collisions; everything else stays where it is.

The bonded terms of Amber14 hold the geometry, restraints the handedness and the peptide bonds, and a soft repulsion keeps atoms apart.
What comes out is one likely shape of many: molecular dynamics may start there, and nothing is known from it.
"""

import itertools
from collections.abc import Collection, Iterator

import numpy as np
import openmm
import openmm.app as app
import openmm.unit as unit
from jaxtyping import Float
from scipy.spatial import cKDTree

from dig_core.units import ANGSTROM_PER_NM

STIFFNESS = 2000.0  # kJ/mol/rad^2 of the restraints
REPULSION = 20_000.0  # kJ/mol/nm^2 of the square of how deep two spheres overlap
REACH_ANGSTROM = 12.0  # of a piece: atoms farther from its start are not met
RADIUS_NM, HYDROGEN_RADIUS_NM = 0.15, 0.10  # well inside those of van der Waals, for hydrogen bonds
# Temperature and share of the repulsion in four runs: pieces first pass through what is in their way.
ANNEALING = ((900.0, 0.01), (900.0, 0.1), (600.0, 0.3), (300.0, 1.0))
STEPS, STEP_PS, SEED = 500, 0.001, 1
# Torsion centre-a-b-c of a residue whose centre has the handedness of life: 34 +- 2 degrees in crystal structures.
HANDEDNESS = np.radians(34.0)
BONDED = {
    openmm.HarmonicBondForce: ("Bond", 2),
    openmm.HarmonicAngleForce: ("Angle", 3),
    openmm.PeriodicTorsionForce: ("Torsion", 4),
}
CENTRES = {"ILE": ("CB", "CA", "CG1", "CG2"), "THR": ("CB", "CA", "OG1", "CG2")}


def refined(
    topology: app.Topology, positions: Float[np.ndarray, "atoms 3"], new: Collection[int]
) -> Float[np.ndarray, "atoms 3"]:
    """Positions in Angstrom, in which the residues with these indices have moved. The topology has all atoms."""
    movable = {atom.index for atom in topology.atoms() if atom.residue.index in new}
    near = cKDTree(positions).query_ball_point(positions[sorted(movable)], REACH_ANGSTROM)
    whole = app.ForceField("amber14/protein.ff14SB.xml").createSystem(topology)
    system = openmm.System()
    for atom in range(topology.getNumAtoms()):
        system.addParticle(whole.getParticleMass(atom) if atom in movable else 0.0)
    for force in (*_bonded(whole, movable), _restraints(topology, movable)):
        system.addForce(force)
    system.addForce(_repulsion(topology, movable, set(itertools.chain.from_iterable(near))))
    return _annealed(system, positions)


def _bonded(system: openmm.System, movable: Collection[int]) -> Iterator[openmm.Force]:
    """Bonds, angles and torsions that hold a movable atom: between atoms at rest they would cost time alone."""
    for force in system.getForces():
        if type(force) not in BONDED:
            continue
        kind, atoms = BONDED[type(force)]
        part = type(force)()
        for index in range(getattr(force, f"getNum{kind}s")()):
            terms = getattr(force, f"get{kind}Parameters")(index)
            if not movable.isdisjoint(terms[:atoms]):
                getattr(part, f"add{kind}")(*terms)
        yield part


def stereocentres(topology: app.Topology) -> Iterator[tuple[int, int, int, int]]:
    """Four atoms for each centre of the residues: the torsion through them is near `HANDEDNESS`."""
    for residue in topology.residues():
        atoms = {atom.name: atom.index for atom in residue.atoms()}
        for names in (("CA", "N", "C", "CB"), CENTRES.get(residue.name, ())):
            if names and all(name in atoms for name in names):
                yield tuple(atoms[name] for name in names)


def peptide_bonds(topology: app.Topology) -> Iterator[tuple[int, int, int, int]]:
    """CA, C, N and CA of neighbours, caps left out."""
    for chain in topology.chains():
        residues = [{atom.name: atom.index for atom in residue.atoms()} for residue in chain.residues()]
        for first, second in itertools.pairwise(residues):
            if {"CA", "C"} <= first.keys() and {"N", "CA"} <= second.keys():
                yield first["CA"], first["C"], second["N"], second["CA"]


def torsions(positions: Float[np.ndarray, "atoms 3"], quadruples: list) -> Float[np.ndarray, " torsions"]:
    """Angles in radians through four atoms each."""
    first, axis, last = np.moveaxis(np.diff(positions[np.array(quadruples).reshape(-1, 4)], axis=1), 1, 0)
    before, after = np.cross(first, axis), np.cross(axis, last)
    along = (np.cross(before, after) * axis).sum(-1) / np.linalg.norm(axis, axis=-1)
    return np.arctan2(along, (before * after).sum(-1))


def _restraints(topology: app.Topology, movable: Collection[int]) -> openmm.CustomTorsionForce:
    force = openmm.CustomTorsionForce(f"{STIFFNESS}*(1-cos(theta-target))")
    force.addPerTorsionParameter("target")
    wanted = [(HANDEDNESS, stereocentres(topology)), (np.pi, peptide_bonds(topology))]
    for target, atoms in ((target, atoms) for target, rows in wanted for atoms in rows):
        if not movable.isdisjoint(atoms):
            force.addTorsion(*atoms, [target])
    return force


def _repulsion(
    topology: app.Topology, movable: Collection[int], near: Collection[int]
) -> openmm.CustomNonbondedForce:
    force = openmm.CustomNonbondedForce(f"share*{REPULSION}*max(0, radius1+radius2-r)^2")
    force.addGlobalParameter("share", 1.0)
    force.addPerParticleParameter("radius")
    for atom in topology.atoms():
        force.addParticle([HYDROGEN_RADIUS_NM if atom.element is app.element.hydrogen else RADIUS_NM])
    force.createExclusionsFromBonds([(a.index, b.index) for a, b in topology.bonds()], 3)
    force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffNonPeriodic)
    force.setCutoffDistance(2 * RADIUS_NM)
    force.addInteractionGroup(movable, near)
    return force


def _annealed(system: openmm.System, positions: np.ndarray) -> np.ndarray:
    integrator = openmm.LangevinMiddleIntegrator(300.0, 10.0, STEP_PS)
    integrator.setRandomNumberSeed(SEED)
    once = {"Threads": "1", "DeterministicForces": "true"}  # the same positions every time
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("CPU"), once)
    context.setPositions(positions / ANGSTROM_PER_NM)
    for temperature_K, share in ANNEALING:
        context.setParameter("share", share)
        openmm.LocalEnergyMinimizer.minimize(context)
        context.setVelocitiesToTemperature(temperature_K, SEED)
        integrator.setTemperature(temperature_K)
        integrator.step(STEPS)
    openmm.LocalEnergyMinimizer.minimize(context)
    state = context.getState(positions=True)
    return state.getPositions(asNumpy=True).value_in_unit(unit.nanometer) * ANGSTROM_PER_NM
