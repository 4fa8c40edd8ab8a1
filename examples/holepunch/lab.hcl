# Two clients behind two NAT routers, each pair on a bridge of its own, with the host routing between the bridges.
#
#   client a ── NAT a ──┐                     ┌── NAT b ── client b
#   .100        .101    br0 ── this host ── br1    .101     .100
#            192.168.111.0/24            192.168.222.0/24
#
# The routers have one arm: client and router are on the same bridge, and a client's only route leads to its router.

lab "holepunch" {
  description = "Two clients behind NAT routers, on two bridges"
}

variable "nat_a" {
  description = "How NAT A maps and filters: full_cone, address_restricted_cone, port_restricted_cone or symmetric"
  type        = string
  default     = "port_restricted_cone"
}

variable "nat_b" {
  description = "How NAT B maps and filters"
  type        = string
  default     = "port_restricted_cone"
}

locals {
  sites = {
    a = { bridge = bridge.br0, net = "192.168.111", nat = var.nat_a }
    b = { bridge = bridge.br1, net = "192.168.222", nat = var.nat_b }
  }
}

host {
  forwarding = true
}

bridge "br0" {
  addresses = ["192.168.111.1/24"]
}

bridge "br1" {
  addresses = ["192.168.222.1/24"]
}

image "micro" {
  build = "micro"
}

vm "nat" {
  for_each = local.sites

  image  = image.micro
  memory = "128MiB"

  interface "eth0" {
    bridge    = each.value.bridge
    addresses = ["${each.value.net}.101/24"]
  }
  route "default" {
    via = "${each.value.net}.1"
  }

  forwarding = true
  nat {
    type    = each.value.nat
    outside = "eth0"
  }
}

vm "client" {
  for_each = local.sites

  image  = image.micro
  memory = "128MiB"

  interface "eth0" {
    bridge          = each.value.bridge
    addresses       = ["${each.value.net}.100/24"]
    connected_route = false # everything goes through the NAT, neighbours included
  }
  route "default" {
    via = "${each.value.net}.101"
  }

  nftables = [nftables.client]
}

nftables "client" {
  table "ip" "filter" {
    chain "input" {
      hook   = "input"
      policy = "drop"
      rules = [
        "ct state invalid counter drop",
        "ct state established,related counter accept",
        "iifname lo accept",
        "icmp type echo-request counter accept",
        "tcp dport 22 counter accept comment \"accept SSH\"",
      ]
    }
  }
}

check "routers_see_each_other" {
  ping {
    from = vm.nat["a"]
    to   = vm.nat["b"]
  }
}

check "udp_hole_punch" {
  hole_punch {
    protocol = "udp"
    a        = { vm = vm.client["a"], port = 23456 }
    b        = { vm = vm.client["b"], port = 55555 }
    expect   = "success"
  }
}

output "routers" {
  description = "The outside address of each router"
  value       = { for name, router in vm.nat : name => router.ip }
}
