"""Arranges the 24 ligands as the example's inputs: three bundles of four, and twelve single files.

A bundle holds its ligands unchanged between MODEL and ENDMDL lines; the MODEL line names the
molecule. Each bundle mixes ligands that take long with such that do not, and comes first in key
order, so that an interruption early in the run falls inside one. Running this again gives the same
bytes: python examples/vina/make_inputs.py
"""

from pathlib import Path

HERE = Path(__file__).parent
BUNDLES = {
    "bundle-1": ("aspirin", "imatinib", "nsc00002", "gefitinib"),
    "bundle-2": ("nsc00007", "bosutinib", "nsc00015", "tofacitinib"),
    "bundle-3": ("nsc00020", "nilotinib", "ibuprofen", "nsc00040"),
}


def arranged(ligands: Path) -> dict[str, bytes]:
    """Name and content of every input."""
    texts = {path.stem: path.read_bytes() for path in sorted(ligands.glob("*.pdbqt"))}
    inputs = {}
    for bundle, names in BUNDLES.items():
        models = [
            b"MODEL %8d %s\n%sENDMDL\n" % (number, name.encode(), texts.pop(name))
            for number, name in enumerate(names, start=1)
        ]
        inputs[f"{bundle}.pdbqt"] = b"".join(models)
    return inputs | {f"{name}.pdbqt": text for name, text in texts.items()}


def main() -> None:
    """Write the inputs."""
    folder = HERE / "inputs"
    folder.mkdir(exist_ok=True)
    for name, content in arranged(HERE / "ligands").items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
