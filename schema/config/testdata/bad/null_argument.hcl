lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {
  addresses = ["192.168.111.1/24"]
}
variable "port" {
  type    = number
  default = null
}
vm "a" {
  image = image.micro
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.100/24"]
  }
  forwarding = true
  nat {
    outside = "eth0"
    forward "ssh" {
      port = var.port
      to   = "192.168.111.7"
    }
  }
}
