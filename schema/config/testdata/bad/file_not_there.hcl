lab "x" {}
nftables "f" {
  ruleset = file("router.nft")
}
output "o" {
  value = templatefile("motd.tpl", {})
}
