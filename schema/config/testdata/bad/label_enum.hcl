lab "x" {}
nftables "f" {
  table "ipv4" "filter" {
  }
}
