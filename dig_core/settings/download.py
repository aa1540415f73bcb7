"""Settings of files that come from elsewhere."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from dig_core.settings.fields import Settings

RelativePath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$")]
Url = Annotated[str, StringConstraints(pattern=r"^(https|http|file)://")]


class Entry(Settings):
    """An entry of the PDB, whose bytes change with every remediation."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{4}$")] = Field(
        description="Id, compared with the header where the file has one"
    )
    chain: str = Field(description="Chain that is used")
    sequence: str = Field(min_length=1, description="One-letter codes of its residues with coordinates")
    side_chains: bool = Field(True, description="Whether side chains are needed")


class Download(Settings):
    """A file from elsewhere."""

    sources: tuple[Url, ...] = Field(
        min_length=1, description="URLs, tried in order; the folder of DIG_DATA_MIRROR comes first"
    )
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="SHA-256 of the file after decompression"
    )
    pdb: Entry | None = Field(None, description="In place of a checksum, for entries of the PDB")

    @model_validator(mode="after")
    def _one_check(self) -> Self:
        if (self.sha256 is None) == (self.pdb is None):
            raise ValueError(
                "expected exactly one of sha256 and pdb; got none or both. State how the file is checked"
            )
        return self
