lab "x" {}
image "micro" {
  build = "micro"
}
vm "a" {
  for_each = toset(["x", "y"])
  name     = "same"
  image    = image.micro
}
