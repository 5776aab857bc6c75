"""docs/your_own_image.md: the tool that it shows works, and goes on where it was interrupted."""

import re
import tomllib

import pytest

import worker.attempt
from tests.worker.support import DATA, ROOT
from worker.agent import main
from worker.stop_signals import Stop

PAGE = (ROOT / "docs" / "your_own_image.md").read_text()
SEQUENCES = {"a": "GGCC", "b": "ATAT", "c": "GATC", "d": "GGGA", "e": ""}
FASTA = "".join(f">{name}\n{text}\n" for name, text in SEQUENCES.items()).encode()
ROWS = "a\t1.0000\nb\t0.0000\nc\t0.5000\nd\t0.7500\ne\t0.0000\n"


def block(language, first_line):
    (found,) = re.findall(rf"```{language}\n{re.escape(first_line)}\n(.*?)```", PAGE, re.DOTALL)
    return found


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The page's package, as pip would have installed it."""
    project = tomllib.loads(block("toml", "# pyproject.toml"))
    name, version = project["project"]["name"], project["project"]["version"]
    site = tmp_path / "site"
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = project["project"]["entry-points"]
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
            for group, points in groups.items()
        )
    )
    (module,) = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    (site / module).write_text(block("python", f"# {module}"))
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(worker.attempt, "_POLL_S", 0.0)
    import lab_gc

    monkeypatch.setattr(lab_gc, "AT_ONCE", 2)
    return lab_gc


@pytest.fixture
def gc_shard(shard):
    return lambda body, **options: shard(("in/a.fasta", body), tool="gc", options=options)


def tables(store, made):
    folder = made.keys.input_folder(0, 0)
    return [store.get(DATA, found.key).body.decode() for found in store.list(DATA, folder)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_tool_of_the_page_works(installed, gc_shard, store, scratch, count):
    made = gc_shard(b"".join(FASTA.splitlines(keepends=True)[: 2 * count]))
    assert main(made.environment(scratch), store) == 0
    assert made.markers() == ["00000-00000.done"]
    assert tables(store, made) == ["".join(ROWS.splitlines(keepends=True)[:count])]


def test_it_goes_on_after_the_last_sequence_that_was_told(
    installed, gc_shard, store, scratch, monkeypatch
):
    made, stop = gc_shard(FASTA), Stop()
    poll = installed.GcSession.poll
    monkeypatch.setattr(
        installed.GcSession, "poll", lambda session: stop.ask("signal", "SIGTERM") or poll(session)
    )
    assert main(made.environment(scratch), store, stop=stop) == 1
    monkeypatch.undo()
    monkeypatch.syspath_prepend(installed.__file__.rpartition("/")[0])
    assert main(made.environment(scratch), store) == 0
    parts = tables(store, made)
    assert "".join(parts) == ROWS
    assert len(parts) == 2


@pytest.mark.parametrize(
    ("body", "options", "code", "marker"),
    [
        (b"no fasta", {}, 0, "00000.1.bad_input.failed"),
        (b">a\nGC\n", {"letters": 3}, 78, None),
    ],
)
def test_what_it_refuses_is_settled_or_said(
    installed, gc_shard, store, scratch, body, options, code, marker
):
    made = gc_shard(body, **options)
    assert main(made.environment(scratch), store) == code
    assert made.markers() == ([marker] if marker else [])


def test_the_page_and_its_dockerfile_name_what_there_is():
    dockerfile = block("dockerfile", "# ---- Base ----")
    sections = re.findall(r"# ---- (.+?) ----", PAGE)
    assert sections == ["Base", "Metadata", "System", "Application", "Worker", "Entry point"]
    with (ROOT / "pyproject.toml").open("rb") as stream:
        project = tomllib.load(stream)["project"]
    wheel = project["name"].replace("-", "_")
    assert f"{wheel}-*.whl" in dockerfile
    (script,) = project["scripts"]
    assert f'CMD ["{script}"]' in dockerfile
    for label in ("container.base.image", "software.version", "software.license", "tags"):
        assert f"{label}=" in dockerfile
