lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {
  adresses = ["192.168.111.1/24"]
  mtu      = 10
}
vm "a" {
  image  = image.mikro
  memory = "lots"
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.100"]
  }
  route "default" {
    via = "192.168.111.1"
  }
}
output "ip" {
  value = vm.a.ip
}
