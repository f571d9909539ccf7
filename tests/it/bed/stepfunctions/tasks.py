"""Activities and task tokens."""

import time

from moto.core.exceptions import AWSError
from moto.stepfunctions.parser.api import InvalidToken
from moto.stepfunctions.parser.asl.eval.states import ContextObject
from moto.stepfunctions.parser.backend import activity, execution
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.responses import ActionResult, EmptyResult, StepFunctionResponse

# moto begins each execution with no activities.
ACTIVITIES = {}
# Every token that there ever was: one whose task is over is told from one that never was.
TOKENS = set()

# How long a worker that asks for a task waits: on AWS a minute. Here a worker that is told to stop is waited for.
PATIENCE = 2.0


class TaskTimedOut(AWSError):
    TYPE = "TaskTimedOut"
    STATUS = 400


def install():
    execution.Execution.__init__ = with_activities(execution.Execution.__init__)
    StepFunctionResponse.create_activity = create_activity(StepFunctionResponse.create_activity)
    StepFunctionResponse.get_activity_task = get_activity_task
    StepFunctionResponse.send_task_failure = send_task_failure
    ContextObject.update_task_token = remembered(ContextObject.update_task_token)
    for name in ("send_task_success", "send_task_failure", "send_task_heartbeat"):
        setattr(StepFunctionsParserBackend, name, told(getattr(StepFunctionsParserBackend, name)))


def with_activities(begin):
    def begin_with(self, *args, **kwargs):
        begin(self, *args, **{**kwargs, "activity_store": ACTIVITIES})

    return begin_with


def create_activity(create):
    def create_and_serve(self):
        answer = create(self)
        arn = f"arn:aws:states:{self.region}:{self.current_account}:activity:{self._get_param('name')}"
        ACTIVITIES.setdefault(arn, activity.Activity(arn, self._get_param("name")))
        return answer

    return create_and_serve


def get_activity_task(self):
    tasks, worker = ACTIVITIES[self._get_param("activityArn")], self._get_param("workerName")
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            task = tasks.get_task()
        except IndexError:
            time.sleep(0.02)
            continue
        if handed_out(self.stepfunction_backend, task, worker):
            return ActionResult({"taskToken": task.task_token, "input": task.task_input})
    return EmptyResult()


def handed_out(backend, task, worker):
    """Whether anybody still waits for it."""
    for running in backend._get_executions("RUNNING"):
        waits = running.exec_worker.env.callback_pool_manager.get(callback_id=task.task_token)
        if waits:
            waits.notify_activity_task_start(worker_name=worker)
            return True
    return False


def send_task_failure(self):
    """With the cause, which moto drops."""
    error, cause = self._get_param("error"), self._get_param("cause")
    self.stepfunction_backend.send_task_failure(self._get_param("taskToken"), error=error, cause=cause)
    return EmptyResult()


def remembered(update):
    def update_and_remember(self):
        token = update(self)
        TOKENS.add(token)
        return token

    return update_and_remember


def told(send):
    """moto knows the tokens of what runs. To AWS, that of a task which is over has timed out."""

    def send_or_tell(self, task_token, *args, **kwargs):
        try:
            return send(self, task_token, *args, **kwargs)
        except InvalidToken:
            if task_token in TOKENS:
                raise TaskTimedOut("the task is over") from None
            raise

    return send_or_tell
