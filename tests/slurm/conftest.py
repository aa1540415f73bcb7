"""One cluster for all tests of this folder, and one finished study that they start from."""

import pytest

from tests.slurm import cluster as slurm
from tests.slurm.workflow import snakemake
from tests.test_tiny_study import checkout


@pytest.fixture(scope="session")
def running():
    """The cluster; where none can be started the run ends with one line that says why."""
    missing = slurm.missing_programs()
    reason = slurm.obstacle() or (
        missing and f"expected {', '.join(missing)}; got none. Write: make test-slurm"
    )
    if reason:
        pytest.exit(reason, returncode=1)
    with slurm.running() as started:
        yield started


@pytest.fixture
def cluster(running):
    """The cluster with an idle node and no job but those of the test, which are cancelled in the end."""
    yield running
    running.quiet()


@pytest.fixture(scope="session")
def finished(running, tmp_path_factory):
    """The tiny study, run from end to end on the cluster."""
    folder = checkout(tmp_path_factory.mktemp("finished"), "[tiny]")
    (folder / "said.txt").write_text(snakemake(folder))
    return folder
