lab "x" {}
nftables "f" {
}
