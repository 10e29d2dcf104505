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

variable "kiro_cli_auth_tarball" {
  description = "Login tarball, as `kiro-bridge pack-login` prints it. Without one, log in once in a terminal of the workspace."
  type        = string
  sensitive   = true
  default     = ""
}

data "coder_workspace" "me" {}

resource "coder_agent" "main" {
  arch = "amd64"
  os   = "linux"
}

# Stands for the container or machine that runs the agent: put your docker_container, kubernetes_deployment or so here.
# Its image needs Python 3.10 or newer.
resource "terraform_data" "workspace" {
  count = data.coder_workspace.me.start_count
  input = coder_agent.main.init_script
}

# What the server has to hold, and how to make it, is in README.md, "Without the internet":
#   {artifacts}/kiro-cli/1.24.0/kirocli-x86_64-linux.zip
#   {artifacts}/kiro-bridge/wheels.zip
variable "artifacts" {
  description = "Address of the server inside the network, without a slash at its end."
  type        = string
  default     = "https://artifacts.internal.example"
}

module "kiro-cli" {
  source = "../.." # in a template of your own: "./kiro-cli", see README.md

  agent_id     = coder_agent.main.id
  workdir      = "/home/coder"
  auth_tarball = var.kiro_cli_auth_tarball

  kiro_install_url  = "${var.artifacts}/kiro-cli"
  kiro_cli_version  = "1.24.0"
  bridge_wheels_url = "${var.artifacts}/kiro-bridge/wheels.zip"
}
