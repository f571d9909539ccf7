"""Activities and task tokens."""

import time

from moto.core.exceptions import AWSError
from moto.stepfunctions.parser.api import InvalidToken
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_activitiy import StateTaskActivity
from moto.stepfunctions.parser.asl.eval.states import ContextObject
from moto.stepfunctions.parser.backend import activity, execution
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.responses import ActionResult, EmptyResult, StepFunctionResponse

# moto begins each execution with no activities.
ACTIVITIES = {}
# Every token that there ever was, and those that nobody waits for any more: to AWS, such a one has timed out.
TOKENS, OVER = set(), set()

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
    for state in (StateTaskActivity, StateTaskServiceCallback):
        state._eval_execution = ended(state._eval_execution)
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
    if task.task_token in OVER:
        return False
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


def ended(evaluate):
    """However an attempt ends, its token is over with it."""

    def evaluate_and_end(self, env):
        try:
            evaluate(self, env)
        finally:
            OVER.add(env.states.context_object.context_object_data.get("Task", {}).get("Token"))

    return evaluate_and_end


def told(send):
    """moto knows the tokens of what runs, and takes an answer long after a state has timed out."""

    def send_or_tell(self, task_token, *args, **kwargs):
        if task_token in OVER:
            raise TaskTimedOut("the task is over")
        try:
            return send(self, task_token, *args, **kwargs)
        except InvalidToken:
            if task_token in TOKENS:
                raise TaskTimedOut("the task is over") from None
            raise

    return send_or_tell
