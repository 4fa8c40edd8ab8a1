lab "x" {}
bridge "b" {
  for_each = toset(["x"])
  count    = 2
}
