"""Deploys a template to moto, which plays AWS in this process, and says what is not there as it should be.

moto has no alarms in CloudFormation, which alarms.py looks at, and leaves out a table's TTL, backups and encryption,
which the Rust test `infra` looks at.
"""

import ast
import contextlib
import io
import json
import zipfile

import boto3
from moto import mock_aws

from templates import CODE


class Stack:
    """A stack that was deployed, and the complaints about it."""

    def __init__(self, template, parameters):
        self.template = template
        self.complaints = []
        cloudformation = boto3.client("cloudformation")
        cloudformation.create_stack(
            StackName="stack",
            TemplateBody=json.dumps(without_alarms(template)),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        resources = cloudformation.describe_stack_resources(StackName="stack")["StackResources"]
        self.ids = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}

    def expect(self, what, found, wanted):
        if found != wanted:
            self.complaints.append(f"{what}: {found!r}, not {wanted!r}")


def without_alarms(template):
    is_alarm = lambda resource: resource["Type"] == "AWS::CloudWatch::Alarm"
    resources = {name: resource for name, resource in template["Resources"].items() if not is_alarm(resource)}
    return {**template, "Resources": resources}


def complaints_about_table(template):
    with playing_aws():
        stack = Stack(template, {})
        table = check_table(stack)
        for name in ["WorkerPolicy", "OperatorPolicy"]:
            wanted = {"Tasks": table, "Index": f"{table}/index/by_due_time"}
            check_statements(stack, name, managed_policy(stack.ids[name]), wanted)
        return stack.complaints


def complaints_about_lambda(template):
    with playing_aws():
        stack = Stack(template, {name: value for name, value in CODE.items() if name in template["Parameters"]})
        table = check_table(stack)
        queue = check_queues(stack)
        logs = check_logs(stack)
        role = check_role(stack, {"Tasks": table, "Messages": queue, "Logs": logs})
        check_function(stack, role)
        check_event_source(stack, queue)
        return stack.complaints


@contextlib.contextmanager
def playing_aws(execute_state_machine=False):
    config = {"lambda": {"use_docker": False}, "stepfunctions": {"execute_state_machine": execute_state_machine}}
    with mock_aws(config=config):
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=CODE["CodeBucket"])
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("bootstrap", "")
        s3.put_object(Bucket=CODE["CodeBucket"], Key=CODE["CodeKey"], Body=code.getvalue())
        yield


def check_table(stack):
    table = boto3.client("dynamodb").describe_table(TableName=stack.ids["Table"])["Table"]
    stack.expect("the table's key", keys(table), [("id", "HASH")])
    indexes = table.get("GlobalSecondaryIndexes", [])
    indexes = [(index["IndexName"], keys(index), index["Projection"]) for index in indexes]
    by_due_time = ("by_due_time", [("shard", "HASH"), ("due_time", "RANGE")], {"ProjectionType": "KEYS_ONLY"})
    stack.expect("the table's indexes", indexes, [by_due_time])
    stack.expect("the table's billing", table.get("BillingModeSummary", {}).get("BillingMode"), "PAY_PER_REQUEST")
    stack.expect("the table's deletion protection", table["DeletionProtectionEnabled"], True)
    return table["TableArn"]


def keys(of):
    return [(key["AttributeName"], key["KeyType"]) for key in of["KeySchema"]]


def check_queues(stack):
    queue, dead = attributes(stack, "Queue"), attributes(stack, "DeadLetters")
    redrive = json.loads(queue.get("RedrivePolicy", "{}"))
    stack.expect("the queue's redrive", redrive.get("deadLetterTargetArn"), dead["QueueArn"])
    stack.expect("the queue's receives", int(redrive.get("maxReceiveCount", 0)), 5)
    stack.expect("the dead letters' redrive", dead.get("RedrivePolicy"), None)
    keeps_longer = int(dead["MessageRetentionPeriod"]) > int(queue["MessageRetentionPeriod"])
    stack.expect("the dead letters are kept longer", keeps_longer, True)
    for name, found in [("queue", queue), ("dead letters", dead)]:
        stack.expect(f"the {name}'s encryption", found.get("SqsManagedSseEnabled"), "true")
    check_visibility(stack, int(queue["VisibilityTimeout"]))
    return queue["QueueArn"]


