# Two ways to translate IPv6. Router a hides its clients behind one address and keeps ports as a NAT does (NAT66); router b
# changes nothing but prefixes (NPTv6, RFC 6296), so that each of its clients has an address outside.
#
#   client a ── br_a ── router a ──┐                      ┌── router b ── br_b ── client b
#   fd00:a::100   fd00:a::1        ├── internet ── server ┤    fd01:203:405:1::1   …:1::100
#                    2001:db8::a ──┘   2001:db8::10, ::11 └── 2001:db8::b
#
# The internet sees client a as 2001:db8::a, and client b as 2001:db8:1:d550::100.

lab "nat66" {
  description = "IPv6 behind a NAT, and behind a translated prefix"
}

variable "nat_a" {
  description = "What kind of NAT router a is"
  type        = string
  default     = "port_restricted_cone"
}

locals {
  sites = {
    a = { inside = "fd00:a:0:0", outside = "2001:db8::a" }
    b = { inside = "fd01:203:405:1", outside = "2001:db8::b" }
  }
  # Of the internet, what is not on its one segment: the prefix that router b has been given.
  site_b = "2001:db8:1::/48"
}

image "micro" {
  build = "micro"
}

bridge "internet" {
  name       = "internet"
  link_local = []
}

bridge "inside" {
  for_each = local.sites

  name       = "br_${each.key}"
  link_local = []
}

vm "router" {
  for_each = local.sites

  image      = image.micro
  forwarding = true

  interface "eth0" {
    bridge    = bridge.internet
    addresses = ["${each.value.outside}/64"]
    accept_ra = false
  }
  interface "eth1" {
    bridge    = bridge.inside[each.key]
    addresses = ["${each.value.inside}::1/64"]
    accept_ra = false
  }

  dynamic "route" {
    for_each = each.key == "a" ? [local.site_b] : []
    labels   = [route.value]

    content {
      via = local.sites.b.outside
    }
  }

  nat6 {
    type    = each.key == "a" ? var.nat_a : "prefix"
    outside = "eth0"
    inside  = ["eth1"]

    dynamic "prefix" {
      for_each = each.key == "b" ? [local.site_b] : []
      labels   = ["site"]

      content {
        inside  = "fd01:203:405::/48"
        outside = prefix.value
      }
    }
  }
}

vm "client" {
  for_each = local.sites

  image = image.micro

  interface "eth0" {
    bridge    = bridge.inside[each.key]
    addresses = ["${each.value.inside}::100/64"]
    accept_ra = false
  }
  route "default6" {
    via = "${each.value.inside}::1"
  }
}

vm "server" {
  image = image.micro

  interface "eth0" {
    bridge    = bridge.internet
    addresses = ["2001:db8::10/64", "2001:db8::11/64"]
    accept_ra = false
  }
  route "2001:db8:1::/48" {
    via = local.sites.b.outside
  }
}

check "nat66" {
  nat {
    vm     = vm.router["a"]
    expect = var.nat_a
  }
}

check "nat66_tcp" {
  nat {
    vm                = vm.router["a"]
    protocol          = "tcp"
    expect            = var.nat_a
    simultaneous_open = true
  }
}

check "nptv6" {
  nat {
    vm             = vm.router["b"]
    mapping        = "endpoint_independent"
    filtering      = "endpoint_independent"
    preserve_ports = true
    hairpin        = true
  }
}

check "from_outside" {
  tcp {
    from = vm.server
    to   = { address = "2001:db8:1:d550::100", port = 80 }
  }
}

check "hole_punch" {
  for_each = toset(["udp", "tcp"])

  hole_punch {
    protocol = each.value
    a        = { vm = vm.client["a"], port = 23456 }
    b        = { vm = vm.client["b"], port = 55555 }
  }
}
