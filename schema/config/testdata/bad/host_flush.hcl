lab "x" {}
host {
  nftables = [nftables.f]
}
nftables "f" {
  ruleset = <<-EOT
    flush ruleset
    table ip f {
    }
  EOT
}
