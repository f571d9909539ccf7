"""A Wait until a time lasts until then: moto leaves out what is less than a second, and would come too early."""

import datetime
import math

from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import Timestamp


def install():
    Timestamp._get_wait_seconds = seconds_until


def seconds_until(self, env):
    self.string.eval(env=env)
    text = env.stack.pop()
    if not self._is_valid_timestamp_pattern(text):
        raise FailureEventException(self._create_failure_event(env, text))
    until = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return math.ceil((until - datetime.datetime.now(datetime.timezone.utc)).total_seconds())
