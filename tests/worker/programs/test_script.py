"""Scripts and zip archives of them: what runs them, what they are given."""

import io
import json
import sys
import zipfile
from pathlib import Path

import pytest

from drydock.failures import EXIT_AGAIN, EXIT_SCRATCH_FULL
from tests.worker.support import DATA

TELLS = """import json, os, sys
json.dump([sys.argv, os.getcwd()], open(os.environ["OUTPUT_DIR"] + "/told", "w"))
"""


def told(made):
    return json.loads(made.results()[0]["told"])


def zipped(**files):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return body.getvalue()


def test_a_script_is_run_in_scratch_with_its_arguments(script, run):
    made = script(
        f"#!{sys.executable} -sE\n{TELLS}",
        arguments=["60", "{input}", "$HOME `id`", "{{}}"],
        shard={"vcpus": 2},
    )
    assert run(made) == 0
    (name, sixty, path, literal, braces), folder = told(made)
    assert name == f"{folder}/myjob.sh"
    assert "/drydock-" in folder
    assert path.endswith("/fetched/a.txt")
    assert (sixty, literal, braces) == ("60", "$HOME `id`", "{}")


@pytest.mark.parametrize(
    ("first", "shell"),
    [("", "bash"), ("#!/bin/sh\n", "sh"), ("#! /usr/bin/env sh\n", "sh"), ("# a note\n", "bash")],
)
def test_the_first_line_says_what_reads_a_script_else_a_shell_does(script, run, first, shell):
    made = script(
        f'{first}readlink /proc/$$/exe > "$OUTPUT_DIR/exe"; echo "$0" > "$OUTPUT_DIR/name"\n'
    )
    assert run(made) == 0
    assert made.results()[0]["name"].endswith(b"/myjob.sh\n")
    reader = Path(made.results()[0]["exe"].decode().strip())
    assert reader.name == Path(f"/bin/{shell}").resolve().name


def test_a_program_needs_no_first_line(script, run):
    made = script(Path("/bin/cp").read_bytes(), arguments=["{input}", "{output}/x"])
    assert run(made) == 0
    assert made.results() == {0: {"x": b"b\na\n"}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("#!/no/such/bash\necho\n", "its interpreter /no/such/bash is not in this image"),
        ("#!/bin/sh\r\necho\r\n", "its lines end as on Windows"),
        ("#!\necho\n", "names no interpreter"),
        (b"\x7fELF\0\0\0 of another machine", "cannot be started"),
    ],
)
def test_a_script_that_nothing_here_can_run_stops_the_run(script, run, capsys, text, sentence):
    made = script(text)
    assert run(made) == 78
    assert sentence in capsys.readouterr().err
    assert made.markers() == []


def test_a_zip_is_unpacked_where_its_script_runs(script, run):
    body = zipped(
        **{
            "bin/run.sh": 'cat data/x > "$OUTPUT_DIR/x"; echo $1 >> "$OUTPUT_DIR/x"',
            "data/x": "1\n",
        }
    )
    made = script(body, key="jobs/all", type="zip", name="bin/run.sh", arguments=["{stem}"])
    assert run(made) == 0
    assert made.results() == {0: {"x": b"1\na\n"}}


@pytest.mark.parametrize(
    ("body", "options", "sentence"),
    [
        (zipped(x="1"), {"name": "y"}, "holds no file y"),
        (zipped(x="1"), {}, "name must say which file"),
        (zipped(x="1"), {"name": "../x"}, "leads out"),
        (b"no zip", {"name": "x"}, "cut or broken"),
        (zipped(**{"../x": "1"}), {"name": "x"}, "../x"),
    ],
)
def test_a_zip_without_its_script_stops_the_run(script, run, capsys, body, options, sentence):
    made = script(body, type="zip", **options)
    assert run(made) == 78
    assert sentence in capsys.readouterr().err


def test_a_script_need_not_leave_anything(script, run):
    made = script("#!/bin/sh\nexit 0\n")
    assert run(made) == 0
    assert made.results() == {0: {}}


def test_each_input_has_a_copy_of_the_script(script, run):
    made = script(
        '#!/bin/sh\ntest -e used && exit 9; touch used; cp "$INPUT" "$OUTPUT_DIR/copy"\n',
        ("in/a", b"1"),
        ("in/b", b"2"),
        shard={"inputs_per_job": 2},
    )
    assert run(made) == 0
    assert made.results() == {0: {"copy": b"1"}, 1: {"copy": b"2"}}


def test_without_a_script_there_is_nothing_to_run(command, run, capsys):
    made = command(["true"])
    made.tool, made.options = "script", {}
    made.write_round()
    assert run(made) == 78
    assert "assets.script must be one object" in capsys.readouterr().err


def test_a_script_that_changed_since_the_run_began_stops_it(script, run, store, capsys):
    made = script("#!/bin/sh\n")
    store.put(DATA, "jobs/myjob.sh", b"#!/bin/sh\necho other\n")
    assert run(made) == 78
    assert "changed since the run began" in capsys.readouterr().err


FULL = """#!/bin/sh
if [ -e "$CHECKPOINT_DIR/died" ]; then echo "cp: No space left on device" >&2; exit 1; fi
touch "$CHECKPOINT_DIR/died"
exit 3
"""


def test_a_disk_that_is_full_where_the_program_died_before_is_not_its_second_death(script, run):
    made = script(FULL, ("in/a.txt", b"1"))
    assert run(made) == EXIT_AGAIN
    assert run(made) == EXIT_SCRATCH_FULL
    assert made.markers() == []
