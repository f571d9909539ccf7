"""Powertools for AWS Lambda (Python), used as its documentation has it, told what to do as measured.py says."""

import os

os.environ["AWS_LAMBDA_FUNCTION_NAME"] = "payments"

import boto3
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent
from botocore.config import Config

import measured


class Context:
    """What Lambda tells of the invocation, as far as Powertools asks."""

    def get_remaining_time_in_millis(self):
        return 30_000


CONTEXT = Context()
CLIENT = boto3.client(
    "dynamodb",
    endpoint_url=os.environ["PEER_ENDPOINT"],
    region_name="us-east-1",
    aws_access_key_id="bench",
    aws_secret_access_key="bench",
    config=Config(max_pool_connections=measured.IN_FLIGHT),
)


@idempotent(
    persistence_store=DynamoDBPersistenceLayer(os.environ["PEER_TABLE"], boto3_client=CLIENT),
    config=IdempotencyConfig(event_key_jmespath="order_id"),
)
def handler(event, context):
    return measured.pay(event)


def do(operation, order_id):
    event = measured.order(operation, order_id)
    if operation == "failure":
        measured.fails(lambda: handler(event, CONTEXT))
    else:
        assert handler(event, CONTEXT) == measured.payment(order_id)


measured.serve(["aws-lambda-powertools", "boto3"], do)
