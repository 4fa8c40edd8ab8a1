lab "x" {}
bridge "br0" {
  addresses = ["192.168.111.1/24", "192.168.1111.1/24", local.net]
}
locals {
  net = "10.0.0/8"
}
