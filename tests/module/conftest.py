"""The module, made ready once for all tests that plan it or run what it renders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.module.terraforming import Terraform, copy_module, program


@pytest.fixture(scope="session")
def terraform_program() -> str:
    """Return the Terraform to use; a test without one is skipped."""
    found = program()
    if found is None:
        pytest.skip("no terraform or tofu in PATH")
    return found


@pytest.fixture(scope="session")
def module_copy(own_environment: None, terraform_program: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the module and its examples, as they would travel."""
    return copy_module(tmp_path_factory.mktemp("module"), "examples", "kiro-cli.tftest.hcl")


@pytest.fixture(scope="session")
def module(module_copy: Path) -> Terraform:
    """Return the module with the provider coder/coder; without the provider the test is skipped."""
    terraform = Terraform(module_copy)
    answer = terraform.init()
    if answer.code and "coder/coder" in answer.text:
        pytest.skip(
            "terraform init found no provider coder/coder, neither in the registry nor in ~/.terraform.d/plugins"
        )
    assert answer.code == 0, answer.text
    return terraform
