"""Argon in a box: a system that is quick, and whatever a user may bring of it."""

import io
import random
import zipfile

import openmm
from openmm import XmlSerializer, app, unit

SPACING_NM = 0.4
ATOMS_PER_EDGE = 5
EDGE_NM = ATOMS_PER_EDGE * SPACING_NM


def system():
    """As serialised by OpenMM."""
    made = openmm.System()
    force = openmm.NonbondedForce()
    force.setNonbondedMethod(force.CutoffPeriodic)
    force.setCutoffDistance(0.9)
    for _ in range(ATOMS_PER_EDGE**3):
        made.addParticle(39.948)
        force.addParticle(0, 0.3405, 0.996)
    made.addForce(force)
    made.setDefaultPeriodicBoxVectors(*_box(EDGE_NM))
    return XmlSerializer.serialize(made).encode()


def structure(edge_nm=EDGE_NM, kind=app.PDBFile, atoms=ATOMS_PER_EDGE**3, shaken_nm=0.0):
    """A .pdb or .cif with a box; ``edge_nm`` stretches everything, and atoms are shaken."""
    topology = app.Topology()
    chain = topology.addChain()
    for number in range(atoms):
        residue = topology.addResidue("AR", chain, str(number + 1))
        topology.addAtom("AR", app.Element.getBySymbol("Ar"), residue)
    topology.setPeriodicBoxVectors(_box(edge_nm))
    text = io.StringIO()
    positions = _positions(edge_nm)[:atoms]
    drawn = random.Random(1)
    for number in range(atoms):
        moved = [drawn.uniform(-shaken_nm, shaken_nm) for _ in "xyz"]
        positions[number] += openmm.Vec3(*moved) * unit.nanometer
    kind.writeFile(topology, positions, text)
    return text.getvalue().encode()


def forcefield():
    """Argon's parameters as a force field of one's own."""
    return b"""<ForceField>
 <AtomTypes><Type name="AR" class="AR" element="Ar" mass="39.948"/></AtomTypes>
 <Residues><Residue name="AR"><Atom name="AR" type="AR"/></Residue></Residues>
 <NonbondedForce coulomb14scale="1" lj14scale="1">
  <Atom type="AR" charge="0" sigma="0.3405" epsilon="0.996"/>
 </NonbondedForce>
</ForceField>
"""


def integrator(seed=5):
    """One that the options do not offer."""
    made = openmm.BrownianIntegrator(120, 100, 0.002)
    made.setRandomNumberSeed(seed)
    return XmlSerializer.serialize(made).encode()


def state(temperature_k=120, **parts):
    """Where another simulation of 1,000 steps had come to."""
    context = openmm.Context(
        XmlSerializer.deserialize(system().decode()),
        openmm.VerletIntegrator(0.002),
        openmm.Platform.getPlatformByName("Reference"),
    )
    context.setPositions(_positions(EDGE_NM))
    context.setVelocitiesToTemperature(temperature_k, 3)
    context.setStepCount(1000)
    context.setTime(2)
    found = context.getState(**({"positions": True, "velocities": True} | parts))
    return XmlSerializer.serialize(found).encode()


def zipped(**members):
    """An archive; in names, ``__`` stands for a dot."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return body.getvalue()


def _box(edge_nm):
    return [
        openmm.Vec3(edge_nm, 0, 0),
        openmm.Vec3(0, edge_nm, 0),
        openmm.Vec3(0, 0, edge_nm),
    ]


def _positions(edge_nm):
    spacing, edge = edge_nm / ATOMS_PER_EDGE, range(ATOMS_PER_EDGE)
    places = [openmm.Vec3(x, y, z) * spacing for x in edge for y in edge for z in edge]
    return places * unit.nanometer
