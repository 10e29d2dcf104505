# What everybody needs

variable "agent_id" {
  description = "The ID of a Coder agent."
  type        = string
  nullable    = false

  validation {
    condition     = var.agent_id != ""
    error_message = "agent_id is empty: set it to the id of the template's agent, such as coder_agent.main.id."
  }
}

variable "workdir" {
  description = "The folder to run Kiro CLI in. A trailing slash is dropped."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^/[^\\n\\r]*$", var.workdir))
    error_message = "workdir must be an absolute path of the workspace, such as /home/coder/project. Write the home directory out: ~ and $HOME mean nothing when the template is planned."
  }
}

# Login

variable "auth_tarball" {
  description = "Base64 encoded, zstd compressed tarball of a pre-authenticated ~/.local/share/kiro-cli directory."
  type        = string
  default     = ""
  nullable    = false
  sensitive   = true

  validation {
    condition     = length(var.auth_tarball) <= 4 * 131000
    error_message = "auth_tarball is longer than the 524,000 characters that fit into the environment. `kiro-bridge pack-login` makes a tarball of the login alone; or put the tarball into the workspace and set auth_tarball_path."
  }
}

variable "auth_tarball_path" {
  description = "File of the workspace, or https address, with the login tarball, instead of auth_tarball."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(|(/|~/)[^\\n\\r]+|https://[^/?# @]+/[^?# @]+)$", var.auth_tarball_path))
    error_message = "auth_tarball_path must be a path of the workspace that begins with / or ~/, such as ~/.kiro-login, or an https address without user name, password or query: start scripts are logged."
  }

  validation {
    condition     = var.auth_tarball_path == "" || nonsensitive(length(var.auth_tarball)) == 0
    error_message = "auth_tarball and auth_tarball_path are both set: keep the one that holds the login."
  }
}

variable "kiro_api_key" {
  description = "API key of Kiro, instead of a login tarball (kiro-cli 2.0 and newer)."
  type        = string
  default     = ""
  nullable    = false
  sensitive   = true

  validation {
    condition     = can(regex("^[!-#%-~]*$", var.kiro_api_key))
    error_message = "kiro_api_key holds a blank, a line break, a dollar sign or a character that is not ASCII. No key of Kiro does, and Coder would not pass it on unchanged: copy the key anew, and use trimspace() when it comes from a file."
  }

  validation {
    condition     = length(var.kiro_api_key) < 10000
    error_message = "kiro_api_key is longer than any key. A login tarball belongs in auth_tarball."
  }
}

# What Kiro is to do

variable "ai_prompt" {
  description = "The initial task prompt to send to Kiro CLI."
  type        = string
  default     = ""
  nullable    = false
}

variable "system_prompt" {
  description = "The system prompt to use for Kiro CLI. This should instruct the agent how to do task reporting."
  type        = string
  default     = <<-EOT
    You are a helpful Coding assistant. Aim to autonomously investigate
    and solve issues the user gives you and test your work, whenever possible.
    Avoid shortcuts like mocking tests. When you get stuck, you can ask the user
    but opt for autonomy.
  EOT
  nullable    = false
}

variable "coder_mcp_instructions" {
  description = "Instructions for the Coder MCP server integration. This defines how the agent should report tasks to Coder."
  type        = string
  default     = <<-EOT
    YOU MUST REPORT ALL TASKS TO CODER.
    When reporting tasks you MUST follow these EXACT instructions:
    - IMMEDIATELY report status after receiving ANY user message
    - Be granular If you are investigating with multiple steps report each step to coder.

    Task state MUST be one of the following:
    - Use "state": "working" when actively processing WITHOUT needing additional user input
    - Use "state": "complete" only when finished with a task
    - Use "state": "failure" when you need ANY user input lack sufficient details or encounter blockers.

    Task summaries MUST:
    - Include specifics about what you're doing
    - Include clear and actionable steps for the user
    - Be less than 160 characters in length
  EOT
  nullable    = false
}

