"""Every image is made in one order and says what it is, as the genomics source asks for.

Base, metadata, system, application, worker, entry point; a stage of which nothing but its result
is kept stands before them.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted([*ROOT.glob("worker/Dockerfile*"), *ROOT.glob("examples/*/Dockerfile*")])
SECTIONS = ["Base", "Metadata", "System", "Application", "Worker", "Entry point"]
LABELS = {
    *(f"org.opencontainers.image.{name}" for name in ("title", "description", "version")),
    *(f"org.opencontainers.image.{name}" for name in ("source", "documentation", "licenses")),
    *("org.opencontainers.image.base.name", "container.base.image", "tags"),
    *(f"software.{name}" for name in ("version", "description", "documentation", "license")),
}
# A mount, a heredoc, a mode: what the classic builder does not know.
BUILDKIT = re.compile(
    r"^\s*#\s*syntax=|^\s*(RUN|COPY|ADD)\s+--(mount|chmod|link|network)|<<-?['\"]?EO"
)


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def text(request):
    return request.param.read_text(encoding="utf-8")


def instructions(text):
    """Instruction by instruction, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [line for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines() if line.strip()]


def sections(text):
    """The headings in their order, from the base on."""
    found = [next((s for s in SECTIONS if words.startswith(s)), words) for words in headings(text)]
    return found[found.index("Base") :] if "Base" in found else found


def headings(text):
    return re.findall(r"^# ---- (.+?) ----$", text, re.MULTILINE)


def final_stage(text):
    found = instructions(text)
    last = max(number for number, line in enumerate(found) if line.startswith("FROM "))
    return found[last:]


def test_there_are_dockerfiles():
    names = {path.relative_to(ROOT).as_posix() for path in DOCKERFILES}
    assert {"worker/Dockerfile", "worker/Dockerfile.dock38", "worker/Dockerfile.wrap"} <= names


def test_sections_come_in_the_sources_order(text):
    assert sections(text) == SECTIONS


def test_each_section_holds_what_its_name_says(text):
    parts = dict(
        zip(
            headings(text), re.split(r"^# ---- .+ ----$", text, flags=re.MULTILINE)[1:], strict=True
        )
    )
    for heading, part in parts.items():
        first_words = {line.split()[0] for line in instructions(part)}
        if heading.startswith("Base"):
            assert "FROM" in first_words
        elif heading.startswith("Metadata"):
            assert first_words <= {"ARG", "LABEL"}
            assert "LABEL" in first_words
        elif heading.startswith("Entry point"):
            assert first_words <= {"ENTRYPOINT", "CMD"}
        elif heading.startswith(("System", "Application", "Worker")):
            assert not first_words & {"FROM", "LABEL", "ENTRYPOINT", "CMD"} or "stage" in heading


def test_an_image_carries_its_labels(text):
    label = " ".join(line for line in final_stage(text) if line.startswith("LABEL "))
    given = dict(re.findall(r'([a-z.]+)="([^"]*)"', label))
    assert {name for name in LABELS if not given.get(name)} == set()


def test_the_base_is_an_argument_with_a_full_tag_or_given(text):
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    base = final_stage(text)[0].split()[1]
    name = re.match(r"\$\{(\w+)\}", base)
    assert name is not None, base
    default = arguments.get(name.group(1))
    assert default is None or default.startswith("drydock-") or re.search(r":\d+\.\d+-", default)


def test_packages_are_locked_and_no_host_is_named(text):
    for line in instructions(text):
        for command in re.findall(r"pip\S* (?:--python \S+ )?install [^&]*", line):
            assert "--require-hashes" in command or "--no-deps" in command, command
        assert not re.search(r"https?://|--index-url|--extra-index|--trusted-host", line), line


def test_the_classic_builder_can_build_it(text):
    assert not any(BUILDKIT.search(line) for line in text.splitlines())


def test_nobody_in_particular_runs_it(text):
    users = [line.split()[1] for line in instructions(text) if line.startswith("USER ")]
    inherits = re.search(r"FROM \$\{WORKER_IMAGE\}$", text, re.MULTILINE)
    assert users or inherits
    assert all(user in ("10001", "${RUN_AS}") or user == "0" for user in users)
    assert users[-1:] != ["0"] or inherits


def test_apt_leaves_nothing_behind_in_an_image(text):
    for line in final_stage(text):
        if "apt-get install" in line:
            assert "rm -rf /var/lib/apt/lists/*" in line
            assert "--no-install-recommends" in line
