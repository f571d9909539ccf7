"""Checks the templates in infra/, then that each check finds what is wrong. tests/infra/run has what this needs."""

import copy
import json
import logging
import os
import pathlib
import tempfile

# moto takes any, and nothing here may have real ones.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(AWS_DEFAULT_REGION="us-east-1", AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")

# SAM's translator misses a service that counts its users.
logging.getLogger("samtranslator").setLevel(logging.ERROR)
# moto says of each Distributed Map what it does not do with it.
logging.getLogger("moto").setLevel(logging.ERROR)

import mutants
import templates
import terraform
import tools
from alarms import alarms_of, complaints_about_alarms
from deployed import complaints_about_lambda, complaints_about_table
from machines import complaints_about_machines


def deploy(path, template):
    if path == templates.TABLE:
        return complaints_about_table(template)
    if path in (templates.STEPS, templates.FAN_OUT):
        return complaints_about_machines(template)
    return complaints_about_lambda(plain(path, template))


def alarms(path, template):
    return complaints_about_alarms(template, alarms_of(path))


def agree(path, template):
    """AWS makes the same of both forms."""
    if path != templates.SAM:
        return []
    ours, theirs = comparable(templates.load(templates.PLAIN)), comparable(plain(path, template))
    return [f"sam.yaml and lambda.yaml differ in {place}" for place in differences(ours, theirs)]


def plain(path, template):
    return templates.translated(template) if path == templates.SAM else template


def comparable(template):
    """A template without what must differ: where the code is, and that SAM made it."""
    template = copy.deepcopy(template)
    template.pop("Description")
    for name in templates.CODE:
        template["Parameters"].pop(name, None)
    function = template["Resources"]["Function"]["Properties"]
    del function["Code"]
    function.pop("Tags", None)
    return template


def differences(ours, theirs, place=""):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = sorted(ours.keys() | theirs.keys())
        return [found for name in names for found in differences(ours.get(name), theirs.get(name), f"{place}/{name}")]
    return [] if ours == theirs else [place]


DEPLOYMENTS = {"deploy": deploy, "alarms": alarms, "agree": agree}
LINTERS = {"lint": tools.lint, "scan": tools.scan}


def check_templates():
    """All complaints of all checks about the templates as they are."""
    complaints = []
    for linter in LINTERS.values():
        complaints += [f"{path.name}: {text}" for path, found in linter(templates.ALL).items() for text in found]
    for path in templates.ALL:
        for check in DEPLOYMENTS.values():
            complaints += [f"{path.name}: {text}" for text in check(path, templates.load(path))]
    return complaints + [f"terraform: {text}" for text in terraform.complaints_about_terraform()]


def surviving_mutants():
    """Those that their check does not find."""
    found = {mutant: check_mutant(mutant) for mutant in mutants.ALL if mutant.check in DEPLOYMENTS}
    with tempfile.TemporaryDirectory() as folder:
        for name, linter in LINTERS.items():
            files = {mutant: write(folder, mutant) for mutant in mutants.ALL if mutant.check == name}
            complaints = linter(list(files.values()))
            found.update((mutant, complaints[file]) for mutant, file in files.items())
    return [str(mutant) for mutant in mutants.ALL if not any(mutant.finds in text for text in found[mutant])]


def check_mutant(mutant):
    return DEPLOYMENTS[mutant.check](mutant.template, mutated(mutant))


def mutated(mutant):
    template = templates.load(mutant.template)
    mutant.change(template)
    return template


def write(folder, mutant):
    path = pathlib.Path(folder).resolve() / f"{mutants.ALL.index(mutant)}.json"
    path.write_text(json.dumps(mutated(mutant), indent=1))
    return path


def main():
    complaints = check_templates()
    if complaints:
        raise SystemExit("\n".join(complaints))
    survivors = surviving_mutants() + terraform.surviving_mutants()
    if survivors:
        raise SystemExit("these are not found:\n" + "\n".join(survivors))
    broken = len(mutants.ALL) + len(terraform.broken())
    print(f"infra: {len(templates.ALL)} templates and a module are as they should be, and {broken} broken ones were found")
    for old, _, finds in set(mutants.MODULE) - set(terraform.broken()):
        print(f"infra: NOT CHECKED: whether a module where {old.strip()!r} is changed {finds}")


if __name__ == "__main__":
    main()
