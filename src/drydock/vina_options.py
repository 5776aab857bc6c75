"""AutoDock Vina's options in a request. https://autodock-vina.readthedocs.io (1.2)"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from drydock.tool_options import ToolOptions, mapping, refuses_gpus

Coordinates = Annotated[tuple[float, float, float], Field()]
Extent = Annotated[float, Field(gt=0, le=126)]


class VinaOptions(ToolOptions):
    """AutoDock Vina 1.2: the box in ångström and the search. Names as on its command line."""

    center: Coordinates = Field(description="Centre of the box, x y z, in ångström.")
    size: tuple[Extent, Extent, Extent] = Field(description="Edges of the box in ångström.")
    scoring: Literal["vina", "vinardo"] = "vina"
    exhaustiveness: int = Field(8, ge=1, le=10_000)
    seed: int = Field(1, ge=1, le=2**31 - 1, description="Fixed, so that a run can be repeated.")
    num_modes: int = Field(9, ge=1, le=10_000)
    energy_range: float = Field(3, gt=0, le=1000, description="kcal/mol above the best pose.")
    max_evals: int = Field(0, ge=0, description="Evaluations a search; 0: as many as it takes.")
    ligand_seconds: int | None = Field(None, ge=1, description="Time limit a ligand; null: none.")

    @classmethod
    def problems_with(cls, request: Mapping[str, Any]) -> list[str]:
        """See :class:`ToolOptions`."""
        problems = refuses_gpus("vina", request)
        has_receptor = "receptor" in mapping(request.get("assets"))
        if not has_receptor and request.get("dockfiles") is None:
            problems.append(
                "request: vina needs a receptor: assets.receptor (a .pdbqt) or dockfiles with "
                "receptor.pdbqt"
            )
        return problems
