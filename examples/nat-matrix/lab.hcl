# Which pairs of NAT types let a hole be punched? Two clients behind two routers of any type, and a server outside that
# tells each client how the world sees it.
#
#   client a ── router a ──┐                          ┌── router b ── client b
#            10.0.1.0/24   └── br_a ── this host ── br_b   10.0.2.0/24
#                       203.0.113.0/24      │     198.51.100.0/24
#                                         br_s ── server (192.0.2.10 and .11)
#
# Change a type and apply: the router changes live. All sixteen pairs, as a table, a picture and a page:
#
#   labctl test -run punch -grid nat_a=local.types -grid nat_b=local.types -svg grid.svg -html grid.html

lab "natmatrix" {
  description = "Every NAT type against every other"
}

variable "nat_a" {
  description = "Type of router a: full_cone, address_restricted_cone, port_restricted_cone or symmetric"
  type        = string
  default     = "port_restricted_cone"
}

variable "nat_b" {
  description = "Type of router b"
  type        = string
  default     = "port_restricted_cone"
}

locals {
  types = ["full_cone", "address_restricted_cone", "port_restricted_cone", "symmetric"]

  # The hole stays closed where one side cannot know the port that the other will come from, and lets in nothing else.
  closed = var.nat_a == "symmetric" && contains(["symmetric", "port_restricted_cone"], var.nat_b) || var.nat_b == "symmetric" && var.nat_a == "port_restricted_cone"
  expect = local.closed ? "failure" : "success"

  sites = {
    a = { inside = bridge.in_a, outside = bridge.br_a, lan = "10.0.1", wan = "203.0.113", nat = var.nat_a }
    b = { inside = bridge.in_b, outside = bridge.br_b, lan = "10.0.2", wan = "198.51.100", nat = var.nat_b }
  }
}

host {
  forwarding = true
}

bridge "br_a" {
  addresses = ["203.0.113.1/24"]
}

bridge "br_b" {
  addresses = ["198.51.100.1/24"]
}

bridge "br_s" {
  addresses = ["192.0.2.1/24"]
}

bridge "in_a" {
  link_local = []
}

bridge "in_b" {
  link_local = []
}

image "micro" {
  build = "micro"
}

vm "router" {
  for_each = local.sites

  image  = image.micro
  memory = "128MiB"

  interface "eth0" {
    bridge    = each.value.outside
    addresses = ["${each.value.wan}.2/24"]
  }
  interface "eth1" {
    bridge    = each.value.inside
    addresses = ["${each.value.lan}.1/24"]
  }
  route "default" {
    via = "${each.value.wan}.1"
  }

  forwarding = true
  nat {
    type    = each.value.nat
    outside = "eth0"
    inside  = ["eth1"]
  }
}

vm "client" {
  for_each = local.sites

  image  = image.micro
  memory = "128MiB"

  interface "eth0" {
    bridge    = each.value.inside
    addresses = ["${each.value.lan}.100/24"]
  }
  route "default" {
    via = "${each.value.lan}.1"
  }
}

vm "server" {
  image  = image.micro
  memory = "128MiB"

  interface "eth0" {
    bridge    = bridge.br_s
    addresses = ["192.0.2.10/24", "192.0.2.11/24"]
  }
  route "default" {
    via = "192.0.2.1"
  }
}

check "nat_a" {
  nat {
    vm     = vm.router["a"]
    expect = var.nat_a
  }
}

check "nat_b" {
  nat {
    vm     = vm.router["b"]
    expect = var.nat_b
  }
}

check "nat_a_tcp" {
  nat {
    vm                = vm.router["a"]
    protocol          = "tcp"
    expect            = var.nat_a
    simultaneous_open = true
  }
}

check "udp_hole_punch" {
  hole_punch {
    protocol = "udp"
    a        = { vm = vm.client["a"], port = 23456 }
    b        = { vm = vm.client["b"], port = 55555 }
    via      = vm.server
    expect   = local.expect
  }
}

check "tcp_hole_punch" {
  hole_punch {
    protocol = "tcp"
    a        = { vm = vm.client["a"], port = 23456 }
    b        = { vm = vm.client["b"], port = 55555 }
    via      = vm.server
    expect   = local.expect
  }
}
