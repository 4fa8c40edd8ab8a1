lab "x" {}
locals {
  net = "192.168.111.0/24"
}
output "o" {
  value = cidrhost(local.net, 300)
}
