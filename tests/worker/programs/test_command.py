"""A command over inputs: what it is given, what counts of what it does."""

import json
import sys

import pytest

from tests.worker.support import DATA

LISTS = "import os, sys, json; json.dump([sys.argv[1:], dict(os.environ)], sys.stdout)"


def shows(*templates):
    """A command that writes its arguments and its environment to its standard output."""
    return [sys.executable, "-c", LISTS, *templates]


def test_a_command_is_given_what_its_templates_name(command, run):
    made = command(
        shows("{input}", "{stem}", "-o{output}/x", "{vcpus}", "{index}", "{assets.ref}", "{{}}"),
        ("in/a.b.txt", b"1"),
        assets={"ref": ("refs/genome.fa", b">x")},
        shard={"vcpus": 3},
        stdout="{stem}/told.json",
        environment={"WHAT": "{stem}-{index}", "WHERE": "{checkpoint}"},
    )
    assert run(made) == 0
    arguments, environment = json.loads(made.results()[0]["a/told.json"])
    assert arguments[0].endswith("/fetched/a.b.txt")
    assert arguments[1] == "a"
    assert arguments[2] == f"-o{environment['OUTPUT_DIR']}/x"
    assert arguments[3:5] == ["3", "0"]
    assert arguments[5].endswith("/genome.fa")
    assert arguments[6] == "{}"
    assert environment["WHAT"] == "a-0"
    assert environment["WHERE"] == environment["CHECKPOINT_DIR"]
    assert environment["INPUT_URI"] == f"s3://{DATA}/in/a.b.txt"
    assert [environment[name] for name in ("VCPUS", "NSLOTS", "OMP_NUM_THREADS")] == ["3"] * 3
    assert environment["AWS_BATCH_JOB_ID"] == "job:0"


def test_no_shell_reads_a_template(command, run):
    hostile = "in/$(touch pwned) ; `id` & 'x' \"y\" {input} *.txt"
    made = command(shows("{input}", "$HOME"), (hostile, b"1"), stdout="told.json")
    assert run(made) == 0
    arguments, _ = json.loads(made.results()[0]["told.json"])
    assert arguments[0].endswith(hostile.removeprefix("in/"))
    assert arguments[1] == "$HOME"


def test_outputs_keep_their_names_below_the_parts_folder(command, run, store):
    made = command(["cp", "{input}", "{output}/copy of {stem}.TXT"])
    assert run(made) == 0
    assert made.results() == {0: {"copy of a.TXT": b"b\na\n"}}
    folder = made.keys.input_folder(0, 0)
    assert sorted(made.names(folder)) == ["0/copy of a.TXT", "program.json.0"]


def test_patterns_choose_the_outputs_and_each_must_match(command, run):
    makes = "import os; os.chdir('{output}'); os.makedirs('d/e')\n"
    makes += "for name in ('a.bam', 'a.log', 'd/b.bam', 'd/e/c.bam'): open(name, 'w').write(name)"
    made = command([sys.executable, "-c", makes], outputs=["*.log", "d/**/*.bam"])
    assert run(made) == 0
    assert sorted(made.results()[0]) == ["a.log", "d/b.bam", "d/e/c.bam"]
    made = command(
        [sys.executable, "-c", makes], outputs=["*.log", "*.bai"], shard={"prefix": "again/"}
    )
    assert run(made) == 0
    (failure,) = made.failures()
    assert failure.failure_class == "tool_failed"
    assert "no output matches *.bai" in failure.reason


def test_an_end_with_0_and_without_outputs_is_none(command, run):
    made = command(["true"])
    assert run(made) == 0
    (failure,) = made.failures()
    assert failure.failure_class == "tool_failed"
    assert "left nothing" in failure.reason
    wanted = command(["true"], outputs=[], shard={"prefix": "again/"})
    assert run(wanted) == 0
    assert wanted.results() == {0: {}}


def test_standard_input_and_output_are_files(command, run):
    made = command(["sort"], stdin="{input}", stdout="{stem}.sorted", outputs=[])
    assert run(made) == 0
    assert made.results() == {0: {"a.sorted": b"a\nb\n"}}
    nothing = command(["sort"], stdout="{stem}.sorted", shard={"prefix": "again/"})
    assert run(nothing) == 0
    assert nothing.results() == {0: {"a.sorted": b""}}


@pytest.mark.parametrize("name", ["no-such-program", "/no/such/program", "./no-such-program"])
def test_a_program_that_is_not_there_stops_the_run(command, run, capsys, name):
    made = command([name])
    assert run(made) == 78
    assert f"{name} is no program in this image" in capsys.readouterr().err
    assert made.markers() == []


@pytest.mark.parametrize("code", [126, 127])
def test_a_shell_that_finds_no_program_stops_the_run(command, run, capsys, code):
    made = command(["sh", "-c", f"echo nosuch: not found >&2; exit {code}"])
    assert run(made) == 78
    assert "nosuch: not found" in capsys.readouterr().err
    assert made.markers() == []


