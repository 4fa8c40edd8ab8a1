lab "x" {}

image "micro" {
  build = "micro"
}

vm "a" {
  image      = image.micro
  os_variant = "debian12"
}
