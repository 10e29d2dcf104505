variables {
  agent_id = "agent"
  workdir  = "/home/coder/"
}

run "defaults" {
  command = plan

  assert {
    condition     = coder_env.status_slug[0].name == "CODER_MCP_APP_STATUS_SLUG" && coder_env.status_slug[0].value == "kiro-cli"
    error_message = "The status slug must be that of the web app."
  }

  assert {
    condition     = length(coder_env.auth_tarball) == 0 && length(coder_env.kiro_api_key) == 0
    error_message = "Without a login there must be no variable for it."
  }

  assert {
    condition     = coder_app.web[0].url == "http://localhost:3284/" && coder_app.web[0].subdomain
    error_message = "The web app must be a subdomain app on port 3284."
  }

  assert {
    condition     = length(coder_app.cli) == 0
    error_message = "The CLI app must be asked for."
  }

  assert {
    condition     = local.workdir == "/home/coder"
    error_message = "A trailing slash of workdir must be dropped."
  }

  assert {
    condition     = output.agent_name == "agent"
    error_message = "Without agent_config the agent must be named agent."
  }

  assert {
    condition     = alltrue([for script in concat(coder_script.part, [coder_script.start, coder_script.stop]) : length(script.script) <= 131071])
    error_message = "Every script must fit into one argument."
  }
}

run "login" {
  command = plan

  variables {
    auth_tarball = "dGVzdA=="
  }

  assert {
    condition     = coder_env.auth_tarball[0].name == "KIRO_CLI_AUTH_TARBALL" && coder_env.auth_tarball[0].value == "dGVzdA=="
    error_message = "The login must be handed on unchanged."
  }
}

run "no_reporting" {
  command = plan

  variables {
    report_tasks = false
  }

  assert {
    condition     = length(coder_env.status_slug) == 0
    error_message = "Without reporting there must be no status slug."
  }
}

run "agent_name" {
  command = plan

  variables {
    agent_config = "{\"name\": \"production-agent\"}"
  }

  assert {
    condition     = output.agent_name == "production-agent"
    error_message = "The agent's name must be that of agent_config."
  }
}

run "applied" {
  command = apply

  variables {
    cli_app = true
  }

  assert {
    condition     = output.task_app_id == coder_app.web[0].id
    error_message = "task_app_id must be the id of the web app."
  }

  assert {
    condition     = output.cli_app_slug == "kiro-cli-cli"
    error_message = "The CLI app must have a slug of its own."
  }
}

run "bad_inputs" {
  command = plan

  variables {
    agent_config     = "{}"
    agentapi_version = "v0.4.0"
    kiro_cli_version = "newest"
    mcp              = "[]"
    port             = 80
    workdir          = "project"
  }

  expect_failures = [
    var.agent_config,
    var.agentapi_version,
    var.kiro_cli_version,
    var.mcp,
    var.port,
    var.workdir,
  ]
}
