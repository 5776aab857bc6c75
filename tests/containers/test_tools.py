"""Each tool in its container: a whole run, and one that is reclaimed in the middle."""

import pytest

from tests.containers.jobs import JOBS
from tests.worker.support import until


@pytest.fixture(params=JOBS)
def job(request):
    image, make, outcome = JOBS[request.param]
    return request.getfixturevalue(image), make, outcome


def test_what_is_reclaimed_comes_to_the_same_as_what_is_not(job, store, start):
    image, make, outcome = job
    whole = make(store, prefix="whole/")
    container = start(image, environment=whole.environment("/scratch"))
    assert container.wait() == 0, container.logs()
    assert whole.markers() == ["00000-00000.done"]

    cut = make(store, prefix="cut/", checkpoint_seconds=1)
    first = start(image, environment=cut.environment("/scratch"))
    until(lambda: cut.part_records() or not first.running, seconds=240)
    assert first.stop() == 1, first.logs()
    assert "interrupted" in {event["event"] for event in first.events()}
    assert cut.markers() == []
    assert max(record.progress for record in cut.part_records()) > 0

    second = start(image, environment=cut.environment("/scratch", attempt=2))
    assert second.wait() == 0, second.logs()
    assert outcome(cut) == outcome(whole)
