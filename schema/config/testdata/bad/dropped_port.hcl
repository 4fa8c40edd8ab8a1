lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {
  addresses = ["192.168.111.1/24"]
}
vm "c" {
  image = image.micro
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.2/24"]
  }
}
vm "a" {
  image = image.micro
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.100/24"]
  }
  nftables = [nftables.f]
}
nftables "f" {
  table "inet" "f" {
    chain "in" {
      hook   = "input"
      policy = "drop"
      rules  = ["ct state established accept", "tcp dport 22 accept"]
    }
  }
}
check "web" {
  tcp {
    from = vm.c
    to   = vm.a
    port = 8080
  }
}
