lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {
  addresses = ["192.168.111.1/24"]
}
vm "a" {
  image = image.micro
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.100/24"]
  }
}
check "none" {
}
check "two" {
  ping {
    from = vm.a
    to   = "192.168.111.1"
  }
  tcp {
    from = vm.a
    to   = "192.168.111.1"
  }
}
check "from" {
  ping {
    from = "192.168.111.1"
    to   = vm.a
  }
}
check "port" {
  tcp {
    from = vm.a
    to   = { vm = vm.a, prt = 22 }
  }
}
