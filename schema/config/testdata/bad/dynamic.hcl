lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {
  addresses = ["192.168.111.1/24"]
}
vm "a" {
  image = image.micro
  dynamic "interfaces" {
    for_each = ["eth0"]
    content {}
  }
  dynamic "interface" {
    for_each = ["eth0"]
    labels   = [interface.value]
    content {
      bridge  = bridge.br0
      adresses = []
    }
  }
}
