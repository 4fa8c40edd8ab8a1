lab "x" {}
bridge "b" {
  for_each = ["x", "y"]
}
