"""Wherever in the worker a busy call lies, the memory for its frame is there already."""

import subprocess
import sys

# Calls from each depth in turn; pages that are given back are page faults when taken again.
PROBE = """
import os, resource
import worker.__main__

def leaf(a=1, b=2, c=3):
    return a

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def most_below(levels):
    before = faults()
    for _ in range(2000):
        leaf()
    here = faults() - before
    return max(here, most_below(levels - 1)) if levels else here

def probe():
    print(most_below(600), flush=True)
    os._exit(0)

worker.__main__.confine_worker = probe
worker.__main__.main()
"""


def test_no_call_of_the_worker_takes_memory_anew_each_time():
    command = [sys.executable, "-c", PROBE]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(done.stdout) < 200
