"""Who may import whom. Every module of the core has its layer; a new one has to be given one."""

import sys

import pytest

from tests.architecture.imports import ROOT, core_closure, core_modules, imported, packages, sources

# Plain data in, plain data out: no AWS, no clock, no randomness, no environment.
PURE = {
    *("accounting", "concurrency", "decision", "effort", "ends", "errors", "failures", "globs"),
    *("definitions", "images", "job_views", "keys", "markers", "parts", "planning", "policies"),
    *("ranking", "run_document", "shard_document", "task_document", "tasks", "templates", "uris"),
    *("plain", "refusals", "secret_arns", "variables"),
    # Slices of big files.
    *("cutters", "records"),
    # What a run will cost, and costs.
    *("budget", "pilot"),
    # What a run's page shows.
    *("advice", "digest", "histogram", "report_data", "timeline"),
}
# Where the world's data come in: each with the one library that it is there for.
TOOLS = ("tool", "vina", "dock38", "openmm", "program", "script", "command")
OPTIONS = {f"{tool}_options" for tool in TOOLS}
BORDERS = {"request": "pydantic", "settings": "os", "tables": "arro3", "checksums": "awscrt"}
# The page's template, styles and scripts lie in the package.
BORDERS["report"] = "importlib"
BORDERS |= dict.fromkeys(OPTIONS, "pydantic")
# The only doors to AWS.
ADAPTERS = {
    *("access", "executions", "jobs", "messages", "multipart", "outages", "registry"),
    *("s3_session", "store"),
}
# Where the doors, the clock and randomness are gathered; steps are given them.
SERVICES = {"services"}
# What the functions do, one step each: pure decisions between reads and writes through the doors.
STEPS = {
    *("advancing", "aggregation", "checking", "children", "detection", "documents"),
    *("enumeration", "inputs", "intake", "ledger", "merging", "opening", "outcome"),
    *("resubmission", "retiring", "shard_effort", "slicing", "stopping", "stops", "submission"),
    *("judging", "spending"),
    *("reporting", "shard_tables"),
}
IMPURE_STDLIB = {"os", "time", "random", "secrets", "uuid", "socket", "subprocess", "datetime"}
# urllib3 carries what botocore reads, and some of its errors come through.
AWS = {"boto3", "botocore", "urllib3"}
HEAVY = {"tables"}

CORE = {path.stem: path for path in sources("src/drydock") if path.stem != "__init__"}
FUNCTIONS = sources("functions")


def outside(path):
    """What a file imports that is neither the standard library nor the core."""
    typing_only = {name for name in packages(path) if name.startswith("mypy_boto3")}
    return packages(path) - set(sys.stdlib_module_names) - {"drydock"} - typing_only


def test_every_module_of_the_core_has_one_layer():
    layers = [PURE, set(BORDERS), ADAPTERS, SERVICES, STEPS]
    placed = [module for layer in layers for module in layer]
    assert sorted(placed) == sorted(CORE)


@pytest.mark.parametrize("module", sorted(PURE))
def test_the_pure_core_knows_itself_and_the_standard_library_alone(module):
    path = CORE[module]
    assert outside(path) == set()
    assert packages(path) & IMPURE_STDLIB == set()
    assert core_modules(path) <= PURE


@pytest.mark.parametrize("module", sorted(BORDERS))
def test_a_border_uses_the_one_library_that_it_is_there_for(module):
    path, library = CORE[module], BORDERS[module]
    assert outside(path) <= {library}
    assert packages(path) & IMPURE_STDLIB <= {library}
    assert core_modules(path) <= PURE | OPTIONS


@pytest.mark.parametrize("module", sorted(ADAPTERS))
def test_an_adapter_is_a_door_to_aws_and_decides_nothing(module):
    path = CORE[module]
    assert outside(path) <= AWS
    # Of the door to S3 one half is behind the other.
    behind = {
        "store": {"multipart", "checksums", "s3_session"},
        "multipart": {"checksums"},
        "access": {"store"},
    }
    assert core_modules(path) <= PURE | {"outages"} | behind.get(module, set())


@pytest.mark.parametrize("module", sorted(STEPS))
def test_a_step_reaches_aws_the_clock_and_randomness_through_services_alone(module):
    path = CORE[module]
    assert outside(path) == set()
    assert packages(path) & IMPURE_STDLIB == set()


@pytest.mark.parametrize("module", sorted(PURE | set(BORDERS) | ADAPTERS))
def test_nothing_below_the_steps_imports_upward(module):
    assert core_modules(CORE[module]) & (STEPS | SERVICES) == set()


@pytest.mark.parametrize("path", FUNCTIONS, ids=lambda path: path.stem)
def test_a_function_is_thin(path):
    names = {other.stem for other in FUNCTIONS}
    assert packages(path) <= {"drydock", "aws_lambda_powertools"} | set(sys.stdlib_module_names)
    assert packages(path) & (IMPURE_STDLIB | names) == set()
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40
    assert [entry.name for entry in path.parent.iterdir() if entry.is_dir()] in (
        [],
        ["__pycache__"],
    )


@pytest.mark.parametrize("path", FUNCTIONS, ids=lambda path: path.stem)
def test_only_two_functions_load_the_heavy_libraries(path):
    loads = bool(core_closure(path) & HEAVY)
    assert loads == (path.stem in {"aggregate_shard", "merge_results"})


@pytest.mark.parametrize(
    "path", sources("worker"), ids=lambda path: path.relative_to(ROOT / "worker").as_posix()
)
def test_the_worker_knows_neither_functions_nor_their_libraries(path):
    theirs = {"functions", "local", "aws_lambda_powertools", "pydantic", "arro3", *AWS}
    assert packages(path) & (theirs | {function.stem for function in FUNCTIONS}) == set()
    assert core_closure(path) <= PURE | {"access", "store", "s3_session", "multipart", "checksums"}


@pytest.mark.parametrize("folder", ["src", "functions", "worker", "local"])
def test_nothing_knows_the_command_line(folder):
    assert [path for path in sources(folder) if "cli" in packages(path)] == []


def test_the_command_line_knows_the_core_alone():
    assert [p for p in sources("cli") if packages(p) & {"local", "functions", "worker"}] == []


@pytest.mark.parametrize("folder", ["src", "functions", "worker"])
def test_what_runs_on_aws_does_not_know_the_embedded_one(folder):
    assert [path for path in sources(folder) if "local" in packages(path)] == []


@pytest.mark.parametrize("folder", ["src", "functions", "worker", "local", "cli", "benchmarks"])
def test_nothing_imports_the_tests(folder):
    assert [path for path in sources(folder) if "tests" in packages(path)] == []


def test_only_the_store_uploads():
    writers = {"put_object", "upload_file", "upload_fileobj", "create_multipart_upload"}
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("src", "functions", "worker")
        for path in sources(folder)
        if any(f".{call}(" in path.read_text(encoding="utf-8") for call in writers)
    }
    assert found == {"src/drydock/store.py", "src/drydock/multipart.py"}


@pytest.mark.parametrize("folder", ["src", "functions", "worker", "local"])
def test_the_store_alone_uploads_in_parts(folder):
    callers = [path.name for path in sources(folder) if "multipart" in core_modules(path)]
    assert callers == (["store.py"] if folder == "src" else [])


def test_these_tests_see_imports_inside_functions(tmp_path):
    path = tmp_path / "late.py"
    path.write_text("def f():\n    import os.path\n    from boto3 import session\n")
    assert imported(path) == {"os.path", "boto3", "boto3.session"}
