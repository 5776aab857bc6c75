"""docs/by_hand.md: every variable that the worker reads, and what a wrong value of each gets."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.imports import sources
from tests.worker.support import DATA, EXAMPLE, ROOT, ligand
from worker.agent import main
from worker.program import clean_environment

PAGE = ROOT / "docs" / "by_hand.md"
NAME = re.compile(r"[A-Z][A-Z0-9_]*[A-Z0-9]")
# What boto3 reads for the worker.
OF_BOTO3 = {
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    "AWS_DEFAULT_REGION",
}


def rows():
    """Names of a row of the page's table, and its last cell."""
    found = {}
    table = PAGE.read_text().partition("## Every variable")[2].partition("\n## ")[0]
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        names = cells[0].replace("`", "").split(", ")
        if len(cells) == 4 and all(NAME.fullmatch(name) for name in names):
            found |= dict.fromkeys(names, cells[3])
    return found


def constants(tree):
    """Texts that a module gives a name."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                for name, value in pairs:
                    if isinstance(name, ast.Name) and isinstance(value, ast.Constant):
                        found[name.id] = value.value
    return found


def is_environment(node):
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", None)
    return name in ("environ", "environment")


def names_read(source):
    """Variables that a module takes out of the environment, itself or by a function of its own."""
    tree = ast.parse(source)
    known, found = constants(tree), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            found += [node.slice] if is_environment(node.value) else []
        elif isinstance(node, ast.Call) and node.args:
            function = node.func
            if isinstance(function, ast.Attribute) and is_environment(function.value):
                found.append(node.args[0])
            elif is_environment(node.args[0]) and len(node.args) > 1:
                found.append(node.args[1])
    texts = [
        known.get(node.id) if isinstance(node, ast.Name) else getattr(node, "value", None)
        for node in found
    ]
    return {text for text in texts if isinstance(text, str) and NAME.fullmatch(text)}


def test_reads_are_seen_however_they_are_written():
    source = """
A, B = "NAME_A", "NAME_B"
def f(environment):
    environment.get(A); os.environ["NAME_C"]; _number(environment, "NAME_D", 1)
    environment.get(B, ""); os.environ.get("NAME_E"); environment["NAME_G"] = 1
    {"NAME_F": 1}; environment[name]
