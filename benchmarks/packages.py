"""What `sam build` made: the size of each function and layer, and how long each handler imports.

Handlers are imported by python3.13 from what was built alone, with the layers where Lambda puts
them, five times each; bytecode is read where it was built and never written, as on Lambda. With
--check nothing is imported, and a package that is too large ends it with status 1.

usage: python benchmarks/packages.py [--check] [FOLDER]       (.aws-sam/build by default)
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import yaml
from _measure import table

ROOT = Path(__file__).parent.parent
SHARED = "CoreLayer"
HEAVY = "ResultsLayer"
ZIPPED_LIMIT_BYTES = 25_000_000
"""Most that the functions and the layer that they share may come to, zipped."""
HEAVY_LIMIT_BYTES = 80_000_000
"""Most that the layer of the heavy libraries may come to, unzipped."""
TIMES = 5

_IMPORT = """
import sys, time
handler, *folders = sys.argv[1:]
sys.path[:0] = folders
began, cpu = time.perf_counter(), time.process_time()
__import__(handler)
print(time.process_time() - cpu, time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Package:
    """A function or a layer as it was built; ``layers`` are the folders of a function's layers."""

    name: str
    folder: Path
    handler: str | None = None
    layers: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Size:
    """Bytes of a package's files, and of the zip file that is uploaded."""

    unzipped_bytes: int
    zipped_bytes: int


def packages(build: Path) -> list[Package]:
    """The layers and functions of a built template, layers first."""
    document = yaml.safe_load((build / "template.yaml").read_text(encoding="utf-8"))
    shared = document["Globals"]["Function"]["Layers"]
    layers, functions = [], []
    for name, resource in document["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            layers.append(Package(name, build / properties["ContentUri"]))
        elif resource["Type"] == "AWS::Serverless::Function":
            handler = properties["Handler"].partition(".")[0]
            used = [layer["Ref"] for layer in shared + properties.get("Layers", [])]
            paths = tuple(build / layer / "python" for layer in used)
            functions.append(Package(name, build / properties["CodeUri"], handler, paths))
    return layers + functions


def size(folder: Path) -> Size:
    """What a folder's files come to, as they are and as `sam package` zips them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(folder))
        zipped_bytes = file.tell()
    return Size(sum(path.stat().st_size for path in files), zipped_bytes)


def too_large(sizes: dict[str, Size]) -> list[str]:
    """A sentence for each limit that is passed."""
    problems = []
    zipped = sum(each.zipped_bytes for name, each in sizes.items() if name != HEAVY)
    if zipped > ZIPPED_LIMIT_BYTES:
        problems.append(
            f"functions and {SHARED} are {_mb(zipped)} MB zipped,"
            f" more than {_mb(ZIPPED_LIMIT_BYTES)} MB"
        )
    if sizes[HEAVY].unzipped_bytes > HEAVY_LIMIT_BYTES:
        problems.append(
            f"{HEAVY} is {_mb(sizes[HEAVY].unzipped_bytes)} MB unzipped,"
            f" more than {_mb(HEAVY_LIMIT_BYTES)} MB"
        )
    return problems


def import_seconds(python: str, package: Package) -> tuple[float, float]:
    """CPU seconds and seconds that a handler's import takes: the medians of a few fresh starts."""
    folders = [str(folder) for folder in (package.folder, *package.layers)]
    command = [python, "-I", "-B", "-c", _IMPORT, str(package.handler), *folders]
    found = [
        [float(word) for word in subprocess.check_output(command, text=True).split()]
        for _ in range(TIMES)
    ]
    cpu, wall = zip(*found, strict=True)
    return statistics.median(cpu), statistics.median(wall)


def lambdas_python() -> str:
    """The python3.13 that the layers were built for."""
    found = subprocess.check_output(["sh", str(ROOT / "scripts/find-python3.13")], text=True)
    return f"{found.strip()}/python3.13"


def _mb(count: int) -> str:
    return f"{count / 1e6:.2f}"


def main() -> None:
    """Print the figures, or check the sizes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json", action="store_true", help="figures as one JSON object")
    parser.add_argument("build", nargs="?", type=Path, default=ROOT / ".aws-sam/build")
    arguments = parser.parse_args()
    found = packages(arguments.build)
    sizes = {package.name: size(package.folder) for package in found}
    if arguments.check:
        sys.exit("\n".join(too_large(sizes)) or 0)
    python, figures = lambdas_python(), {}
    for package in found:
        figures[package.name] = {
            "unzipped_bytes": sizes[package.name].unzipped_bytes,
            "zipped_bytes": sizes[package.name].zipped_bytes,
        }
        if package.handler is not None:
            cpu, wall = import_seconds(python, package)
            figures[package.name] |= {"import_cpu_s": cpu, "import_s": wall}
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    rows = [
        (
            name,
            _mb(each["unzipped_bytes"]),
            _mb(each["zipped_bytes"]),
            f"{1000 * each['import_cpu_s']:.0f}" if "import_cpu_s" in each else "",
            f"{1000 * each['import_s']:.0f}" if "import_s" in each else "",
        )
        for name, each in figures.items()
    ]
    table(("package", "MB", "MB zipped", "import: ms of CPU", "ms"), rows)


if __name__ == "__main__":
    main()
