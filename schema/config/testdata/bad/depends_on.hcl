lab "x" {}
bridge "br0" {
  addresses = ["192.168.111.1/24"]
}
bridge "br1" {
  depends_on = ["bridge.br0", bridge.br2, bridge]
}
