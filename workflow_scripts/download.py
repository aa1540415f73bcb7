"""Fetch a file from a mirror or from the network, and check it."""

from pathlib import Path

from dig_core.data.download import fetch
from dig_core.files import atomic
from dig_core.runtime import run


def main(job):
    """Write the file, decompressed, whole or not at all."""
    name = Path(job.output.file).name
    content, place = fetch(name, job.params.entry)
    with atomic(job.output.file) as temporary:
        temporary.write_bytes(content)
    print(f"{name}: {len(content)} bytes from {place}, as expected", flush=True)


if __name__ == "__main__":
    run(main, snakemake)
