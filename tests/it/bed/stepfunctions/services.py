"""Where the services are that a state machine calls."""

import os
import re
import sys
import threading

import boto3
from botocore.config import Config
from moto.stepfunctions.parser.asl.utils import boto_client
from moto.stepfunctions.parser.backend import execution_worker  # noqa: F401, which loads the whole interpreter

# A role says where the functions and the tables of its tests are, since the interpreter hands it on with each call:
# role/functions/40123/tables/40456/NAME. Everything else, such as S3 and SQS, is moto's own.
KINDS = {"lambda": "functions", "dynamodb": "tables"}

CLIENTS = {}
LOCK = threading.Lock()


def install():
    for module in list(sys.modules.values()):
        if getattr(module, "boto_client_for", None) is boto_client.boto_client_for and module is not boto_client:
            module.boto_client_for = client


def client(region, service, state_credentials=None):
    where = (region, service, port(service, state_credentials))
    # A client takes long to make, and threads may share one but not make one.
    with LOCK:
        if where not in CLIENTS:
            CLIENTS[where] = boto3.client(
                service,
                region_name=region,
                endpoint_url=f"http://127.0.0.1:{where[2]}",
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(
                    parameter_validation=False, retries={"total_max_attempts": 1}, max_pool_connections=64, read_timeout=900
                ),
            )
        return CLIENTS[where]


def port(service, state_credentials):
    kind = KINDS.get(service)
    found = kind and re.search(rf"/{kind}/(\d+)/", state_credentials.role_arn)
    if kind and not found:
        raise RuntimeError(f"the state machine's role does not say where its {kind} are")
    return found[1] if found else os.environ["MOTO_PORT"]
