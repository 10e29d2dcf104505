locals {
  slug     = "kiro-cli"
  cli_slug = "kiro-cli-cli"

  # One argument or environment string of Linux: 128 KiB with the zero byte at its end.
  longest_string = 131071

  # All scripts of an agent travel in one message of at most 4 MiB, beside everything else the template gives it.
  longest_scripts = 3 * 1024 * 1024

  workdir      = var.workdir == "/" ? "/" : trimsuffix(var.workdir, "/")
  agent_config = var.agent_config == null ? "" : trimspace(var.agent_config)
  agent_name   = try(jsondecode(local.agent_config).name, "agent")
  subdomain    = coalesce(var.subdomain, !var.agentapi_chat_based_path)

  # Coder shows a status beside an app; without one there is nowhere to report to.
  status_slugs = concat(var.web_app ? [local.slug] : [], var.cli_app ? [local.cli_slug] : [])
  report_tasks = var.report_tasks && length(local.status_slugs) > 0

  # A login that is too long for one environment string goes into several.
  tarball_parts = nonsensitive(length(var.auth_tarball)) == 0 ? [] : [
    for piece in chunklist(regexall("(?s).{1,1000}", var.auth_tarball), 131) : join("", piece)
  ]

  config = {
    agent_config           = local.agent_config
    ai_prompt              = var.ai_prompt
    allowed_hosts          = ["*"] # Coder's proxy passes the host name of the deployment on
    allowed_origins        = var.allowed_origins
    app_slug               = local.slug
    auth_tarball_path      = var.auth_tarball_path
    chat_base_path         = "./chat" # relative, so that it holds behind a proxy that takes a prefix away
    coder_mcp_instructions = var.coder_mcp_instructions
    engine                 = var.engine
    install_agentapi       = var.install_agentapi
    install_kiro_cli       = var.install_kiro_cli
    kiro_cli_sha256        = lower(var.kiro_cli_sha256)
    kiro_cli_version       = var.kiro_cli_version
    kiro_install_url       = trimsuffix(var.kiro_install_url, "/")
    mcp                    = var.mcp == null ? "" : trimspace(var.mcp)
    model                  = var.model
    module_directory       = var.module_directory
    port                   = var.port
    post_install_script    = var.post_install_script == null ? "" : var.post_install_script
    pre_install_script     = var.pre_install_script == null ? "" : var.pre_install_script
    report_tasks           = local.report_tasks
    resume                 = var.resume
    system_prompt          = var.system_prompt
    task_id                = data.coder_task.me.enabled ? data.coder_task.me.id : ""
    task_log_snapshot      = var.task_log_snapshot
    transport              = var.transport
    trust_all_tools        = var.trust_all_tools
    workdir                = local.workdir
  }
}

# Tells one task from another, so that its prompt is sent once. Outside of tasks its id is a random one.
data "coder_task" "me" {}

module "render" {
  source = "./modules/render"

  bridge_wheels_url = var.bridge_wheels_url
  config            = local.config
  install           = var.install_agentapi
  pip_index_url     = var.pip_index_url
  python            = var.bridge_python
}

resource "coder_env" "status_slug" {
  count    = local.report_tasks ? 1 : 0
  agent_id = var.agent_id
  name     = "CODER_MCP_APP_STATUS_SLUG"
  value    = local.status_slugs[0]
}

resource "coder_env" "auth_tarball" {
  count    = nonsensitive(length(local.tarball_parts))
  agent_id = var.agent_id
  name     = count.index == 0 ? "KIRO_CLI_AUTH_TARBALL" : "KIRO_CLI_AUTH_TARBALL_${count.index + 1}"
  value    = local.tarball_parts[count.index]
}

resource "coder_env" "kiro_api_key" {
  count    = nonsensitive(length(var.kiro_api_key)) == 0 ? 0 : 1
  agent_id = var.agent_id
  name     = "KIRO_API_KEY"
  value    = var.kiro_api_key
}

resource "coder_app" "web" {
  count        = var.web_app ? 1 : 0
  agent_id     = var.agent_id
  slug         = local.slug
  display_name = var.web_app_display_name
  url          = "http://localhost:${var.port}/"
  icon         = var.icon
  order        = var.order
  group        = var.group
  share        = var.share
  subdomain    = local.subdomain

  # The first start installs; that takes minutes, and is no reason to call the app unhealthy.
  healthcheck {
    url       = "http://localhost:${var.port}/status"
    interval  = 5
    threshold = 30
  }
}

resource "coder_app" "cli" {
  count        = var.cli_app ? 1 : 0
  agent_id     = var.agent_id
  slug         = local.cli_slug
  display_name = var.cli_app_display_name
  command      = "\"${module.render.directory}/bin/kiro-bridge\" attach --url http://127.0.0.1:${var.port}"
  icon         = coalesce(var.cli_app_icon, var.icon)
  order        = var.cli_app_order == null ? var.order : var.cli_app_order
  group        = var.cli_app_group == null ? var.group : var.cli_app_group
}

resource "coder_script" "part" {
  count        = length(module.render.parts)
  agent_id     = var.agent_id
  display_name = "Kiro CLI: bridge, part ${count.index + 1} of ${length(module.render.parts)}"
  icon         = var.icon
  script       = module.render.parts[count.index]
  run_on_start = true

  lifecycle {
    precondition {
      condition     = length(module.render.parts[count.index]) <= local.longest_string
      error_message = "Part ${count.index + 1} of the bridge is longer than the ${local.longest_string} bytes a script may have. Report this as a defect of the module."
    }
  }
}

resource "coder_script" "start" {
  agent_id     = var.agent_id
  display_name = "Kiro CLI"
  icon         = var.icon
  script       = module.render.start
  run_on_start = true

  lifecycle {
    precondition {
      condition     = length(module.render.start) <= local.longest_string
      error_message = "The start script would have ${length(module.render.start)} bytes, and a script may have ${local.longest_string}. Shorten system_prompt, ai_prompt, coder_mcp_instructions, agent_config, mcp, pre_install_script or post_install_script: put long texts into files of the image or repository, and refer to them."
    }

    precondition {
      condition     = sum(concat([0], [for part in module.render.parts : length(part)])) <= local.longest_scripts
      error_message = "The bridge's ${length(module.render.parts)} parts are larger together than the ${local.longest_scripts} bytes that Coder can be relied on to hand to a workspace. Install the bridge in the image and set install_agentapi = false, or use an older version of the module; and report this as a defect."
    }
  }
}

resource "coder_script" "stop" {
  agent_id     = var.agent_id
  display_name = "Kiro CLI: stop"
  icon         = var.icon
  script       = module.render.stop
  run_on_stop  = true
  timeout      = 60
}
