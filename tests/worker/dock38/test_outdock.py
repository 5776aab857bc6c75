"""Reading OUTDOCK: what is written by DOCK's formats is read as it was meant."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.tools.outdock import Docked, Failed, OutdockReader

HEADER = (
    "  mol#           id_num     flexiblecode  matched    nscored    time hac    setnum    matnum"
    "   rank charge    elect +  gist +   vdW + psol +  asol + tStrain + mStrain + rec_d + r_hyd ="
    "    Total\n"
)
SAMPLE = (
    "     1 103              1                    1494     120356    0.08  22         6       975"
    "      1     -2.00   -80.34    0.00   -7.57  55.08    0.10    4.64    2.40    0.00    0.00"
    "    -32.73\n"
)
FAILED = (
    "    11 121                 1368      51588    0.06 No viable poses.  Grids might be too small."
    "  \n"
)
NORMAL_END = """ close the file: -
 total minimization steps =         3429
 total number of hierarchies:           33
 total number of orients (matches):        53678
 end of file encountered
Date and Time: 20261120 174209.9
elapsed time (sec):        2.8466  (hour):     0.0008
"""
TERMS = ("charge", "elect", "gist", "vdW", "psol", "asol", "tStrain", "mStrain", "rec_d", "r_hyd")
GAPS = (3, 2, 1, 1, 0, 1, 1, 1, 1, 1)


def i(width, value):
    text = f"{value:{width}d}"
    return text if len(text) <= width else "*" * width


def f(width, value):
    text = f"{value:{width}.2f}"
    return text if len(text) <= width else "*" * width


def docked_line(number, name, *, rank=1, terms=(), total=0.0, seconds=0.1, heavy=20):
    """A line as DOCK's format statement writes it."""
    values = [*terms, *[0.0] * (10 - len(terms))]
    energies = "".join(" " * gap + f(7, value) for gap, value in zip(GAPS, values, strict=True))
    return (
        f"{i(6, number)} {name[-16:]:16s} {'1':16s} {i(8, 1494)} {i(10, 120356)} {f(7, seconds)} "
        f"{i(3, heavy)} {i(9, 6)} {i(9, 975)} {i(6, rank)}{energies}{f(10, total)}\n"
    )


def failed_line(number, name, reason):
    return f"{i(6, number)} {name[-16:]:16s}{i(8, 1)} {i(10, 2)} {f(7, 0.06)} {reason}\n"


def read(text):
    reader = OutdockReader()
    rows = list(reader.rows(io.StringIO(text, newline="\n")))
    return rows, reader.ending


def test_the_documented_lines():
    rows, ending = read(HEADER + SAMPLE + FAILED + NORMAL_END)
    docked, failed = rows
    assert (docked.number, docked.id, docked.flexible_code, docked.rank) == (1, "103", "1", 1)
    assert (docked.seconds, docked.heavy_atoms, docked.total) == (0.08, 22, -32.73)
    assert list(docked.terms.values()) == [-2, -80.34, 0, -7.57, 55.08, 0.1, 4.64, 2.4, 0, 0]
    assert tuple(docked.terms) == TERMS
    assert failed == Failed(11, "121", "No viable poses.  Grids might be too small.")
    assert (ending.has_header, ending.end_of_file, ending.interrupted) == (True, True, False)
    assert (ending.hierarchies, ending.skipped, ending.elapsed_s) == (33, 0, 2.8466)


def test_the_tests_format_is_docks():
    terms = (-2, -80.34, 0, -7.57, 55.08, 0.1, 4.64, 2.4, 0, 0)
    line = docked_line(1, "103", terms=terms, total=-32.73, seconds=0.08, heavy=22)
    assert line == SAMPLE


def test_touching_columns_are_two_numbers():
    line = docked_line(1, "glued", terms=(0, 0, 0, -17.57, 1055.08), total=1000.5)
    assert "-17.571055.08" in line
    ((docked,), _) = read(HEADER + line)
    assert (docked.terms["vdW"], docked.terms["psol"], docked.total) == (-17.57, 1055.08, 1000.5)


