"""What pynamodb_mate's status tracker takes to create, start and end a task, by what DynamoDB Local says of each request.

    $(benches/peers/get)/venv/bin/python benches/peers/write_units.py

DynamoDB Local is what tests/dynamodb-local has got, or the one that DYNAMODB_LOCAL_ENDPOINT names.
"""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time

from pynamodb.connection.base import Connection

from model import make_model

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOCAL = ROOT / "target/dynamodb-local/current"


@contextlib.contextmanager
def dynamodb_local():
    """Where DynamoDB Local answers, while the block runs."""
    if endpoint := os.environ.get("DYNAMODB_LOCAL_ENDPOINT"):
        yield endpoint
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["java", f"-Djava.library.path={LOCAL}/DynamoDBLocal_lib", "-jar", f"{LOCAL}/DynamoDBLocal.jar"]
    command += ["-inMemory", "-disableTelemetry", "-port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()


def wait_for(port, server):
    while server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    sys.exit("DynamoDB Local does not start; tests/dynamodb-local gets it")


def count_units():
    """The units of each request from now on, in their order. pynamodb asks DynamoDB for them, and only logs them."""
    units = []
    dispatch = Connection.dispatch

    def counted(self, operation, arguments):
        answer = dispatch(self, operation, arguments)
        if capacity := answer.get("ConsumedCapacity"):
            units.append((operation, capacity["CapacityUnits"]))
        return answer

    Connection.dispatch = counted
    return units


def main():
    with dynamodb_local() as endpoint:
        task = make_model(endpoint, "peers")
        task.create_table(wait=True)
        units = count_units()
        task.make_and_save(task_id="t")
        with task.start(task_id="t"):
            pass
        for operation, count in units:
            print(f"{operation} {count:g}")
        print(f"{sum(count for _, count in units):g} write units")
        done = list(task.query_by_status(40))
        print(f"{len(done)} of 1 tasks that have succeeded stays in the index")


main()
