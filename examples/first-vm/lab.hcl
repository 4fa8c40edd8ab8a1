# One machine on a bridge of its own, with a way out through this host.

lab "first-vm" {
  description = "A machine that reaches the world through the host"
}

host {
  forwarding = true
}

bridge "br0" {
  addresses  = ["192.168.111.1/24"]
  masquerade = true # what leaves the host from this bridge bears the host's address
}

image "micro" {
  build = "micro"
}

vm "first" {
  image  = image.micro
  memory = "128MiB"

  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.100/24"]
  }
  route "default" {
    via = "192.168.111.1"
  }
  nameservers = ["9.9.9.9"]
}

check "gateway_answers" {
  ping {
    from = vm.first
    to   = "192.168.111.1"
  }
}

output "address" {
  value = vm.first.ip
}
