"""Embeddings made elsewhere, from the npz file of a user to what a network makes of them."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dig_core.diffusion.losses import Batch
from dig_core.files import load_arrays
from dig_core.sampling import draw_molecule
from dig_core.structure import ResidueGraph
from dig_core.systems import protein
from dig_core.systems.protein_denoising import denoising_loss
from dig_core.training import Material, train_system
from tests.proteins_for_tests import FORCE_FIELD, MODEL, SETTINGS, dataset, peptide, shaken

ROOT = Path(__file__).parents[2]
FEATURES = {"single": 3, "pair": 2}
DATA = FORCE_FIELD | {"features": FEATURES}
WITH = SETTINGS | {"model": MODEL | {"single_features": 3, "pair_features": 2}}
SCHEDULE = {
    "steps": 1, "batch_size": 8, "learning_rate": 1e-2, "warmup_steps": 0, "weight_decay": 0.0, "gradient_clip": 1.0,
    "ema_decay": 0.0, "checkpoint_interval_steps": 1, "seed": 1,
}  # fmt: skip


def embedded(seed: int, length: int = 3) -> dict[str, np.ndarray]:
    """Embeddings as a descriptor has them."""
    generator = np.random.default_rng(seed)
    shapes = {"single_embedding": (length, 3), "pair_embedding": (length, length, 2)}
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def written(folder: Path, sequence: str, seed: int = 0, **changed) -> str:
    """Path of an npz file as a user makes it."""
    own = {name.removesuffix("_embedding"): x for name, x in embedded(seed, len(sequence)).items()}
    np.savez(folder / "own.npz", sequence=sequence, **own | changed)
    return str(folder / "own.npz")


def test_the_descriptor_holds_what_the_file_says(tmp_path):
    """And is another one than without, or with other embeddings; all else stays."""
    plain = peptide("AGS")[1]
    target = {"sequence": "AGS", "embeddings": written(tmp_path, "AGS")}
    found = protein.build(target, DATA)[1]
    for name, values in embedded(0).items():
        assert np.array_equal(found[name], values) and found[name].dtype == np.float32
    assert all(np.array_equal(found[name], plain[name]) for name in plain)
    single_alone = protein.build(target, DATA | {"features": FEATURES | {"pair": 0}})[1]
    assert "pair_embedding" not in single_alone and "single_embedding" in single_alone
    others = [plain, found, single_alone, plain | embedded(1)]
    assert len({protein.descriptor_hash(own) for own in others}) == 4


def test_conditions_follow_the_embeddings():
    """A single reaches its residue alone, a pair its pair alone."""
    torch.manual_seed(0)
    network = protein.network(WITH["model"])
    own = peptide("AGS")[1] | embedded(0)
    before = network.conditions(ResidueGraph.from_arrays(own))
    moved = {name: values.copy() for name, values in embedded(0).items()}
    moved["single_embedding"][1] += 1.0
    moved["pair_embedding"][0, 2] += 1.0
    after = network.conditions(ResidueGraph.from_arrays(own | moved))
    nodes, pairs = (
        (a != b).any(-1)[0] for a, b in ((after.nodes, before.nodes), (after.pairs, before.pairs))
    )
    assert nodes.tolist() == [False, True, False]
    assert pairs.nonzero().tolist() == [[0, 2]]


def test_a_network_trains_on_embeddings_and_draws_by_them(tmp_path):
    """One sequence twice, with other embeddings: a step of training moves their weights, and samples differ by them alone."""
    arrays = peptide("AGS")[1]
    known = {"one": arrays | embedded(0), "two": arrays | embedded(1)}
    frames = dataset({name: shaken(arrays, 8, seed) for seed, name in enumerate(known)})
    training = SETTINGS["training"] | SCHEDULE | {"steps": 3}
    settings = {"kind": "protein", **WITH, "training": training}
    result = train_system(protein, Material(frames, known), settings, tmp_path / "restart.pt", "cpu")
    torch.manual_seed(SCHEDULE["seed"])
    fresh = protein.network(WITH["model"]).state_dict()
    for name in ("sequence.single.weight", "sequence.pair.weight"):
        assert not torch.equal(result.weights[name], fresh[name])
    assert len(set(result.description["molecules"].values())) == 2
    checkpoint = {"weights": result.weights, **json.loads(json.dumps(result.description))}
    sampler = {
        "kind": "sde_dpm_solver", "steps": 3, "samples": 4, "batch_size": 4, "seed": 1, "until_valid": False,
    }  # fmt: skip
    one, two, again = (
        draw_molecule(protein, protein.trained_model(checkpoint, own), own, sampler)["positions_angstrom"]
        for own in (*known.values(), known["one"])
    )
    assert np.array_equal(one, again) and np.abs(one - two).max() > 1e-4
    with pytest.raises(ValueError, match="expected 3 features in single_embedding; got 0"):
        protein.trained_model(checkpoint, arrays)


def test_each_structure_of_a_batch_has_the_embeddings_of_its_target():
    """Targets of one sequence, told apart by these alone: a mixed batch has the losses of each target's own."""
    torch.manual_seed(0)
    network, arrays = protein.network(WITH["model"]), peptide("AGS")[1]
    with torch.no_grad():
        for weights in network.parameters():
            weights += 0.1 * torch.randn_like(weights)
    known = {name: arrays | embedded(seed) for seed, name in enumerate(("one", "two"))}
    same = shaken(arrays, 4)
    loss = denoising_loss(dataset(dict.fromkeys(known, same)), known, WITH, "cpu")[0]

    def losses(*indices: int) -> torch.Tensor:
        return loss(network, Batch(torch.tensor(indices * 2), torch.Generator().manual_seed(0)))

    first, second, mixed = losses(0, 1), losses(4, 5), losses(0, 5)  # the same frames and noise
    torch.testing.assert_close(mixed, torch.stack([first[0], second[1], first[2], second[3]]))
    assert (first - second).abs().max() > 1e-3


