# IPv6 without router advertisements: every address and route is declared. The router lets the left side begin, and nobody
# else.
#
#   left ── br_left ── router ── br_right ── right
#   2001:db8:1::10   ::1    ::1   2001:db8:2::10

lab "ipv6" {
  description = "Two IPv6 networks, a router and a firewall"
}

locals {
  sides = { left = 1, right = 2 }
}

image "micro" {
  build = "micro"
}

bridge "br" {
  for_each = local.sides

  name       = "br_${each.key}"
  link_local = []
}

vm "router" {
  image      = image.micro
  forwarding = true

  dynamic "interface" {
    for_each = local.sides
    labels   = [interface.key]

    content {
      bridge    = bridge.br[interface.key]
      addresses = ["2001:db8:${interface.value}::1/64"]
      accept_ra = false
    }
  }

  nftables = [nftables.router]
}

nftables "router" {
  table "inet" "filter" {
    chain "forward" {
      hook   = "forward"
      policy = "drop"
      rules = [
        "ct state established,related counter accept",
        "icmpv6 type { packet-too-big, time-exceeded, parameter-problem } accept comment \"IPv6 does not work without\"",
        "iifname left oifname right counter accept comment \"the left side begins\"",
        "icmpv6 type echo-request limit rate 10/second counter accept",
        "counter comment \"what is left is dropped\"",
      ]
    }
  }
  table "ip6" "own" {
    chain "input" {
      hook   = "input"
      policy = "drop"
      rules = [
        "ct state established,related accept",
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, echo-request } accept comment \"or nobody finds the router\"",
        "counter comment \"what is left is dropped\"",
      ]
    }
  }
}

vm "host" {
  for_each = local.sides

  name  = "ipv6-${each.key}"
  image = image.micro

  interface "eth0" {
    bridge    = bridge.br[each.key]
    addresses = ["2001:db8:${each.value}::10/64"]
    accept_ra = false
  }
  route "default6" {
    via = "2001:db8:${each.value}::1"
  }
}

check "ping" {
  ping {
    from = vm.host["right"]
    to   = vm.host["left"]
  }
}

check "left_begins" {
  tcp {
    from = vm.host["left"]
    to   = vm.host["right"]
    port = 80
  }
}

check "left_sends" {
  udp {
    from = vm.host["left"]
    to   = vm.host["right"]
    port = 53
  }
}

check "right_does_not_begin" {
  tcp {
    from   = vm.host["right"]
    to     = vm.host["left"]
    port   = 80
    expect = "filtered"
  }
}

check "the_way" {
  route {
    vm         = vm.host["left"]
    to         = "2001:db8:2::10"
    expect_via = "2001:db8:1::1"
  }
}
