"""docs/results.md on the results of a real run: each of its lines is run as it stands there."""

import csv
import json
import re
import shutil

import polars as pl
import pyarrow.parquet
import pytest

from tests.embedded.run_support import ROOT, world

PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
PLACE = "s3://lab/abl/out/"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
SMILES = {"caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "paracetamol": "CC(=O)Nc1ccc(O)cc1"}


def blocks(*words):
    """The page's blocks that have all of these words."""
    return [block for block in BLOCKS if all(word in block for word in words)]


def table(heading):
    """First columns of the table below a heading, and the second: names without their quotes."""
    part = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    rows = [line.split("|")[1:-1] for line in part[1].splitlines() if line.startswith("| `")]
    return {name: row[1].strip() for row in rows for name in re.findall(r"`([^`]+)`", row[0])}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The output's folder of a run with a pilot, so that it has two shards, and a failure."""
    with world(tmp_path_factory.mktemp("results")) as stack:
        for name, smiles in SMILES.items():
            stack.put(f"r/in/{name}.smi", f"{smiles}\t{name}\n".encode())
        stack.put("r/in/unreadable.smi", b"no molecule\n")
        outcome = stack.do("r", pilot=1)
        assert outcome.status == "SUCCEEDED", outcome.described
        assert outcome.counts() == (2, 1, 0, 0)
        stack.folder = stack.aws.directory / "s3" / stack.data / "r" / "out"
        yield stack


@pytest.fixture
def lines(run, monkeypatch):
    """Runs a block in the output's folder; its variables."""
    environment = json.loads((run.aws.directory / "stack.json").read_text())["environment"]
    for name, value in environment.items() | {("AWS_ALLOW_HTTP", "true")}:
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(run.folder)

    def lines(*words):
        (block,) = blocks(*words)
        found = {}
        exec(block.replace(PLACE, f"s3://{run.data}/r/out/"), found)
        return found

    return lines


def rows_of(run, name):
    with (run.folder / "results" / name).open(newline="") as text:
        return list(csv.DictReader(text))


def scores_of(run):
    """Id, score and shard of each molecule, by what the worker wrote."""
    found = {}
    for path in (run.folder / "results" / "scores").glob("*/*.parquet"):
        for row in pyarrow.parquet.ParquetFile(path).read().to_pylist():
            found[row["id"]] = (row["score"], int(path.parent.name.partition("=")[2]))
    assert set(found) >= set(SMILES)
    return found


def test_every_file_below_results_is_on_the_page(run):
    found = {path.relative_to(run.folder / "results") for path in run.folder.glob("results/*")}
    names = {str(path) for path in found}
    told = {name.split("/")[0].replace("<format>", "pdbqt") for name in table("The files")}
    assert names == told


def test_every_column_and_field_is_on_the_page_in_its_order(run):
    (path, *_) = (run.folder / "results" / "scores").glob("*/*.parquet")
    schema = pyarrow.parquet.ParquetFile(path).schema_arrow
    told = table("Scores")
    assert [*schema.names, "shard"] == list(told)
    assert [str(field.type) for field in schema] == list(told.values())[:-1]
    for name in ("top.csv", "failures.csv"):
        header = (run.folder / "results" / name).read_text().splitlines()[0].split(",")
        assert header == list(table(name)), name
    provenance = json.loads((run.folder / "results" / "run.json").read_text())
    assert list(provenance) == list(table("run.json"))
    for name in provenance["epochs"][0]:
        assert f"`{name}`" in PAGE
    accounting = json.loads((run.folder / "results" / "accounting.json").read_text())
    took = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
    told = {
        *table("accounting.json"),
        *re.findall(r"`(\w+)`", took[took.index("## What it took") :]),
    }
    assert {*accounting, *accounting["shards"][0]} - {"shard"} <= told


def test_every_block_of_the_page_is_run_here():
    run_here = [
        ("import pandas", "results/top.csv"),
        ("import pandas", PLACE),
        ("import pandas", "manifest/*.txt"),
        ("import polars", "accounting.json"),
        ("import polars", PLACE),
        ("import polars", "json_decode"),
        ("import duckdb", "accounting.json"),
        ("import duckdb", "mine.csv"),
        ("import meeko",),
    ]
    assert sorted(block for words in run_here for block in blocks(*words)) == sorted(BLOCKS)


def test_pandas(run, lines):
    found = lines("import pandas", "results/top.csv")
    best = found["best"]
    assert [list(row) for row in best[["id", "input"]].to_numpy()] == [
        [row["id"], row["input"]] for row in rows_of(run, "top.csv")
    ]
    assert list(best["score"]) == [float(row["score"]) for row in rows_of(run, "top.csv")]
    assert_scores(run, found["scores"][["id", "score", "shard"]].to_numpy())
    assert list(found["failures"]["class"]) == ["bad_input"]
    assert list(found["shards"]["inputs"]) == [1, 2]


def test_pandas_from_s3(run, lines):
    scores = lines("import pandas", PLACE)["scores"]
    assert_scores(run, scores[["id", "score", "shard"]].to_numpy())


def test_pandas_joins_scores_to_inputs(run, lines):
    unscored = lines("import pandas", "manifest/*.txt")["unscored"]
    assert list(unscored["input"]) == [f"s3://{run.data}/r/in/unreadable.smi"]


def test_polars(run, lines):
    found = lines("import polars", "accounting.json")
    assert found["best"]["id"].to_list() == [row["id"] for row in rows_of(run, "top.csv")]
    assert_scores(run, found["scores"].select("id", "score", "shard").rows())
    assert found["failures"]["index"].to_list() == [2]
    assert found["shards"]["shard"].to_list() == [0, 1]
    assert found["shards"]["done"].sum() == 2


def test_polars_from_s3(run, lines):
    found = lines("import polars", PLACE)
    assert found["best"]["id"].to_list() == [row["id"] for row in rows_of(run, "top.csv")]
    below = {name for name, (score, _) in scores_of(run).items() if score and score < -7}
    assert set(found["scores"]["id"]) == below
    assert found["failures"]["class"].to_list() == ["bad_input"]


def test_polars_takes_terms_apart_and_joins_failures(run, lines):
    found = lines("import polars", "json_decode")
    scored = pl.read_parquet("results/scores/").filter(pl.col("score").is_not_null())
    known = {row["id"]: json.loads(row["terms"]) for row in scored.iter_rows(named=True)}
    assert known.keys() == SMILES.keys()
    got = found["terms"].select("id", "inter", "intra").rows()
    assert sorted(got) == sorted((name, row["inter"], row["intra"]) for name, row in known.items())
    outcome = found["outcome"]
    assert outcome.filter(pl.col("class") == "bad_input")["index"].to_list() == [2]
    assert set(outcome["index"]) == {0, 1, 2}


def test_duckdb(run, lines):
    found = lines("import duckdb", "accounting.json")
    assert [row[1] for row in found["best"]] == [row["id"] for row in rows_of(run, "top.csv")]
    assert_scores(run, [(row[1], row[0], row[-1]) for row in found["scores"]])
    assert found["failures"] == [("bad_input", 1)]
    assert len(found["shards"]) == 2


def test_duckdb_joins_a_table_of_ones_own(run, lines):
    mine = run.folder / "mine.csv"
    mine.write_text("id,price\ncaffeine,3\nunheard-of,4\n")
    joined = lines("import duckdb", "mine.csv")["joined"]
    mine.unlink()
    assert joined == [("caffeine", 3, scores_of(run)["caffeine"][0])]


@pytest.mark.parametrize("block", [block for block in BLOCKS if PLACE not in block])
def test_a_run_in_which_nothing_failed_is_read_by_the_same_lines(run, tmp_path, monkeypatch, block):
    shutil.copytree(run.folder / "results", tmp_path / "results")
    shutil.copytree(run.folder / "manifest", tmp_path / "manifest")
    (tmp_path / "mine.csv").write_text("id,price\ncaffeine,3\n")
    header = (tmp_path / "results" / "failures.csv").read_text().splitlines()[0]
    (tmp_path / "results" / "failures.csv").write_text(f"{header}\n")
    accounting = json.loads((tmp_path / "results" / "accounting.json").read_text())
    for account in (accounting, *accounting["shards"]):
        account["failures"] = {}
    (tmp_path / "results" / "accounting.json").write_text(json.dumps(accounting))
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(block, found)
    assert len(found.get("failures", ())) == 0


def test_rdkit(run, lines):
    molecules = lines("import meeko")["molecules"]
    names = [row["id"] for row in rows_of(run, "top.csv")]
    assert len(molecules) == len(names) == 2
    for name, molecule in zip(names, molecules, strict=True):
        from rdkit import Chem

        assert Chem.MolToSmiles(Chem.RemoveHs(molecule)) == Chem.CanonSmiles(SMILES[name])
        assert molecule.GetNumConformers() == 1


def assert_scores(run, rows):
    """Rows of id, score and shard are the molecules of the run."""
    got = {name: (score, int(shard)) for name, score, shard in rows}
    known = scores_of(run)
    assert got.keys() == known.keys()
    for name, (score, shard) in known.items():
        assert got[name][1] == shard
        assert got[name][0] == score or score is None
