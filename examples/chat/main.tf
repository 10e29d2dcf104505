# A workspace with Kiro as a web chat and in the terminal. It works on any Coder, with Tasks or without.

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

module "kiro-cli" {
  source = "../.." # in a template of your own: "./kiro-cli", see README.md

  agent_id     = coder_agent.main.id
  workdir      = "/home/coder"
  auth_tarball = var.kiro_cli_auth_tarball
  cli_app      = true
}
