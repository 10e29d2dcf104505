# A workspace without the internet: kiro-cli and the packages of the bridge come from a server of your own.

terraform {
  required_version = ">= 1.9"

  required_providers {
    coder = {
      source  = "coder/coder"
      version = ">= 2.13"
    }
  }
}

variable "kiro_login" {
  description = "Login tarball, as `kiro-bridge pack-login` prints it."
  type        = string
  sensitive   = true
  default     = ""
}

data "coder_workspace" "me" {}

resource "coder_agent" "main" {
  arch = "amd64"
  os   = "linux"
}

# Stands for the container or machine that runs the agent, such as a docker_container or a kubernetes_deployment.
resource "terraform_data" "workspace" {
  count = data.coder_workspace.me.start_count
  input = coder_agent.main.init_script
}

variable "artifacts" {
  description = "Server inside the network that holds {artifacts}/kiro-cli/{version}/kirocli-{arch}-linux.zip and the wheels."
  type        = string
  default     = "https://artifacts.internal.example"
}

module "kiro-cli" {
  source = "../.."

  agent_id     = coder_agent.main.id
  workdir      = "/home/coder"
  auth_tarball = var.kiro_login

  kiro_install_url  = "${var.artifacts}/kiro-cli"
  kiro_cli_version  = "1.24.0"
  bridge_wheels_url = "${var.artifacts}/kiro-bridge/wheels.zip"
}
