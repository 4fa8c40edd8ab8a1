lab "x" {}
image "micro" {
  build = "micro"
}
vm "a" {
  image = image.micro
  interface "eth0" {
    bridge = brigde.br0
  }
}