def build_script():
    """The script of rule `build`."""
    spec = importlib.util.spec_from_file_location("build_script", ROOT / "workflow_scripts/build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Files(dict):
    """Inputs or outputs of a job."""

    __getattr__ = dict.__getitem__


@pytest.mark.parametrize(
    ("sequence", "changed", "told"),
    [
        ("AAS", {}, r"first differ at 2 \(AGS expected, AAS there\)"),
        ("AGS", {"single": np.ones((3, 4))}, r"expected 3 features of single in .*; got 4\. Correct model\.single_features"),
        ("AGS", {"pair": np.ones((3, 2, 2))}, r"expected pair \[3, 3, features\]"),
    ],
)  # fmt: skip
def test_embeddings_of_another_protein_or_network_are_refused_and_nothing_is_written(
    tmp_path, sequence, changed, told
):
    target = {"sequence": "AGS", "embeddings": written(tmp_path, sequence, **changed)}
    output = Files({name: str(tmp_path / "results" / name) for name in ("molecule.npz", "topology.pdb")})
    output |= {"molecule": output["molecule.npz"], "topology": output["topology.pdb"]}
    params = SimpleNamespace(kind="protein", target=target, data=DATA)
    (tmp_path / "results").mkdir()
    Path(output["molecule"]).write_bytes(b"an older one")
    with pytest.raises(ValueError, match=told) as caught:
        build_script().main(
            SimpleNamespace(input=Files(sources=target["embeddings"]), output=output, params=params)
        )
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["molecule.npz"]
    assert Path(output["molecule"]).read_bytes() == b"an older one"


def test_the_script_writes_them_into_the_descriptor(tmp_path):
    target = {"sequence": "AGS", "embeddings": written(tmp_path, "AGS")}
    output = Files(molecule=str(tmp_path / "molecule.npz"), topology=str(tmp_path / "topology.pdb"))
    params = SimpleNamespace(kind="protein", target=target, data=DATA)
    build_script().main(
        SimpleNamespace(input=Files(sources=target["embeddings"]), output=output, params=params)
    )
    found = load_arrays(output["molecule"])
    assert np.array_equal(found["pair_embedding"], embedded(0)["pair_embedding"])
