# A web server behind a router with one public address, reachable on port 8080 of that address and on nothing else.
#
#   outside ── br_wan ── router ── br_lan ── web
#   203.0.113.10   .2 ─────┘ 10.0.0.1    10.0.0.80
#
#   labctl test
#   labctl rules router      # the forward's counter has risen
#   labctl flows router      # who is sent on to whom

lab "portforward" {
  description = "One port of a router leads to a machine behind it"
}

image "micro" {
  build = "micro"
}

bridge "br_wan" {
  link_local = []
}

bridge "br_lan" {
  link_local = []
}

vm "outside" {
  image = image.micro

  interface "eth0" {
    bridge    = bridge.br_wan
    addresses = ["203.0.113.10/24"]
  }
}

vm "router" {
  image      = image.micro
  forwarding = true

  interface "eth0" {
    bridge    = bridge.br_wan
    addresses = ["203.0.113.2/24"]
  }
  interface "eth1" {
    bridge    = bridge.br_lan
    addresses = ["10.0.0.1/24"]
  }

  nat {
    type    = "port_restricted_cone"
    outside = "eth0"
    inside  = ["eth1"]

    forward "web" {
      port    = 8080
      to      = "10.0.0.80"
      to_port = 80
    }
    forward "dns" {
      protocol = "udp"
      port     = 53
      to       = "10.0.0.80"
    }
  }
}

vm "web" {
  image = image.micro

  interface "eth0" {
    bridge    = bridge.br_lan
    addresses = ["10.0.0.80/24"]
  }
  route "default" {
    via = "10.0.0.1"
  }
}

# Nothing has to listen for this: where the port is free, labctl listens for the time of the check.
check "web_is_reached" {
  tcp {
    from = vm.outside
    to   = vm.router
    port = 8080
  }
}

check "dns_is_reached" {
  udp {
    from = vm.outside
    to   = vm.router
    port = 53
  }
}

check "nothing_else_is" {
  tcp {
    from   = vm.outside
    to     = vm.router
    port   = 22
    expect = "filtered"
  }
}

check "the_private_address_is_not" {
  ping {
    from   = vm.outside
    to     = vm.web
    expect = "failure"
  }
}
