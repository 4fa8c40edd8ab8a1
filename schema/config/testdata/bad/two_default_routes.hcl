lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {
  addresses = ["192.168.111.1/24", "192.168.111.2/24"]
}
vm "a" {
  image = image.micro
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.100/24"]
  }
  route "default" {
    via   = "192.168.111.1"
    table = 0
  }
  route "0.0.0.0/0" {
    via = "192.168.111.2"
  }
}
