lab "x" {}
image "a" {
}
image "b" {
  source = "x.qcow2"
  build  = "micro"
}
image "c" {
  source   = "https://example.org/c.qcow2"
  checksum = "sha256:123"
}
