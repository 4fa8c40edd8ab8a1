lab "x" {}
bridge "br0" {}
nftables "fw" {
  ruleset    = "table ip t { }"
  depends_on = [bridge.br0]
  lifecycle {
    prevent_destroy      = true
    ignore_changes       = [ruleset]
    replace_triggered_by = [bridge.br0]
    precondition {
      condition     = true
      error_message = "Never."
    }
  }
}
network "default" {
  existing = true
  lifecycle {
    prevent_destroy = true
  }
}
output "o" {
  value      = 1
  depends_on = [bridge.br0]
}
image "m" {
  build = "micro"
}
vm "v" {
  image    = image.m
  nftables = [nftables.fw]
}
check "c" {
  ping {
    from = vm.v
    to   = "10.0.0.2"
  }
  depends_on = [bridge.br0]
}