variable "agent_config" {
  description = "Optional Agent configuration JSON for Kiro CLI."
  type        = string
  default     = null

  validation {
    condition     = try(trimspace(var.agent_config), "") == "" || can(keys(jsondecode(var.agent_config)))
    error_message = "agent_config is no JSON object. Make it with jsonencode({ name = \"my-agent\", ... }), or check the text with a JSON formatter."
  }

  validation {
    condition = (
      try(trimspace(var.agent_config), "") == ""
      || !can(keys(jsondecode(var.agent_config)))
      || can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", jsondecode(var.agent_config).name))
    )
    error_message = "agent_config needs a \"name\" of letters, digits, dots, underscores and hyphens: the agent is kept in ~/.kiro/agents/<name>.json."
  }
}

variable "mcp" {
  description = "Extra MCP servers for Kiro, as JSON in the form of Kiro's mcp.json: {\"mcpServers\": {\"name\": {...}}}."
  type        = string
  default     = null

  validation {
    condition     = try(trimspace(var.mcp), "") == "" || can(keys(jsondecode(var.mcp).mcpServers))
    error_message = "mcp is no JSON object with \"mcpServers\". Make it with jsonencode({ mcpServers = { my-server = { command = \"my-server\", args = [] } } })."
  }

  validation {
    condition = alltrue([
      for name, server in try(jsondecode(var.mcp).mcpServers, {}) :
      can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", name)) && (can(tostring(server.command)) || can(tostring(server.url)))
    ])
    error_message = "Each server of mcp needs a name of letters, digits, underscores and hyphens, and a \"command\" or a \"url\"."
  }
}

variable "trust_all_tools" {
  description = "Whether to trust all tools in Kiro CLI."
  type        = bool
  default     = false
  nullable    = false
}

variable "model" {
  description = "Model to run prompts with; empty: Kiro's own default."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._:/-]*$", var.model))
    error_message = "model must be a name that `kiro-cli chat --list-models` shows, such as claude-sonnet-4.5, or empty."
  }
}

variable "engine" {
  description = "Kiro's engine: v1, v2, v3, or auto for the one that kiro-cli uses by itself."
  type        = string
  default     = "auto"
  nullable    = false

  validation {
    condition     = contains(["auto", "v1", "v2", "v3"], var.engine)
    error_message = "engine must be auto, v1, v2 or v3; auto is right unless kiro-cli's default is to be overruled."
  }
}

variable "transport" {
  description = "How Kiro is driven: acp keeps one kiro-cli running, which can ask for approvals; headless runs one for each prompt; auto takes acp where kiro-cli has it."
  type        = string
  default     = "auto"
  nullable    = false

  validation {
    condition     = contains(["auto", "acp", "headless"], var.transport)
    error_message = "transport must be auto, acp or headless; auto is right unless its choice is to be overruled."
  }
}

variable "resume" {
  description = "Whether the last conversation goes on after a restart of the workspace."
  type        = bool
  default     = true
  nullable    = false
}

# Status and tasks

variable "report_tasks" {
  description = "Whether to enable task reporting to Coder UI via AgentAPI"
  type        = bool
  default     = true
  nullable    = false
}

variable "task_log_snapshot" {
  description = "Whether the last messages are handed to Coder when the workspace stops, to be read while it is stopped."
  type        = bool
  default     = true
  nullable    = false
}

# Apps

variable "web_app" {
  description = "Whether to create a web app for Kiro CLI. Coder Tasks needs it."
  type        = bool
  default     = true
  nullable    = false
}

variable "web_app_display_name" {
  description = "Display name for the web app"
  type        = string
  default     = "Kiro CLI"
  nullable    = false

  validation {
    condition     = length(var.web_app_display_name) <= 64
    error_message = "web_app_display_name is longer than the 64 characters that Coder allows: shorten it."
  }
}

variable "cli_app" {
  description = "Whether to create a CLI app for Kiro CLI"
  type        = bool
  default     = false
  nullable    = false
}

