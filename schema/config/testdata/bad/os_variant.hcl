lab "x" {}
image "base" {
  source = "/x.qcow2"
}
vm "a" {
  image      = image.base
  os_variant = "debain12"
}
vm "b" {
  image      = image.base
  os_variant = "the one that I like"
}
vm "c" {
  image = image.base
  disk "d" {
    bus  = "ide"
    size = "1GiB"
  }
}
