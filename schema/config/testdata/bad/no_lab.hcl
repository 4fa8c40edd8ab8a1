bridge "br0" {
  addresses = ["192.168.111.1/24"]
}
