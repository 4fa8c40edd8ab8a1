lab "x" {}
image "micro" {
  build = "micro"
}
vm "a" {
  image = micro
}
