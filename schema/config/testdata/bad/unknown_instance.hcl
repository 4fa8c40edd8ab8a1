lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {
  addresses = ["192.168.111.1/24"]
}
vm "a" {
  for_each = toset(["x", "y"])
  image    = image.micro
}
output "o" {
  value = vm.a["z"].name
}
output "p" {
  value = vm.a.name
}
