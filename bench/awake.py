"""Keep a core from sleeping: awake.py CORE, until whoever started it ends or ends it.

It counts, and gives way to everything else at once (SCHED_IDLE, sched(7)). What it saves is the way into and out of
sleep, which on a virtual machine goes through its host and costs now this, now that.
"""

import os
import sys

TURNS = 10_000_000
"""Between two looks at whether the parent is still there: about a quarter of a second."""


def main() -> None:
    parent = os.getppid()
    os.sched_setaffinity(0, {int(sys.argv[1])})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    print("awake", flush=True)
    while os.getppid() == parent:
        for _ in range(TURNS):
            pass


if __name__ == "__main__":
    main()
