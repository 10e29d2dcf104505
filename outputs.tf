output "task_app_id" {
  description = "ID of the web app, for the app_id of a coder_ai_task; null when web_app is false."
  value       = one(coder_app.web[*].id)
}

output "web_app_slug" {
  description = "Slug of the web app; null when web_app is false."
  value       = one(coder_app.web[*].slug)
}

output "cli_app_slug" {
  description = "Slug of the CLI app; null when cli_app is false."
  value       = one(coder_app.cli[*].slug)
}

output "port" {
  description = "Port of the bridge on the workspace's loopback address: AgentAPI, the chat page and /api/v1."
  value       = var.port
}

output "agent_name" {
  description = "Name of Kiro's agent (profile): that of agent_config, or agent."
  value       = local.agent_name
}
