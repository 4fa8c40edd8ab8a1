lab "x" {}
bridge "b" {
  name = each.key
}
