# A template for Coder Tasks (Coder 2.28 and newer): the prompt comes from data.coder_task.

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

# Outside of tasks, in an ordinary workspace, its prompt is empty.
data "coder_task" "me" {}

# Not bound to data.coder_task.me.enabled: from Coder 2.34 on, the import of a template looks for this resource, and at
# that time there is no task.
resource "coder_ai_task" "task" {
  count  = data.coder_workspace.me.start_count
  app_id = module.kiro-cli.task_app_id
}

module "kiro-cli" {
  source = "../.." # in a template of your own: "./kiro-cli", see README.md

  agent_id     = coder_agent.main.id
  workdir      = "/home/coder"
  auth_tarball = var.kiro_cli_auth_tarball
  ai_prompt    = data.coder_task.me.prompt

  # Nobody is there to allow a tool. Use it only in a workspace that may be lost, with no more access than the task needs.
  trust_all_tools = true
}