variable "cli_app_display_name" {
  description = "Display name for the CLI app"
  type        = string
  default     = "Kiro CLI"
  nullable    = false

  validation {
    condition     = length(var.cli_app_display_name) <= 64
    error_message = "cli_app_display_name is longer than the 64 characters that Coder allows: shorten it."
  }
}

variable "order" {
  description = "The order determines the position of app in the UI presentation. The lowest order is shown first and apps with equal order are sorted by name (ascending order)."
  type        = number
  default     = null
}

variable "group" {
  description = "The name of a group that this app belongs to."
  type        = string
  default     = null

  validation {
    condition     = try(length(var.group), 0) <= 64
    error_message = "group is longer than the 64 characters that Coder allows: shorten it."
  }
}

variable "icon" {
  description = "The icon to use for the app."
  type        = string
  default     = "/icon/kiro.svg"
  nullable    = false
}

variable "cli_app_order" {
  description = "Position of the CLI app; null: that of order."
  type        = number
  default     = null
}

variable "cli_app_group" {
  description = "Group of the CLI app; null: that of group."
  type        = string
  default     = null

  validation {
    condition     = try(length(var.cli_app_group), 0) <= 64
    error_message = "cli_app_group is longer than the 64 characters that Coder allows: shorten it."
  }
}

variable "cli_app_icon" {
  description = "Icon of the CLI app; null: that of icon."
  type        = string
  default     = null
}

variable "share" {
  description = "Who may open the web app: owner, authenticated or public. Whoever can open it can run commands as the workspace's user."
  type        = string
  default     = "owner"
  nullable    = false

  validation {
    condition     = contains(["owner", "authenticated", "public"], var.share)
    error_message = "share must be owner, authenticated or public; owner is the safe one."
  }
}

variable "agentapi_chat_based_path" {
  description = "Whether to use chat-based path for AgentAPI.Required if CODER_WILDCARD_ACCESS_URL is not defined in coder deployment"
  type        = bool
  default     = false
  nullable    = false
}

variable "subdomain" {
  description = "Whether the web app has a host name of its own, for which Coder needs a wildcard access URL; null: the opposite of agentapi_chat_based_path."
  type        = bool
  default     = null

  validation {
    condition     = !(coalesce(var.subdomain, false) && var.agentapi_chat_based_path)
    error_message = "subdomain and agentapi_chat_based_path are both true and cannot both be: leave one of them out."
  }
}

variable "port" {
  description = "Port of the bridge on the workspace's loopback address."
  type        = number
  default     = 3284
  nullable    = false

  validation {
    condition     = var.port >= 1024 && var.port <= 65535 && floor(var.port) == var.port
    error_message = "port must be a whole number from 1024 to 65535 that nothing else in the workspace uses."
  }
}

variable "allowed_origins" {
  description = "Origins whose web pages may call the bridge, such as https://example.com; * allows all. Empty: only local pages."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.allowed_origins : can(regex("^([*]|https?://[^/ ]+)$", origin))])
    error_message = "Each of allowed_origins must be a scheme and a host without a path, such as https://example.com or http://localhost:8080, or *."
  }
}

# Installation

variable "install_kiro_cli" {
  description = "Whether to install Kiro CLI."
  type        = bool
  default     = true
  nullable    = false
}

variable "kiro_cli_version" {
  description = "The version of Kiro CLI to install."
  type        = string
  default     = "latest"
  nullable    = false

  validation {
    condition     = can(regex("^(latest|[0-9]+[.][0-9]+[.][0-9]+([-.+][0-9A-Za-z]+)*)$", var.kiro_cli_version))
    error_message = "kiro_cli_version must be latest or a whole version without a v, such as 1.14.0."
  }
}

variable "kiro_install_url" {
  description = "Base URL for Kiro CLI installation downloads."
  type        = string
  default     = "https://desktop-release.q.us-east-1.amazonaws.com"
  nullable    = false

  validation {
    condition     = can(regex("^https?://[^/?# @]+(/[^?# @]*)?$", var.kiro_install_url))
    error_message = "kiro_install_url must be the part of the address before /{version}/kirocli-{arch}-linux.zip, such as https://artifacts.example.com/kiro-cli, without user name, password or query: start scripts are logged. A mirror that asks for a password can be used when the image is built, with install_kiro_cli = false."
  }
}

