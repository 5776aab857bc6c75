"""The best molecules: what sorting everything would give, in memory that stays flat."""

from hypothesis import given
from hypothesis import strategies as st

from drydock.ranking import Ranked, Ranking, parse_ranked

molecules = st.builds(Ranked, st.integers(-9, 9).map(float), st.text("abc", min_size=1, max_size=2))


def expected(candidates, keep):
    best = {}
    for candidate in candidates:
        known = best.get(candidate.molecule_id)
        if known is None or candidate < known:
            best[candidate.molecule_id] = candidate
    return sorted(best.values())[:keep]


@given(st.lists(molecules, max_size=60), st.integers(1, 6))
def test_it_is_the_beginning_of_the_sorted_best_of_each(candidates, keep):
    ranking = Ranking(keep)
    for candidate in candidates:
        ranking.add(candidate)
        assert len(ranking._best) < 2 * keep or len(ranking._best) <= keep
    assert ranking.best() == expected(candidates, keep)


@given(st.lists(st.lists(molecules, max_size=20), max_size=6), st.integers(1, 6))
def test_sorted_lists_cut_by_their_makers_merge_to_the_same(lists, keep):
    everything = [candidate for each in lists for candidate in each]
    ranking = Ranking(keep)
    for each in lists:
        ranking.add_sorted(expected(each, keep))
    assert ranking.best() == expected(everything, keep)


def test_a_sorted_list_is_read_no_further_than_it_can_matter():
    ranking, read = Ranking(2), []

    def rows():
        for n in range(1000):
            read.append(n)
            yield Ranked(float(n), f"m{n}")

    ranking.add_sorted(rows())
    assert len(read) < 10


def test_memory_does_not_grow_with_what_is_seen():
    ranking = Ranking(10)
    largest = 0
    for n in range(20_000):
        ranking.add(Ranked(float(-n), f"m{n}"))
        largest = max(largest, len(ranking._best))
    assert largest <= 20
    assert [each.score for each in ranking.best()][:2] == [-19_999.0, -19_998.0]


def test_rows_carry_themselves():
    lines = ['-7.5\tzinc 1\t{"a": "x\\ty"}\n', "-7\tb\t{}\n"]
    found = list(parse_ranked(lines))
    assert found == [Ranked(-7.5, "zinc 1"), Ranked(-7.0, "b")]
    assert [each.row for each in found] == lines
