"""Deploys a template with state machines to moto, and says what is not there as it should be.

moto's interpreter reads each definition, and statelint does. What a machine's role allows must be what its definition calls.
"""

import ast
import json
import re
import subprocess
import tempfile

import boto3
from moto.stepfunctions import models
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from deployed import Stack, check_logs, check_table, playing_aws
from tools import BIN

# CloudFormation would create machines where no definition is read.
models.stepfunctions_backends = stepfunctions_parser_backends

# What a definition's resource needs, by its end (*How Step Functions generates IAM policies for integrated services*).
NEEDS = {
    "states:::lambda:invoke": {"lambda:InvokeFunction"},
    "states:::sqs:sendMessage": {"sqs:SendMessage"},
    "states:::dynamodb:updateItem": {"dynamodb:UpdateItem"},
    "states:::dynamodb:getItem": {"dynamodb:GetItem"},
    "states:::aws-sdk:sfn:describeMapRun": {"states:DescribeMapRun"},
    "states:::s3:getObject": {"s3:GetObject"},
    # Results that are too large for one request are written in parts.
    "states:::s3:putObject": {"s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"},
    # Nothing: whoever works on an activity has the permission.
    ":activity": set(),
}
# The children of a Distributed Map.
CHILDREN = {"states:StartExecution", "states:DescribeExecution", "states:StopExecution", "states:RedriveExecution"}
# Machines that are not redriven but started again.
STARTED_AGAIN = {"Sending"}
# What any machine needs for its logs and traces, on everything.
ANY = {"LogDelivery", "Traces"}

# What statelint does not know of, or knows wrongly: a reader's InputType, expressions where it wants a number, and a percentage with a
# fraction, without which moto reads none.
UNKNOWN = [
    re.compile(r'Field "InputType" not allowed in .*\.ItemReader\.ReaderConfig$'),
    re.compile(r"\.ToleratedFailurePercentage is \d+\.\d+ but should be an Integer$"),
    re.compile(r'\.Seconds is "\{% .* %\}" but should be an Integer$'),
]


def complaints_about_machines(template):
    with playing_aws(execute_state_machine=True):
        names = [name for name in template["Parameters"] if name.startswith("Code") or name.endswith("CodeKey")]
        values = {name: "code" if name == "CodeBucket" else "bootstrap.zip" for name in names}
        stack = Stack(without_activities(with_substitutions(template)), values)
        check_table(stack)
        check_logs(stack)
        for name in machines(template):
            check_machine(stack, name)
        for name in of_type(template, "AWS::Lambda::Function"):
            check_function(stack, name)
        return stack.complaints


def of_type(template, kind):
    return [name for name, resource in template["Resources"].items() if resource["Type"] == kind]


def machines(template):
    return of_type(template, "AWS::StepFunctions::StateMachine")


def with_substitutions(template):
    """moto leaves DefinitionSubstitutions out, which are to a definition what Fn::Sub is to any text."""
    template = json.loads(json.dumps(template))
    for name in machines(template):
        properties = template["Resources"][name]["Properties"]
        values = properties.pop("DefinitionSubstitutions", {})
        properties["DefinitionString"] = {"Fn::Sub": [properties["DefinitionString"], values]}
    return template


def without_activities(template):
    """moto has none in CloudFormation. What refers to one has its ARN."""
    text = json.dumps(template)
    for name in of_type(template, "AWS::StepFunctions::Activity"):
        arn = f"arn:aws:states:us-east-1:123456789012:activity:{name}"
        text = text.replace(json.dumps({"Ref": name}), json.dumps(arn))
    template = json.loads(text)
    for name in of_type(template, "AWS::StepFunctions::Activity"):
        del template["Resources"][name]
    return template


def check_machine(stack, name):
    machine = boto3.client("stepfunctions").describe_state_machine(stateMachineArn=stack.ids[name])
    definition = json.loads(machine["definition"])
    stack.expect(f"what {name} does not fill in", re.findall(r"\$\{\w+\}", machine["definition"]), [])
    properties = stack.template["Resources"][name]["Properties"]
    stack.expect(f"the traces of {name}", properties.get("TracingConfiguration"), {"Enabled": True})
    logging = properties.get("LoggingConfiguration", {})
    stack.expect(f"what the logs of {name} show", logging.get("IncludeExecutionData"), False)
    stack.expect(f"when {name} ends", "TimeoutSeconds" in definition, True)
    role = machine["roleArn"].rsplit("/", 1)[1]
    stack.expect(f"the role of {name}", role, stack.ids[properties["RoleArn"]["Fn::GetAtt"][0]])
    stack.expect(f"what {name} may do", allowed(role), needed(definition))
    stack.complaints += [f"statelint on {name}: {complaint}" for complaint in statelint(definition)]
    check_retries(stack, name, definition)
    check_patience(stack, name, definition)
    check_lease(stack, name, definition)
    if name not in STARTED_AGAIN:
        check_redrives(stack, name, definition)


