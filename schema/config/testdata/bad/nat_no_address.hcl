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
    bridge = bridge.br0
  }
  forwarding = true
  nat {
    outside = "eth0"
  }
}
