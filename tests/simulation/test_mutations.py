"""Each safety can be taken out, and then somebody notices."""

import pytest

from tests.simulation.caught import BEGIN, END, PAGE, known, tables
from tests.simulation.mutate import all_caught, mutated_texts, processes, told
from tests.simulation.mutations import MUTATIONS

# What found a violation last time need not any more once the project or the histories have
# changed; then so many others are tried.
_HISTORIES = 60
_AT_ONCE = 2
# The first test waits for all of them.
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def caught():
    return {found.name: found for _, found in all_caught(MUTATIONS, _HISTORIES, _AT_ONCE)}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_text_to_change_is_there_once(mutation):
    for path, text in mutated_texts(mutation).items():
        compile(text, path, "exec")


def test_names_are_there_once():
    names = [mutation.name for mutation in MUTATIONS]
    assert len(names) == len(set(names))
    assert set(known()) == set(names)


def test_the_docs_tell_what_caught_each():
    page = PAGE.read_text()
    assert page.partition(BEGIN)[2].partition(END)[0] == tables()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_somebody_notices(mutation, caught):
    found = caught[mutation.name]
    assert found.rule is not None, f"nobody notices; make mutate ARGS='{mutation.name!r}'"


def test_a_mutation_has_a_story():
    mutation = next(each for each in MUTATIONS if each.name == "chain of parents")
    with processes(1) as pool:
        story = pool.submit(told, mutation, known()[mutation.name].seed).result()
    assert "names the whole" in story or "VIOLATED" in story
