"""Templates: every text is either filled as it says or refused with a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.errors import Malformed
from drydock.templates import NAMING, PLACEHOLDERS, fill, placeholders

VALUES = {name: f"<{name}>" for name in PLACEHOLDERS} | {"assets.ref": "{input}", "assets.a b": "x"}
texts = st.text(alphabet=st.one_of(st.sampled_from("{}"), st.characters(exclude_characters="\0")))


def escaped(text):
    return text.replace("{", "{{").replace("}", "}}")


def test_placeholders_are_replaced_and_braces_stand_for_themselves():
    assert fill("-o{output}/{stem}.bam", VALUES) == "-o<output>/<stem>.bam"
    assert fill("{{{input}}}", VALUES) == "{<input>}"
    assert fill("{{input}}", VALUES) == "{input}"
    assert fill("", VALUES) == ""
    assert placeholders("{vcpus}{{x}}{assets.any name}{vcpus}") == [
        "vcpus",
        "assets.any name",
        "vcpus",
    ]


def test_what_comes_in_is_not_looked_at_again():
    assert fill("{assets.ref}{assets.a b}", VALUES) == "{input}x"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{outptu}", "{outptu} is no placeholder here: {input}, {stem}, {output}, {vcpus}"),
        ("{}", "{} is no placeholder"),
        ("{assets.}", "{assets.} is no placeholder"),
        ("{input.name}", "{input.name} is no placeholder"),
        ("{input!r}", "{input!r} is no placeholder"),
        ("{input:>10}", "{input:>10} is no placeholder"),
        ("{ input }", "{ input } is no placeholder"),
        ("{input", "a brace is alone; {{ stands for {"),
        ("input}", "a brace is alone; }} stands for }"),
        ("{in{put}", "a brace is alone"),
        ("a\0b", "a NUL character"),
    ],
)
def test_what_is_no_template_is_refused(text, told):
    with pytest.raises(Malformed) as refused:
        placeholders(text)
    assert told in str(refused.value)


def test_only_what_is_allowed_is_one():
    assert placeholders("{stem}-{index}", NAMING) == ["stem", "index"]
    with pytest.raises(Malformed, match=r"\{stem\}, \{vcpus\}, \{index\} are;"):
        placeholders("{output}", NAMING)
    with pytest.raises(Malformed, match=r"\{assets.no\} is no .*\{assets.ref\}"):
        fill("{assets.no}", VALUES)


@given(texts)
def test_an_escaped_text_is_itself(text):
    assert fill(escaped(text), VALUES) == text


@given(texts)
def test_any_text_is_filled_or_refused_and_both_agree(text):
    try:
        names = placeholders(text)
    except Malformed:
        with pytest.raises(Malformed):
            fill(text, VALUES)
    else:
        filled = fill(text, VALUES | dict.fromkeys(names, ""))
        assert len(filled) <= len(text)
        assert "{" not in filled or "{{" in text


@given(st.lists(st.one_of(texts.map(escaped), st.sampled_from([f"{{{n}}}" for n in VALUES]))))
def test_a_template_of_pieces_is_the_pieces_filled(pieces):
    # A brace that ends one piece and one that begins the next would be read together.
    whole = " ".join(pieces)
    assert fill(whole, VALUES) == " ".join(fill(piece, VALUES) for piece in pieces)
