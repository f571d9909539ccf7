"""What the alarms watch, and whom they tell."""

# The metric of each, and what it is about: a resource of the template's, or a name that is the same everywhere.
TABLE = {"TableName": {"Ref": "Table"}}
FUNCTION = {"FunctionName": {"Ref": "Function"}}
WANTED = {
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
TELLS = {"Fn::If": ["TellsTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}


def complaints_about_alarms(template):
    is_alarm = lambda resource: resource["Type"] == "AWS::CloudWatch::Alarm"
    found = {name: resource["Properties"] for name, resource in template["Resources"].items() if is_alarm(resource)}
    complaints = [f"no one knows the alarm {name}" for name in found.keys() - WANTED.keys()]
    for name, wanted in WANTED.items():
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
