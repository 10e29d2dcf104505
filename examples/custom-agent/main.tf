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

module "kiro-cli" {
  source = "../.."

  agent_id     = coder_agent.main.id
  workdir      = "/home/coder/project"
  auth_tarball = var.kiro_login

  agent_config = jsonencode({
    name         = "devops"
    description  = "Looks after the cluster"
    prompt       = "You are a careful DevOps engineer. Explain a change before you make it."
    tools        = ["read", "write", "shell", "aws", "@coder", "@docs"]
    allowedTools = ["read", "@coder", "@docs"]
  })

  mcp = jsonencode({
    mcpServers = {
      docs = { command = "docs-mcp-server", args = ["--stdio"] }
    }
  })

  pre_install_script = <<-EOT
    #!/bin/bash
    git -C /home/coder clone https://git.internal.example/project.git || true
  EOT

  post_install_script = <<-EOT
    #!/bin/bash
    kiro-cli settings telemetry.enabled false
  EOT
}
