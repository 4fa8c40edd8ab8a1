lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {
  addresses = ["192.168.111.1/24"]
}
vm "a" {
  image = bridge.br0
  interface "eth0" {
    bridge = image.micro
  }
}
