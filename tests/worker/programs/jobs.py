"""Programs for the tests: they know nothing of drydock but its variables."""

import sys

# Works through its input line by line, 20 ms each, and can go on from its checkpoint; its only
# output says which lines it has seen in how many starts.
STEPS = f"""#!{sys.executable}
import json, os, signal, sys, time

folder = os.environ["CHECKPOINT_DIR"]
state_path = os.path.join(folder, "state.json")
lines = open(os.environ["INPUT"]).read().split()
state = {{"sum": 0, "done": []}}
if os.path.exists(state_path):
    state = json.load(open(state_path))

def save():
    with open(state_path + ".tmp", "w") as file:
        json.dump(state, file)
    os.rename(state_path + ".tmp", state_path)

def stop(*_):
    save()
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
every = int(sys.argv[1]) if len(sys.argv) > 1 else 1
for line in lines[len(state["done"]):]:
    time.sleep(0.02)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    state["sum"] += int(line)
    state["done"].append(line)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    if len(state["done"]) % every == 0:
        save()
with open(os.path.join(os.environ["OUTPUT_DIR"], "result.json"), "w") as file:
    json.dump(state, file)
print("finished", len(lines))
"""
NUMBERS = [str(number * number % 17) for number in range(12)]
INPUT = "\n".join(NUMBERS).encode()
