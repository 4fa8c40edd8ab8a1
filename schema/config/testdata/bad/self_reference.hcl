lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {
  addresses = ["192.168.111.1/24"]
}
vm "a" {
  count = 2
  image = image.micro
  hosts = { "192.168.111.7" = vm.a[0].name }
}
