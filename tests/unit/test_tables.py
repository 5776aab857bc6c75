"""Tables of results: what of them other programs read line by line."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from drydock.planning import list_uris, survey_list
from drydock.tables import csv_bytes, ranked_row, top_inputs

INPUT = "s3://lab/ligands/"


def best(*inputs):
    rows = (
        {"id": f"m{number}", "score": float(number), "index": number} | more
        for number, more in enumerate(inputs)
    )
    return [ranked_row(row) for row in rows]


def of(*uris):
    return best(*({"input": uri} for uri in uris))


def named(body):
    return [uri.decode() for _, uri in list_uris([body])]


def test_an_input_of_several_molecules_is_listed_once_at_its_best():
    body = top_inputs("a", of(INPUT + "b", INPUT + "a", INPUT + "b"), are_slices=False)
    assert named(body) == [INPUT + "b", INPUT + "a"]
    assert survey_list([body], len(body), ["lab"]).inputs == 2
    assert b"slices" not in body


def test_of_slices_the_file_is_listed_once_and_the_list_says_so():
    body = top_inputs("a", of(INPUT + "all.smi", INPUT + "all.smi"), are_slices=True)
    assert named(body) == [INPUT + "all.smi"]
    assert b"# The inputs were slices of files." in body


def test_a_key_that_no_line_can_say_is_a_comment():
    odd = [INPUT + "two\nlines", INPUT + "blank at its end ", INPUT + "return\r"]
    plain = [INPUT + "# 1", INPUT + "a b", INPUT + "sep\u2028arator", INPUT + "no-break\u00a0"]
    body = top_inputs("a", of(*odd, *plain), are_slices=False)
    assert named(body) == plain
    comments = [line for line in body.decode().split("\n") if "No line can say" in line]
    assert [json.loads(line.partition(": ")[2]) for line in comments] == odd


def test_molecules_of_which_no_input_is_known_are_left_out():
    body = top_inputs("a", best({}, {"input": INPUT + "a"}), are_slices=False)
    assert named(body) == [INPUT + "a"]


def test_no_molecules_make_a_list_that_names_no_input():
    assert named(top_inputs("a", [], are_slices=False)) == []


# What csv.writer quotes, and what it does not on every version of Python.
texts = st.text(st.one_of(st.sampled_from('\r\n",; a'), st.characters(codec="utf-8")), max_size=8)


@given(st.lists(st.tuples(texts, texts), max_size=5))
def test_any_text_comes_out_of_a_table_as_it_went_in(rows):
    body = csv_bytes(["a", "b"], rows)
    found = list(csv.reader(io.StringIO(body.decode(), newline="")))
    assert found == [["a", "b"], *map(list, rows)]


def test_lines_of_a_table_end_with_lf_alone():
    assert csv_bytes(["a", "b"], [["Icon\r", 1], ["x", ""]]) == b'a,b\n"Icon\r",1\nx,\n'