def test_the_second_death_at_the_same_place_is_final(command, run):
    made = command(["sh", "-c", "echo no luck >&2; exit 3"])
    assert run(made) == 1
    (record,) = made.part_records()
    assert (record.progress, record.trouble, record.restart) == (0, "checkpoint 0", None)
    assert run(made) == 0
    (failure,) = made.failures()
    assert (failure.failure_class, failure.exit_code) == ("tool_failed", 3)
    assert "no luck" in failure.reason
    assert "here before" in failure.reason


def test_a_program_that_dies_elsewhere_each_time_is_given_up_too(command, run):
    dies = "date +%s%N > {checkpoint}/progress; exit 3"
    made = command(["sh", "-c", dies])
    codes = [run(made) for _ in range(6)]
    assert codes == [1, 1, 1, 1, 1, 0]
    (failure,) = made.failures()
    assert "too often" in failure.reason


def test_what_was_a_death_can_be_a_success(command, run):
    made = command(
        [
            "sh",
            "-c",
            "test -e {checkpoint}/x || {{ touch {checkpoint}/x; exit 9; }}; echo done > {output}/y",
        ]
    )
    assert run(made) == 1
    assert run(made) == 0
    assert made.results() == {0: {"y": b"done\n"}}


def test_codes_can_blame_the_input(command, run):
    made = command(["sh", "-c", "echo truncated file >&2; exit 4"], bad_input_codes=[4, 5])
    assert run(made) == 0
    (failure,) = made.failures()
    assert (failure.failure_class, failure.exit_code) == ("bad_input", 4)
    assert "truncated file" in failure.reason


@pytest.mark.parametrize("ends", ["kill -9 $$", "exit 137"])
def test_a_sigkill_is_taken_for_a_lack_of_memory(command, run, ends):
    made = command(["sh", "-c", ends])
    assert run(made) == 71
    assert made.part_records() == []


@pytest.mark.parametrize("ends", ["kill -15 $$", "exit 143"])
def test_somebody_elses_signal_is_no_death(command, run, ends):
    made = command(["sh", "-c", f"echo 1 > {{checkpoint}}/x; {ends}"])
    assert run(made) == 1
    (record,) = made.part_records()
    assert (record.progress, record.trouble) == (1, None)


def test_credentials_are_the_programs_only_when_allowed(command, run, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x")
    for prefix, allowed in (("one/", False), ("two/", True)):
        made = command(shows(), stdout="told", allow_aws=allowed, shard={"prefix": prefix})
        assert run(made) == 0
        _, environment = json.loads(made.results()[0]["told"])
        names = {"AWS_ACCESS_KEY_ID", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"}
        assert bool(names & set(environment)) is allowed
        assert "S3_TASK_LOCATION" not in environment


def test_a_link_out_of_the_output_folder_is_never_followed(command, run):
    for number, target in enumerate(("/proc/self/environ", "../work", "/etc")):
        made = command(["ln", "-s", target, "{output}/x"], shard={"prefix": f"{number}/"})
        assert run(made) == 0
        (failure,) = made.failures()
        assert "leads out" in failure.reason
        assert made.names(made.keys.input_folder(0, 0)) == []


def test_a_link_inside_is_the_file_that_it_leads_to(command, run):
    makes = "cd {output}; mkdir d; echo 1 > d/a; ln -s d/a b; ln -s d e; mkfifo pipe"
    made = command(["sh", "-c", makes])
    assert run(made) == 0
    assert made.results() == {0: {"b": b"1\n", "d/a": b"1\n"}}


@pytest.mark.parametrize(
    ("makes", "told"),
    [
        ("ln -s nowhere x", "a link to nothing"),
        ("touch $(seq 1 1001)", "1001 outputs and 1000 are taken"),
        ("touch $(printf 'a\\nb')x$(printf '\\001')", "no control characters"),
        ("touch $(printf '\\377')", "must be UTF-8"),
    ],
)
def test_outputs_that_cannot_be_taken_fail_the_input(command, run, makes, told):
    made = command(["bash", "-c", f"cd {{output}}; {makes}"])
    assert run(made) == 0
    (failure,) = made.failures()
    assert failure.failure_class == "tool_failed"
    assert told in failure.reason


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"comand": []}, "no option comand"),
        ({"environment": {"X": "{what}"}}, "{what} is no placeholder"),
        ({"outputs": ["../x"]}, "below the output folder"),
        ({"stop_signal": "KILLME"}, "KILLME"),
        ({"stdout": "{input}"}, "{input} is no placeholder"),
        ({"command": "true"}, "must be a list"),
        ({"command": ["{assets.no}"]}, "{assets.no} is no placeholder here"),
        ({"stdin": "{input}.no"}, "is no file"),
    ],
)
def test_options_that_no_request_has_passed_are_refused(command, run, capsys, options, told):
    made = command(["true"])
    made.options |= options
    made.write_round()
    assert run(made) == 78
    assert told in capsys.readouterr().err
    assert made.markers() == []
