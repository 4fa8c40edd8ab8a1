lab "x" {}
network "lan" {
  existing = true
}
image "i" {
  build = "micro"
}
vm "server" {
  image = image.i
  interface "eth0" {
    network = network.lan
    dhcp4   = true
  }
}
vm "client" {
  image = image.i
  hosts = { (vm.server.interface.eth0.ip) = "server" }
  nameservers = [vm.server.ip]
  interface "eth0" {
    network = network.lan
    dhcp4   = true
  }
  file "/etc/motd" {
    content = "The server is ${vm.server.interface.eth0.leases[0]}.\n"
  }
}
