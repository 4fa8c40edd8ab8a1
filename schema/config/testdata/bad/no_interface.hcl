lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {
  addresses = ["192.168.111.1/24"]
}
vm "a" {
  image = image.micro
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.100/24"]
  }
  route "10.0.0.0/8" {
    via       = "192.168.111.1"
    interface = "eth1"
  }
}
