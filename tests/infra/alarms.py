"""What the alarms watch, and whom they tell."""

# The metric of each, and what it is about: a resource of the template's, or a name that is the same everywhere.
TABLE = {"TableName": {"Ref": "Table"}}
FUNCTION = {"FunctionName": {"Ref": "Function"}}
LAMBDA = {
    "TableThrottled": ("AWS/DynamoDB", "WriteThrottleEvents", TABLE),
    "IndexThrottled": ("AWS/DynamoDB", "WriteThrottleEvents", {**TABLE, "GlobalSecondaryIndexName": "by_due_time"}),
    "RequestsThrottled": ("AWS/DynamoDB", "ThrottledRequests", {**TABLE, "Operation": "UpdateItem"}),
    "FunctionFails": ("AWS/Lambda", "Errors", FUNCTION),
    "FunctionThrottled": ("AWS/Lambda", "Throttles", FUNCTION),
    "MessagesDead": (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        {"QueueName": {"Fn::GetAtt": ["DeadLetters", "QueueName"]}},
    ),
    "MessagesLate": ("AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": {"Fn::GetAtt": ["Queue", "QueueName"]}}),
}
THROTTLED = {name: LAMBDA[name] for name in ("TableThrottled", "IndexThrottled")}


def of_machines(names):
    """Of each state machine, that executions fail, and that they run out of time."""
    wanted = {}
    for name in names:
        machine = {"StateMachineArn": {"Ref": name}}
        wanted[f"{name}Fails"] = ("AWS/States", "ExecutionsFailed", machine)
        wanted[f"{name}Late"] = ("AWS/States", "ExecutionsTimedOut", machine)
    return wanted


STEPS = {"TableThrottled": THROTTLED["TableThrottled"], **of_machines(["Payments", "Packing", "Approvals", "Sending"])}
FAN_OUT = {**THROTTLED, **of_machines(["FanOut"])}
TELLS = {"Fn::If": ["TellsTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}


def alarms_of(path):
    return {"table.json": {}, "step_functions.yaml": STEPS, "fan_out.yaml": FAN_OUT}.get(path.name, LAMBDA)


def complaints_about_alarms(template, everything):
    is_alarm = lambda resource: resource["Type"] == "AWS::CloudWatch::Alarm"
    found = {name: resource["Properties"] for name, resource in template["Resources"].items() if is_alarm(resource)}
    complaints = [f"no one knows the alarm {name}" for name in found.keys() - everything.keys()]
    for name, wanted in everything.items():
        alarm = found.get(name, {})
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm.get("Dimensions", [])}
        watches = (alarm.get("Namespace"), alarm.get("MetricName"), dimensions)
        if watches != wanted:
            complaints.append(f"{name} watches {watches}, not {wanted}")
        if alarm.get("AlarmActions") != TELLS:
            complaints.append(f"{name} does not tell the topic")
        # A queue, a table or a function that nobody uses has no data, and is well.
        if alarm.get("TreatMissingData") != "notBreaching":
            complaints.append(f"{name} takes no data for trouble")
    return complaints
