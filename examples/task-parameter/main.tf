# A template for Coder Tasks that takes the prompt from the parameter "AI Prompt". Coder fills it before 2.30; from then on
# use examples/task, as Tasks do not fill the parameter any more.

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

# The name must be exactly this.
data "coder_parameter" "ai_prompt" {
  name         = "AI Prompt"
  display_name = "AI Prompt"
  description  = "Prompt for the AI task to execute"
  type         = "string"
  mutable      = true
  default      = ""
}

resource "coder_ai_task" "task" {
  count  = data.coder_workspace.me.start_count
  app_id = module.kiro-cli.task_app_id
}

module "kiro-cli" {
  source = "../.." # in a template of your own: "./kiro-cli", see README.md

  agent_id     = coder_agent.main.id
  workdir      = "/home/coder"
  auth_tarball = var.kiro_cli_auth_tarball
  ai_prompt    = data.coder_parameter.ai_prompt.value

  # Nobody is there to allow a tool. Use it only in a workspace that may be lost, with no more access than the task needs.
  trust_all_tools = true

  report_tasks         = true # the default
  cli_app              = true # a terminal app beside the web app
  web_app_display_name = "Kiro CLI"
  cli_app_display_name = "Kiro CLI"
}
