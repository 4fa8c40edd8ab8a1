lab "x" {}
bridge "br0" {
  adresses = ["192.168.111.1/24"]
}
