"""The status tracker of pynamodb_mate, told what to do as measured.py says.

It is not `pynamodb_mate.py`, which would be the module of that name for itself.
"""

import os

from pynamodb_mate.patterns.status_tracker import api as status_tracker

import measured
from model import make_model

TASK = make_model(os.environ["PEER_ENDPOINT"], os.environ["PEER_TABLE"], measured.IN_FLIGHT)


def run(order):
    # With the detail, or it would not say whether the task is done or locked.
    with TASK.start(task_id=order["order_id"], detailed_error=True) as execution:
        execution.set_data(measured.pay(order))


def do(operation, order_id):
    order = measured.order(operation, order_id)
    # What is not there can't be started.
    if operation in ("first", "failure"):
        TASK.make_and_save(task_id=order_id)
    match operation:
        case "failure":
            measured.fails(lambda: run(order))
        case "duplicate":
            refused(order)
        case _:
            run(order)


def refused(order):
    try:
        run(order)
    except status_tracker.TaskAlreadySucceedError:
        return
    raise AssertionError("a task that is done was run again")


TASK.create_table(wait=True)
measured.serve(["pynamodb_mate", "pynamodb", "botocore"], do)
