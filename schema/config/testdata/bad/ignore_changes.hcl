lab "x" {}
image "micro" {
  build = "micro"
}
vm "a" {
  image = image.micro
  lifecycle {
    ignore_changes = [memroy, "x y"]
  }
}
