# Two NATs in a row, as behind a provider that has more customers than addresses (CGNAT, RFC 6888).
#
#   client ── home ── carrier ── server
#   10.0.0.100  │        │       203.0.113.10
#        10.0.0.1  100.64.0.1
#       100.64.0.2  203.0.113.2
#
# The home router forwards port 8080, and nobody can use it: the carrier forwards nothing.

lab "cgnat" {
  description = "A home behind a carrier's NAT"
}

image "micro" {
  build = "micro"
}

bridge "br_lan" {
  link_local = []
}

bridge "br_carrier" {
  link_local = []
}

bridge "br_wan" {
  link_local = []
}

vm "client" {
  image = image.micro

  interface "eth0" {
    bridge    = bridge.br_lan
    addresses = ["10.0.0.100/24"]
  }
  route "default" {
    via = "10.0.0.1"
  }
}

vm "home" {
  image      = image.micro
  forwarding = true

  interface "eth0" {
    bridge    = bridge.br_carrier
    addresses = ["100.64.0.2/24"] # RFC 6598: for the space between a carrier and its customers
  }
  interface "eth1" {
    bridge    = bridge.br_lan
    addresses = ["10.0.0.1/24"]
  }
  route "default" {
    via = "100.64.0.1"
  }

  nat {
    type    = "full_cone"
    outside = "eth0"
    inside  = ["eth1"]

    forward "web" {
      port    = 8080
      to      = "10.0.0.100"
      to_port = 80
    }
  }
}

vm "carrier" {
  image      = image.micro
  forwarding = true

  interface "eth0" {
    bridge    = bridge.br_wan
    addresses = ["203.0.113.2/24"]
  }
  interface "eth1" {
    bridge    = bridge.br_carrier
    addresses = ["100.64.0.1/24"]
  }

  nat {
    type    = "symmetric"
    outside = "eth0"
    inside  = ["eth1"]
  }
}

vm "server" {
  image = image.micro

  interface "eth0" {
    bridge    = bridge.br_wan
    addresses = ["203.0.113.10/24", "203.0.113.11/24"]
  }
}

check "the_way_out_works" {
  tcp {
    from = vm.client
    to   = vm.server
    port = 80
  }
}

check "neighbours_of_the_home_can_use_its_forward" {
  tcp {
    from = vm.carrier
    to   = { vm = vm.home, port = 8080 }
  }
}

check "the_world_cannot" {
  tcp {
    from   = vm.server
    to     = { vm = vm.carrier, port = 8080 }
    expect = "filtered"
  }
}

# Two NATs in a row are as closed as the more closed of them: the cone at home is of no use.
check "together_they_are_symmetric" {
  nat {
    vm     = vm.carrier
    client = vm.client
    server = vm.server
    expect = "symmetric"
  }
}
