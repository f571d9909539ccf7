"""The two linters, run on many files at once. Each answers with the complaints about each file."""

import collections
import json
import pathlib
import subprocess
import sys

BIN = pathlib.Path(sys.executable).parent


def lint(paths):
    """cfn-lint: the templates say what CloudFormation takes. Hints count too."""
    found = collections.defaultdict(list)
    output = run(["cfn-lint", "--include-checks", "I", "--format", "json", "--", *map(str, paths)])
    for complaint in json.loads(output or "[]"):
        found[complaint["Filename"]].append(f"{complaint['Rule']['Id']}: {complaint['Message']}")
    return {path: found[str(path)] for path in paths}


def scan(paths):
    """checkov: what is deployed is as safe as AWS can make it, but for what the templates say why it is not."""
    options = ["--framework", "cloudformation", "--skip-download", "--quiet", "--compact", "--output", "json"]
    output = run(["checkov", *options, *(part for path in paths for part in ("--file", str(path)))])
    report = json.loads(output)
    if report["summary"]["passed"] == 0 or report["summary"]["parsing_errors"]:
        raise SystemExit(f"checkov did not read the templates: {report['summary']}")
    found = collections.defaultdict(list)
    for check in report["results"]["failed_checks"]:
        found[check["file_abs_path"]].append(f"{check['check_id']}: {check['check_name']}, {check['resource']}")
    return {path: found[str(path)] for path in paths}


def run(command):
    """What it prints. That it fails means that it found something, which is in there; else it has died."""
    done = subprocess.run([BIN / command[0], *command[1:]], capture_output=True, text=True, check=False)
    if not done.stdout.strip() and done.returncode != 0:
        raise SystemExit(f"{command[0]} failed: {done.stderr}")
    return done.stdout
