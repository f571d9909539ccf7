"""The templates, read as CloudFormation reads them: intrinsic functions in their long form."""

import copy
import json
import pathlib

import cfnlint.decode
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

INFRA = pathlib.Path(__file__).resolve().parents[2] / "infra"
TABLE = INFRA / "table.json"
PLAIN = INFRA / "lambda.yaml"
SAM = INFRA / "sam.yaml"
STEPS = INFRA / "step_functions.yaml"
FAN_OUT = INFRA / "fan_out.yaml"
ALL = [TABLE, PLAIN, SAM, STEPS, FAN_OUT]

# Where `sam deploy` would have put the code.
CODE = {"CodeBucket": "code", "CodeKey": "bootstrap.zip"}


def load(path):
    template, errors = cfnlint.decode.decode(str(path))
    if errors:
        raise SystemExit(f"{path}: {errors}")
    # Plain dictionaries, without the places that the linter keeps in its own.
    return json.loads(json.dumps(template))


def translated(template):
    """What AWS makes of a SAM template, by AWS's own translator."""
    template = copy.deepcopy(template)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = {"Bucket": CODE["CodeBucket"], "Key": CODE["CodeKey"]}
    return Translator({}, Parser()).translate(template, parameter_values={})
