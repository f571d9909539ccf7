"""moto's server, with what its Step Functions lacks beside AWS's. Run by the Python of tests/moto: server.py PORT

What a state machine calls is not moto's own where the tests have it real: functions are those of the tests' emulator, and
tables are DynamoDB Local's (services.py). JSONata comes from jsonata-python (language.py). Activities are handed out, and a
token is remembered when its task is over (tasks.py). A child of a Distributed Map has an ARN of its own, failures are counted
against what is tolerated, and an execution can be redriven (executions.py). A Wait until a time does not end before (waits.py).
"""

import os
import sys

PORT = sys.argv[1]
# Where the interpreter finds moto's own services, which it reads when it is loaded.
os.environ["MOTO_PORT"] = PORT

from moto.core.config import default_user_config

default_user_config["stepfunctions"] = {"execute_state_machine": True}

import executions
import language
import services
import tasks
import waits
from moto.server import main

for part in (services, language, tasks, executions, waits):
    part.install()
main(["-H", "127.0.0.1", "-p", PORT])
