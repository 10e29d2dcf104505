"""The module, made ready once for all tests that plan it or run what it renders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.coder.coderd import Coderd
from tests.coder.conftest import CoderCommand, coder_command, coderd
from tests.module.living import VERSION, InCoder, Living, bring_bridge, download_wheels
from tests.module.terraforming import Terraform, copy_module, program
from tests.provision.conftest import Mirror, kiro_zip, mirror

__all__ = ["coder_command", "coderd", "mirror"]


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


@pytest.fixture(scope="session")
def wheelhouse(own_environment: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheels of the lock file; without a package index the test is skipped."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    if not download_wheels(folder):
        pytest.skip("no package index to take the bridge's wheels from")
    return folder


@pytest.fixture(scope="session")
def brought(module_copy: Path, wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the bridge and its private environment, as scripts brought them."""
    return bring_bridge(module_copy, wheelhouse, tmp_path_factory.mktemp("brought"))


@pytest.fixture
def living(tmp_path: Path, module_copy: Path, brought: Path, mirror: Mirror) -> Iterator[Living]:
    """Return a workspace that was not started yet, with a mirror that has a kiro-cli."""
    mirror.put(VERSION, kiro_zip())
    made = Living(tmp_path, module_copy, brought, mirror)
    yield made
    made.close()


@pytest.fixture
def coder(coderd: Coderd, coder_command: CoderCommand, living: Living) -> Iterator[InCoder]:
    """Return the Coder of the workspace, which is that of a task."""
    yield InCoder(living, coderd, coder_command)
    living.close()
