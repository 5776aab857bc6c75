"""A job that says so and sleeps."""

import sys
import time

sys.stdout.write("asleep\n")
time.sleep(300)
