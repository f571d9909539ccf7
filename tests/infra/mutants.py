"""Templates with one thing wrong, each of which one of the checks must find. A check that can't fail proves nothing."""

import dataclasses
import json

from templates import FAN_OUT, PLAIN, SAM, STEPS, TABLE

GONE = object()
ROLE = "Resources.Role.Properties.Policies.0.PolicyDocument.Statement"
EVENT = "Resources.Function.Properties.Events.Messages.Properties"
BACKUPS = "Resources.Table.Properties.PointInTimeRecoverySpecification"
INDEX = "Resources.Table.Properties.GlobalSecondaryIndexes"
MAPPING = "Resources.FunctionMessages.Properties"
WORKER = "Resources.WorkerPolicy.Properties.PolicyDocument.Statement"
ALARM = "Resources.MessagesDead"
PAYMENTS = "Resources.Payments.Properties"
CHILDREN = "Resources.ChildrenPolicy.Properties.PolicyDocument.Statement"
SENDING = "Resources.SendingRole.Properties.Policies.0.PolicyDocument.Statement"


IMPATIENT = [{"ErrorEquals": ["TaskLocked"], "IntervalSeconds": 1, "MaxAttempts": 3}]
LEASE = {"Payload": {":expires": {"N": "{% $string($millis() + 7000) %}"}}}
CAUGHT = [{"ErrorEquals": ["TaskExhausted"], "Next": "B"}]


