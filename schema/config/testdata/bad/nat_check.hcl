lab "x" {}
image "micro" {
  build = "micro"
}
bridge "br0" {
  addresses = ["192.168.111.1/24"]
}
vm "router" {
  image = image.micro
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.100/24"]
  }
}
check "nothing" {
  nat {
    vm = vm.router
  }
}
check "contradiction" {
  nat {
    vm        = vm.router
    expect    = "full_cone"
    mapping   = "endpoint_independent"
    filtering = "address_dependent"
  }
}
check "only_tcp" {
  nat {
    vm                = vm.router
    simultaneous_open = true
  }
}
