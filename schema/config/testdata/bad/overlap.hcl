lab "x" {}
bridge "br0" {
  addresses = ["192.168.111.1/24"]
}
bridge "br1" {
  addresses = ["192.168.0.1/16"]
}
