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
    impair {
      on    = "host"
      delay = "20ms"
    }
  }
  interface "eth1" {
    bridge = bridge.br0
    impair {
      on        = "host"
      direction = "out"
      rate      = "10Mbit"
    }
  }
}
