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
    mac       = "52:54:00:00:00:01"
  }
}
vm "b" {
  image = image.micro
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.101/24"]
    mac       = "52:54:00:00:00:01"
  }
}
