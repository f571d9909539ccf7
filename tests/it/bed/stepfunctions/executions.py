"""Distributed Maps and redrives."""

import datetime
import json

from moto.core.exceptions import AWSError
from moto.stepfunctions.parser.api import ExecutionFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import distributed_iteration_component
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor import (
    distributed_item_processor_worker,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.responses import ActionResult, StepFunctionResponse

Component = distributed_iteration_component.DistributedIterationComponent
Worker = distributed_item_processor_worker.DistributedItemProcessorWorker


class ExecutionNotRedrivable(AWSError):
    TYPE = "ExecutionNotRedrivable"
    STATUS = 400


def install():
    Worker._eval_job = as_child(Worker._eval_job)
    Component._map_run = counted(Component._map_run)
    StepFunctionResponse.redrive_execution = redrive_execution


def as_child(evaluate):
    """A child is an execution of its own. Its ARN is the same when the map is redriven, as it is on AWS."""

    def evaluate_as_child(self, env, job):
        data = env.states.context_object.context_object_data
        parent = data["Execution"]["Id"]
        machine, name = parent.replace(":execution:", ":mapRun:").rsplit(":", 1)
        child = f"{machine}/{self._work_name}:{name}-{job.job_index}".replace(":mapRun:", ":execution:")
        # The parent's is shared by all frames.
        data["Execution"] = {**data["Execution"], "Id": child, "Name": child.rsplit(":", 1)[1], "Input": job.job_input}
        evaluate(self, env, job)

    return evaluate_as_child


def counted(run):
    """moto counts failures, and tolerates all. AWS stops a map at the first that is too many; here all have had their turn."""

    def run_and_count(self, env, eval_input):
        run(self, env, eval_input)
        items = eval_input.map_run_record.item_counter
        failed, total = items.failed.get(), max(items.total.get(), 1)
        allowed = max(eval_input.tolerated_failure_count, total * eval_input.tolerated_failure_percentage / 100)
        if failed > allowed:
            raise exceeded(env)

    return run_and_count


def exceeded(env):
    kind = StatesErrorNameType.StatesExceedToleratedFailureThreshold
    cause = "The specified tolerated failure threshold was exceeded"
    details = ExecutionFailedEventDetails(error=kind.to_name(), cause=cause)
    event = FailureEvent(
        env=env,
        error_name=StatesErrorName(typ=kind),
        event_type=HistoryEventType.MapRunFailed,
        event_details=EventDetails(executionFailedEventDetails=details),
    )
    return FailureEventException(failure_event=event)


def going_on(failed, worker):
    """A worker that begins with the last state that the failed one has entered, with its input and the variables."""
    program, environment = worker._get_evaluation_entrypoint(), worker._get_evaluation_environment()
    entered = [event["stateEnteredEventDetails"] for event in history(failed) if "stateEnteredEventDetails" in event]
    # The states within a Map are in the history too.
    last = [details for details in entered if details["name"] in program.states.states][-1]
    program.start_at.start_at_name = last["name"]
    environment.states.reset(json.loads(last["input"]))
    for name, value in failed.env.variable_store._inner_scope.items():
        environment.variable_store.set(name, value)
    worker._get_evaluation_entrypoint = lambda: program
    worker._get_evaluation_environment = lambda: environment
    return worker


def history(worker):
    return worker.env.event_manager.get_event_history()


def redrive_execution(self):
    """Runs an execution that has failed again, under its own ARN.

    It goes on at the state that failed, also where that is a Fail state, and fails again there. Of a Distributed Map's children
    AWS runs those that have not succeeded; here all of them are run from their beginning, which asks more of the tracker. moto has no
    redrive.
    """
    failed = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    if failed.status in ("RUNNING", "SUCCEEDED"):
        raise ExecutionNotRedrivable("only an execution that has failed can be redriven")
    again = Execution(
        name=failed.name,
        sm_type=failed.sm_type,
        role_arn=failed.role_arn,
        exec_arn=failed.exec_arn,
        account_id=failed.account_id,
        region_name=failed.region_name,
        state_machine=failed.state_machine,
        start_date=datetime.datetime.now(tz=datetime.timezone.utc),
        cloud_watch_logging_session=None,
        input_data=failed.execution_input,
        activity_store={},
    )
    again._get_start_execution_worker = lambda: going_on(failed.exec_worker, Execution._get_start_execution_worker(again))
    machine = self.stepfunction_backend._get_state_machine_for_execution(failed.exec_arn)
    machine.executions[machine.executions.index(failed)] = again
    again.start()
    return ActionResult({"redriveDate": again.start_date})
