"""JSONata, by the Python edition of the library that AWS's own is compared with. moto reads it, but can't evaluate it."""

import hashlib
import json
import random
import uuid

from jsonata import Jsonata
from moto.stepfunctions.parser.api import EvaluationFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata
from moto.stepfunctions.parser.asl.component.intrinsic import jsonata as functions
from moto.stepfunctions.parser.asl.eval import states, variable_store
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.jsonata import jsonata


def install():
    jsonata._eval_jsonata = evaluate
    # moto puts quotes around a text, whatever is in it.
    for module in (states, variable_store):
        module.encode_jsonata_variable_declarations = declarations
    for name in ("$uuid", "$hash", "$randomSeeded"):
        functions._DECLARATION_BY_VARIABLE_REFERENCE.pop(name, None)
    StringJSONata._eval_body = named(StringJSONata._eval_body)
    Environment.as_inner_frame_of = classmethod(with_item(Environment.as_inner_frame_of.__func__))


def named(evaluate_body):
    """An expression that fails is an error by its own name, which `Retry` and `Catch` go by."""

    def evaluate_or_name(self, env):
        try:
            evaluate_body(self, env)
        except jsonata.JSONataException as error:
            name = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
            details = EvaluationFailedEventDetails(error=name.error_name, cause=str(error.details))
            event = FailureEvent(
                env=env,
                error_name=name,
                event_type=HistoryEventType.EvaluationFailed,
                event_details=EventDetails(evaluationFailedEventDetails=details),
            )
            raise FailureEventException(failure_event=event) from error

    return evaluate_or_name


def with_item(open_frame):
    """The item of a Map is in the context of all states within it; moto forgets it in the first of them."""

    def open_frame_with_item(cls, env, *args, **kwargs):
        frame = open_frame(cls, env, *args, **kwargs)
        data = env.states.context_object.context_object_data
        if "Map" in data:
            frame.states.context_object.context_object_data["Map"] = data["Map"]
        return frame

    return open_frame_with_item


def declarations(bindings):
    return "".join(f"{name}:={json.dumps(value, default=str)};" for name, value in bindings.items())


def evaluate(expression):
    """What Step Functions adds to JSONata, and what it takes away: *Transforming data with JSONata*, Step Functions."""
    try:
        program = Jsonata(expression)
        program.register_lambda("uuid", lambda: str(uuid.uuid4()))
        program.register_lambda("hash", digest)
        program.register_lambda("random", fraction)
        return program.evaluate(None)
    except Exception as error:
        raise jsonata.JSONataException("UNKNOWN", str(error)) from error


def digest(text, algorithm="SHA-256"):
    return hashlib.new(algorithm.replace("-", "").lower(), text.encode()).hexdigest()


def fraction(seed=None):
    return random.Random(seed).random()
