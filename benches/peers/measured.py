"""What the peers in Python have in common: they do so many tasks as a line of JSON says, and answer with what that took.

A command is such as {"operation": "first", "tasks": 500, "in_flight": 32, "prefix": "round-1"}. The answer has the processor's time
and the clock's in microseconds, and how often the work was run.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

IN_FLIGHT = int(os.environ["PEER_IN_FLIGHT"])
# Kept, so that what a package keeps for each thread is made once.
THREADS = ThreadPoolExecutor(IN_FLIGHT)
# An append is atomic, which a counter is not.
RUNS = []


def pay(order):
    """The work."""
    RUNS.append(None)
    if order["amount"] < 0:
        raise ValueError("the amount is negative")
    return payment(order["order_id"])


def payment(order_id):
    return {"payment_id": f"payment-of-{order_id}", "order_id": order_id}


def order(operation, order_id):
    """What is to be paid. That fails where the operation says so."""
    return {"order_id": order_id, "amount": -1 if operation == "failure" else 1200}


def fails(work):
    """Holds the work to its failure."""
    try:
        work()
    except ValueError:
        return
    raise AssertionError("the work has not failed")


def serve(packages, do):
    """Says what is measured, then does what standard input says; `do(operation, order_id)` does a task."""
    about = [f"{name} {version(name)}" for name in packages]
    say({"about": ", ".join([*about, f"Python {sys.version.split()[0]}"])})
    for line in sys.stdin:
        say(measure(json.loads(line), do))


def say(answer):
    print(json.dumps(answer), flush=True)


def measure(command, do):
    operation, prefix, in_flight = command["operation"], command["prefix"], command["in_flight"]

    def one_by_one(lane):
        for number in range(lane, command["tasks"], in_flight):
            do(operation, f"{prefix}-{number}")

    RUNS.clear()
    cpu, wall = time.process_time_ns(), time.monotonic_ns()
    # As a list, since a failure is raised when its result is asked for.
    list(THREADS.map(one_by_one, range(in_flight)))
    cpu, wall = time.process_time_ns() - cpu, time.monotonic_ns() - wall
    return {"cpu_us": cpu / 1000, "wall_us": wall / 1000, "ran": len(RUNS)}
