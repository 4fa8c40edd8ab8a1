lab "x" {}
bridge "br0" {
  mca = "52:54:00:00:00:01"
  colour = "red"
}