def attributes(stack, name):
    return boto3.client("sqs").get_queue_attributes(QueueUrl=stack.ids[name], AttributeNames=["All"])["Attributes"]


def check_visibility(stack, visibility):
    """AWS asks for six times the function's timeout, and the batching window, whichever of them is chosen."""
    parameters = stack.template["Parameters"]
    chosen = boto3.client("lambda").get_function_configuration(FunctionName=stack.ids["Function"])["Timeout"]
    rows = stack.template["Mappings"]["Timeouts"]
    for timeout in parameters["FunctionTimeout"]["AllowedValues"]:
        found = rows.get(str(timeout), {}).get("Visibility", 0)
        enough = 6 * int(timeout) + parameters["BatchingWindow"]["MaxValue"]
        stack.expect(f"the visibility timeout of {found} s is enough for {timeout} s", found >= enough, True)
    stack.expect("the queue's visibility timeout", visibility, rows[str(chosen)]["Visibility"])


def check_logs(stack):
    name = stack.ids["Logs"]
    groups = boto3.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    stack.expect("the logs' retention", [group.get("retentionInDays") for group in groups], [30])
    return groups[0]["arn"]


def check_role(stack, wanted):
    iam = boto3.client("iam")
    role = iam.get_role(RoleName=stack.ids["Role"])["Role"]
    trusted = [statement["Principal"] for statement in role["AssumeRolePolicyDocument"]["Statement"]]
    stack.expect("who may take the role", trusted, [{"Service": "lambda.amazonaws.com"}])
    attached = iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]
    stack.expect("the role's other policies", attached, [])
    names = iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
    stack.expect("the role's policies", names, ["process-tasks"])
    for name in names:
        document = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
        # moto keeps the policies of a role as Python writes them.
        document = ast.literal_eval(document) if isinstance(document, str) else document
        check_statements(stack, name, document, wanted)
        check_queue_and_log_actions(stack, document)
    return role["Arn"]


def managed_policy(arn):
    iam = boto3.client("iam")
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def check_statements(stack, name, document, wanted):
    """Each statement is about one thing that was deployed, and names its actions one by one.

    Which actions on the table these are is held to what the crate sends by the Rust test `infra`.
    """
    found = {statement["Sid"]: statement["Resource"] for statement in document["Statement"]}
    stack.expect(f"what {name} is about", found, wanted)
    actions = [action for statement in document["Statement"] for action in statement["Action"]]
    stack.expect(f"the wildcards of {name}", [action for action in actions if "*" in action], [])
    effects = {statement["Effect"] for statement in document["Statement"]}
    stack.expect(f"the effect of {name}", effects, {"Allow"})


def check_queue_and_log_actions(stack, document):
    """Lambda itself reads the queue and writes the logs, with the function's role, and asks for no more than these.

    *Creating and configuring an Amazon SQS event source mapping*, AWS Lambda Developer Guide.
    """
    actions = {statement["Sid"]: set(statement["Action"]) for statement in document["Statement"]}
    messages = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
    stack.expect("what may be done with messages", actions.get("Messages"), messages)
    stack.expect("what may be done with logs", actions.get("Logs"), {"logs:CreateLogStream", "logs:PutLogEvents"})


def check_function(stack, role):
    function = boto3.client("lambda").get_function_configuration(FunctionName=stack.ids["Function"])
    variables = function.get("Environment", {}).get("Variables")
    stack.expect("the function's table", variables, {"DYNAMO_TRACKER_TABLE": stack.ids["Table"]})
    stack.expect("the function's runtime", function["Runtime"], "provided.al2023")
    # moto makes every function an x86-64 one.
    declared = stack.template["Resources"]["Function"]["Properties"]
    stack.expect("the function's machine", declared.get("Architectures"), ["arm64"])
    stack.expect("the function's role", function["Role"], role)


def check_event_source(stack, queue):
    sources = boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    stack.expect("how many event sources there are", len(sources), 1)
    for source in sources:
        stack.expect("the event source", source["EventSourceArn"], queue)
        stack.expect("whose it is", source["FunctionArn"].split(":function:")[1], stack.ids["Function"])
        stack.expect("what the function answers", source.get("FunctionResponseTypes"), ["ReportBatchItemFailures"])
        stack.expect("the batch", int(source["BatchSize"]), 10)
        stack.expect("the concurrency", int((source.get("ScalingConfig") or {}).get("MaximumConcurrency", 0)), 10)
