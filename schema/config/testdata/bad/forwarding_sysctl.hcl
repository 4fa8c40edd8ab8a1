lab "x" {}

image "micro" {
  build = "micro"
}

vm "router" {
  image = image.micro
  sysctl = {
    "net.ipv4.ip_forward" = "1"
  }
}
