"""Every example is a template that Terraform accepts."""

from __future__ import annotations

import pytest

from tests.module.terraforming import ROOT, Terraform

EXAMPLES = sorted(path.parent.name for path in ROOT.glob("examples/*/main.tf"))
TASKS = {"task", "task-parameter"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(module: Terraform, name: str) -> None:
    """It is initialised, validated and planned; only the examples for tasks make a `coder_ai_task`."""
    example = Terraform(module.folder / "examples" / name)
    for command in ("init", "validate"):
        answer = example.run(command)
        assert answer.code == 0, answer.text
    answer = example.plan({"kiro_cli_auth_tarball": "bG9naW4="})
    assert answer.code == 0, answer.text
    resources = example.planned().resources
    assert "module.kiro-cli.coder_script.start" in resources
    assert ("coder_ai_task.task[0]" in resources) == (name in TASKS)


def test_module_itself_is_valid(module: Terraform) -> None:
    """`terraform validate` and `terraform fmt` have nothing to say of the module."""
    for answer in (module.run("validate"), module.run("fmt", check=True, recursive=True)):
        assert answer.code == 0, answer.text


def test_own_tests_of_the_module(module: Terraform) -> None:
    """`terraform test` runs kiro-cli.tftest.hcl."""
    answer = module.run("test")
    assert answer.code == 0 and "0 failed" in answer.text, answer.text