variable "kiro_cli_sha256" {
  description = "SHA-256 of the zip to install, where no manifest of the download tells it. It holds for one version and one architecture."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([0-9a-fA-F]{64})?$", var.kiro_cli_sha256))
    error_message = "kiro_cli_sha256 must have 64 hexadecimal digits, as `sha256sum kirocli-x86_64-linux.zip` prints them."
  }

  validation {
    condition     = var.kiro_cli_sha256 == "" || var.kiro_cli_version != "latest"
    error_message = "kiro_cli_sha256 belongs to one version, and latest changes: set kiro_cli_version to that version."
  }
}

variable "install_agentapi" {
  description = "Whether to install AgentAPI. It is part of the bridge; false means that the image has the bridge, as kiro-bridge in PATH."
  type        = bool
  default     = true
  nullable    = false
}

variable "agentapi_version" {
  description = "The version of AgentAPI to install. The bridge speaks what AgentAPI speaks from v0.5.0 on, so the value is checked and otherwise not used."
  type        = string
  default     = "v0.10.0"
  nullable    = false

  validation {
    condition     = can(regex("^(latest|v?0[.]([5-9]|[1-9][0-9]+)[.][0-9]+([-+].+)?)$", var.agentapi_version))
    error_message = "agentapi_version must be latest or from v0.5.0 to v0.x: the bridge speaks what these versions speak. Leave the input out to have the default."
  }
}

variable "pip_index_url" {
  description = "Package index for the bridge's dependencies; empty: the one that pip or uv is configured for."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(https?://[^/?# @]+(/[^?# @]*)?)?$", var.pip_index_url))
    error_message = "pip_index_url must be an http or https address without user name and password, such as https://pypi.example.com/simple: start scripts are logged. Where the index asks for a password, put it into ~/.netrc or set PIP_INDEX_URL in the workspace's environment, and leave the input out."
  }
}

variable "bridge_wheels_url" {
  description = "Folder, page or zip with the wheels of requirements.lock, for workspaces without a package index. http, https and file addresses."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^((https?://[^/?# @]+(/[^?# @]*)?)|(file:///[^?# ]+))?$", var.bridge_wheels_url))
    error_message = "bridge_wheels_url must be an http, https or file address without user name and password, such as https://artifacts.example.com/kiro-bridge/wheels.zip or file:///opt/kiro-bridge/wheels."
  }

  validation {
    condition     = var.bridge_wheels_url == "" || var.pip_index_url == ""
    error_message = "bridge_wheels_url and pip_index_url are both set: keep the one that the workspace can reach."
  }
}

variable "bridge_python" {
  description = "Python 3.10 or newer for the bridge, as a command or path; empty: the first found of python3.13 to python3.10 and python3."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._/+][A-Za-z0-9._/+-]*$|^$", var.bridge_python))
    error_message = "bridge_python must be a command or path of the workspace without blanks and arguments, such as /opt/python/bin/python3."
  }
}

variable "pre_install_script" {
  description = "Optional script to run before installing Kiro CLI."
  type        = string
  default     = null
}

variable "post_install_script" {
  description = "Optional script to run after installing Kiro CLI."
  type        = string
  default     = null
}

variable "module_directory" {
  description = "Directory of all that the module keeps in the workspace; empty: $HOME/.coder-modules/coder/kiro-cli."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(([$]HOME|~)?(/[A-Za-z0-9_+-][A-Za-z0-9._+-]*|/[.][A-Za-z0-9_+-][A-Za-z0-9._+-]*)+)?$", var.module_directory))
    error_message = "module_directory must begin with /, ~/ or $HOME/, have no slash at its end, and hold only letters, digits, dots, hyphens, underscores and plus signs, such as $HOME/.kiro-bridge."
  }
}
