lab "bad" {}

image "micro" {
  build = "micro"
}

vm "small" {
  image  = image.micro
  memory = "96MiB"
}

vm "off" {
  image   = image.micro
  memory  = "64MiB"
  running = false
}
