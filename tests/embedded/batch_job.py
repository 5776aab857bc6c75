"""A job's program for the tests of the embedded Batch: does what its arguments say, as a module."""

import multiprocessing
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
    if what == "name-variables":
        say(*sorted(os.environ))
    if what == "spawn":
        context = multiprocessing.get_context("spawn")
        said = context.Queue()
        process = context.Process(target=said.put, args=("from another process",))
        process.start()
        say(said.get())
        process.join()
    if what == "thread":
        threading.Thread(target=lambda: (time.sleep(0.2), say("the thread ended"))).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