"""
    assert names_read(source) == {f"NAME_{letter}" for letter in "ABCDE"}


def passed_on(monkeypatch):
    """Variables that a tool sees as the worker does."""
    monkeypatch.setattr("os.environ", _Everything())
    return set(clean_environment(Path("/x")))


class _Everything(dict):
    def __contains__(self, name):
        return True

    def __getitem__(self, name):
        return "x"


def test_the_table_has_every_variable_that_the_worker_reads(monkeypatch):
    files = [*sources("worker"), ROOT / "src/drydock/store.py", ROOT / "src/drydock/access.py"]
    read = set().union(*(names_read(path.read_text()) for path in files))
    assert {"S3_INPUT_LOCATION", "AWS_ENDPOINT_URL", "ECS_CONTAINER_METADATA_URI_V4"} <= read
    assert set(rows()) == read | OF_BOTO3 | passed_on(monkeypatch)


@pytest.fixture
def start(store, scratch, capsys):
    """Starts the worker by hand with some variables; its code, what it said, what it wrote."""
    store.put(DATA, "dockfiles/receptor.pdbqt", (EXAMPLE / "receptor.pdbqt").read_bytes())
    store.put(DATA, "dockfiles/options.json", b'{"center": [12.8, 95.1, 58.6], "size": [9, 9, 9]}')
    store.put(DATA, "input/a.pdbqt", ligand("caffeine"))

    def start(**variables):
        environment = {
            "S3_INPUT_LOCATION": f"s3://{DATA}/input/",
            "S3_OUTPUT_LOCATION": f"s3://{DATA}/output/",
            "S3_DOCKFILES_LOCATION": f"s3://{DATA}/dockfiles/",
            "SHRTCACHE": str(scratch),
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_ACCESS_KEY": "T",
        }
        before = {found.key for found in store.list(DATA, "")}
        code = main(environment | variables, store)
        written = {found.key for found in store.list(DATA, "")} - before
        return code, capsys.readouterr().err, written

    return start


WRONG = [
    ("S3_TASK_LOCATION", "task.json", "must begin with s3://"),
    ("S3_TASK_LOCATION", f"s3://{DATA}/none.json", "task document"),
    ("S3_INPUT_LOCATION", "", "S3_INPUT_LOCATION is not set"),
    ("S3_INPUT_LOCATION", "/data/input", "S3_INPUT_LOCATION: '/data/input' is no S3 URI"),
    ("S3_INPUT_LOCATION", "s3://no-such-bucket/x", "INPUT_LOCATION: s3://no-such-bucket/x"),
    ("S3_INPUT_LOCATION", f"s3://{DATA}/nothing/", "has 0 objects"),
    ("S3_OUTPUT_LOCATION", "", "S3_OUTPUT_LOCATION is not set"),
    ("S3_OUTPUT_LOCATION", "s3://", "names no valid bucket"),
    ("S3_OUTPUT_LOCATION", "s3://no-such-bucket/x", "OUTPUT_LOCATION: s3://no-such-bucket/x/"),
    ("S3_DOCKFILES_LOCATION", "dockfiles", "S3_DOCKFILES_LOCATION: 'dockfiles' is no S3 URI"),
    ("S3_DOCKFILES_LOCATION", f"s3://{DATA}/nothing", "nothing below"),
    ("S3_DOCKEXEC_LOCATION", "dock64", "S3_DOCKEXEC_LOCATION: 'dock64' is no S3 URI"),
    ("S3_DOCKEXEC_LOCATION", f"s3://{DATA}/dock64", "S3_DOCKEXEC_LOCATION: s3://"),
    ("BATCH_FILE_TYPE", "tarball", "BATCH_FILE_TYPE"),
    ("BATCH_FILE_S3_URL", "https://lab/script.sh", "BATCH_FILE_S3_URL"),
    ("BATCH_FILE_S3_URL", f"s3://{DATA}/none.sh", "BATCH_FILE_S3_URL: s3://"),
    ("TOOL", "dock", "tool dock is not in this image"),
    ("VCPUS", "many", "VCPUS is 'many'"),
    ("VCPUS", "0", "VCPUS is '0'"),
    ("SHRTCACHE", "/nowhere/at/all", "SHRTCACHE=/nowhere/at/all"),
    ("AWS_BATCH_JOB_ARRAY_INDEX", "-1", "AWS_BATCH_JOB_ARRAY_INDEX is '-1'"),
    ("AWS_BATCH_JOB_ARRAY_INDEX", "1", "has 1 objects: there is no index 1"),
    ("AWS_BATCH_JOB_ATTEMPT", "0", "AWS_BATCH_JOB_ATTEMPT is '0'"),
    ("ATTEMPT_SECONDS", "1h", "ATTEMPT_SECONDS is '1h'"),
    ("CHECKPOINT_SECONDS", "1.5", "CHECKPOINT_SECONDS is '1.5'"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_a_wrong_value_gets_a_sentence_and_78_and_nothing_is_written(start, name, value, said):
    more = {}
    if name == "BATCH_FILE_TYPE":
        more = {"BATCH_FILE_S3_URL": f"s3://{DATA}/script.sh"}
    elif name == "BATCH_FILE_S3_URL":
        more = {"BATCH_FILE_TYPE": "script"}
    code, told, written = start(**{name: value}, **more)
    assert code == 78
    assert written == set()
    assert told.startswith("drydock: ")
    assert said in told
    assert told.count("\n") == 1
    assert name in told or value in told


def test_every_variable_that_can_be_wrong_is_tried():
    by_keys = {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", *OF_BOTO3, "NO_ACCESS_KEY"}
    wrong = {name for name, cell in rows().items() if cell.startswith("78")}
    assert wrong - by_keys == {name for name, _, _ in WRONG}