def allowed(role):
    iam = boto3.client("iam")
    actions = set()
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        # moto keeps the policies of a role as Python writes them.
        document = document if isinstance(document, dict) else ast.literal_eval(document)
        for statement in document["Statement"]:
            if statement["Sid"] in ANY:
                continue
            actions.update(statement["Action"])
            if "*" in statement["Resource"] and statement["Resource"] == "*":
                actions.add(f"{statement['Sid']} on everything")
    return actions


def needed(definition):
    actions = set()
    for part in parts(definition):
        resource = part.get("Resource", "").removesuffix(".waitForTaskToken")
        for end, needs in NEEDS.items():
            if end in resource:
                actions |= needs
        if part.get("Mode") == "DISTRIBUTED":
            actions |= CHILDREN
    return actions


def parts(value):
    """All objects within."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for part in value if isinstance(value, list) else []:
        yield from parts(part)


def check_retries(stack, name, definition):
    """Each task says what is tried again, and how long it may take."""
    for part in parts(definition):
        if part.get("Type") == "Task":
            what = f"{name}: {part['Resource']}"
            stack.expect(f"{what} is tried again", bool(part.get("Retry")), True)
            if "dynamodb" not in part["Resource"]:
                stack.expect(f"{what} ends", "TimeoutSeconds" in part, True)


def check_patience(stack, name, definition):
    """Who finds a lock waits at least as long as whoever has it may work."""
    for part in parts(definition):
        for retry in part.get("Retry", []):
            if "TaskLocked" in retry["ErrorEquals"]:
                # Of a delay at random, half is to be expected.
                waits = sum(delays(retry)) / (2 if retry.get("JitterStrategy") == "FULL" else 1)
                stack.expect(f"{name} waits out a lock", waits >= part["TimeoutSeconds"], True)


def check_lease(stack, name, definition):
    """What is done between a start without code and its end is over before the lease is."""
    for lease in re.findall(r"\$millis\(\) \+ (\d+)\) %\}", json.dumps(find(definition, ":expires"))):
        for part in parts(definition):
            if part.get("Type") == "Task" and "dynamodb" not in part["Resource"]:
                tries = 1 + sum(retry["MaxAttempts"] for retry in part["Retry"])
                waits = sum(sum(delays(retry)) for retry in part["Retry"])
                longest = tries * part.get("TimeoutSeconds", 0) + waits
                stack.expect(f"{name} works within its lease", longest < int(lease) / 1000, True)


def find(definition, name):
    return [part[name] for part in parts(definition) if name in part]


def delays(retry):
    """The longest delays before the tries that a Retry allows, in seconds."""
    first, rate, most = retry.get("IntervalSeconds", 1), retry.get("BackoffRate", 2.0), retry.get("MaxDelaySeconds", 31_622_400)
    return [min(first * rate**number, most) for number in range(retry.get("MaxAttempts", 3))]


def check_redrives(stack, name, definition):
    """A redrive goes on at the state that failed. So what fails is the task itself: in a Fail state, it would fail again."""
    for part in parts(definition):
        states = part.get("States", {})
        for state, of in states.items():
            ends = [catch["Next"] for catch in of.get("Catch", []) if states[catch["Next"]]["Type"] == "Fail"]
            stack.expect(f"where {name} is redriven in vain from {state}", ends, [])


def statelint(definition):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(definition, file)
        file.flush()
        done = subprocess.run([BIN / "statelint", file.name], capture_output=True, text=True, check=False)
    if done.stderr:
        raise SystemExit(f"statelint failed: {done.stderr}")
    # The first line says how many there are, and of one it says it too.
    complaints = [line.strip() for line in done.stdout.splitlines()[1:] if line.strip()]
    return [text for text in complaints if not any(unknown.search(text) for unknown in UNKNOWN)]


def check_function(stack, name):
    function = boto3.client("lambda").get_function_configuration(FunctionName=stack.ids[name])
    variables = function.get("Environment", {}).get("Variables", {})
    stack.expect(f"the table of {name}", variables.get("DYNAMO_TRACKER_TABLE"), stack.ids["Table"])
    stack.expect(f"the runtime of {name}", function["Runtime"], "provided.al2023")