def test_stars_are_no_number():
    line = docked_line(1_000_000, "wide", terms=(0, 1e9), total=1e12)
    ((docked,), _) = read(HEADER + line)
    assert (docked.number, docked.terms["elect"], docked.total) == (None, None, None)
    ((failed,), _) = read(HEADER + failed_line(1_000_000, "wide", "bump"))
    assert failed == Failed(None, "wide", "bump")


def test_no_number_that_is_infinite_or_none():
    line = docked_line(1, "x")
    ((docked,), _) = read(HEADER + line[:102] + "    NaN" + line[109:])
    assert docked.terms["charge"] is None
    ((docked,), _) = read(HEADER + line[:181] + "       NaN\n")
    assert (docked.id, docked.total) == ("x", None)


@pytest.mark.parametrize(
    "text",
    [
        " interrupt signal detected since last ligand- initiating clean exit & save\n",
        " ERROR ---> cannot open the file\n",
        "ERROR ---> stops\n",
        "elapsed time (sec): x\n",
        " total number of hierarchies: many\n",
    ],
)
def test_other_lines_are_no_rows(text):
    rows, ending = read(HEADER + text)
    assert rows == []
    assert ending.interrupted == ("interrupt" in text)
    assert ending.errors == ([text.strip()] if "ERROR" in text else [])
    assert (ending.hierarchies, ending.elapsed_s) == (None, None)


def test_what_dock_cannot_read_is_a_failed_row():
    rows, ending = read(
        HEADER + " The line is broken, failed to be read: x\n BrokenLines: 1\n"
        " skipping molecule: ZINC000000000007 none\n skipping molecule:\n"
    )
    assert [row.id for row in rows] == ["ZINC000000000007", ""]
    assert ending.skipped == 2


def test_rows_before_the_header_are_none():
    assert read(SAMPLE + FAILED)[0] == []


NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=24)
ENERGIES = st.integers(-99_999_999, 99_999_999).map(lambda hundredths: hundredths / 100)
DOCKED = st.tuples(
    st.integers(1, 2_000_000),
    NAMES,
    st.lists(ENERGIES, min_size=10, max_size=10),
    st.integers(-(10**11), 10**11).map(lambda hundredths: hundredths / 100),
)
REASONS = st.sampled_from(
    ["skip_size", "no_match", "outside_grids", "bump", "clashes", "clashes/notchecked"]
)
FAILURES = st.tuples(st.integers(1, 2_000_000), NAMES, REASONS)


def written(row):
    if len(row) == 3:
        return failed_line(*row)
    number, name, terms, total = row
    return docked_line(number, name, terms=terms, total=total)


def expected(text):
    return None if "*" in text else float(text)


def meaning(row):
    if isinstance(row, Failed):
        return (row.number, row.id, row.reason)
    return (row.number, row.id, list(row.terms.values()), row.total)


def meant(row):
    number, name = (None if row[0] > 999_999 else row[0]), row[1][-16:]
    if len(row) == 3:
        return (number, name, row[2])
    return (number, name, [expected(f(7, term)) for term in row[2]], expected(f(10, row[3])))


@given(st.lists(st.one_of(DOCKED, FAILURES), max_size=8))
def test_what_is_written_by_the_formats_is_read_equal(made):
    rows, ending = read(HEADER + "".join(map(written, made)) + NORMAL_END)
    assert [meaning(row) for row in rows] == [meant(row) for row in made]
    assert ending.end_of_file


@given(st.lists(st.one_of(DOCKED, FAILURES), min_size=1, max_size=4), st.data())
def test_a_cut_anywhere_gives_the_rows_before_it(made, data):
    text = HEADER + "".join(map(written, made)) + NORMAL_END
    cut = data.draw(st.integers(0, len(text)))
    rows, _ = read(text[:cut])
    whole, _ = read(text)
    assert [meaning(row) for row in rows] == [meaning(row) for row in whole[: len(rows)]]
    lines = max(0, text[:cut].count("\n") - 1)
    assert len(rows) == min(lines, len(made))


@given(st.text(st.characters(max_codepoint=255)))
def test_no_text_raises(text):
    for row in read(HEADER + text)[0]:
        assert isinstance(row, Docked | Failed)
        meaning(row)
