# Renders the scripts. It needs no provider, so its outputs can be had, and run, wherever Terraform is.

terraform {
  required_version = ">= 1.9"
}

variable "config" {
  description = "What the start script hands to the bridge, under the names of the module's inputs. No secrets."
  type        = any
}

variable "install" {
  description = "Whether the scripts bring the bridge; otherwise it is in the image."
  type        = bool
  default     = true
}

variable "python" {
  description = "The Python to use; empty: the first found of python3.13 to python3.10 and python3."
  type        = string
  default     = ""
}

variable "pip_index_url" {
  description = "Package index for the bridge's dependencies; empty: the installer's own."
  type        = string
  default     = ""
}

variable "bridge_wheels_url" {
  description = "Folder, page or zip with the wheels of the bridge's dependencies; empty: a package index is used."
  type        = string
  default     = ""
}

locals {
  root = "${path.module}/../.."

  # Neither compiled files nor what an editor leaves are sources.
  files = [
    for name in fileset(local.root, "bridge/**") : name
    if length(regexall("(^|/)(__pycache__/|[.])", name)) == 0
  ]
  payload = jsonencode(merge(
    { for name in local.files : name => file("${local.root}/${name}") },
    { "requirements.lock" = file("${local.root}/requirements.lock") },
  ))

  # A packed module (tools/pack_module.py) has the payload ready-made, and no sources.
  packed = fileexists("${local.root}/payload.json") ? jsondecode(file("${local.root}/payload.json")) : {
    data   = base64gzip(local.payload)
    digest = sha256(local.payload)
  }

  # 120 pieces of 1,000 characters: with the script around it well under the 131,071 bytes that one argument may have.
  pieces = chunklist(regexall(".{1,1000}", local.packed.data), 120)

  # The path is checked by the module's input: no character of it means anything to a shell between double quotes.
  given     = coalesce(var.config.module_directory, "~/.coder-modules/coder/kiro-cli")
  directory = startswith(local.given, "~") ? "$HOME${substr(local.given, 1, -1)}" : local.given

  parts = [for index, piece in local.pieces : templatefile("${local.root}/scripts/part.sh.tftpl", {
    count     = length(local.pieces)
    data      = join("", piece)
    digest    = substr(local.packed.digest, 0, 16)
    directory = local.directory
    number    = index + 1
  }) if var.install]

  start = templatefile("${local.root}/scripts/start.sh.tftpl", {
    bootstrap  = trimspace(file("${local.root}/scripts/bootstrap.py"))
    candidates = var.python != "" ? var.python : "python3.13 python3.12 python3.11 python3.10 python3"
    parameters = base64gzip(jsonencode({
      bridge_wheels_url = var.bridge_wheels_url
      config            = var.config
      digest            = var.install ? local.packed.digest : ""
      lock              = filesha256("${local.root}/requirements.lock")
      parts             = length(local.pieces)
      pip_index_url     = var.pip_index_url
    }))
  })

  stop = templatefile("${local.root}/scripts/stop.sh.tftpl", { directory = local.directory })
}

output "start" {
  description = "The script that starts the bridge."
  value       = local.start
}

output "parts" {
  description = "The scripts that bring the bridge, to run at the same time as the start script, in any order."
  value       = local.parts
}

output "stop" {
  description = "The script that ends the bridge."
  value       = local.stop
}

output "directory" {
  description = "Directory of all that the module keeps in the workspace, as a shell expands it between double quotes."
  value       = local.directory
}
