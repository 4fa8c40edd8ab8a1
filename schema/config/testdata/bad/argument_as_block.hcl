lab "x" {}
bridge "br0" {
  mac {
  }
}
