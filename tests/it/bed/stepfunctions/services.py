"""Where the services are that a state machine calls."""

import os
import re
import sys
import threading

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_aws_sdk import (
    StateTaskServiceAwsSdk,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_dynamodb import (
    StateTaskServiceDynamoDB,
)
from moto.stepfunctions.parser.asl.utils import boto_client
from moto.stepfunctions.parser.backend import execution_worker  # noqa: F401, which loads the whole interpreter

# A role says where the functions and the tables of its tests are, since the interpreter hands it on with each call:
# role/functions/40123/tables/40456/NAME. Everything else, such as S3 and SQS, is moto's own. With the path /losing/, the first
# answer of DynamoDB is lost.
KINDS = {"lambda": "functions", "dynamodb": "tables"}

CLIENTS = {}
LOCK = threading.Lock()
# The roles that have lost an answer.
LOST = set()


def install():
    for module in list(sys.modules.values()):
        if getattr(module, "boto_client_for", None) is boto_client.boto_client_for and module is not boto_client:
            module.boto_client_for = client
    StateTaskServiceDynamoDB._from_error = named(StateTaskServiceDynamoDB._from_error)
    StateTaskServiceAwsSdk._normalise_parameters = to_boto
    StateTaskServiceAwsSdk._normalise_response = from_boto


def named(from_error):
    """What failed before DynamoDB was called is not DynamoDB's error."""

    def from_error_or_before(self, env, ex):
        return ex.failure_event if isinstance(ex, FailureEventException) else from_error(self, env, ex)

    return from_error_or_before


def to_boto(self, parameters, *_):
    """A state machine writes all names with a capital, whatever the service does; moto hands them on as they are."""
    self._to_boto_request(parameters, operation(self).input_shape)


def from_boto(self, response, *_):
    self._from_boto_response(response, operation(self).output_shape)


def operation(task):
    model = shared("us-east-1", task._get_boto_service_name()).meta.service_model
    return model.operation_model(task.resource.api_action[:1].upper() + task.resource.api_action[1:])


def client(region, service, state_credentials=None):
    found = shared(region, service, state_credentials)
    role = state_credentials.role_arn if state_credentials else ""
    return Losing(found, role) if service == "dynamodb" and "/losing/" in role else found


class Losing:
    """A client whose first answer never comes."""

    def __init__(self, client, role):
        self.client, self.role = client, role

    def __getattr__(self, name):
        send = getattr(self.client, name)

        def send_and_lose(**parameters):
            answer = send(**parameters)
            if self.role in LOST:
                return answer
            LOST.add(self.role)
            status = {"HTTPStatusCode": 500, "RequestId": "lost"}
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": "lost"}, "ResponseMetadata": status}, name)

        return send_and_lose


def shared(region, service, state_credentials=None):
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
