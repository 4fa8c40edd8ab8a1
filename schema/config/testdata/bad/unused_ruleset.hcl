lab "x" {}
nftables "f" {
  ruleset = "table ip f {}"
}
