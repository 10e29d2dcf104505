"""The module driven through real Terraform: a copy of what travels, plans as JSON, and rendered scripts.

Invariant: nothing is written into the checkout, and the user's own Terraform settings and providers are the ones used.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import python_terraform

ROOT = Path(__file__).resolve().parents[2]
MODULE = ("main.tf", "outputs.tf", "variables.tf", "versions.tf", "requirements.lock", "bridge", "modules", "scripts")
"""What of the checkout the module needs; the rest is not copied by somebody who keeps it inside a template."""
PROGRAMS = ("terraform", "tofu")


def copy_module(target: Path, *more: str) -> Path:
    """Copy the module's own files, and `more`, from the checkout to `target`; return `target`."""
    unwanted = shutil.ignore_patterns("__pycache__", ".*")
    for name in (*MODULE, *more):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=unwanted)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def program() -> str | None:
    """Return the Terraform or OpenTofu to use, None where there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@contextmanager
def own_settings() -> Iterator[None]:
    """Let Terraform find the account's own plug-ins, which are kept in the home that the tests took away."""
    before = dict(os.environ)
    os.environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
    os.environ["CHECKPOINT_DISABLE"] = "1"
    for name in ("TF_CLI_CONFIG_FILE",):
        if not Path(os.environ.get(name, "/nowhere")).is_file():
            os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass(frozen=True)
class Answer:
    """What Terraform said: exit code, standard output, and both outputs with their line breaks made blanks."""

    code: int
    out: str
    text: str


class Terraform:
    """Terraform in one directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._driver = python_terraform.Terraform(working_dir=str(folder), terraform_bin_path=program())

    def run(self, command: str, *words: str, variables: Mapping[str, Any] | None = None, **flags: Any) -> Answer:
        """Run a command with variables and flags; messages are read as one line, without the frame around them."""
        if variables is not None:
            flags["var"] = dict(variables)
        if command != "show" and command != "output":
            flags["no_color"] = python_terraform.IsFlagged
        with own_settings(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            code, out, errors = self._driver.cmd(command, *words, **flags)
        words_said = (out + errors).replace("│", " ").split()
        return Answer(int(code), out, " ".join(words_said))

    def init(self) -> Answer:
        """Fetch providers and modules."""
        return self.run("init", input=False)

    def plan(self, variables: Mapping[str, Any]) -> Answer:
        """Plan, and keep the plan in the file `plan`."""
        return self.run("plan", variables=variables, out="plan", input=False)

    def write_cases(self, source: str, cases: Sequence[Mapping[str, Any]]) -> None:
        """Write a template that uses the module at `source` once for each of the cases, with these inputs.

        One plan then answers for all of them. Inputs come as variables, whose values are unknown until the plan itself:
        known ones would end it with what can be said of single inputs, before those that belong together are checked.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for number, inputs in enumerate(cases):
            call = {"source": source, **{name: f"${{var.case_{number}.{name}}}" for name in inputs}}
            template = {"variable": {f"case_{number}": {"type": "any"}}, "module": {f"case_{number}": call}}
            (self.folder / f"case_{number}.tf.json").write_text(json.dumps(template))
        values = {f"case_{number}": dict(inputs) for number, inputs in enumerate(cases)}
        (self.folder / "terraform.tfvars.json").write_text(json.dumps(values))

    def refusals(self) -> list[str]:
        """Plan the cases that were written, and return what is said against the inputs of each, in their order."""
        answer = self.run("plan", json=python_terraform.IsFlagged, input=False)
        found = [line for line in map(json.loads, answer.out.splitlines()) if line["@level"] == "error"]
        said = [""] * len(list(self.folder.glob("case_*.tf.json")))
        for diagnostic in (line["diagnostic"] for line in found):
            number = re.fullmatch(r"case_(\d+)\.tf\.json", diagnostic["range"]["filename"])
            assert number is not None, diagnostic
            said[int(number[1])] += " ".join(diagnostic["detail"].split()) + " "
        return said

    def planned(self) -> Plan:
        """Return what the last plan would make."""
        answer = self.run("show", "plan", json=python_terraform.IsFlagged)
        assert answer.code == 0, answer.text
        return Plan(json.loads(answer.out))


class Plan:
    """A plan's resources and outputs by their addresses."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        values = plan["planned_values"]
        self.outputs: dict[str, Any] = {name: output.get("value") for name, output in values.get("outputs", {}).items()}
        self.resources: dict[str, dict[str, Any]] = {}
        self._collect(values["root_module"])

    def _collect(self, module: Mapping[str, Any]) -> None:
        for resource in module.get("resources", []):
            self.resources[resource["address"]] = resource["values"]
        for child in module.get("child_modules", []):
            self._collect(child)

    def of_case(self, number: int) -> dict[str, dict[str, Any]]:
        """Return the resources of one of `Terraform.write_cases`, by their addresses within it."""
        prefix = f"module.case_{number}."
        return {
            address.removeprefix(prefix): values
            for address, values in self.resources.items()
            if address.startswith(prefix)
        }

    def scripts(self) -> dict[str, str]:
        """Return the text of every script by its address."""
        return {name: values["script"] for name, values in self.resources.items() if "coder_script" in name}
