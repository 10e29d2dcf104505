# Kiro with an agent and MCP servers of your own, and with hooks around the installation.

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
  workdir      = "/home/coder/project"
  auth_tarball = var.kiro_cli_auth_tarball

  # allowedTools are used without asking, other tools are refused. The servers of `mcp` and Coder's own are added to
  # `tools` by the module.
  agent_config = jsonencode({
    name         = "devops"
    description  = "Looks after the cluster"
    prompt       = "You are a careful DevOps engineer. Explain a change before you make it."
    tools        = ["read", "write", "shell", "aws"]
    allowedTools = ["read", "@docs"]
  })

  mcp = jsonencode({
    mcpServers = {
      docs = { command = "docs-mcp-server", args = ["--stdio"] }
    }
  })

  pre_install_script = <<-EOT
    #!/bin/bash
    [ -d /home/coder/project ] || git clone https://git.internal.example/project.git /home/coder/project
  EOT

  post_install_script = <<-EOT
    #!/bin/bash
    kiro-cli settings telemetry.enabled false
  EOT
}
