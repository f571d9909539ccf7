"""The Terraform module: what python-hcl2 reads in it is what infra/table.json has, terraform formats it as it is, and checkov finds
nothing. `terraform validate` needs the provider, which is not to be had where this was made.
"""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile

import mutants
import templates
import tools

MODULE = templates.INFRA / "terraform"
# checkov brings a parser of the same name, so this one has an environment of its own.
PYTHON = pathlib.Path(tools.BIN).parent / "hcl2" / "bin" / "python"
TERRAFORM = shutil.which("terraform") or shutil.which("tofu")
READ = "import hcl2, json, sys; print(json.dumps(hcl2.load(sys.stdin)))"


def complaints_about_terraform(module=MODULE):
    found = badly_formatted(module) + scanned(module)
    for path in module.glob("*.tf"):
        read(path)
    return found + different(read(module / "main.tf"), templates.load(templates.TABLE))


def broken():
    """The mutants of the module that can be found. Without terraform, nobody looks at the format."""
    return [mutant for mutant in mutants.MODULE if TERRAFORM or mutant[2] != "is not formatted"]


def surviving_mutants():
    """Those of the module that are not found."""
    return [old for old, new, finds in broken() if not found(old, new, finds)]


def found(old, new, finds):
    with tempfile.TemporaryDirectory() as folder:
        module = pathlib.Path(folder) / "module"
        shutil.copytree(MODULE, module)
        text = (module / "main.tf").read_text()
        if old not in text:
            raise SystemExit(f"the module has no {old!r} to break")
        (module / "main.tf").write_text(text.replace(old, new))
        return any(finds in complaint for complaint in complaints_about_terraform(module))


def badly_formatted(module):
    if TERRAFORM is None:
        print("infra: NOT CHECKED: there is no terraform here, so nobody has looked at the module's format")
        return []
    done = subprocess.run([TERRAFORM, "fmt", "-check", module], capture_output=True, text=True, check=False)
    return [f"{name} is not formatted" for name in done.stdout.split()]


def scanned(module):
    options = ["--framework", "terraform", "--skip-download", "--quiet", "--compact", "--output", "json"]
    report = json.loads(tools.run(["checkov", *options, "--directory", str(module)]))
    if report["summary"]["passed"] == 0 or report["summary"]["parsing_errors"]:
        raise SystemExit(f"checkov did not read the module: {report['summary']}")
    return [f"{check['check_id']}: {check['check_name']}" for check in report["results"]["failed_checks"]]


def read(path):
    done = subprocess.run([PYTHON, "-c", READ], input=path.read_text(), capture_output=True, text=True, check=True)
    return plain(json.loads(done.stdout))


def plain(value):
    """Without the quotes, and the notes of its own, that the parser leaves in."""
    if isinstance(value, dict):
        return {plain(name): plain(of) for name, of in value.items() if not name.startswith("__")}
    if isinstance(value, list):
        return [plain(of) for of in value]
    return value.strip('"') if isinstance(value, str) else value


def different(module, template):
    wanted = {"table": of_template(template["Resources"]["Table"]["Properties"])}
    found = {"table": of_module(one(module["resource"], "aws_dynamodb_table", "this"))}
    for name, resource in [("worker", "WorkerPolicy"), ("operator", "OperatorPolicy")]:
        document = template["Resources"][resource]["Properties"]["PolicyDocument"]
        wanted[name] = {statement["Sid"]: (statement["Action"], about(statement)) for statement in document["Statement"]}
        statements = one(module["data"], "aws_iam_policy_document", name)["statement"]
        found[name] = {of["sid"]: (of["actions"], where(of)) for of in statements}
    return [f"{name} is {found[name]}, and infra/table.json has {wanted[name]}" for name in wanted if found[name] != wanted[name]]


def one(blocks, kind, name):
    found = [block[kind][name] for block in blocks if kind in block and name in block[kind]]
    if len(found) != 1:
        raise SystemExit(f"the module has {len(found)} of {kind}.{name}")
    return found[0]


def of_template(table):
    keys = lambda of: [key["AttributeName"] for key in of["KeySchema"]]
    return {
        "billing": table["BillingMode"],
        "attributes": {of["AttributeName"]: of["AttributeType"] for of in table["AttributeDefinitions"]},
        "key": keys(table),
        "indexes": {of["IndexName"]: (keys(of), of["Projection"]["ProjectionType"]) for of in table["GlobalSecondaryIndexes"]},
        "ttl": (table["TimeToLiveSpecification"]["AttributeName"], table["TimeToLiveSpecification"]["Enabled"]),
        "backups": table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"],
        "encryption": table["SSESpecification"]["SSEEnabled"],
        "protection": table["DeletionProtectionEnabled"],
    }


def of_module(table):
    keys = lambda of: [of[name] for name in ("hash_key", "range_key") if name in of]
    return {
        "billing": table["billing_mode"],
        "attributes": {of["name"]: of["type"] for of in table["attribute"]},
        "key": keys(table),
        "indexes": {of["name"]: (keys(of), of["projection_type"]) for of in table["global_secondary_index"]},
        "ttl": (table["ttl"][0]["attribute_name"], table["ttl"][0]["enabled"]),
        "backups": table.get("point_in_time_recovery", [{}])[0].get("enabled"),
        "encryption": table["server_side_encryption"][0]["enabled"],
        "protection": table["deletion_protection_enabled"],
    }


def about(statement):
    """What a statement of the template is about, in the words of both."""
    resource = statement["Resource"]
    return "table" if "Fn::GetAtt" in resource else resource["Fn::Sub"].replace("${Table.Arn}", "table")


def where(statement):
    """The same of the module."""
    (resource,) = statement["resources"]
    return re.sub(r"^\$\{(aws_dynamodb_table\.this\.arn)\}", "table", resource).replace("aws_dynamodb_table.this.arn", "table")
