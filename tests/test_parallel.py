"""Training in two processes (gloo) gives what it gives in one; errors, requests to end and restart points are shared."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dig_core import parallel
from dig_core.checkpoints import read_tensors
from dig_core.systems import molecule
from dig_core.training import Material, Result, train_system
from tests.molecules_for_tests import small_molecule

MODEL = {"kind": "graphormer", "layers": 2, "blocks": 2, "width": 16, "heads": 2, "radial_features": 8, "head_width": 8}  # fmt: skip
SETTINGS = {
    "kind": "molecule", "temperature_K": 300.0, "model": MODEL,
    "process": {"kind": "variance_exploding", "sigma_min": 0.005, "sigma_max": 4.0},
}  # fmt: skip
TRAINING = {
    "steps": 200, "batch_size": 8, "learning_rate": 1e-3, "warmup_steps": 20, "weight_decay": 0.0, "gradient_clip": 1.0,
    "ema_decay": 0.99, "draw_exponent": 0.75, "noise_log_mean": -1.0, "noise_log_std": 1.2, "weight_low": 0.02,
    "weight_high": 2.0, "control_variate": "forces", "validation_fraction": 0.1, "checkpoint_interval_steps": 50, "seed": 3,
}  # fmt: skip


def in_double_precision(training: dict, restart: Path) -> Result:
    """What `rule train` calls, in float64, on forty noisy frames of ethanol with made-up forces."""
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    ethanol, generator = small_molecule("CCO"), np.random.default_rng(0)
    noise = generator.standard_normal((40, *ethanol["positions_angstrom"].shape))
    dataset = {
        "ethanol.positions_angstrom": ethanol["positions_angstrom"] + 0.05 * noise,
        "ethanol.weights": np.full(40, 1 / 40),
        "ethanol.forces_kJ_per_mol_angstrom": -20.0 * noise,
    }
    return train_system(
        molecule,
        Material(dataset, {"ethanol": ethanol}),
        SETTINGS | {"training": TRAINING | training},
        restart,
        "cpu",
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The training in one process."""
    result = in_double_precision({}, tmp_path_factory.mktemp("whole") / "restart.pt")
    torch.set_default_dtype(torch.float32)
    return result


def assert_same(result: Result, expected: Result) -> None:
    for key in ("training_loss", "validation_loss"):
        values, truth = ([row[key] for row in each.history] for each in (result, expected))
        assert len(values) == 100 and values[-1] < values[0]
        np.testing.assert_allclose(values, truth, rtol=1e-5)
    for name, weights in expected.weights.items():
        torch.testing.assert_close(result.weights[name], weights, rtol=1e-5, atol=1e-7)


def test_two_processes_give_the_losses_and_weights_of_one(whole, tmp_path):
    log = tmp_path / "train.log"
    result = parallel.launched(2, log, in_double_precision, {}, tmp_path / "restart.pt")
    assert_same(result, whole)
    assert log.read_text().count("nats from the sampler") == 1, "the first process speaks for all"


def test_a_request_to_end_saves_once_and_one_process_goes_on(whole, tmp_path):
    restart = tmp_path / "restart.pt"
    code = f"""
from pathlib import Path
from dig_core.parallel import launched
from tests.test_parallel import in_double_precision
if __name__ == "__main__":
    launched(2, None, in_double_precision, {{}}, Path({str(restart)!r}))
"""
    script = tmp_path / "work.py"
    script.write_text(code)
    root = Path(__file__).parents[1]
    run = subprocess.Popen(
        [sys.executable, script], cwd=root, env={"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    while not restart.exists():
        assert run.poll() is None, run.stdout.read()
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    said = run.communicate(timeout=120)[0]
    assert run.returncode == 128 + signal.SIGTERM, said
    assert said.count("asked to end: saved") == 1
    assert 50 <= read_tensors(restart)["step"] < 200
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".pt"] == ["restart.pt"]
    resumed = in_double_precision({}, restart)
    torch.set_default_dtype(torch.float32)
    assert_same(resumed, whole)


def test_what_one_process_refuses_is_told_as_by_one(tmp_path):
    restart = tmp_path / "restart.pt"
    with pytest.raises(
        RuntimeError,
        match=r"process [01] of 2: expected a batch_size that is a multiple of 4 for 2 processes; got 6",
    ):
        parallel.launched(2, None, in_double_precision, {"batch_size": 6}, restart)
    restart.write_bytes(b"damaged")
    with pytest.raises(
        RuntimeError, match=r"process [01] of 2: expected a whole checkpoint; got a truncated or damaged one"
    ):
        parallel.launched(2, None, in_double_precision, {}, restart)
    assert restart.read_bytes() == b"damaged"


def fails_in_the_second(folder: Path) -> None:
    """An error that only one process meets, while the other waits for it."""
    if parallel.rank() == 1:
        raise OSError("No space left on device")
    (folder / "waiting").touch()
    parallel.any_of(True)


def test_an_error_in_one_process_ends_the_others_and_is_told(tmp_path):
    before, log = signal.getsignal(signal.SIGTERM), tmp_path / "train.log"
    with pytest.raises(RuntimeError, match=r"^process 1 of 2: No space left on device$"):
        parallel.launched(2, log, fails_in_the_second, tmp_path)
    assert (tmp_path / "waiting").exists() and log.exists()
    assert signal.getsignal(signal.SIGTERM) is before
