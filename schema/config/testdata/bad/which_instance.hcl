lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br" {
  for_each = toset(["a", "b"])
}
vm "a" {
  image = image.micro
  interface "eth0" {
    bridge = bridge.br
  }
}
