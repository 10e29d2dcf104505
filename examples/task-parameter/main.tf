# A template for Coder Tasks that takes the prompt from the parameter "AI Prompt" (Coder before 2.30).

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
  source = "../.."

  agent_id     = coder_agent.main.id
  workdir      = "/home/coder"
  auth_tarball = var.kiro_login
  ai_prompt    = data.coder_parameter.ai_prompt.value

  # Nobody is there to allow a tool. Use it only in a workspace that may be lost, with no more access than the task needs.
  trust_all_tools = true

  report_tasks         = true
  cli_app              = true
  web_app_display_name = "Kiro CLI"
  cli_app_display_name = "Kiro CLI"
}
