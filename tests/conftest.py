"""All tests check shapes and types of dig_core's functions as they are annotated."""

import os

from jaxtyping import install_import_hook

# Before torch and OpenMM load: tests are deterministic, and two of them may run side by side on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
install_import_hook("dig_core", "beartype.beartype")
