"""A job's program for the tests of the embedded Batch: does what its arguments say, as a module."""

import os
import signal
import sys
import threading
import time
from pathlib import Path


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")


def main(what: str, *arguments: str) -> None:
    if what == "exit":
        sys.exit(int(arguments[0]))
    if what == "say-and-exit":
        sys.exit(arguments[0])
    if what == "raise":
        raise RuntimeError("deliberately")
    if what == "die":
        os.kill(os.getpid(), getattr(signal, arguments[0]))
    if what == "tell":
        say(sys.argv[1:], __name__, str(Path.cwd()) == os.environ["HOME"])
        say(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, sys.stdin.read() == "")
    if what == "thread":
        threading.Thread(target=lambda: (time.sleep(0.2), say("the thread ended"))).start()


main(*sys.argv[1:])
