"""JSONata, by the Python edition of the library that AWS's own is compared with. moto reads it, but can't evaluate it."""

import hashlib
import json
import random
import uuid

from jsonata import Jsonata
from moto.stepfunctions.parser.asl.component.intrinsic import jsonata as functions
from moto.stepfunctions.parser.asl.eval import states, variable_store
from moto.stepfunctions.parser.asl.jsonata import jsonata


def install():
    jsonata._eval_jsonata = evaluate
    # moto puts quotes around a text, whatever is in it.
    for module in (states, variable_store):
        module.encode_jsonata_variable_declarations = declarations
    for name in ("$uuid", "$hash", "$randomSeeded"):
        functions._DECLARATION_BY_VARIABLE_REFERENCE.pop(name, None)


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
