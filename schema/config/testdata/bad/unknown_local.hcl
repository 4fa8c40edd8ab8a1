lab "x" {}
locals {
  sites = {}
}
output "o" {
  value = local.site
}
