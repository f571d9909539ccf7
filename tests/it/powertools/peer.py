"""A Lambda function with Powertools for Python, told what to do by lines of JSON on standard input.

It answers each with a line of JSON. Only what Powertools makes public is used, but for the hash of many values at once.
"""

import json
import os
import sys
import warnings

warnings.simplefilter("ignore")
os.environ["AWS_LAMBDA_FUNCTION_NAME"] = "orders-fn"

import boto3
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent


class Context:
    """What Lambda tells of the invocation, as far as Powertools asks."""

    def __init__(self, remaining):
        self.get_remaining_time_in_millis = lambda: remaining


def say(answer):
    print(json.dumps(answer), flush=True)


def client():
    return boto3.client(
        "dynamodb",
        endpoint_url=os.environ["PEER_ENDPOINT"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


CLIENT = client()
TABLE = os.environ["PEER_TABLE"]


def layer(command):
    return DynamoDBPersistenceLayer(TABLE, boto3_client=CLIENT, **command.get("layer", {}))


def handle(command):
    """Handles an event, and says whether the handler was run, and what came of it."""
    ran = False

    def handler(event, context):
        nonlocal ran
        ran = True
        match command.get("then", "return"):
            case "fail":
                raise RuntimeError("no paper")
            case "die":
                say({"ran": True})
                os._exit(1)
            case "wait":
                say({"inside": True})
                sys.stdin.readline()
        return command.get("response")

    # As if it stood in app.py.
    handler.__module__, handler.__qualname__ = "app", "handler"
    config = IdempotencyConfig(**command.get("config", {}))
    wrapped = idempotent(handler, persistence_store=layer(command), config=config)
    try:
        response = wrapped(command["event"], Context(command.get("remaining", 30_000)))
        say({"ran": ran, "response": response})
    except Exception as error:
        say({"ran": ran, "error": type(error).__name__})


def keys(command):
    """Says the key of each value; null where there is nothing to make one of."""
    store = layer(command)
    store.configure(IdempotencyConfig(**command.get("config", {})), function_name="app.handler")
    say([store._get_hashed_idempotency_key(data=json.loads(text)) for text in command["texts"]])


for line in sys.stdin:
    command = json.loads(line)
    {"handle": handle, "keys": keys}[command["do"]](command)