def definition(other="Succeed", **state):
    """A definition of one state, and of another that nothing leads to."""
    states = {"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "TimeoutSeconds": 9, "End": True, **state}, "B": {"Type": other}}
    return json.dumps({"StartAt": "A", "TimeoutSeconds": 60, "States": states})



@dataclasses.dataclass(eq=False)
class Mutant:
    check: str
    template: object
    # What is changed, from the top of the template.
    place: str
    value: object
    # What the check says of it, in part.
    finds: str

    def __str__(self):
        value = "gone" if self.value is GONE else self.value
        return f"{self.check}: {self.template.name} where {self.place} is {value}"

    def change(self, template):
        *path, last = self.place.split(".")
        holder = template
        for part in path:
            holder = holder[key(holder, part)]
        if self.value is GONE:
            del holder[key(holder, last)]
        else:
            holder[key(holder, last)] = self.value


def key(holder, part):
    return int(part) if isinstance(holder, list) else part



ALL = [
    Mutant("lint", PLAIN, "Resources.Queue.Properties.VisibilityTimeOut", 1, "E3002"),
    Mutant("lint", PLAIN, f"{MAPPING}.FunctionName", {"Ref": "Functoin"}, "E1020"),
    Mutant("lint", SAM, "Resources.Function.Properties.MemorySise", 1, "E3002"),
    Mutant("lint", TABLE, "Resources.Table.DeletionPolicy", GONE, "W3011"),
    Mutant("scan", TABLE, BACKUPS, GONE, "CKV_AWS_28"),
    Mutant("scan", PLAIN, BACKUPS, GONE, "CKV_AWS_28"),
    Mutant("scan", SAM, BACKUPS, GONE, "CKV_AWS_28"),
    Mutant("scan", PLAIN, "Resources.Logs.Properties.RetentionInDays", GONE, "CKV_AWS_66"),
    Mutant("scan", PLAIN, "Resources.Function.Metadata", GONE, "CKV_AWS_115"),
    Mutant("scan", PLAIN, f"{ROLE}.0.Resource", "*", "CKV_AWS_111"),
    Mutant("deploy", TABLE, "Resources.Table.Properties.KeySchema.0.AttributeName", "shard", "the table's key"),
    Mutant("deploy", TABLE, "Resources.Table.Properties.BillingMode", GONE, "the table's billing"),
    Mutant("deploy", TABLE, "Resources.Table.Properties.DeletionProtectionEnabled", GONE, "deletion protection"),
    Mutant("deploy", TABLE, f"{WORKER}.0.Resource", "*", "what WorkerPolicy is about"),
    Mutant("deploy", PLAIN, INDEX, GONE, "the table's indexes"),
    Mutant("deploy", PLAIN, f"{INDEX}.0.Projection.ProjectionType", "ALL", "the table's indexes"),
    Mutant("deploy", PLAIN, "Resources.Queue.Properties.RedrivePolicy", GONE, "the queue's redrive"),
    Mutant("deploy", PLAIN, "Resources.Queue.Properties.VisibilityTimeout", 30, "the queue's visibility timeout"),
    Mutant("deploy", PLAIN, "Resources.DeadLetters.Properties.SqsManagedSseEnabled", False, "encryption"),
    Mutant("deploy", PLAIN, "Resources.DeadLetters.Properties.MessageRetentionPeriod", 60, "kept longer"),
    Mutant("deploy", PLAIN, "Mappings.Timeouts.900.Visibility", 5400, "is enough for 900 s"),
    Mutant("deploy", PLAIN, "Parameters.FunctionTimeout.AllowedValues.0", "11", "is enough for 11 s"),
    Mutant("deploy", PLAIN, f"{MAPPING}.FunctionResponseTypes", GONE, "what the function answers"),
    Mutant("deploy", PLAIN, f"{MAPPING}.EventSourceArn", {"Fn::GetAtt": ["DeadLetters", "Arn"]}, "the event source"),
    Mutant("deploy", PLAIN, f"{MAPPING}.ScalingConfig", GONE, "the concurrency"),
    Mutant("deploy", PLAIN, f"{MAPPING}.BatchSize", 1, "the batch"),
    Mutant("deploy", PLAIN, f"{ROLE}.0.Action", ["dynamodb:*"], "the wildcards"),
    Mutant("deploy", PLAIN, f"{ROLE}.1.Action", ["sqs:SendMessage"], "what may be done with messages"),
    Mutant("deploy", PLAIN, f"{ROLE}.2.Resource", "*", "what process-tasks is about"),
    Mutant("deploy", PLAIN, f"{ROLE}.2.Action", ["logs:CreateLogGroup"], "what may be done with logs"),
    Mutant(
        "deploy",
        PLAIN,
        "Resources.Role.Properties.AssumeRolePolicyDocument.Statement.0.Principal",
        {"AWS": "*"},
        "who may take the role",
    ),
    Mutant("deploy", PLAIN, "Resources.Logs.Properties.RetentionInDays", GONE, "the logs' retention"),
    Mutant("deploy", PLAIN, "Resources.Function.Properties.Environment", GONE, "the function's table"),
    Mutant("deploy", PLAIN, "Resources.Function.Properties.Runtime", "provided.al2", "the function's runtime"),
    Mutant("deploy", PLAIN, "Resources.Function.Properties.Architectures", GONE, "the function's machine"),
    Mutant("deploy", SAM, f"{EVENT}.FunctionResponseTypes", GONE, "what the function answers"),
    Mutant("deploy", SAM, "Resources.Function.Properties.Role", GONE, "the function's role"),
    Mutant("alarms", PLAIN, ALARM, GONE, "MessagesDead watches"),
    Mutant("alarms", PLAIN, f"{ALARM}.Properties.Dimensions.0.Value", {"Ref": "Queue"}, "MessagesDead watches"),
    Mutant("alarms", PLAIN, f"{ALARM}.Properties.AlarmActions", GONE, "does not tell the topic"),
    Mutant("alarms", PLAIN, f"{ALARM}.Properties.TreatMissingData", "breaching", "takes no data for trouble"),
    Mutant("alarms", PLAIN, "Resources.Another", {"Type": "AWS::CloudWatch::Alarm", "Properties": {}}, "no one knows"),
    Mutant("lint", STEPS, f"{PAYMENTS}.DefinitionString", definition(Tpye="Task"), "E3601"),
    Mutant("deploy", STEPS, f"{PAYMENTS}.TracingConfiguration", GONE, "the traces of Payments"),
    Mutant("deploy", FAN_OUT, "Resources.FanOut.Properties.LoggingConfiguration", GONE, "what the logs of FanOut"),
    Mutant("scan", FAN_OUT, "Resources.Bucket.Properties.PublicAccessBlockConfiguration", GONE, "CKV_AWS_53"),
    Mutant("deploy", STEPS, f"{PAYMENTS}.DefinitionString", definition(), "statelint on Payments: No transition"),
    Mutant("deploy", STEPS, f"{PAYMENTS}.DefinitionString", definition(Retry=[]), "is tried again"),
    Mutant("deploy", STEPS, f"{PAYMENTS}.DefinitionString", definition("Fail", Catch=CAUGHT), "redriven in vain from A"),
    Mutant("deploy", STEPS, f"{PAYMENTS}.DefinitionString", definition(Retry=IMPATIENT), "waits out a lock"),
    Mutant("deploy", STEPS, f"{PAYMENTS}.DefinitionString", definition(Retry=IMPATIENT, Parameters=LEASE), "works within its lease"),
    Mutant("deploy", STEPS, f"{PAYMENTS}.LoggingConfiguration.IncludeExecutionData", True, "what the logs of Payments"),
    Mutant("deploy", STEPS, f"{PAYMENTS}.RoleArn", {"Fn::GetAtt": ["SendingRole", "Arn"]}, "what Payments may do"),
    Mutant("deploy", STEPS, f"{SENDING}.0.Action", ["dynamodb:*"], "what Sending may do"),
    Mutant("deploy", STEPS, f"{SENDING}.1.Resource", "*", "what Sending may do"),
    Mutant("deploy", FAN_OUT, "Resources.ChildrenPolicy", GONE, "what FanOut may do"),
    Mutant("deploy", FAN_OUT, f"{CHILDREN}.2", GONE, "what FanOut may do"),
    Mutant("deploy", FAN_OUT, "Resources.Summary.Properties.Environment", GONE, "the table of Summary"),
    Mutant("alarms", STEPS, "Resources.PackingFails.Properties.MetricName", "ExecutionsAborted", "PackingFails watches"),
    Mutant("alarms", FAN_OUT, "Resources.FanOutLate", GONE, "FanOutLate watches"),
    Mutant("agree", SAM, "Resources.Function.Properties.MemorySize", 128, "/Function/Properties/MemorySize"),
    Mutant("agree", SAM, "Resources.MessagesLate", GONE, "/Resources/MessagesLate"),
    Mutant("agree", SAM, "Parameters.BatchSize.Default", 1, "/Parameters/BatchSize"),
]

# The same for the Terraform module: what is written there, what instead, and what is said of it.
MODULE = [
    ('range_key       = "due_time"', 'range_key       = "shard"', "table is"),
    ('attribute_name = "expire_at"', 'attribute_name = "ttl"', "table is"),
    ("deletion_protection_enabled = true", "deletion_protection_enabled = false", "table is"),
    ('      "dynamodb:Scan",\n', "", "operator is"),
    ("/index/by_due_time", "/index/*", "worker is"),
    ("  point_in_time_recovery {\n    enabled = true\n  }\n", "", "CKV_AWS_28"),
    ('  billing_mode                = ', "  billing_mode = ", "is not formatted"),
]
