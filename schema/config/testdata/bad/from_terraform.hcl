lab "x" {}
terraform {
  required_version = ">= 1.0"
}
variable "token" {
  ephemeral = true
  default   = "x"
}
image "micro" {
  build = "micro"
}
bridge "br0" {
  for_each = toset(["a"])
  lifecycle {
    create_before_destroy = true
    replace_triggered_by  = [image.micro, bridge.br1[each.key], image.micro[local.n], var.token]
  }
  provisioner "local-exec" {
    command = "true"
  }
}
bridge "br1" {
  for_each = toset(["b"])
}
bridge "br2" {
  for_each = toset(["c", null])
}
bridge "br3" {
  count = sensitive(2)
}
removed {
  from = bridge.old
  lifecycle {
    destroy = false
  }
}
variable "count" {
  default = 2
}
variable "empty" {
  default  = null
  nullable = false
}
output "o" {
  value = [terraform.workspace, timestamp(), host.uri]
}
