"""What the functions emit while a run happens: the metrics that alarms and dashboard look at."""

import json
import re

from local.deploy import STACK_IMAGE
from local.embedded import EmbeddedAws
from tests.embedded.story import ENDED, RAN, Story


def emitted(logs):
    """Metric to its values, by the dimensions beside the service, which is the stack."""
    found = {}
    for path in logs.glob("drydock-*.log"):
        for text in re.findall(r'\{"_aws".*\}$', path.read_text(encoding="utf-8"), re.MULTILINE):
            document = json.loads(text)
            assert document["service"] == "drydock"
            for told in document["_aws"]["CloudWatchMetrics"]:
                assert told["Namespace"] == "drydock"
                [dimensions] = told["Dimensions"]
                beside = ", ".join(document[each] for each in dimensions if each != "service")
                for metric in told["Metrics"]:
                    values = document[metric["Name"]]
                    found.setdefault((metric["Name"], beside), []).extend(values)
    return found


def test_a_run_of_two_inputs_emits_what_is_watched(tmp_path, eventually):
    with EmbeddedAws(tmp_path, machines=2, stack_image=STACK_IMAGE) as aws:
        story = Story(aws)
        story.sample.lay()
        story.tell(RAN)
        eventually(lambda: set(aws.batch.counts()) == {"SUCCEEDED"})
        story.tell(ENDED)
        story.send("resubmit_interrupted.queue_blocked")
    found = emitted(tmp_path / "logs")
    settled = {name: sum(found[name, ""]) for name in ("InputsDone", "InputsFailed", "Rounds")}
    assert settled == {"InputsDone": 2, "InputsFailed": 0, "Rounds": 1}
    assert found["Attempts", ""] == [2]
    assert len(found["ComputeUsd", ""]) == 1
    assert sum(found["Runs_done", ""]) == 1
    assert sum(found["RunsBroken", ""]) == 0
    # One run with one shard was there when budgets were looked at.
    assert (found["RunsActive", ""], found["ShardsActive", ""]) == ([1], [1])
    assert found["QueueBlocked_MISCONFIGURATION", ""] == [1]
    assert found["QueueBlocked", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"] == [1]
