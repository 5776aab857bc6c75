"""``python -m worker.tools.vina_batch``: vina's batch mode by its Python binding.

Takes the flags of the ``vina`` program's batch mode and writes the same files, so that both are
driven the same way where only one of them is installed. One grid serves all ligands. Like the
program from 1.2.7 on it tells of a ligand that it cannot read and goes on. An output appears whole
or not at all.
"""

import argparse
import os
import sys
import threading
from pathlib import Path


def _arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="vina_batch", description=__doc__, allow_abbrev=False)
    parser.add_argument("--receptor", required=True)
    parser.add_argument("--batch", nargs="+", required=True)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--scoring", default="vina", choices=("vina", "vinardo"))
    for axis in "xyz":
        parser.add_argument(f"--center_{axis}", type=float, required=True)
        parser.add_argument(f"--size_{axis}", type=float, required=True)
    parser.add_argument("--cpu", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--exhaustiveness", type=int, default=8)
    parser.add_argument("--max_evals", type=int, default=0)
    parser.add_argument("--num_modes", type=int, default=9)
    parser.add_argument("--min_rmsd", type=float, default=1.0)
    parser.add_argument("--energy_range", type=float, default=3.0)
    return parser.parse_args(given)


def main(given: list[str]) -> int:
    """Dock all ligands of the command line; the exit code is that of the ``vina`` program."""
    arguments = _arguments(given)
    # The worker holds the other end of standard input: its end is the worker's.
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        _dock(arguments)
    except (RuntimeError, TypeError, ValueError) as error:  # what the binding raises
        print(f"\n{error}", file=sys.stderr)  # noqa: T201 - a command line
        return 1
    return 0


def _dock(arguments: argparse.Namespace) -> None:
    from vina import Vina  # noqa: PLC0415 - slow to import, and a wrong flag must not wait for it

    engine = Vina(sf_name=arguments.scoring, cpu=arguments.cpu, seed=arguments.seed, verbosity=0)
    engine.set_receptor(arguments.receptor)
    engine.compute_vina_maps(
        center=[arguments.center_x, arguments.center_y, arguments.center_z],
        box_size=[arguments.size_x, arguments.size_y, arguments.size_z],
    )
    print("Computing Vina grid ... done.", flush=True)  # noqa: T201 - as the program says it
    for ligand in map(Path, arguments.batch):
        try:
            engine.set_ligand_from_file(str(ligand))
        except (RuntimeError, TypeError) as error:
            print(f"\n{error}", file=sys.stderr, flush=True)  # noqa: T201 - as the program says it
            continue
        engine.dock(
            exhaustiveness=arguments.exhaustiveness,
            n_poses=arguments.num_modes,
            min_rmsd=arguments.min_rmsd,
            max_evals=arguments.max_evals,
        )
        output = arguments.dir / f"{ligand.stem}_out.pdbqt"
        partial = output.with_suffix(".partial")
        # Without any pose in the box the binding writes nothing, as the program does.
        engine.write_poses(
            str(partial), n_poses=arguments.num_modes, energy_range=arguments.energy_range
        )
        if partial.exists() and partial.stat().st_size:
            partial.replace(output)


def _end_with_stdin() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
