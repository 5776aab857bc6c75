"""How the layers are made, and the check of what `sam build` made of them.

`make build` runs the check on what it built.
"""

import ast
import importlib.util
import re
import subprocess
import sys

import pytest
import yaml

from tests.architecture.imports import ROOT, sources, syntax
from tests.architecture.stack import written

MAKEFILES = {"CoreLayer": "src/Makefile", "ResultsLayer": "layers/results/Makefile"}


@pytest.fixture(scope="module")
def benchmark():
    """benchmarks/packages.py as a module."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("packages", ROOT / "benchmarks/packages.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["packages"] = module
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture
def build(tmp_path, benchmark):
    """What a build leaves: a layer of each kind and a function."""
    resources = {
        "CoreLayer": {"Type": "AWS::Serverless::LayerVersion", "ContentUri": "CoreLayer"},
        "ResultsLayer": {"Type": "AWS::Serverless::LayerVersion", "ContentUri": "ResultsLayer"},
        "GreetFunction": {
            "Type": "AWS::Serverless::Function",
            "CodeUri": "GreetFunction",
            "Handler": "greet.lambda_handler",
            "Layers": [{"Ref": "ResultsLayer"}],
        },
    }
    template = {
        "Globals": {"Function": {"Layers": [{"Ref": "CoreLayer"}]}},
        "Resources": {
            name: {"Type": each["Type"], "Properties": each} for name, each in resources.items()
        },
    }
    (tmp_path / "template.yaml").write_text(yaml.safe_dump(template), encoding="utf-8")
    for name in ("CoreLayer/python/core.py", "ResultsLayer/python/heavy.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text("", encoding="utf-8")
    (tmp_path / "GreetFunction").mkdir()
    (tmp_path / "GreetFunction/greet.py").write_text("import core, heavy", encoding="utf-8")
    return tmp_path


def called_services():
    """The services that the functions' side of the core makes clients of."""
    found = set()
    for path in sources("src/drydock"):
        for node in ast.walk(syntax(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"client", "create_client"}
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(node.args[0].value)
    return found


def test_the_core_layer_keeps_the_models_of_the_services_that_are_called():
    """The worker's access to a secret is no function's: the worker has a boto3 of its own."""
    text = (ROOT / MAKEFILES["CoreLayer"]).read_text(encoding="utf-8")
    [kept] = re.findall(r"^services := (.*)$", text, re.MULTILINE)
    assert set(kept.split()) == called_services() - {"secretsmanager"}


@pytest.mark.parametrize("layer", sorted(MAKEFILES))
def test_a_layer_is_made_by_the_makefile_in_its_folder(layer):
    resource = written()["Resources"][layer]
    assert resource["Metadata"]["BuildMethod"] == "makefile"
    path = ROOT / MAKEFILES[layer]
    assert (ROOT / resource["Properties"]["ContentUri"]) == path.parent
    assert f"\nbuild-{layer}:\n" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("layer", sorted(MAKEFILES))
def test_a_layer_holds_what_is_locked_as_wheels_of_lambdas_machines(layer, tmp_path):
    path = ROOT / MAKEFILES[layer]
    steps = subprocess.run(
        ["make", "--dry-run", "--file", path, f"build-{layer}", f"ARTIFACTS_DIR={tmp_path}"],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace("\\\n\t", "")
    [install] = [line for line in steps.splitlines() if "pip install" in line]
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(install.split())
    assert install.endswith(f'--target "{tmp_path}/python" --requirement requirements.txt')
    assert {"manylinux_2_28_x86_64", "manylinux2014_x86_64"} <= set(install.split())
    assert "unchecked-hash" in steps.splitlines()[-1]


def test_what_is_small_enough_passes(benchmark, build):
    found = {each.name: benchmark.size(each.folder) for each in benchmark.packages(build)}
    assert set(found) == {"CoreLayer", "ResultsLayer", "GreetFunction"}
    assert benchmark.too_large(found) == []


def test_sizes_are_those_of_the_files_and_of_their_zip(benchmark, build):
    (build / "CoreLayer/python/more.py").write_bytes(b"a" * 100_000)
    size = benchmark.size(build / "CoreLayer")
    assert size.unzipped_bytes == 100_000
    assert 100 < size.zipped_bytes < 2_000


def test_a_shared_layer_that_grew_is_told(benchmark, build):
    found = {each.name: benchmark.size(each.folder) for each in benchmark.packages(build)}
    found["CoreLayer"] = benchmark.Size(unzipped_bytes=1, zipped_bytes=25_000_001)
    [problem] = benchmark.too_large(found)
    assert problem == "functions and CoreLayer are 25.00 MB zipped, more than 25.00 MB"


def test_a_heavy_layer_that_grew_is_told(benchmark, build):
    found = {each.name: benchmark.size(each.folder) for each in benchmark.packages(build)}
    found["ResultsLayer"] = benchmark.Size(unzipped_bytes=166_000_000, zipped_bytes=1)
    assert benchmark.too_large(found) == ["ResultsLayer is 166.00 MB unzipped, more than 80.00 MB"]


def test_a_handler_is_imported_with_its_layers_alone(benchmark, build):
    [function] = [each for each in benchmark.packages(build) if each.handler]
    cpu_s, wall_s = benchmark.import_seconds(sys.executable, function)
    assert cpu_s > 0
    assert wall_s > 0
    (build / "ResultsLayer/python/heavy.py").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        benchmark.import_seconds(sys.executable, function)


def test_make_build_checks_what_it_built():
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    [recipe] = re.findall(r"^build:.*\n((?:\t.*\n)+)", rules, re.MULTILINE)
    assert "benchmarks/packages.py --check" in recipe
