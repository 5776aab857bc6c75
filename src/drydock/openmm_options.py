"""OpenMM's options in a request. https://docs.openmm.org (8)"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from drydock.tool_options import ToolOptions, mapping

# A file that OpenMM brings, such as amber19/tip3pfb.xml: below its own folder, never above it.
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
ForceFieldName = Annotated[str, Field(pattern=rf"^{_NAME}(/{_NAME})*\.xml$")]
Kelvin = Annotated[float, Field(ge=0, le=10_000)]


class OpenMMOptions(ToolOptions):
    """OpenMM 8: molecular dynamics of a prepared system, or of a structure and a force field."""

    steps: int = Field(ge=1, description="Steps in all, whatever is interrupted.")
    timestep_fs: float = Field(2, gt=0, le=20)
    integrator: Literal["LangevinMiddle", "Verlet"] = Field(
        "LangevinMiddle", description="Another one is given as assets.integrator."
    )
    temperature_k: Kelvin = Field(300, description="Also of the first velocities.")
    friction_per_ps: float = Field(1, ge=0, le=1000)
    pressure_bar: float | None = Field(
        None, ge=-10_000, le=100_000, description="Of a Monte Carlo barostat; null: none is added."
    )
    forcefield: list[ForceFieldName] = Field(
        default_factory=list, max_length=32, description="OpenMM's own files, by their names."
    )
    nonbonded_method: (
        Literal["NoCutoff", "CutoffNonPeriodic", "CutoffPeriodic", "Ewald", "PME", "LJPME"] | None
    ) = Field(None, description="Null: PME where the structure has a box, else NoCutoff.")
    nonbonded_cutoff_nm: float = Field(1, gt=0, le=10)
    constraints: Literal["None", "HBonds", "AllBonds", "HAngles"] = "HBonds"
    hydrogen_mass_amu: float | None = Field(None, gt=0, le=10)
    minimize_iterations: int = Field(0, ge=0, le=1_000_000, description="0: not minimised.")
    seed: int = Field(1, ge=1, le=2**31 - 1)
    report_steps: int = Field(1000, ge=1, description="Steps from one row of the log to the next.")
    trajectory_steps: int = Field(10_000, ge=0, description="Steps between frames; 0: no frames.")
    trajectory_format: Literal["dcd", "xtc"] = Field(
        "dcd", description="xtc is smaller, and rounds to 0.001 nm."
    )
    platform: Literal["CPU", "CUDA", "Reference"] | None = Field(
        None, description="Null: CUDA with resources.gpus, else CPU."
    )
    precision: Literal["single", "mixed", "double"] = Field("mixed", description="Of CUDA.")
    deterministic: bool = Field(False, description="Sum forces in one order; slower.")
    test_installation: bool = Field(
        False, description="Begin each attempt with openmm.testInstallation, into the log."
    )

    @classmethod
    def problems_with(cls, request: Mapping[str, Any]) -> list[str]:
        """See :class:`ToolOptions`."""
        gpus = mapping(request.get("resources")).get("gpus", 0)
        platform = mapping(request.get("options")).get("platform")
        if not isinstance(gpus, int):
            return []
        if gpus > 0 and platform in ("CPU", "Reference"):
            return [f"resources.gpus: {gpus} was given: the platform {platform} uses no GPU"]
        if gpus == 0 and platform == "CUDA":
            return ["resources.gpus: 0 was given: the platform CUDA needs at least 1"]
        return []
